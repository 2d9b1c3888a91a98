//! The parts of the exhaustive exploration of a manifest.

use quipu_journal::check::tiers::Tier;
use quipu_journal::check::{PAGE, SECTOR};

/// The tiers of a manifest. An operation is a file or two and an edit, so lives are shorter than those
/// of a journal.
pub const MANIFEST: [Tier; 5] = [
    Tier::new("once-512", [2, 3, 3], 1, 0, 512, SECTOR),
    Tier::new("once-4096", [1, 2, 3], 1, 0, 4096, PAGE),
    // The second crash is inside the recovery from the first.
    Tier::new("twice-512", [1, 2, 3], 2, 0, 512, SECTOR),
    // The second crash is inside the recovery, or around an operation behind it.
    Tier::new("between-512", [0, 1, 2], 2, 1, 512, SECTOR),
    Tier::new("timed-512", [1, 2, 3], 1, 0, 512, SECTOR).timed(),
];

/// The tiers of a store. An operation may be a flush and a compaction, and an open reads everything in
/// every way, so lives are shorter still.
pub const STORE: [Tier; 3] = [
    Tier::new("once-512", [1, 2, 3], 1, 0, 512, SECTOR),
    // The second crash is inside the recovery from the first.
    Tier::new("twice-512", [0, 1, 2], 2, 0, 512, SECTOR),
    Tier::new("timed-512", [1, 2, 3], 1, 0, 512, SECTOR).timed(),
];
