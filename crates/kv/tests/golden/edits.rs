//! One edit of each kind in version 1, as it is frozen.

use quipu_kv::manifest::{
    Counters, FileNum, Flushed, KeyspaceId, KeyspaceOptions, KeyspaceRecord, ManifestEdit,
    ManifestEditV1, SnapshotPart, SstMetadata,
};

fn table(filenum: u64, keyspace: u32, level: u32, keys: [&str; 2]) -> SstMetadata {
    let [smallest, largest] = keys.map(str::as_bytes);
    let filenum = FileNum::new(filenum);
    SstMetadata::new(filenum, KeyspaceId::new(keyspace), level, smallest, largest)
}

fn options(sorted_from: Option<u32>, flushed_through: u64) -> KeyspaceOptions {
    let mut options = KeyspaceOptions::default();
    options.sorted_from = sorted_from;
    options.flushed_through = flushed_through;
    options
}

fn flushed(keyspace: u32, after: u64, through: u64) -> Flushed {
    Flushed {
        keyspace: KeyspaceId::new(keyspace),
        after,
        through,
    }
}

fn create(name: &str, options: KeyspaceOptions) -> ManifestEditV1 {
    ManifestEditV1::CreateKeyspace {
        name: name.to_owned(),
        options,
    }
}

/// A history of edits that all fit, each with what it shows.
pub(crate) fn named_edits() -> Vec<(&'static str, ManifestEdit)> {
    let mut first = table(2, 0, 0, ["apple", "pear"]);
    first.size = 4096;
    first.entries = 250;
    first.tombstones = 251;
    first.min_seq = 1;
    first.max_seq = 65_535;
    first.min_timestamp = 65_536;
    first.max_timestamp = u64::from(u32::MAX) + 1;
    first.checksum = u64::MAX;
    first.created = 1_700_000_000;
    let second = table(3, 2, 3, ["", "\u{7f}"]);
    let third = table(5, 0, 0, ["fig", "fig"]);
    let mut moved = first.clone();
    moved.level = 1;
    let merged = table(9, 0, 1, ["quince", "raisin"]);
    let edits = vec![
        ("create", create("default", options(Some(1), 0))),
        (
            "create, and dropped below",
            create("doomed", options(Some(0), 12)),
        ),
        (
            "create, of overlapping tables",
            create("métriques", options(None, 300)),
        ),
        (
            "drop",
            ManifestEditV1::DropKeyspace {
                keyspace: KeyspaceId::new(1),
            },
        ),
        (
            "flush",
            ManifestEditV1::AddFile {
                files: vec![first],
                flushed: vec![flushed(0, 0, 65_535)],
            },
        ),
        (
            "ingest",
            ManifestEditV1::AddFile {
                files: vec![second, third],
                flushed: Vec::new(),
            },
        ),
        (
            "compaction and move",
            ManifestEditV1::Compaction {
                added: vec![moved, merged],
                removed: vec![FileNum::new(5), FileNum::new(2)],
            },
        ),
        (
            "flush of nothing",
            ManifestEditV1::AddFile {
                files: Vec::new(),
                flushed: vec![flushed(0, 65_535, 70_000)],
            },
        ),
    ];
    let mut edits: Vec<_> = edits
        .into_iter()
        .map(|(name, edit)| (name, ManifestEdit::V1(edit)))
        .collect();
    edits.push(("snapshot part", ManifestEdit::V1(part())));
    edits
}

fn part() -> ManifestEditV1 {
    ManifestEditV1::Snapshot(SnapshotPart {
        counters: Some(Counters {
            version: 8,
            next_filenum: 10,
            free_filenums: vec![(0, 2), (6, 9)],
            next_keyspace: 3,
            last_seq: 70_000,
            wal_floor: 300,
        }),
        keyspaces: vec![KeyspaceRecord {
            id: KeyspaceId::new(0),
            name: "default".to_owned(),
            options: options(Some(1), 70_000),
        }],
        tables: vec![table(1, 0, 4, ["a", "b"])],
    })
}

/// Those that a caller records: all but the part of a snapshot.
pub(crate) fn edits() -> Vec<ManifestEdit> {
    let edits = named_edits().into_iter().map(|(_, edit)| edit);
    edits
        .filter(|edit| !matches!(edit, ManifestEdit::V1(ManifestEditV1::Snapshot(_))))
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let bytes = digits.map(|pair| std::str::from_utf8(pair).unwrap());
    bytes
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}
