//! [`Tier`]: the parts of the exhaustive exploration, each with its bounds.
//!
//! Executions grow with what the last round of a life has left unsynced, and not with the log. So
//! short lives of large edits cost more than long ones of small edits, and the bounds differ.

use super::journal::{PAGE, SECTOR};
use super::plan::Bounds;

/// A part of the exhaustive exploration: all runs within its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its name.
    pub name: &'static str,
    /// Its bounds, but for the operations of the first life.
    bounds: Bounds,
    /// Operations of the first life, for each [`Effort`].
    ops: [u32; 3],
}

/// How far the exhaustive exploration goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Effort {
    /// Seconds: for every change.
    Quick,
    /// Below a minute: what the project promises.
    #[default]
    Full,
    /// Minutes: before a release.
    Long,
}

/// The tiers of a journal.
pub const JOURNAL: [Tier; 8] = tiers([1, 2, 3]);

/// The tiers of a log. Pages that are appended without a sync are all unsynced at the end.
pub const LOG: [Tier; 8] = tiers([1, 1, 2]);

impl Tier {
    /// The bounds at this effort.
    pub const fn bounds(&self, effort: Effort) -> Bounds {
        Bounds {
            ops: self.ops[effort as usize],
            ..self.bounds
        }
    }
}

const fn tiers(ops_of_pages: [u32; 3]) -> [Tier; 8] {
    [
        tier("once-512", [3, 4, 5], 1, 0, 512, SECTOR),
        tier("once-4096", [3, 3, 4], 1, 0, 4096, PAGE),
        // An edit over many sectors.
        tier("pages-512", ops_of_pages, 1, 0, 512, PAGE),
        // The second crash is inside the recovery from the first.
        tier("twice-512", [2, 3, 4], 2, 0, 512, SECTOR),
        tier("twice-4096", [1, 2, 3], 2, 0, 4096, PAGE),
        // A recovery relies on what one has left that was killed itself.
        tier("thrice-512", [1, 1, 2], 3, 0, 512, SECTOR),
        // The second crash is inside the recovery, or around an operation behind it.
        tier("between-512", [1, 2, 3], 2, 1, 512, SECTOR),
        timed(tier("timed-512", [2, 3, 4], 1, 0, 512, SECTOR)),
    ]
}

/// The same where operations take time, so that whoever works in the background comes to its end.
const fn timed(mut tier: Tier) -> Tier {
    tier.bounds.timed = true;
    tier
}

const fn tier(
    name: &'static str,
    ops: [u32; 3],
    crashes: u32,
    after: u32,
    sector: u32,
    large: usize,
) -> Tier {
    Tier {
        name,
        bounds: Bounds {
            ops: ops[0],
            crashes,
            after,
            sector,
            large,
            timed: false,
        },
        ops,
    }
}
