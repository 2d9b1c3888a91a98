//! What RocksDB's own tool told of a manifest: see `data/README.md`.

use quipu_kv::manifest::{FileNum, KeyspaceId, SstMetadata};
use serde::Deserialize;

/// The file that comes with the examples.
pub const HISTORY: &str = include_str!("../data/rocksdb-history.jsonl");

/// A manifest's edits in order, and the tables at the end.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The edits.
    pub edits: Vec<Edit>,
    /// RocksDB's own list: level and number of each table, in order.
    pub live: Vec<(u32, u64)>,
}

/// One edit.
#[derive(Clone, Debug, Deserialize)]
pub struct Edit {
    /// The tables that came.
    pub add: Vec<Table>,
    /// The numbers of those that went. One that also came has moved to another level.
    pub remove: Vec<u64>,
    /// The last sequence number at that time.
    pub last_seq: u64,
}

/// A table.
#[derive(Clone, Debug, Deserialize)]
pub struct Table {
    filenum: u64,
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
    /// Reads a history, one JSON object per line.
    ///
    /// # Errors
    ///
    /// The text names the line that makes no sense.
    pub fn read(text: &str) -> Result<History, String> {
        let mut history = History::default();
        for (number, line) in (1..).zip(text.lines()) {
            match serde_json::from_str(line) {
                Ok(Line::Edit(edit)) => history.edits.push(edit),
                Ok(Line::End { live }) => history.live = live,
                Err(error) => return Err(format!("line {number} of the history: {error}")),
            }
        }
        history.live.sort_unstable();
        Ok(history)
    }
}

impl Table {
    /// What the manifest is to know of it.
    ///
    /// # Errors
    ///
    /// Where a key is not in hex.
    pub fn metadata(&self, keyspace: KeyspaceId) -> Result<SstMetadata, String> {
        let (smallest, largest) = (bytes(&self.smallest)?, bytes(&self.largest)?);
        let number = FileNum::new(self.filenum);
        let mut table = SstMetadata::new(number, keyspace, self.level, smallest, largest);
        table.size = self.size;
        table.min_seq = self.min_seq;
        table.max_seq = self.max_seq;
        Ok(table)
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let byte = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        u8::from_str_radix(digits, 16).ok()
    };
    let bytes = hex.as_bytes().chunks(2).map(byte);
    let bytes: Option<Vec<u8>> = bytes.collect();
    bytes.ok_or_else(|| format!("{hex:?} is not in hex"))
}
