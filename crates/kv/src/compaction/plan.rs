//! [`Compaction`]: what is to be done; and [`Situation`]: what a picker decides by.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::manifest::{FileNum, Keyspace, SstMetadata};

use super::age::{bytes, hull, keys, nothing_older};
use super::options::{CompactionOptions, Strategy};

/// What a picker decides by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation<'a> {
    /// The tables, of a version that stays pinned until the compaction is begun.
    pub(crate) keyspace: &'a Keyspace,
    /// The inputs of the compactions that were picked and have not ended.
    pub(crate) running: &'a BTreeSet<FileNum>,
    pub(crate) options: &'a CompactionOptions,
    /// Now, in the unit of the tables' timestamps.
    pub(crate) now: u64,
    /// The sequence number of the oldest snapshot that somebody reads; the last one if nobody does.
    pub(crate) oldest_snapshot: u64,
}

/// A compaction to be run.
///
/// Whoever runs it adds its inputs to [`Situation::running`] until it is recorded or given up. It may
/// be run at any time until then, whatever else is flushed or compacted meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Compaction {
    pub(crate) reason: Reason,
    /// The tables that go, by level, and in level 0 the newest first.
    pub(crate) inputs: Vec<Arc<SstMetadata>>,
    /// The level of the tables that come.
    pub(crate) output_level: u32,
    pub(crate) kind: Kind,
    /// Whether nothing but the inputs may hold an older entry of any of their keys: tombstones that
    /// no snapshot needs then go, with all that they hide.
    pub(crate) drop_tombstones: bool,
    /// An output ends when it has so many bytes. One of `u64::MAX` must not be cut at all.
    pub(crate) max_output_bytes: u64,
    /// Keys, ascending. An output also ends before the first key that is greater than one of these,
    /// so that it does not overlap too much of the level below.
    pub(crate) cut_at: Vec<Box<[u8]>>,
}

/// What happens to the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, derive_more::Display)]
pub(crate) enum Kind {
    /// They are merged into new tables.
    #[display("merge")]
    Merge,
    /// They are given another level, unread: they overlap neither each other nor what is there.
    #[display("move")]
    Move,
    /// They go, and nothing comes.
    #[display("drop")]
    Drop,
}

/// Why a compaction was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, derive_more::Display)]
pub(crate) enum Reason {
    /// Level 0 has too many tables.
    #[display("level 0")]
    Level0,
    /// Level 0 has too many tables, and the way down is taken.
    #[display("within level 0")]
    WithinLevel0,
    /// The level is larger than it should be.
    #[display("level size")]
    LevelSize,
    /// A table is mostly tombstones.
    #[display("tombstones")]
    Tombstones,
    /// There is too much beside the oldest run.
    #[display("space")]
    Space,
    /// Runs are of similar size.
    #[display("similar runs")]
    SimilarRuns,
    /// There are too many runs.
    #[display("run count")]
    RunCount,
    /// A run takes another number, so that there is room above it.
    #[display("renumber")]
    Renumber,
    /// A window is over, and is not one run yet.
    #[display("window over")]
    WindowOver,
    /// All entries have expired.
    #[display("expired")]
    Expired,
    /// Somebody asked for it.
    #[display("manual")]
    Manual,
}

impl Situation<'_> {
    pub(super) fn is_running(&self, table: &SstMetadata) -> bool {
        self.running.contains(&table.filenum)
    }

    pub(super) fn is_any_running<'t>(
        &self,
        tables: impl IntoIterator<Item = &'t Arc<SstMetadata>>,
    ) -> bool {
        let mut tables = tables.into_iter();
        !self.running.is_empty() && tables.any(|table| self.is_running(table))
    }

    /// All tables of a level.
    pub(super) fn tables(&self, level: u32) -> Vec<Arc<SstMetadata>> {
        let level = self.keyspace.level(level);
        level.map_or_else(Vec::new, |level| level.tables().cloned().collect())
    }

    /// The tables of a level that may hold a key of this range.
    pub(super) fn overlapping(
        &self,
        level: u32,
        range: &RangeInclusive<&[u8]>,
    ) -> Vec<Arc<SstMetadata>> {
        let Some(level) = self.keyspace.level(level) else {
            return Vec::new();
        };
        level.overlapping(range.clone()).cloned().collect()
    }

    /// The number of the first level below this one that holds tables.
    pub(super) fn next_level(&self, level: u32) -> Option<u32> {
        let mut levels = self.keyspace.levels();
        levels
            .find(|below| below.number() > level)
            .map(|below| below.number())
    }

    /// Whether these tables would overlap more than they may of the level below this one.
    pub(super) fn overlaps_too_much(&self, level: u32, tables: &[Arc<SstMetadata>]) -> bool {
        let below = self.next_level(level).zip(hull(tables));
        below.is_some_and(|(below, range)| {
            bytes(&self.overlapping(below, &range)) > self.options.max_overlap_bytes
        })
    }

    /// Tables of one level are merged into another.
    pub(super) fn merge(
        &self,
        reason: Reason,
        inputs: Vec<Arc<SstMetadata>>,
        output_level: u32,
    ) -> Compaction {
        let cut_at = match self.options.strategy {
            Strategy::Leveled(_) => self.cuts(&inputs, output_level),
            _ => Vec::new(),
        };
        Compaction {
            drop_tombstones: nothing_older(self.keyspace, &inputs),
            max_output_bytes: self.options.table_bytes,
            cut_at,
            ..Compaction::of(Kind::Merge, reason, inputs, output_level)
        }
    }

    /// Where outputs end so that none overlaps more than it may of the level below.
    fn cuts(&self, inputs: &[Arc<SstMetadata>], output_level: u32) -> Vec<Box<[u8]>> {
        let Some((below, range)) = self.next_level(output_level).zip(hull(inputs)) else {
            return Vec::new();
        };
        let mut cuts = Vec::new();
        let mut overlap = 0;
        for table in self.overlapping(below, &range) {
            overlap += table.size;
            if overlap >= self.options.max_overlap_bytes && *table.largest < **range.end() {
                cuts.push(table.largest.clone());
                overlap = 0;
            }
        }
        cuts
    }
}

impl Compaction {
    /// Tables take another level.
    pub(super) fn of(
        kind: Kind,
        reason: Reason,
        mut inputs: Vec<Arc<SstMetadata>>,
        output_level: u32,
    ) -> Compaction {
        inputs.sort_by(|a, b| {
            let by_age = (b.max_seq, b.filenum).cmp(&(a.max_seq, a.filenum));
            let by_key = a.smallest.cmp(&b.smallest);
            let within = if a.level == 0 { by_age } else { by_key };
            a.level.cmp(&b.level).then(within)
        });
        Compaction {
            reason,
            inputs,
            output_level,
            kind,
            drop_tombstones: false,
            max_output_bytes: u64::MAX,
            cut_at: Vec::new(),
        }
    }
}

/// Whether no two of these tables have a key in common, as far as their ranges tell.
pub(super) fn are_disjoint(tables: &[Arc<SstMetadata>]) -> bool {
    let mut ranges: Vec<_> = tables.iter().map(|table| keys(table)).collect();
    ranges.sort_by(|a, b| a.start().cmp(b.start()));
    ranges
        .windows(2)
        .all(|pair| pair[0].end() < pair[1].start())
}
