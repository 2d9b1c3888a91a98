//! [`Runs`]: the sorted runs of a keyspace, and which number a merged run gets.
//!
//! A run is one table of level 0, or all tables of a level below it. Runs are in the order of age:
//! the tables of level 0, the newest first, then the levels.
//!
//! Invariants:
//! - Runs are merged with their neighbours only, and with one of level 0 all older ones of level 0
//!   go along: what stays there is newer than what left, and while some of it is on its way, nothing
//!   else leaves.
//! - A merged run gets the highest number below the next older run, and [`OLDEST`] if there is none.
//!   That is its oldest input's number or a free one between, so runs that are merged at once never
//!   get the same.
//! - When the newest run has number 1, some run that has a free number below it moves there, and so on
//!   until 1 is free; if there is none, what leaves level 0 is merged with the newest run.

use std::ops::Range;
use std::sync::Arc;

use crate::manifest::{Level, SstMetadata};

use super::age::{bytes, flushed};
use super::plan::{Compaction, Kind, Reason, Situation, are_disjoint};

/// The number of the oldest run, unless there is one with a higher number already.
///
/// Numbers are used from here up to 1. A new run takes one number, and merges give numbers back, most
/// of them where they can be used next.
pub(super) const OLDEST: u32 = 9999;

/// One sorted run.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// Its level.
    pub(super) level: u32,
    /// The table, of a run in level 0.
    table: Option<&'a Arc<SstMetadata>>,
    pub(super) bytes: u64,
    pub(super) latest: u64,
    pub(super) is_running: bool,
}

/// The runs, the newest first.
#[derive(Debug)]
pub(super) struct Runs<'a> {
    at: &'a Situation<'a>,
    pub(super) list: Vec<Run<'a>>,
    /// How many are in level 0.
    pub(super) flushed: usize,
    oldest: u32,
}

impl<'a> Runs<'a> {
    pub(super) fn of(at: &'a Situation<'a>) -> Runs<'a> {
        let mut list: Vec<_> = flushed(at.keyspace)
            .into_iter()
            .map(|table| Run {
                level: 0,
                table: Some(table),
                bytes: table.size,
                latest: table.max_timestamp,
                is_running: at.is_running(table),
            })
            .collect();
        let flushed = list.len();
        let levels = at.keyspace.levels().filter(|level| level.number() > 0);
        list.extend(levels.map(|level| Run {
            level: level.number(),
            table: None,
            bytes: level.bytes(),
            latest: latest(level),
            is_running: at.is_any_running(level.tables()),
        }));
        let deepest = list.last().map_or(0, |run| run.level);
        Runs {
            at,
            list,
            flushed,
            oldest: OLDEST.max(deepest),
        }
    }

    /// The bytes of some of them.
    pub(super) fn bytes(&self, range: Range<usize>) -> u64 {
        let runs = self.list[range].iter();
        runs.fold(0, |sum, run| sum.saturating_add(run.bytes))
    }

    /// How many of these runs there will be when what is running has ended, at most.
    pub(super) fn count(&self, range: Range<usize>) -> usize {
        let stretches = self.list[range].chunk_by(|a, b| a.is_running && b.is_running);
        stretches.count()
    }

    /// Whether these runs can be made one: none is running, and nothing older stays in level 0.
    pub(super) fn may_merge(&self, range: &Range<usize>) -> bool {
        let leaves_older_in_level0 = range.start < self.flushed && range.end < self.flushed;
        !leaves_older_in_level0 && self.list[range.clone()].iter().all(|run| !run.is_running)
    }

    /// Makes these runs one, or makes room for it; `None` if they have to wait for others.
    pub(super) fn make_one(&self, reason: Reason, range: Range<usize>) -> Option<Compaction> {
        if range.is_empty() || !self.may_merge(&range) {
            return None;
        }
        let mut range = range;
        let mut level = self.room_above(range.end);
        if level == 0 {
            let moved = (range.end..self.list.len()).find_map(|run| self.renumber(run));
            if moved.is_some() {
                return moved;
            }
            range.end += 1;
            level = self.list.get(range.end - 1)?.level;
            if !self.may_merge(&range) {
                return None;
            }
        }
        self.join(reason, range, level)
    }

    /// The highest number above that of this run.
    fn room_above(&self, run: usize) -> u32 {
        let older = self.list.get(run);
        older.map_or(self.oldest, |older| older.level - 1)
    }

    /// Moves a run to the highest number that it can have, if that is another.
    fn renumber(&self, run: usize) -> Option<Compaction> {
        let (from, to) = (self.list[run].level, self.room_above(run + 1));
        let moves = from < to && !self.list[run].is_running;
        moves.then(|| Compaction::of(Kind::Move, Reason::Renumber, self.tables(run..run + 1), to))
    }

    fn join(&self, reason: Reason, range: Range<usize>, level: u32) -> Option<Compaction> {
        let inputs = self.tables(range.clone());
        let small = self.at.options.table_bytes / 4;
        let are_large = bytes(&inputs) / (inputs.len().max(1) as u64) >= small;
        let merged = self.at.merge(reason, inputs, level);
        let holds_tombstones = merged.inputs.iter().any(|table| table.tombstones > 0);
        let reclaims = merged.drop_tombstones && holds_tombstones;
        let is_one = range.len() == 1;
        // Reading what needs no merge would gain nothing, but to make many small tables few.
        if is_one || (are_large && !reclaims && are_disjoint(&merged.inputs)) {
            let moved = merged
                .inputs
                .into_iter()
                .filter(|table| table.level != level);
            let moved: Vec<_> = moved.collect();
            return (!moved.is_empty()).then(|| Compaction::of(Kind::Move, reason, moved, level));
        }
        Some(merged)
    }

    fn tables(&self, range: Range<usize>) -> Vec<Arc<SstMetadata>> {
        let runs = self.list[range].iter();
        let tables = runs.flat_map(|run| match run.table {
            Some(table) => vec![table.clone()],
            None => self.at.tables(run.level),
        });
        tables.collect()
    }
}

fn latest(level: &Level) -> u64 {
    let timestamps = level.tables().map(|table| table.max_timestamp);
    timestamps.max().unwrap_or_default()
}
