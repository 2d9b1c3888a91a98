//! Invariant: whatever happens to the bytes of a table, an answer is right or an error that names the
//! file and the place; and one of what reads all of it tells.

use std::cmp::Reverse;

use quipu_io::sim::{Fault, Operation, SimIo};
use quipu_io::{Bytes, File, Io, OpenOptions};

use super::super::Compression;
use super::*;
use crate::Error;

/// What has become of a file, and the last place that is not as it was.
#[derive(Clone, Debug)]
struct Damage {
    at: usize,
    content: Vec<u8>,
}

fn tombstones() -> Vec<RangeTombstone> {
    let tombstone = |start: &'static str, end: &'static str| RangeTombstone {
        start: start.into(),
        end: end.into(),
        seq: 3,
    };
    vec![tombstone("key1", "key5"), tombstone("key4", "key7")]
}

fn entries(count: u64, value_bytes: usize) -> Entries {
    let entry = |number: u64| {
        let version = (
            format!("key{:06}", number / 2 * 7).into_bytes(),
            Reverse(number % 2 + number),
        );
        let value = number.to_le_bytes().repeat(value_bytes / 8);
        let kind = if number % 11 == 3 {
            Kind::Delete
        } else {
            Kind::Put
        };
        let value = if kind == Kind::Put { value } else { Vec::new() };
        (version, (kind, value))
    };
    (0..count).map(entry).collect()
}

fn options(block_bytes: usize, partition_bytes: usize) -> TableOptions {
    TableOptions {
        block_bytes,
        partition_bytes,
        compression: Compression::None,
        ..TableOptions::default()
    }
}

async fn content(io: &SimIo) -> Vec<u8> {
    let file = io
        .open(Path::new(PATH), OpenOptions::ReadOnly)
        .await
        .unwrap();
    let size = usize::try_from(file.size().await.unwrap()).unwrap();
    file.read_at(0, size).await.unwrap().to_vec()
}

async fn replace(io: &SimIo, content: &[u8]) {
    let file = io.open(Path::new(PATH), OpenOptions::Create).await.unwrap();
    file.set_len(content.len() as u64).await.unwrap();
    let content = Bytes::copy_from_slice(content);
    file.write_at(0, content).await.unwrap();
}

/// Checks that an error names the file, and a place at or before the damage.
fn assert_told(error: &Error, damage: &Damage) {
    match error {
        Error::Corrupt { path, offset, .. } => {
            assert_eq!(path, Path::new(PATH));
            assert!(*offset <= damage.at as u64, "{error} for {}", damage.at);
        }
        Error::NotATable { path } => assert_eq!(path, Path::new(PATH)),
        other => panic!("{other} for damage at {}", damage.at),
    }
}

/// Asks for everything there is, and counts the errors.
async fn told(io: &SimIo, entries: &Entries, size: u64, damage: &Damage) -> usize {
    let table = match open(io, Path::new(PATH), size, 1 << 20).await {
        Ok(table) => table,
        Err(error) => {
            assert_told(&error, damage);
            return 1;
        }
    };
    assert_eq!(table.range_tombstones(), tombstones());
    let mut errors = 0;
    for ((key, seq), (kind, value)) in entries {
        match table.get(key, seq.0).await {
            Ok(found) => {
                let found = found.expect("it is there");
                let found = (found.kind, found.seq, &found.value[..]);
                assert_eq!(found, (*kind, seq.0, &value[..]));
            }
            Err(error) => {
                assert_told(&error, damage);
                errors += 1;
            }
        }
    }
    errors + told_by_walk(io, entries, size, damage).await
}

