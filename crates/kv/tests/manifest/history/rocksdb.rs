//! The history as RocksDB's tool has told it: see `examples/data/README.md`.

use quipu_kv::manifest::{FileNum, KeyspaceId, SstMetadata};
use serde::Deserialize;

const HISTORY: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../examples/data/rocksdb-history.jsonl"
));

pub(crate) struct History {
    pub(crate) edits: Vec<Edit>,
    /// Level and number of each table at the end, in order.
    pub(crate) live: Vec<(u32, u64)>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Edit {
    pub(crate) add: Vec<Table>,
    pub(crate) remove: Vec<u64>,
    /// RocksDB's next file number.
    pub(crate) next: u64,
    pub(crate) last_seq: u64,
}

#[derive(Deserialize)]
pub(crate) struct Table {
    pub(crate) filenum: u64,
    level: u32,
    size: u64,
    smallest: String,
    largest: String,
    min_seq: u64,
    max_seq: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Edit(Edit),
    End { live: Vec<(u32, u64)> },
}

impl History {
    pub(crate) fn read() -> History {
        let mut history = History {
            edits: Vec::new(),
            live: Vec::new(),
        };
        for line in HISTORY.lines() {
            match serde_json::from_str(line).unwrap() {
                Line::Edit(edit) => history.edits.push(edit),
                Line::End { live } => history.live = live,
            }
        }
        history.live.sort_unstable();
        assert_eq!((history.edits.len(), history.live.len()), (660, 59));
        history
    }
}

impl Edit {
    pub(crate) fn tables(&self) -> Vec<SstMetadata> {
        self.add.iter().map(Table::metadata).collect()
    }
}

impl Table {
    fn metadata(&self) -> SstMetadata {
        let mut table = SstMetadata::new(
            FileNum::new(self.filenum),
            KeyspaceId::new(0),
            self.level,
            bytes(&self.smallest),
            bytes(&self.largest),
        );
        table.size = self.size;
        table.min_seq = self.min_seq;
        table.max_seq = self.max_seq;
        table
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16);
    digits.map(|digits| byte(digits).unwrap()).collect()
}
