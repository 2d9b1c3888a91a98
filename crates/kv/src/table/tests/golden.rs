//! Invariant: the frozen tables read as they always read, and the same entries still make the same
//! bytes, which are those that `docs/kv-tables.md` shows.
//!
//! `QUIPU_WRITE_GOLDEN=1 cargo test -p quipu-kv table::tests::golden` writes the files of a new version,
//! once.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use quipu_io::{DiskIo, File, OpenOptions};

use super::super::Compression;
use super::*;

const GENERATION: u64 = 0x0123_4567_89ab_cdef;
const PLAIN: &[u8] = include_bytes!("../../../tests/golden/tables-v1/plain.sst");

fn entries() -> Entries {
    let put = |key: &str, seq, value: &str| ((key.into(), Reverse(seq)), (Kind::Put, value.into()));
    let mut entries = Entries::from([
        put("apple", 12, "red"),
        put("apple", 9, "green"),
        put("apricot", 10, "orange"),
        put("banana", 300, "yellow"),
        put("cherry", 1, &"black".repeat(12)),
    ]);
    entries.insert(
        (b"avocado".to_vec(), Reverse(11)),
        (Kind::Delete, Vec::new()),
    );
    entries
}

fn tombstones() -> Vec<RangeTombstone> {
    vec![RangeTombstone {
        start: Bytes::from_static(b"b"),
        end: Bytes::from_static(b"d"),
        seq: 7,
    }]
}

/// The frozen files that this build reads, and how their blocks are packed.
fn files() -> Vec<(&'static str, Compression)> {
    vec![
        ("plain.sst", Compression::None),
        ("lz4.sst", Compression::Lz4),
        #[cfg(feature = "zstd")]
        ("zstd.sst", Compression::Zstd(3)),
    ]
}

fn written(compression: Compression) -> Vec<u8> {
    let options = TableOptions {
        block_bytes: 90,
        restart_interval: 2,
        compression,
        created: 1_700_000_000,
        ..TableOptions::default()
    };
    let sim = machine();
    let io = sim.io();
    run(&sim, async {
        let path = Path::new(PATH);
        let file = io.open(path, OpenOptions::CreateNew).await.unwrap();
        let mut writer = TableWriter::begin(file, path, FILENUM, GENERATION, options);
        for ((key, seq), (kind, value)) in &entries() {
            writer.add(key, seq.0, *kind, value).await.unwrap();
        }
        for tombstone in tombstones() {
            let RangeTombstone { start, end, seq } = tombstone;
            writer.add_range_tombstone(&start, &end, seq).unwrap();
        }
        let size = usize::try_from(writer.finish().await.unwrap().size).unwrap();
        let file = io.open(path, OpenOptions::ReadOnly).await.unwrap();
        file.read_at(0, size).await.unwrap().to_vec()
    })
}

fn frozen_path(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    tests.join("golden").join("tables-v1").join(name)
}

/// What is packed may come out in other bytes with another release of the packer.
#[test]
fn the_same_entries_make_the_frozen_bytes() {
    if std::env::var("QUIPU_WRITE_GOLDEN").is_err() {
        let written = written(Compression::None);
        assert!(written == PLAIN, "{}", dump(&written));
        return;
    }
    for (name, compression) in files() {
        #[expect(clippy::disallowed_methods, reason = "a file of the repository")]
        std::fs::write(frozen_path(name), written(compression)).unwrap();
    }
}

#[test]
fn the_frozen_tables_read_as_they_always_did() {
    let io = DiskIo::new().unwrap();
    for (name, compression) in files() {
        smol::block_on(assert_is_golden(&io, &frozen_path(name), compression));
    }
}

async fn assert_is_golden(io: &DiskIo, path: &Path, compression: Compression) {
    let file = io.open(path, OpenOptions::ReadOnly).await.unwrap();
    let size = file.size().await.unwrap();
    assert_eq!(size < PLAIN.len() as u64, compression != Compression::None);
    let table = open(io, path, size, 1 << 20).await.unwrap();
    assert_eq!(table.range_tombstones(), tombstones());
    let properties = table.properties();
    assert_eq!((properties.entries, properties.data_blocks), (6, 3));
    assert_eq!((properties.min_seq, properties.max_seq), (1, 300));
    assert_eq!(properties.created, 1_700_000_000);
    let mut iter = TableIter::new(Arc::clone(&table), IterOptions::default());
    assert!(iter.seek_to_first().await.unwrap());
    for ((key, seq), (kind, value)) in &entries() {
        let found = (iter.key(), iter.seq(), iter.kind(), iter.value());
        assert_eq!(found, (&key[..], seq.0, *kind, &value[..]));
        let got = table.get(key, seq.0).await.unwrap().unwrap();
        assert_eq!((got.kind, &got.value[..]), (*kind, &value[..]));
        iter.next().await.unwrap();
    }
    assert!(!iter.is_valid());
}

#[test]
fn the_format_document_shows_the_frozen_bytes() {
    let document = include_str!("../../../../../docs/kv-tables.md");
    let text = dump(PLAIN);
    assert!(
        document.contains(&text),
        "docs/kv-tables.md must contain:\n\n{text}"
    );
}

/// Rows of 16 bytes, without those of zeros.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, row) in bytes.chunks(16).enumerate() {
        if row.iter().all(|byte| *byte == 0) {
            continue;
        }
        let digits: String = row.iter().map(|byte| format!("{byte:02x} ")).collect();
        let letter = |byte: &u8| {
            if byte.is_ascii_graphic() {
                char::from(*byte)
            } else {
                '.'
            }
        };
        let letters: String = row.iter().map(letter).collect();
        writeln!(text, "{:04x}  {digits:48} {letters}", index * 16).unwrap();
    }
    text
}