/// Walks over all of it, without a cache, so that nearly all is read ahead.
async fn told_by_walk(io: &SimIo, entries: &Entries, size: u64, damage: &Damage) -> usize {
    let table = open(io, Path::new(PATH), size, 0).await.unwrap();
    let options = IterOptions {
        fill_cache: false,
        readahead: 4096,
    };
    let mut iter = TableIter::new(table, options);
    let mut expected = entries.iter();
    let mut step = iter.seek_to_first().await;
    loop {
        match (step, expected.next()) {
            (Ok(true), Some(((key, seq), (_, value)))) => {
                assert_eq!(
                    (iter.key(), iter.seq(), iter.value()),
                    (&key[..], seq.0, &value[..])
                );
            }
            (Ok(false), None) => return 0,
            (Err(error), _) => {
                assert_told(&error, damage);
                assert!(!iter.is_valid());
                return 1;
            }
            (step, expected) => panic!("{step:?} instead of {expected:?} for {}", damage.at),
        }
        step = iter.next().await;
    }
}

async fn sweep(io: &SimIo, entries: &Entries, size: u64, damages: impl Iterator<Item = Damage>) {
    for damage in damages {
        replace(io, &damage.content).await;
        let errors = told(io, entries, size, &damage).await;
        assert!(errors > 0, "nobody has noticed the damage at {}", damage.at);
    }
}

/// The content with something else from `at` on; `None` if it was that already.
fn overwritten(content: &[u8], at: usize, bytes: &[u8]) -> Option<Damage> {
    let mut damaged = content.to_vec();
    let end = content.len().min(at + bytes.len());
    damaged[at..end].copy_from_slice(&bytes[..end - at]);
    let last = (at..end).rev().find(|at| damaged[*at] != content[*at])?;
    Some(Damage {
        at: last,
        content: damaged,
    })
}

#[test]
fn every_damaged_byte_of_a_small_table_is_told() {
    let sim = machine();
    let io = sim.io();
    run(&sim, async {
        let entries = entries(24, 16);
        let options = options(90, 120);
        let tombstones = tombstones();
        let writing = write(&io, Path::new(PATH), &entries, &tombstones, options);
        let summary = writing.await.unwrap();
        assert!(summary.properties.partitions > 2 && summary.properties.data_blocks > 4);
        let content = content(&io).await;
        let bytes = (0..content.len()).flat_map(|at| {
            let byte = content[at];
            let others = [byte ^ 1, byte ^ 0x80, 0, 0xff];
            others.map(|other| overwritten(&content, at, &[other]))
        });
        sweep(&io, &entries, summary.size, bytes.flatten()).await;
        let cuts = (0..content.len()).map(|len| Damage {
            at: len,
            content: content[..len].to_vec(),
        });
        sweep(&io, &entries, summary.size, cuts).await;
        let longer = Damage {
            at: content.len(),
            content: [&content[..], b"\0"].concat(),
        };
        sweep(&io, &entries, summary.size, std::iter::once(longer)).await;
    });
}

#[test]
fn every_damaged_sector_of_a_larger_table_is_told() {
    const SECTOR: usize = 512;
    let sim = machine();
    let io = sim.io();
    run(&sim, async {
        let entries = entries(600, 64);
        let write = async |options| {
            let _ = io.remove_file(Path::new(PATH)).await;
            let summary = write(&io, Path::new(PATH), &entries, &tombstones(), options).await;
            (summary.unwrap(), content(&io).await)
        };
        // An older file of the same number and the same entries.
        let (_, older) = write(options(1024, 300)).await;
        let (summary, content) = write(options(1024, 300)).await;
        assert_eq!(older.len(), content.len());
        assert!(summary.properties.partitions > 5);
        let sectors = (0..content.len()).step_by(SECTOR);
        let damages = sectors.flat_map(|at| {
            let next = content.get(at + SECTOR..).unwrap_or_default();
            let stale = &older[at..];
            let replacements = [&[0; SECTOR][..], &[0xff; SECTOR], next, stale];
            replacements.map(|bytes| overwritten(&content, at, &bytes[..bytes.len().min(SECTOR)]))
        });
        sweep(&io, &entries, summary.size, damages.flatten()).await;
        // The older file from behind the first block on: its blocks are intact in themselves.
        let stale = (2 * 1024..content.len()).step_by(97);
        let stale = stale.map(|at| overwritten(&content, at, &older[at..]));
        sweep(&io, &entries, summary.size, stale.flatten()).await;
    });
}

