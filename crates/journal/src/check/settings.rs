//! Settings of a journal or a log under test: small, so that a few operations reach every path.

use std::num::NonZeroUsize;

use crate::{Options, Retention, SnapshotPolicy};

/// Bytes before the first frame of a segment.
const HEAD: u64 = 8192;

/// Segments that never fill up, no snapshot but on demand, and little space ahead.
pub fn plain() -> Options {
    let mut options = Options::default();
    options.log.allocation_bytes = 4096;
    options.log.zero_ahead_bytes = 4096;
    options.log.sync_behind_bytes = 0;
    options.snapshots = SnapshotPolicy::never();
    options
}

/// A sync begins behind every append that does not wait for one.
pub fn syncing_behind() -> Options {
    let mut options = plain();
    options.log.sync_behind_bytes = 1;
    options
}

/// A segment for every frame or two.
pub fn tiny_segments() -> Options {
    let mut options = plain();
    options.log.segment_bytes = HEAD + 100;
    options
}

/// Tiny segments, and snapshots all the time, of which so many are kept.
pub fn busy(keep: usize) -> Options {
    let mut options = tiny_segments();
    options.snapshots.growth_baseline = 150;
    options.snapshots.max_segments = 3;
    options.retention = kept(keep);
    options
}

/// Large segments, and a snapshot whenever there is something new, of which two are kept.
pub fn eager() -> Options {
    let mut options = plain();
    options.snapshots.growth_baseline = 0;
    options.snapshots.growth_factor = 1;
    options.snapshots.max_segments = 1;
    options.retention = kept(2);
    options
}

/// Settings of the sampled tier; all zeros give [`plain`].
pub fn drawn(choose: &mut dyn FnMut(u32) -> u32) -> Options {
    let mut options = plain();
    let segments = [1 << 20, HEAD + 1500, HEAD + 100, HEAD + 1];
    options.log.segment_bytes = segments[choose(4) as usize];
    options.log.allocation_bytes = [4096, 512, 1, 64 << 10][choose(4) as usize];
    // One choice for both, as it was when there was one of them: tapes that were kept go on to fit.
    let ahead_and_behind = [(4096, 0), (0, 1), (256 << 10, 1000)];
    (options.log.zero_ahead_bytes, options.log.sync_behind_bytes) =
        ahead_and_behind[choose(3) as usize];
    if choose(2) == 1 {
        options.snapshots.growth_baseline = u64::from(choose(2000));
        options.snapshots.max_segments = 1 + choose(6) as usize;
    }
    options.retention = match choose(4) {
        3 => Retention::All,
        keep => kept(2 + keep as usize - usize::from(keep == 2) * 3),
    };
    options
}

fn kept(snapshots: usize) -> Retention {
    Retention::Snapshots(NonZeroUsize::new(snapshots).unwrap_or(NonZeroUsize::MIN))
}
