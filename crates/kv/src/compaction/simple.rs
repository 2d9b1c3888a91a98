//! The simple leveled strategy: whole levels are merged.
//!
//! Level 0 is merged with level 1 when it has too many tables; any other level with the next when
//! that has fewer than `size_ratio_percent` of its bytes.

use crate::manifest::Level;

use super::options::SimpleLeveledOptions;
use super::plan::{Compaction, Kind, Reason, Situation, are_disjoint};

pub(super) fn pick(at: &Situation<'_>, options: &SimpleLeveledOptions) -> Option<Compaction> {
    let flushed = at.keyspace.level(0).map_or(0, Level::len);
    if flushed >= options.level0_file_num_compaction_trigger.max(1)
        && let Some(picked) = whole(at, 0, Reason::Level0)
    {
        return Some(picked);
    }
    let held = at.keyspace.levels().filter(|level| level.number() > 0);
    let mut held = held.filter(|level| level.number() < options.max_levels);
    held.find_map(|upper| {
        let lower = at
            .keyspace
            .level(upper.number() + 1)
            .map_or(0, Level::bytes);
        let least = u128::from(upper.bytes()) * u128::from(options.size_ratio_percent);
        let is_small = u128::from(lower) * 100 < least;
        is_small.then(|| whole(at, upper.number(), Reason::LevelSize))?
    })
}

/// A level and the next, if none of their tables is running.
fn whole(at: &Situation<'_>, level: u32, reason: Reason) -> Option<Compaction> {
    let mut inputs = at.tables(level);
    let lower = at.tables(level + 1);
    if at.is_any_running(&inputs) || at.is_any_running(&lower) {
        return None;
    }
    let upper = inputs.len();
    inputs.extend(lower);
    if are_disjoint(&inputs) {
        inputs.truncate(upper);
        return Some(Compaction::of(Kind::Move, reason, inputs, level + 1));
    }
    Some(at.merge(reason, inputs, level + 1))
}
