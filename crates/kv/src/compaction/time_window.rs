//! The time-window strategy: one run for each window of time that is over, and none that has expired.
//!
//! Invariants:
//! - The windows of runs are in the order of their ages: a run's window is that of the latest
//!   timestamp in it and in all older runs, and not later than now. So merging a window merges
//!   neighbours.
//! - A table is dropped only together with or after all tables that may hold what it hides.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use quipu_io::planted::planted;

use crate::manifest::SstMetadata;

use super::age::{age, keys, may_hide};
use super::options::TimeWindowOptions;
use super::plan::{Compaction, Kind, Reason, Situation};
use super::runs::Runs;
use super::tiered;

pub(super) fn pick(at: &Situation<'_>, options: &TimeWindowOptions) -> Option<Compaction> {
    if let Some(dropped) = expired(at, options) {
        return Some(dropped);
    }
    let runs = Runs::of(at);
    let windows = windows(&runs, at.now, options.window.max(1));
    let (current, over) = match windows.split_first() {
        Some((newest, over)) if newest.0 == at.now / options.window.max(1) => (Some(newest), over),
        _ => (None, &*windows),
    };
    // The oldest first: what is in level 0 can only leave it in that order.
    let mut over = over.iter().rev();
    let picked = over.find_map(|(_, range)| {
        let is_one = range.len() == 1 && range.start >= runs.flushed;
        let picked = || runs.make_one(Reason::WindowOver, range.clone());
        (!is_one).then(picked)?
    });
    picked.or_else(|| tiered::among(&runs, current?.1.clone(), &options.current))
}

/// The windows and their runs, the newest first.
fn windows(runs: &Runs<'_>, now: u64, window: u64) -> Vec<(u64, Range<usize>)> {
    let mut windows: Vec<(u64, Range<usize>)> = Vec::new();
    let mut latest = 0;
    for (place, run) in runs.list.iter().enumerate().rev() {
        latest = run.latest.min(now).max(latest);
        match windows.last_mut() {
            Some((number, range)) if *number == latest / window => range.start = place,
            _ => windows.push((latest / window, place..place + 1)),
        }
    }
    windows.reverse();
    windows
}

/// All tables whose entries have expired, but for those that hide what stays.
fn expired(at: &Situation<'_>, options: &TimeWindowOptions) -> Option<Compaction> {
    let until = at.now.checked_sub(options.ttl?)?;
    let old = at.keyspace.in_time(..=until);
    let old = old.filter(|table| table.max_timestamp <= until && !at.is_running(table));
    let mut old: Vec<&Arc<SstMetadata>> = old.collect();
    old.sort_by_key(|table| age(table));
    let mut going = BTreeSet::new();
    let mut inputs = Vec::new();
    for table in old {
        let mut beside = at.keyspace.overlapping(keys(table));
        let hides = beside.any(|other| !going.contains(&other.filenum) && may_hide(table, other));
        if !hides || planted("a table goes before what it hides") {
            going.insert(table.filenum);
            inputs.push(table.clone());
        }
    }
    let level = inputs.first()?.level;
    Some(Compaction::of(Kind::Drop, Reason::Expired, inputs, level))
}
