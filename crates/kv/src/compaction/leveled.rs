//! The leveled strategy: one table, and what it overlaps in the next level, at a time.
//!
//! What is due is taken by its score, the size of a level over its target: level 0 goes to the base,
//! any other level to the next. In a level, the table goes that makes the least rewriting below for
//! what it brings. When nothing else is due, tables that are mostly tombstones are compacted.
//!
//! Invariants:
//! - Of level 0, the oldest table goes, with all that overlap it: what stays is newer where it
//!   overlaps what goes. Until it has gone, no other compaction takes from level 0 down.
//! - Inputs of one level are neighbours, none running between them: the outputs of two compactions
//!   that run at once never overlap.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::manifest::{Keyspace, Level, SstMetadata};

use super::age::{bytes, flushed, hull, keys, nothing_older};
use super::options::LeveledOptions;
use super::plan::{Compaction, Kind, Reason, Situation, are_disjoint};
use super::targets::Targets;

/// A score is in thousandths: from here on, a level is due.
const DUE: u64 = 1000;

/// A merge within level 0 takes so many tables at least.
const LEAST_WITHIN_LEVEL_0: usize = 4;

pub(super) fn pick(at: &Situation<'_>, options: &LeveledOptions) -> Option<Compaction> {
    let targets = Targets::of(at.keyspace, options);
    for level in due(at, options, &targets) {
        let picked = match level {
            0 => from_level0(at, &targets).or_else(|| within_level0(at)),
            _ => from_level(at, level, targets.below(at.keyspace, level)),
        };
        if picked.is_some() {
            return picked;
        }
    }
    reclaim(at, options, &targets)
}

/// The levels that are due, the worst first.
fn due(at: &Situation<'_>, options: &LeveledOptions, targets: &Targets) -> Vec<u32> {
    let mut scores = Vec::new();
    for level in at.keyspace.levels() {
        let number = level.number();
        let (idle, idle_bytes) = idle(at, level);
        let score = match number {
            0 => {
                let by_count = ratio(idle as u64, options.level0_tables.max(1) as u64);
                by_count.max(ratio(idle_bytes, options.base_bytes.max(1)))
            }
            _ if number == targets.base && targets.is_base_idle => {
                DUE.max(ratio(idle_bytes, targets.bytes(number)))
            }
            _ => ratio(idle_bytes, targets.bytes(number)),
        };
        if score >= DUE && idle > 0 {
            scores.push((Reverse(score), number));
        }
    }
    scores.sort_unstable();
    scores.into_iter().map(|(_, number)| number).collect()
}

/// How many tables of the level are not running, and their bytes.
fn idle(at: &Situation<'_>, level: &Level) -> (usize, u64) {
    if at.running.is_empty() {
        return (level.len(), level.bytes());
    }
    let idle = level.tables().filter(|table| !at.is_running(table));
    idle.fold((0, 0), |(tables, bytes), table| {
        (tables + 1, bytes + table.size)
    })
}

/// The oldest table of level 0, with all that overlaps it there, into the base.
fn from_level0(at: &Situation<'_>, targets: &Targets) -> Option<Compaction> {
    let flushed = flushed(at.keyspace);
    let oldest_first = flushed.iter().rev();
    let free: Vec<_> = oldest_first
        .take_while(|table| !at.is_running(table))
        .map(|table| Arc::clone(table))
        .collect();
    let movable = movable(at, &free, targets.base);
    if !movable.is_empty() {
        let picked = Compaction::of(Kind::Move, Reason::Level0, movable, targets.base);
        return Some(picked);
    }
    let mut inputs = connected(&free);
    let mut total = 0_u64;
    let fitting = inputs.iter().take_while(|table| {
        total = total.saturating_add(table.size);
        total <= at.options.max_compaction_bytes
    });
    let fitting = fitting.count().max(1);
    inputs.truncate(fitting);

    let beside = at.overlapping(targets.base, &hull(&inputs)?);
    if at.is_any_running(&beside) {
        return None;
    }
    inputs.extend(beside);
    Some(at.merge(Reason::Level0, inputs, targets.base))
}

