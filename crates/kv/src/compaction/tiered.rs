//! The tiered strategy: sorted runs are merged when there are too many.
//!
//! When there are `runs` of them: all, if too much is kept beside the oldest one; else neighbours of
//! similar size; else as many of the newest as brings the number down.

use std::ops::Range;

use super::options::TieredOptions;
use super::plan::{Compaction, Reason, Situation};
use super::runs::Runs;

pub(super) fn pick(at: &Situation<'_>, options: &TieredOptions) -> Option<Compaction> {
    let runs = Runs::of(at);
    among(&runs, 0..runs.list.len(), options)
}

/// Picks among some of the runs.
pub(super) fn among(
    runs: &Runs<'_>,
    range: Range<usize>,
    options: &TieredOptions,
) -> Option<Compaction> {
    let count = runs.count(range.clone());
    if count < options.runs.max(2) {
        return None;
    }
    let all = space(runs, &range, options);
    let all = all.and_then(|range| runs.make_one(Reason::Space, range));
    let similar = || {
        let found = similar(runs, &range, options)?;
        runs.make_one(Reason::SimilarRuns, found)
    };
    let newest = || {
        let found = newest(runs, &range, count, options)?;
        runs.make_one(Reason::RunCount, found)
    };
    all.or_else(similar).or_else(newest)
}

/// All, if those beside the oldest have too many bytes.
fn space(runs: &Runs<'_>, range: &Range<usize>, options: &TieredOptions) -> Option<Range<usize>> {
    let oldest = range.end - 1;
    let beside = u128::from(runs.bytes(range.start..oldest)) * 100;
    let most = u128::from(runs.bytes(oldest..range.end))
        * u128::from(options.max_space_amplification_percent);
    (beside >= most).then(|| range.clone())
}

/// The newest neighbours of which each is not much larger than all newer ones together.
fn similar(runs: &Runs<'_>, range: &Range<usize>, options: &TieredOptions) -> Option<Range<usize>> {
    let widest = options.max_merge_width.max(2);
    range.clone().find_map(|start| {
        let mut end = first_end(runs, start);
        while end < range.end && end - start < widest {
            let taken =
                u128::from(runs.bytes(start..end)) * (100 + u128::from(options.size_ratio_percent));
            if u128::from(runs.list[end].bytes) * 100 > taken || runs.list[end].is_running {
                break;
            }
            end += 1;
        }
        let fits = (options.min_merge_width.max(2)..=widest).contains(&(end - start));
        (fits && runs.may_merge(&(start..end))).then_some(start..end)
    })
}

/// As many of the newest as leave fewer than `runs`.
fn newest(
    runs: &Runs<'_>,
    range: &Range<usize>,
    count: usize,
    options: &TieredOptions,
) -> Option<Range<usize>> {
    let widest = options.max_merge_width.max(2);
    let width = count + 2 - options.runs.max(2);
    range.clone().find_map(|start| {
        let end = first_end(runs, start).max(start + width.clamp(2, widest));
        let fits = end <= range.end && end - start <= widest;
        (fits && runs.may_merge(&(start..end))).then_some(start..end)
    })
}

/// Where a merge that begins here ends at the least: what leaves level 0 takes all older with it.
fn first_end(runs: &Runs<'_>, start: usize) -> usize {
    runs.flushed.max(start + 1)
}
