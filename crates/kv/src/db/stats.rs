//! [`Stats`]: what a store has done, and holds.

use std::sync::atomic::{AtomicU64, Ordering};

use quipu_io::{Io, Runtime};

use super::core::{Core, lock};
use super::pressure::{Backlog, Pressure};
use super::room::HeldBack;
use crate::compaction::Cause;
use crate::manifest::{KeyspaceId, Level};
use crate::table::CacheStats;

/// A store in figures, since it was opened: why writes are slow, and what is to be done.
///
/// [`pressure`](Stats::pressure) says whether writers are held back now, and why;
/// [`slowed_by`](Stats::slowed_by) and [`stalled_by`](Stats::stalled_by) say it of the past. If it lasts,
/// [`held_back`](Stats::held_back) or [`last_failure`](Stats::last_failure) says what keeps the work from
/// being done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The last write that is visible.
    pub last_seq: u64,
    /// Bytes in memtables, frozen ones included.
    pub memtable_bytes: u64,
    /// Memtables that wait to be flushed.
    pub frozen_memtables: usize,
    /// Tables of all keyspaces.
    pub tables: usize,
    /// Bytes of all tables.
    pub table_bytes: u64,
    /// The same by keyspace and level, from level 0 down.
    pub levels: Vec<LevelStats>,
    /// Bytes of batches that the log was given.
    pub log_bytes: u64,
    /// Bytes of batches in the log that are not in tables, or not yet gone.
    pub log_kept_bytes: u64,
    /// Flushes that were recorded.
    pub flushes: u64,
    /// Bytes of tables that flushes have written.
    pub flushed_bytes: u64,
    /// Compactions that were recorded, moves and drops included.
    pub compactions: u64,
    /// Bytes of tables that compactions have read.
    pub compacted_in: u64,
    /// Bytes of tables that compactions have written.
    pub compacted_out: u64,
    /// What the block cache holds, and how often it had what was asked for.
    pub cache: CacheStats,
    /// Moments that snapshots and scans hold.
    pub snapshots: usize,
    /// Writes that were slowed down.
    pub slowed: u64,
    /// By what.
    pub slowed_by: Causes,
    /// Times that a write has waited because of a stall.
    pub stalled: u64,
    /// By what.
    pub stalled_by: Causes,
    /// How writers are held back now, and why.
    pub pressure: Pressure,
    /// Whether a flush is under way.
    pub is_flushing: bool,
    /// Compactions that are under way.
    pub running_compactions: usize,
    /// Checkpoints that are being made.
    pub running_checkpoints: usize,
    /// What flushes and compactions hold of [`background_bytes`](crate::Options::background_bytes).
    pub background_bytes: u64,
    /// What compactions have set aside of [`disk_bytes`](crate::Options::disk_bytes) for what they write.
    pub reserved_disk_bytes: u64,
    /// Why a compaction that there is to do does not begin.
    pub held_back: Option<HeldBack>,
    /// Flushes and compactions that have failed.
    pub failures: u64,
    /// What the last of them said.
    pub last_failure: Option<String>,
}

/// One level of a keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelStats {
    /// Whose.
    pub keyspace: KeyspaceId,
    /// Its number.
    pub level: u32,
    /// How many tables it has.
    pub tables: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// How often each cause has held back a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Causes {
    /// Memtables that wait to be flushed.
    pub memtables: u64,
    /// Tables of level 0.
    pub level0_tables: u64,
    /// Sorted runs.
    pub runs: u64,
    /// Bytes that compactions lag behind.
    pub pending_bytes: u64,
}

impl<I: Io + Runtime> Core<I> {
    pub(crate) fn stats(&self) -> Stats {
        let views = self.views();
        let frozen = views.values().flat_map(|view| &view.frozen);
        let memtables = views.values().map(|view| &view.active);
        let memtables = memtables.chain(frozen.clone().map(|frozen| &frozen.memtable));
        let memtable_bytes = memtables.map(|memtable| memtable.bytes()).sum();
        let frozen_memtables = frozen.count();
        drop(views);
        let version = self.manifest.version();
        let levels = version.keyspaces().flat_map(|keyspace| {
            let level_stats = |level: &Level| LevelStats {
                keyspace: keyspace.id(),
                level: level.number(),
                tables: level.len(),
                bytes: level.bytes(),
            };
            keyspace.levels().map(level_stats)
        });
        let (log_bytes, log_kept_bytes) = {
            let marks = lock(&self.marks);
            (marks.given(), marks.kept())
        };
        let counters = &self.stats;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let work = lock(&self.work);
        Stats {
            last_seq: self.visible(),
            memtable_bytes,
            frozen_memtables,
            tables: version.len(),
            table_bytes: version.bytes(),
            levels: levels.collect(),
            log_bytes,
            log_kept_bytes,
            flushes: count(&counters.flushes),
            flushed_bytes: count(&counters.flushed_bytes),
            compactions: count(&counters.compactions),
            compacted_in: count(&counters.compacted_in),
            compacted_out: count(&counters.compacted_out),
            cache: self.tables.cache().stats(),
            snapshots: self.snapshots.count(),
            slowed: counters.slowed.sum(),
            slowed_by: counters.slowed.causes(),
            stalled: counters.stalled.sum(),
            stalled_by: counters.stalled.causes(),
            pressure: self.pressure(),
            is_flushing: work.is_flushing,
            running_compactions: work.compactions,
            running_checkpoints: work.checkpoints,
            background_bytes: self.memory.used(),
            reserved_disk_bytes: self.disk.used(),
            held_back: work.held_back,
            failures: work.failures,
            last_failure: work.last_failure.clone(),
        }
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    flushes: AtomicU64,
    flushed_bytes: AtomicU64,
    compactions: AtomicU64,
    compacted_in: AtomicU64,
    compacted_out: AtomicU64,
    slowed: CauseCounters,
    stalled: CauseCounters,
}

impl Counters {
    pub(crate) fn note_flush(&self, bytes: u64) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.flushed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn note_compaction(&self, bytes_in: u64, bytes_out: u64) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
        self.compacted_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.compacted_out.fetch_add(bytes_out, Ordering::Relaxed);
    }

    pub(crate) fn note_slowed(&self, backlog: Backlog) {
        self.slowed.note(backlog);
    }

    pub(crate) fn note_stalled(&self, backlog: Backlog) {
        self.stalled.note(backlog);
    }
}

#[derive(Debug, Default)]
struct CauseCounters {
    memtables: AtomicU64,
    level0_tables: AtomicU64,
    runs: AtomicU64,
    pending_bytes: AtomicU64,
}

impl CauseCounters {
    fn note(&self, backlog: Backlog) {
        let counter = match backlog {
            Backlog::Memtables(_) => &self.memtables,
            Backlog::Compaction(Cause::Level0Tables(_)) => &self.level0_tables,
            Backlog::Compaction(Cause::Runs(_)) => &self.runs,
            Backlog::Compaction(Cause::PendingBytes(_)) => &self.pending_bytes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn causes(&self) -> Causes {
        Causes {
            memtables: self.memtables.load(Ordering::Relaxed),
            level0_tables: self.level0_tables.load(Ordering::Relaxed),
            runs: self.runs.load(Ordering::Relaxed),
            pending_bytes: self.pending_bytes.load(Ordering::Relaxed),
        }
    }

    fn sum(&self) -> u64 {
        let causes = self.causes();
        causes.memtables + causes.level0_tables + causes.runs + causes.pending_bytes
    }
}