/// The first of these tables that overlap nothing, neither each other nor what is in the base.
fn movable(at: &Situation<'_>, tables: &[Arc<SstMetadata>], base: u32) -> Vec<Arc<SstMetadata>> {
    let movable = tables.iter().take_while(|table| {
        let mut others = tables.iter().filter(|other| !Arc::ptr_eq(other, table));
        !others.any(|other| other.overlaps(table))
            && at.overlapping(base, &keys(table)).is_empty()
            && !at.overlaps_too_much(base, std::slice::from_ref(table))
    });
    movable.cloned().collect()
}

/// The first of these tables, and all that overlap the range of those taken so far, in their order.
fn connected(tables: &[Arc<SstMetadata>]) -> Vec<Arc<SstMetadata>> {
    let mut taken: Vec<_> = tables.iter().take(1).cloned().collect();
    while let Some(range) = hull(&taken) {
        let overlapping = tables
            .iter()
            .filter(|table| *table.smallest <= **range.end() && **range.start() <= *table.largest);
        let overlapping: Vec<_> = overlapping.cloned().collect();
        if overlapping.len() == taken.len() {
            return taken;
        }
        taken = overlapping;
    }
    taken
}

/// The newest tables of level 0 into one there, while the way down is taken: as many as make it
/// cheaper for each that goes.
fn within_level0(at: &Situation<'_>) -> Option<Compaction> {
    let flushed = flushed(at.keyspace);
    let free = flushed
        .into_iter()
        .take_while(|table| !at.is_running(table));
    let mut inputs: Vec<Arc<SstMetadata>> = Vec::new();
    let mut total = 0_u64;
    let mut cost = u64::MAX;
    for table in free {
        total = total.saturating_add(table.size);
        let next_cost = match inputs.len() {
            0 => u64::MAX,
            going => total / going as u64,
        };
        if next_cost > cost || total > at.options.max_compaction_bytes {
            break;
        }
        cost = next_cost;
        inputs.push(table.clone());
    }
    if inputs.len() < LEAST_WITHIN_LEVEL_0 || are_disjoint(&inputs) {
        return None;
    }
    // One table: parts of it would not stand in one order with what was flushed before and after.
    Some(Compaction {
        max_output_bytes: u64::MAX,
        cut_at: Vec::new(),
        ..at.merge(Reason::WithinLevel0, inputs, 0)
    })
}

/// The table of this level that overlaps the least below, and its neighbours that do not add to that.
fn from_level(at: &Situation<'_>, level: u32, next: u32) -> Option<Compaction> {
    let tables = at.keyspace.level(level)?.tables();
    let below = at.keyspace.level(next);
    let mut best: Option<((u64, u64), &Arc<SstMetadata>)> = None;
    for table in tables.filter(|table| !at.is_running(table)) {
        let mut overlap = 0_u64;
        let mut is_free = true;
        for other in below
            .iter()
            .flat_map(|below| below.overlapping(keys(table)))
        {
            overlap = overlap.saturating_add(other.size);
            is_free &= !at.is_running(other);
        }
        // Tombstones take space away below: count such a table as larger.
        let weight = 100 + 2 * tombstone_percent(table);
        let cost = ratio(overlap, table.size.saturating_mul(weight) / 100);
        let rank = (cost, table.min_seq);
        if is_free && best.is_none_or(|(least, _)| rank < least) {
            best = Some((rank, table));
        }
    }
    let (_, table) = best?;
    into_next(at, Reason::LevelSize, table, next)
}

