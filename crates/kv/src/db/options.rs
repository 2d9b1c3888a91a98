//! [`Options`]: plain data, changed from their defaults.

use crate::compaction::CompactionOptions;
use crate::table::TableOptions;

/// The options of a store. All sizes are in bytes.
///
/// ```
/// let mut options = quipu_kv::Options::default();
/// options.cache_bytes = 1 << 30;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// A memtable of this size is frozen, and written as a table in the background.
    pub memtable_bytes: u64,
    /// Writes stall while a keyspace has so many frozen memtables.
    pub frozen_memtables: usize,
    /// Whether writes go to the log before they are answered. Without it, what was not flushed is
    /// lost by a crash, and `close` flushes.
    pub wal: bool,
    /// When so many bytes of the log are still needed, the keyspaces that need the oldest part of it are
    /// flushed, so that one with few writes does not keep it for ever.
    pub wal_bytes: u64,
    /// What the block cache may hold, shared by all tables.
    pub cache_bytes: u64,
    /// Files of tables that stay open, besides those that are being read. By default 512, half of what
    /// a process usually may have.
    ///
    /// A read that misses the cache and finds the file closed opens it again. Tables may be many more;
    /// each keeps a few kilobytes of its index in memory.
    pub open_files: usize,
    /// Compactions that run at the same time.
    pub compactions: usize,
    /// What flushes and compactions may hold in memory beside memtables and cache: blocks that are read
    /// and written, by an estimate that takes none for larger than `table.block_bytes`. By default 128 MiB.
    ///
    /// A compaction of many tables reads less ahead if it has to, and one for which nothing is left
    /// waits ([`Stats::held_back`](crate::Stats::held_back)). A flush goes on.
    pub background_bytes: u64,
    /// What all tables may take on disk, with those that compactions are about to write while the old
    /// ones are still there. By default no limit.
    ///
    /// A compaction that does not fit waits ([`Stats::held_back`](crate::Stats::held_back)); flushes go on,
    /// until so much waits to be compacted that writes fail with [`OverBudget`](crate::Error::OverBudget).
    /// Log and manifest do not count, nor files that only snapshots and checkpoints still have.
    pub disk_bytes: u64,
    /// How tables are made.
    pub table: TableOptions,
    /// What is compacted, and when.
    pub compaction: CompactionOptions,
    /// How the write-ahead log is written.
    pub log: quipu_journal::LogOptions,
    /// How the manifest is kept.
    pub manifest: quipu_journal::Options,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            memtable_bytes: 64 << 20,
            frozen_memtables: 3,
            wal: true,
            wal_bytes: 256 << 20,
            cache_bytes: 64 << 20,
            open_files: 512,
            compactions: 1,
            background_bytes: 128 << 20,
            disk_bytes: u64::MAX,
            table: TableOptions::default(),
            compaction: CompactionOptions::default(),
            log: quipu_journal::LogOptions::default(),
            manifest: quipu_journal::Options::default(),
        }
    }
}
