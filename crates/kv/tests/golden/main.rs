//! Invariants: every version of the manifest's edits that was ever frozen decodes to what it was, and
//! encodes to the same bytes; a manifest that an older release wrote opens with everything in it; and
//! an older release refuses a manifest with edits of a newer version, and leaves it as it is.
//!
//! `tests/golden/vN` holds `edits.txt`, one edit of each kind as a line of hexadecimal digits, and a
//! manifest's files. They are never changed. Those of a new version are written, once, by
//! `QUIPU_WRITE_GOLDEN=1 cargo test -p quipu-kv --test golden`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests read and write the files of the repository, and fail by panicking"
)]

mod edits;
mod next;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use edits::{edits, hex, named_edits, unhex};
use quipu_io::sim::{Sim, SimIo, SimOptions};
use quipu_io::{Bytes, File, Io, OpenOptions};
use quipu_journal::{Error as Journal, Options, Replayable, laws};
use quipu_kv::Error;
use quipu_kv::manifest::{FileNum, Manifest, ManifestEdit, ManifestEditV1, ManifestState, Version};

const DIR: &str = "golden";

type Files = BTreeMap<String, Vec<u8>>;

fn directory() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    tests.join("golden").join("v1")
}

fn is_writing() -> bool {
    std::env::var("QUIPU_WRITE_GOLDEN").is_ok()
}

pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.log.zero_ahead_bytes = 0;
    options.log.allocation_bytes = 4096;
    options
}

pub(crate) fn run<T>(sim: &Sim, work: impl Future<Output = T>) -> T {
    sim.block_on(work).unwrap()
}

pub(crate) async fn files(io: &SimIo) -> Files {
    let mut files = Files::new();
    for entry in io.read_dir(Path::new(DIR)).await.unwrap() {
        let path = Path::new(DIR).join(&entry.name);
        let file = io.open(&path, OpenOptions::ReadOnly).await.unwrap();
        let size = usize::try_from(file.size().await.unwrap()).unwrap();
        let content = file.read_at(0, size).await.unwrap();
        let name = entry.name.into_string().unwrap();
        files.insert(name, content.to_vec());
    }
    files
}

/// A machine with these files.
pub(crate) fn machine(files: &Files) -> Sim {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    run(&sim, async {
        io.create_dir_all(Path::new(DIR)).await.unwrap();
        for (name, content) in files {
            let path = Path::new(DIR).join(name);
            let file = io.open(&path, OpenOptions::Create).await.unwrap();
            let content = Bytes::from(content.clone());
            file.write_at(0, content).await.unwrap();
        }
    });
    sim
}

/// All edits, with a snapshot behind the sixth, as this release writes them.
fn written() -> Files {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    run(&sim, async {
        let opening = quipu_journal::Journal::<ManifestState, _>::open(io.clone(), DIR, options());
        let journal = opening.await.unwrap();
        for (index, edit) in edits().into_iter().enumerate() {
            journal.append(edit).await.unwrap().unwrap();
            if index == 5 {
                journal.snapshot().await.unwrap();
            }
        }
        journal.close().await.unwrap();
        files(&io).await
    })
}

