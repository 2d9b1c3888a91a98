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
    /// A part under this name: so many operations in the first life for each [`Effort`], so many
    /// crashes in a row with up to `after` operations between two, and large edits of so many bytes
    /// in sectors of so many.
    pub const fn new(
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

    /// The same where operations take time, so that whoever works in the background comes to its end.
    #[must_use]
    pub const fn timed(mut self) -> Tier {
        self.bounds.timed = true;
        self
    }

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
        Tier::new("once-512", [3, 4, 5], 1, 0, 512, SECTOR),
        Tier::new("once-4096", [3, 3, 4], 1, 0, 4096, PAGE),
        // An edit over many sectors.
        Tier::new("pages-512", ops_of_pages, 1, 0, 512, PAGE),
        // The second crash is inside the recovery from the first.
        Tier::new("twice-512", [2, 3, 4], 2, 0, 512, SECTOR),
        Tier::new("twice-4096", [1, 2, 3], 2, 0, 4096, PAGE),
        // A recovery relies on what one has left that was killed itself.
        Tier::new("thrice-512", [1, 1, 2], 3, 0, 512, SECTOR),
        // The second crash is inside the recovery, or around an operation behind it.
        Tier::new("between-512", [1, 2, 3], 2, 1, 512, SECTOR),
        Tier::new("timed-512", [2, 3, 4], 1, 0, 512, SECTOR).timed(),
    ]
}
