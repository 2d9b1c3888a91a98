//! [`SnapshotPolicy`]: when a snapshot is taken without being asked for. Pure.

/// When a snapshot is taken without being asked for: three numbers and a question.
///
/// # What it bounds
///
/// Let `L` be the bytes of log ever written, `B` the baseline and `f` the factor.
///
/// - **Writes.** Behind a snapshot of size `Z` the log grows by more than `f × Z` before the next,
///   so all snapshots but the last together are less than `L / f`. In all, at most
///   `L × (1 + 1 / f) + the last snapshot` is written: with the default factor, twice the log and
///   one snapshot. (What `max_segments` calls for, and failed attempts, come on top.)
/// - **Replay.** At most `max(B, f × Z)` of log, and what came while the snapshot was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotPolicy {
    /// The log behind the last snapshot must have grown by this many bytes at the least.
    pub growth_baseline: u64,
    /// And by this many times the size of the last snapshot. 0 counts as 1.
    pub growth_factor: u32,
    /// More segments than this behind the last snapshot call for one at any size: each takes up
    /// space and a look at every open, and a program that crashes in a loop makes small ones.
    pub max_segments: usize,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        SnapshotPolicy {
            growth_baseline: 16 << 20,
            growth_factor: 1,
            max_segments: 64,
        }
    }
}

/// What the log is like now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    /// Bytes of log behind the last snapshot, or behind the last attempt that failed.
    pub(crate) log_bytes: u64,
    /// The size of the last snapshot.
    pub(crate) snapshot_bytes: u64,
    /// Segments that hold log behind the last snapshot.
    pub(crate) segments: usize,
}

impl SnapshotPolicy {
    /// Only when asked for.
    pub const fn never() -> SnapshotPolicy {
        SnapshotPolicy {
            growth_baseline: u64::MAX,
            growth_factor: 1,
            max_segments: usize::MAX,
        }
    }

    pub(crate) fn is_due(&self, growth: Growth) -> bool {
        let factor = u64::from(self.growth_factor.max(1));
        let threshold = self
            .growth_baseline
            .max(growth.snapshot_bytes.saturating_mul(factor));
        growth.log_bytes > threshold || growth.segments > self.max_segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_baseline_and_factor_decides() {
        let policy = SnapshotPolicy {
            growth_baseline: 100,
            growth_factor: 2,
            max_segments: 3,
        };
        let due = |log_bytes, snapshot_bytes, segments| {
            policy.is_due(Growth {
                log_bytes,
                snapshot_bytes,
                segments,
            })
        };
        assert!(!due(100, 0, 1));
        assert!(due(101, 0, 1));
        assert!(!due(200, 100, 1));
        assert!(due(201, 100, 1));
        assert!(!due(0, 0, 3));
        assert!(due(0, 0, 4));
        let most = Growth {
            log_bytes: u64::MAX,
            snapshot_bytes: 0,
            segments: usize::MAX,
        };
        assert!(!SnapshotPolicy::never().is_due(most));
    }

    /// The bounds in the type's documentation, for states that grow, stay and shrink.
    #[test]
    fn writes_and_replay_stay_within_the_stated_bounds() {
        let sizes: [fn(u64) -> u64; 4] = [
            |log| log / 2,
            |_| 5_000,
            |log| log,
            |log| 100_000_000 / (log + 1),
        ];
        for (factor, size_of_state) in [1, 2, 5].into_iter().flat_map(|f| sizes.map(|s| (f, s))) {
            let policy = SnapshotPolicy {
                growth_baseline: 1000,
                growth_factor: u32::try_from(factor).unwrap(),
                max_segments: usize::MAX,
            };
            let (mut log, mut snapshots, mut last) = (0, 0, 0);
            let mut growth = Growth::default();
            for step in 0..50_000u64 {
                let edit = 40 + step % 60;
                log += edit;
                growth.log_bytes += edit;
                assert!(growth.log_bytes <= 1000.max(last * factor) + 100);
                if policy.is_due(growth) {
                    last = size_of_state(log);
                    snapshots += last;
                    growth = Growth {
                        log_bytes: 0,
                        snapshot_bytes: last,
                        segments: 0,
                    };
                }
                assert!(snapshots <= log / factor + last);
            }
        }
    }
}
