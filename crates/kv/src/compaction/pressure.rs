//! [`Backpressure`]: whether writers have to wait for compactions, and why.

use crate::manifest::{Keyspace, Level};

use super::leveled;
use super::options::{CompactionOptions, Strategy};

/// Whether writers have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, derive_more::Display)]
pub(crate) enum Backpressure {
    /// They need not.
    #[display("none")]
    None,
    /// They are slowed down.
    #[display("slow: {_0}")]
    Slow(Cause),
    /// They wait until there is less of it.
    #[display("stop: {_0}")]
    Stop(Cause),
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, derive_more::Display)]
#[non_exhaustive]
pub enum Cause {
    /// Tables of level 0.
    #[display("{_0} tables in level 0")]
    Level0Tables(usize),
    /// Sorted runs.
    #[display("{_0} sorted runs")]
    Runs(usize),
    /// Bytes that compactions lag behind.
    #[display("{_0} bytes to be compacted")]
    PendingBytes(u64),
}

/// What the tables of this keyspace ask of writers: the first cause for the strongest measure.
pub(crate) fn backpressure(keyspace: &Keyspace, options: &CompactionOptions) -> Backpressure {
    let limits = &options.backpressure;
    let level0 = keyspace.level(0).map_or(0, Level::len);
    let pending = match &options.strategy {
        Strategy::Leveled(options) => leveled::pending_bytes(keyspace, options),
        _ => 0,
    };
    let runs = match &options.strategy {
        Strategy::Tiered(_) => {
            level0 + keyspace.levels().filter(|level| level.number() > 0).count()
        }
        _ => 0,
    };
    let stops = [
        (
            level0 >= limits.stop_level0_tables,
            Cause::Level0Tables(level0),
        ),
        (runs >= limits.stop_runs, Cause::Runs(runs)),
        (
            pending >= limits.stop_pending_bytes,
            Cause::PendingBytes(pending),
        ),
    ];
    let slows = [
        (
            level0 >= limits.slow_level0_tables,
            Cause::Level0Tables(level0),
        ),
        (runs >= limits.slow_runs, Cause::Runs(runs)),
        (
            pending >= limits.slow_pending_bytes,
            Cause::PendingBytes(pending),
        ),
    ];
    let first = |causes: [(bool, Cause); 3]| causes.into_iter().find(|cause| cause.0);
    match (first(stops), first(slows)) {
        (Some((_, cause)), _) => Backpressure::Stop(cause),
        (None, Some((_, cause))) => Backpressure::Slow(cause),
        (None, None) => Backpressure::None,
    }
}
