//! [`Stats`]: what a store has done, and holds.

use std::sync::atomic::{AtomicU64, Ordering};

use super::pressure::Pressure;

/// A store in figures, since it was opened.
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
    /// Flushes that were recorded.
    pub flushes: u64,
    /// Compactions that were recorded, moves and drops included.
    pub compactions: u64,
    /// Bytes of tables that compactions have read.
    pub compacted_in: u64,
    /// Bytes of tables that compactions have written.
    pub compacted_out: u64,
    /// Writes that were slowed down.
    pub slowed: u64,
    /// Times that a write has waited because of a stall.
    pub stalled: u64,
    /// How writers are held back now, and why.
    pub pressure: Pressure,
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) flushes: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) compacted_in: AtomicU64,
    pub(crate) compacted_out: AtomicU64,
    pub(crate) slowed: AtomicU64,
    pub(crate) stalled: AtomicU64,
}

impl Counters {
    pub(crate) fn note_flush(&self) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_compaction(&self, bytes_in: u64, bytes_out: u64) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
        self.compacted_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.compacted_out.fetch_add(bytes_out, Ordering::Relaxed);
    }

    pub(crate) fn note_slowed(&self) {
        self.slowed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_stalled(&self) {
        self.stalled.fetch_add(1, Ordering::Relaxed);
    }
}