#[test]
fn a_table_is_not_taken_for_one_of_another_number_or_version() {
    let sim = machine();
    let io = sim.io();
    run(&sim, async {
        let path = Path::new(PATH);
        let entries = entries(10, 8);
        let summary = write(&io, path, &entries, &[], options(4096, 4096))
            .await
            .unwrap();
        let open = async |number| {
            let cache = BlockCache::new(0);
            let opening = Table::open(&io, path, FileNum::new(number), summary.size, cache);
            opening.await.map(drop)
        };
        assert!(open(7).await.is_ok());
        assert!(matches!(open(8).await, Err(Error::Corrupt { .. })));
        let intact = content(&io).await;
        let restate = async |at_end: usize, value: u32| {
            let mut content = intact.clone();
            let size = content.len();
            content[size - at_end..][..4].copy_from_slice(&value.to_le_bytes());
            let checksum = crc32c::crc32c(&content[size - 72..size - 12]);
            content[size - 12..size - 8].copy_from_slice(&checksum.to_le_bytes());
            replace(&io, &content).await;
        };
        restate(16, 2).await;
        let newer = Error::UnsupportedVersion {
            path: path.to_owned(),
            found: 2,
            supported: 1,
        };
        assert_eq!(open(7).await.unwrap_err().to_string(), newer.to_string());
        restate(20, 1 << 9).await;
        let packed = open(7).await;
        assert!(matches!(
            packed,
            Err(Error::UnsupportedCodec { found: 9, .. })
        ));
        replace(
            &io,
            b"a text that is long enough to hold a footer, which it does not, at all......",
        )
        .await;
        let cache = BlockCache::new(0);
        let text = Table::open(&io, path, FILENUM, 76, cache).await;
        assert!(matches!(text, Err(Error::NotATable { .. })), "{text:?}");
    });
}

#[test]
fn a_file_that_ends_while_it_is_read_is_told() {
    let sim = machine();
    let io = sim.io();
    run(&sim, async {
        let path = Path::new(PATH);
        let entries = entries(600, 64);
        let summary = write(&io, path, &entries, &tombstones(), options(1024, 300))
            .await
            .unwrap();
        let table = open(&io, path, summary.size, 0).await.unwrap();
        let file = io.open(path, OpenOptions::ReadWrite).await.unwrap();
        file.set_len(summary.size / 2).await.unwrap();
        let mut errors = 0;
        for ((key, seq), (_, value)) in &entries {
            match table.get(key, seq.0).await {
                Ok(found) => assert_eq!(found.unwrap().value, value),
                Err(Error::Corrupt { .. }) => errors += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!((200..400).contains(&errors), "{errors}");
    });
}

#[test]
fn what_failed_once_is_told_once() {
    let sim = machine();
    let io = sim.io();
    run(&sim, async {
        let path = Path::new(PATH);
        let entries = entries(600, 64);
        let writing = write(&io, path, &entries, &[], options(1024, 300));
        let summary = writing.await.unwrap();
        let table = open(&io, path, summary.size, 1 << 20).await.unwrap();
        let mut told = (0, 0);
        for ((key, seq), (_, value)) in &entries {
            let strike = seq.0 % 40;
            match strike {
                0 => sim.faults().strike_nth(Fault::FlippedRead, 1),
                20 => sim.faults().strike_nth(Fault::Error(Operation::ReadAt), 1),
                _ => {}
            }
            match table.get(key, seq.0).await {
                Ok(found) => assert_eq!(found.unwrap().value, value),
                Err(Error::Corrupt { .. }) => told.0 += 1,
                Err(Error::Io { .. }) => told.1 += 1,
                Err(other) => panic!("{other}"),
            }
            let found = table.get(key, seq.0).await;
            if strike % 20 != 0 {
                assert_eq!(found.unwrap().unwrap().value, value);
            }
        }
        assert!(told.0 > 0 && told.1 > 0, "{told:?}");
    });
}
