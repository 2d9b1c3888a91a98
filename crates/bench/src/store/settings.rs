//! What is the same for all stores of a run.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// How large the load is, and how each store is set up for it.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Keys of a filled store, of 16 bytes each.
    #[arg(long, default_value_t = 2_000_000)]
    pub keys: u64,

    /// Bytes of a value; one half of them repeats the other.
    #[arg(long, default_value_t = 100)]
    pub value_bytes: usize,

    /// How tables are compressed.
    #[arg(long, value_enum, default_value_t = Compression::None)]
    pub compression: Compression,

    /// What the block cache may hold, in MiB; of redb the page cache.
    #[arg(long, default_value_t = 64)]
    pub cache_mib: u64,

    /// The size of a memtable, in MiB.
    #[arg(long, default_value_t = 64)]
    pub memtable_mib: u64,

    /// Bits of a table's filter for each key.
    #[arg(long, default_value_t = 10)]
    pub filter_bits: u32,

    /// Compactions at once, beside one flush.
    #[arg(long, default_value_t = 1)]
    pub compactions: usize,

    /// The size of a table; `open-tables` has its own.
    #[arg(skip = TABLE_BYTES)]
    pub table_bytes: u64,
}

/// How tables are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// With LZ4, on all levels.
    Lz4,
}

/// Memtables that may wait to be flushed before writers do.
pub const FROZEN_MEMTABLES: usize = 3;

/// The size of a table.
pub const TABLE_BYTES: u64 = 64 << 20;

/// The size of a data block.
pub const BLOCK_BYTES: usize = 4096;

impl Settings {
    /// What the block cache may hold, in bytes.
    pub fn cache_bytes(&self) -> u64 {
        self.cache_mib << 20
    }

    /// The size of a memtable, in bytes.
    pub fn memtable_bytes(&self) -> u64 {
        self.memtable_mib << 20
    }

    /// Bytes of the keys and values of so many pairs.
    pub(crate) fn user_bytes(&self, pairs: u64) -> u64 {
        pairs * (super::pairs::KEY_BYTES + self.value_bytes) as u64
    }
}