pub(crate) fn frozen() -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(directory()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name != "edits.txt" {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// What the frozen manifest says.
pub(crate) fn assert_is_golden(version: &Version) {
    let numbers: Vec<_> = version.tables().map(|table| table.filenum.get()).collect();
    assert_eq!(numbers, [2, 3, 9]);
    assert_eq!(version.number(), 8);
    assert_eq!(version.last_seq(), 70_000);
    assert_eq!(version.wal_floor(), 300);
    let keyspaces: Vec<_> = version
        .keyspaces()
        .map(|keyspace| {
            (
                keyspace.id().get(),
                keyspace.name(),
                keyspace.flushed_through(),
            )
        })
        .collect();
    assert_eq!(keyspaces, [(0, "default", 70_000), (2, "métriques", 300)]);
    let of_edits = edits().into_iter().flat_map(|edit| match edit {
        ManifestEdit::V1(ManifestEditV1::AddFile { files, .. }) => files,
        ManifestEdit::V1(ManifestEditV1::Compaction { added, .. }) => added,
        _ => Vec::new(),
    });
    let mut expected: BTreeMap<FileNum, _> = BTreeMap::new();
    for table in of_edits {
        expected.insert(table.filenum, table);
    }
    for table in version.tables() {
        assert_eq!(**table, expected[&table.filenum]);
    }
}

#[test]
fn each_edit_is_the_frozen_bytes() {
    let path = directory().join("edits.txt");
    let text: String = named_edits()
        .iter()
        .map(|(name, edit)| {
            let bytes = laws::encode::<ManifestState>(edit).unwrap();
            format!("{name}\t{}\n", hex(&bytes))
        })
        .collect();
    if is_writing() {
        fs::write(&path, &text).unwrap();
    }
    let frozen = fs::read_to_string(&path).unwrap();
    assert_eq!(text, frozen, "the encoding of version 1 has changed");
    for (line, (_, edit)) in frozen.lines().zip(named_edits()) {
        let bytes = unhex(line.split('\t').nth(1).unwrap());
        assert_eq!(laws::golden::<ManifestState>(&bytes).unwrap(), edit);
        // No part of it is something else.
        for end in 0..bytes.len() {
            assert!(laws::golden::<ManifestState>(&bytes[..end]).is_err());
        }
    }
}

#[test]
fn the_format_document_shows_the_frozen_bytes() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kv-format.md");
    let document = fs::read_to_string(document).unwrap();
    let plain: String = document.split_whitespace().collect();
    for line in fs::read_to_string(directory().join("edits.txt"))
        .unwrap()
        .lines()
    {
        let (name, hex) = line.split_once('\t').unwrap();
        assert!(
            plain.contains(hex),
            "docs/kv-format.md does not have {name}: {hex}"
        );
    }
}

#[test]
fn the_frozen_manifest_opens_with_everything_in_it() {
    if is_writing() {
        for (name, content) in written() {
            fs::write(directory().join(name), content).unwrap();
        }
    }
    let sim = machine(&frozen());
    run(&sim, async {
        let found = [2, 3, 5, 9].map(FileNum::new);
        let found = std::future::ready(Ok(found));
        let opening = Manifest::open(sim.io(), DIR, options(), found);
        let manifest = opening.await.unwrap();
        assert_is_golden(&manifest.version());
        assert_eq!(manifest.obsolete_files(), [FileNum::new(5)]);
        assert_eq!(manifest.alloc_filenum().unwrap(), FileNum::new(10));
        manifest.close().await.unwrap();
    });
}

#[test]
fn what_is_written_now_is_the_frozen_manifest() {
    assert!(written() == frozen(), "the files of version 1 have changed");
}

/// See `next.rs`: a release that has a second version.
#[test]
fn a_newer_release_reads_the_older_version_and_an_older_one_refuses_the_newer() {
    let sim = machine(&frozen());
    let io = sim.io();
    run(&sim, async {
        let open = || quipu_journal::Journal::<next::Next, _>::open(io.clone(), DIR, options());
        let journal = open().await.unwrap();
        journal.read(|next| assert_is_golden(next.first.version()));
        let answer = journal.append(next::tag(9, "cold")).await.unwrap();
        assert!(answer, "it was applied");
        journal.close().await.unwrap();

        let before = files(&io).await;
        let error = Manifest::open(io.clone(), DIR, options(), std::future::ready(Ok([])))
            .await
            .unwrap_err();
        let Error::Journal {
            source: Journal::Decode {
                seq, path, offset, ..
            },
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(seq.get(), 9);
        assert!(*offset > 8192 && path.starts_with(DIR), "{error}");
        assert!(files(&io).await == before, "the refusal has changed files");

        let journal = open().await.unwrap();
        journal.read(|next| {
            assert_is_golden(next.first.version());
            assert_eq!(next.tags[&FileNum::new(9)], "cold");
        });
        // Its snapshot holds both versions.
        let parts: Vec<_> = journal.read(|next| next.snapshot_parts().collect());
        assert!(parts.len() > 1);
        journal.close().await.unwrap();
    });
}