/// A table and what it overlaps, into the next level.
fn into_next(
    at: &Situation<'_>,
    reason: Reason,
    table: &Arc<SstMetadata>,
    next: u32,
) -> Option<Compaction> {
    let mut inputs = vec![table.clone()];
    let beside = at.overlapping(next, &keys(table));
    if at.is_any_running(&inputs) || at.is_any_running(&beside) {
        return None;
    }
    if beside.is_empty() {
        let drops = reason == Reason::Tombstones && nothing_older(at.keyspace, &inputs);
        if !drops && !at.overlaps_too_much(next, &inputs) {
            return Some(Compaction::of(Kind::Move, reason, inputs, next));
        }
    }
    let wider = above(at, &inputs, &beside, next);
    let total = bytes(&wider).saturating_add(bytes(&beside));
    if !at.is_any_running(&wider) && total <= at.options.max_compaction_bytes {
        inputs = wider;
    }
    inputs.extend(beside);
    Some(at.merge(reason, inputs, next))
}

/// These tables, and the neighbours that lie above the same tables of the next level and no others:
/// they go along for nothing.
fn above(
    at: &Situation<'_>,
    tables: &[Arc<SstMetadata>],
    beside: &[Arc<SstMetadata>],
    next: u32,
) -> Vec<Arc<SstMetadata>> {
    let (Some(first), Some(range)) = (tables.first(), hull(beside)) else {
        return tables.to_vec();
    };
    let mut wider = match hull(tables.iter().chain(beside)) {
        Some(range) => at.overlapping(first.level, &range),
        None => Vec::new(),
    };
    wider.retain(|table| {
        let below = at.overlapping(next, &keys(table));
        below.iter().all(|below| range.contains(&&*below.smallest))
    });
    wider
}

/// A table that is mostly tombstones: where they hide nothing any more it is written anew without
/// them, elsewhere it goes a level down.
fn reclaim(at: &Situation<'_>, options: &LeveledOptions, targets: &Targets) -> Option<Compaction> {
    for level in at.keyspace.levels().filter(|level| level.number() > 0) {
        for table in level.tables() {
            let is_heavy =
                table.tombstones > 0 && tombstone_percent(table) >= options.tombstone_percent;
            // A snapshot that is older than an entry needs what the entry hides.
            if !is_heavy || table.max_seq > at.oldest_snapshot || at.is_running(table) {
                continue;
            }
            let alone = vec![table.clone()];
            if nothing_older(at.keyspace, &alone) {
                return Some(at.merge(Reason::Tombstones, alone, table.level));
            }
            if table.level < targets.last
                && let Some(picked) = into_next(at, Reason::Tombstones, table, table.level + 1)
            {
                return Some(picked);
            }
        }
    }
    None
}

/// The bytes that have to be rewritten until no level is too large, by an estimate.
pub(super) fn pending_bytes(keyspace: &Keyspace, options: &LeveledOptions) -> u64 {
    let targets = Targets::of(keyspace, options);
    let bytes_of = |level| keyspace.level(level).map_or(0, Level::bytes);
    let level0 = keyspace.level(0);
    let mut pending = 0_u64;
    let mut incoming = 0;
    if level0.is_some_and(|level| level.len() >= options.level0_tables) {
        incoming = bytes_of(0);
        pending = incoming.saturating_add(bytes_of(targets.base));
    }
    for level in targets.base..targets.last {
        let held = bytes_of(level).saturating_add(incoming);
        incoming = held.saturating_sub(targets.bytes(level));
        // What goes down takes along its share of the level below.
        let share =
            u128::from(incoming) * u128::from(bytes_of(level + 1)) / u128::from(held.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        pending = pending.saturating_add(incoming).saturating_add(share);
    }
    pending
}

fn tombstone_percent(table: &SstMetadata) -> u64 {
    ratio(table.tombstones, table.entries.max(1)).min(1000) / 10
}

/// In thousandths.
fn ratio(part: u64, whole: u64) -> u64 {
    let ratio = u128::from(part) * 1000 / u128::from(whole.max(1));
    u64::try_from(ratio).unwrap_or(u64::MAX)
}
