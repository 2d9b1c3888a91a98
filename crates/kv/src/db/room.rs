//! [`Room`]: what a compaction sets aside of the [budgets](super::budget) before it begins.

use std::collections::BTreeSet;

use quipu_io::{Io, Runtime};

use super::budget::Share;
use super::core::Core;
use crate::compaction::{Compaction, Kind as Task};
use crate::manifest::Version;

/// What a table takes in memory while it is written: what is gathered for a write, and what of that is
/// being written.
pub(crate) const WRITER_BYTES: u64 = 2 << 20;

/// What a merge reads ahead of each source at least, and at most.
const LEAST_READAHEAD: u64 = 16 << 10;
const MOST_READAHEAD: u64 = 1 << 20;

/// Why a compaction that there is to do does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, derive_more::Display)]
#[non_exhaustive]
pub enum HeldBack {
    /// [`Options::disk_bytes`](crate::Options::disk_bytes) leaves too little.
    #[display("it needs {needed} bytes of disk while it runs, and `disk_bytes` leaves {left}")]
    Disk {
        /// The bytes of its inputs, which its outputs may come to as well.
        needed: u64,
        /// What is left beside the tables and the compactions that run.
        left: u64,
    },
    /// [`Options::background_bytes`](crate::Options::background_bytes) leaves too little.
    #[display("it needs {needed} bytes of memory, and `background_bytes` leaves {left}")]
    Memory {
        /// What it would hold, by an estimate.
        needed: u64,
        /// What is left beside the compactions that run.
        left: u64,
    },
}

/// What a compaction may use, until this is dropped.
pub(crate) struct Room {
    pub(crate) readahead: usize,
    _memory: Share,
    _disk: Share,
}

impl<I: Io + Runtime> Core<I> {
    /// Sets aside what a compaction needs: memory for the blocks in its hands, and disk for its
    /// outputs, which take as much as the inputs at most while those are still there.
    pub(crate) fn room(
        &self,
        compaction: &Compaction,
        version: &Version,
    ) -> Result<Room, HeldBack> {
        let (mut needed, mut written, mut readahead) = (0, 0, 0);
        if compaction.kind == Task::Merge {
            written = compaction.inputs.iter().map(|table| table.size).sum();
            let sources = sources(compaction);
            let at_once = self.options.compactions.max(1) as u64;
            let share = self.memory.limit().saturating_sub(2 * WRITER_BYTES) / at_once;
            let table = &self.options.table;
            let blocks = 2 * table.block_bytes as u64 + table.partition_bytes as u64;
            let fixed = WRITER_BYTES + sources * blocks;
            let ahead = share.saturating_sub(fixed) / sources;
            let ahead = ahead.clamp(LEAST_READAHEAD, MOST_READAHEAD);
            needed = fixed + sources * ahead;
            readahead = usize::try_from(ahead).unwrap_or(usize::MAX);
        }
        let held = version.bytes();
        let disk = self.disk.reserve(written, held);
        let disk = disk.ok_or_else(|| HeldBack::Disk {
            needed: written,
            left: (self.disk.limit() - self.disk.used().min(self.disk.limit()))
                .saturating_sub(held),
        })?;
        // A flush always has its part.
        let beside = WRITER_BYTES;
        let memory = self
            .memory
            .reserve(needed, if needed == 0 { 0 } else { beside });
        let memory = memory.ok_or_else(|| HeldBack::Memory {
            needed,
            left: self
                .memory
                .limit()
                .saturating_sub(self.memory.used() + beside),
        })?;
        Ok(Room {
            readahead,
            _memory: memory,
            _disk: disk,
        })
    }
}

/// The places that a merge reads from: each table of level 0, and each level below.
fn sources(compaction: &Compaction) -> u64 {
    let mut levels = BTreeSet::new();
    let inputs = compaction.inputs.iter();
    let sources = inputs.filter(|table| table.level == 0 || levels.insert(table.level));
    sources.count().max(1) as u64
}
