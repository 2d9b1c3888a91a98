//! Manual compaction: all tables that may hold a key of a range come to the bottom.
//!
//! Stateless as the rest: ask for the next compaction until there is none. Where the strategy has
//! levels, each is merged into the next, some tables at a time; where it has runs, all go at once.
//! Tables at the bottom are written anew if they hold tombstones that no snapshot needs.

use std::ops::Bound;
use std::sync::Arc;

use crate::manifest::{Level, SstMetadata};

use super::age::{flushed, hull};
use super::options::Strategy;
use super::plan::{Compaction, Kind, Reason, Situation, are_disjoint};
use super::runs::OLDEST;
use super::targets::Targets;

/// A range of keys.
pub(crate) type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// What a manual compaction does next.
#[derive(Clone, Debug)]
pub(crate) enum Manual {
    /// This; then ask again.
    Next(Compaction),
    /// Nothing until some running compaction has ended.
    Busy,
    /// Nothing any more.
    Done,
}

/// The next compaction that brings the tables of a range down. For all keys, give no bounds: a full
/// compaction.
///
/// What is flushed meanwhile is brought down as well. In the time-window strategy the range ends up
/// in one run, so that its tables expire with their latest entry.
pub(crate) fn compact_range(at: &Situation<'_>, range: KeyRange<'_>) -> Manual {
    let holding = at.keyspace.levels();
    let mut holding = holding.filter(|level| level.overlapping(range).next().is_some());
    let Some(top) = holding.next().map(Level::number) else {
        return Manual::Done;
    };
    let bottom = bottom(at);
    if top == bottom {
        return reclaim(at, bottom, range);
    }
    match at.options.strategy {
        Strategy::Leveled(_) | Strategy::SimpleLeveled(_) if top == 0 => {
            let first = some_of_level0(at, range);
            // What leaves level 0 does so in one order.
            let level0 = at.keyspace.level(0);
            if at.is_any_running(level0.iter().flat_map(|level| level.tables())) {
                return Manual::Busy;
            }
            into(at, first, at.next_level(0).unwrap_or(bottom))
        }
        Strategy::Leveled(_) | Strategy::SimpleLeveled(_) => {
            let first = some_of_level(at, top, range);
            into(at, first, at.next_level(top).unwrap_or(bottom))
        }
        Strategy::Tiered(_) | Strategy::TimeWindow(_) => all_at_once(at, range, bottom),
    }
}

/// The level where it ends.
fn bottom(at: &Situation<'_>) -> u32 {
    let deepest = at.keyspace.levels().next_back().map_or(0, Level::number);
    match &at.options.strategy {
        _ if deepest > 0 => deepest,
        Strategy::Leveled(options) => Targets::of(at.keyspace, options).last,
        Strategy::SimpleLeveled(options) => options.max_levels.max(1),
        Strategy::Tiered(_) | Strategy::TimeWindow(_) => OLDEST,
    }
}

/// The oldest tables of level 0 in the range, with all that overlap them, as many as may go at once.
fn some_of_level0(at: &Situation<'_>, range: KeyRange<'_>) -> Vec<Arc<SstMetadata>> {
    let level = at.keyspace.level(0);
    let within = level.iter().flat_map(|level| level.overlapping(range));
    let mut taken: Vec<_> = within.cloned().collect();
    while let Some(hull) = hull(&taken) {
        let wider = at.overlapping(0, &hull);
        if wider.len() == taken.len() {
            break;
        }
        taken = wider;
    }
    let oldest_first = flushed(at.keyspace).into_iter().rev();
    let taken = oldest_first.filter(|table| taken.iter().any(|taken| Arc::ptr_eq(taken, table)));
    as_many_as_may_go(at, taken)
}

/// The first tables of a sorted level in the range, as many as may go at once.
fn some_of_level(at: &Situation<'_>, level: u32, range: KeyRange<'_>) -> Vec<Arc<SstMetadata>> {
    let level = at.keyspace.level(level);
    as_many_as_may_go(at, level.iter().flat_map(|level| level.overlapping(range)))
}

fn as_many_as_may_go<'t>(
    at: &Situation<'_>,
    tables: impl Iterator<Item = &'t Arc<SstMetadata>>,
) -> Vec<Arc<SstMetadata>> {
    let mut taken: Vec<Arc<SstMetadata>> = Vec::new();
    let mut total = 0_u64;
    for table in tables {
        total = total.saturating_add(table.size);
        if total > at.options.max_compaction_bytes && !taken.is_empty() {
            break;
        }
        taken.push(table.clone());
    }
    taken
}

/// Some tables of one level, with what they overlap there, into another.
fn into(at: &Situation<'_>, mut inputs: Vec<Arc<SstMetadata>>, level: u32) -> Manual {
    if let Some(range) = hull(&inputs) {
        let beside = at.overlapping(level, &range);
        inputs.extend(beside);
    }
    finish(at, inputs, level)
}

/// Everything that has to do with the range, into the bottom.
fn all_at_once(at: &Situation<'_>, range: KeyRange<'_>, bottom: u32) -> Manual {
    let mut inputs: Vec<_> = at.keyspace.overlapping(range).cloned().collect();
    while let Some(hull) = hull(&inputs) {
        let wider: Vec<_> = at.keyspace.overlapping(hull).cloned().collect();
        if wider.len() == inputs.len() {
            break;
        }
        inputs = wider;
    }
    finish(at, inputs, bottom)
}

fn finish(at: &Situation<'_>, inputs: Vec<Arc<SstMetadata>>, level: u32) -> Manual {
    if at.is_any_running(&inputs) {
        return Manual::Busy;
    }
    let merged = at.merge(Reason::Manual, inputs, level);
    let holds_tombstones = merged.inputs.iter().any(|table| table.tombstones > 0);
    let reclaims = holds_tombstones && merged.drop_tombstones;
    let is_above = merged.inputs.iter().all(|table| table.level < level);
    if is_above && !reclaims && are_disjoint(&merged.inputs) {
        let moved = Compaction::of(Kind::Move, Reason::Manual, merged.inputs, level);
        return Manual::Next(moved);
    }
    Manual::Next(merged)
}

/// The next table at the bottom that holds tombstones for nothing.
fn reclaim(at: &Situation<'_>, bottom: u32, range: KeyRange<'_>) -> Manual {
    let level = at.keyspace.level(bottom);
    let mut tables = level.iter().flat_map(|level| level.overlapping(range));
    let idle_tombstones =
        |table: &&Arc<SstMetadata>| table.tombstones > 0 && table.max_seq <= at.oldest_snapshot;
    match tables.find(idle_tombstones) {
        None => Manual::Done,
        Some(table) => finish(at, vec![table.clone()], bottom),
    }
}
