//! Workloads: operations, the options under which they run, and a generator of both.

use std::future::Future;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};

use quipu_io::sim::{Random, SimIo};
use quipu_io::{DiskIo, Io};
use quipu_journal::log::Durability;
use quipu_journal::{Options, Retention, SnapshotPolicy};

use crate::history::History;
use crate::oracles::Violation;

/// Sizes of edits: within a sector, across one, across a page.
pub(crate) const SMALL: usize = 5;
pub(crate) const SECTOR: usize = 600;
pub(crate) const PAGE: usize = 4200;
pub(crate) const SIZES: [usize; 3] = [SMALL, SECTOR, PAGE];

/// What a journal is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Append, and wait for the answer.
    Append(usize),
    /// Append so many small edits and one of this size as one batch.
    Batch(usize, usize),
    /// Append so many edits at once, each from a task of its own.
    Together(usize, usize),
    /// Append and drop the future before it was polled.
    Abandon(usize),
    /// Append, poll once, and drop the future.
    Cancel(usize),
    /// Take a snapshot and wait for it.
    Snapshot,
    /// Begin a snapshot, and go on.
    SnapshotBeside,
    /// Close and open again.
    Reopen,
    /// Close, look at everything that is there in every way there is, and open again.
    Audit,
}

/// What a log is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogOp {
    Append(usize, Durability),
    /// Append and drop the future.
    Abandon(usize, Durability),
    Sync,
    Rotate,
    /// Truncate what is older than so many of the durable edits.
    Truncate(u64),
    Reopen,
}

/// Whatever a crash test can run: a journal or a log.
pub(crate) trait Program: 'static {
    type Op: Clone + std::fmt::Debug + Send + Sync + 'static;

    /// Opens it, holds what is shown against the history, and does the operations.
    fn run<I: Stage>(
        io: I,
        dir: Arc<Path>,
        history: Arc<Mutex<History>>,
        ops: Vec<Self::Op>,
        options: Options,
    ) -> impl Future<Output = Result<(), Violation>> + Send;

    fn random_op(random: &mut Random) -> Self::Op;
}

/// An `Io` that wants to know when something was promised.
pub(crate) trait Stage: Io {
    fn promised(&self, what: &str);
}

impl Stage for SimIo {
    fn promised(&self, what: &str) {
        self.mark(what);
    }
}

impl Stage for DiskIo {
    fn promised(&self, _what: &str) {}
}

pub(crate) fn random_ops<P: Program>(random: &mut Random, most: u32) -> Vec<P::Op> {
    let len = 1 + random.below(most);
    (0..len).map(|_| P::random_op(random)).collect()
}

pub(crate) fn random_journal_op(random: &mut Random) -> Op {
    let size = SIZES[random.below(5).saturating_sub(2) as usize];
    let several = 2 + random.below(3) as usize;
    match random.below(16) {
        0..6 => Op::Append(size),
        6 | 7 => Op::Batch(several, size),
        8 | 9 => Op::Together(several, size),
        10 => Op::Abandon(size),
        11 => Op::Cancel(size),
        12 => Op::Snapshot,
        13 => Op::SnapshotBeside,
        14 => Op::Reopen,
        _ => Op::Audit,
    }
}

pub(crate) fn random_log_op(random: &mut Random) -> LogOp {
    let size = SIZES[random.below(5).saturating_sub(2) as usize];
    let durability = [Durability::Disk, Durability::Os][random.below(2) as usize];
    match random.below(12) {
        0..5 => LogOp::Append(size, durability),
        5 => LogOp::Abandon(size, durability),
        6 => LogOp::Sync,
        7 | 8 => LogOp::Rotate,
        9 | 10 => LogOp::Truncate(u64::from(random.below(4))),
        _ => LogOp::Reopen,
    }
}

/// Segments that never fill up, no snapshot but on demand, and little space ahead.
pub(crate) fn plain() -> Options {
    let mut options = Options::default();
    options.log.allocation_bytes = 4096;
    options.snapshots = SnapshotPolicy::never();
    options
}

/// A segment for every frame or two.
pub(crate) fn tiny_segments() -> Options {
    let mut options = plain();
    options.log.segment_bytes = 8192 + 100;
    options
}

/// Tiny segments, and snapshots all the time, of which so many are kept.
pub(crate) fn busy(keep: usize) -> Options {
    let mut options = tiny_segments();
    options.snapshots.growth_baseline = 150;
    options.snapshots.max_segments = 3;
    options.retention = Retention::Snapshots(NonZeroUsize::new(keep).unwrap());
    options
}

pub(crate) fn random_options(random: &mut Random) -> Options {
    let mut options = plain();
    let segments = [1 << 20, 8192 + 100, 8192 + 1500, 8192 + 1];
    options.log.segment_bytes = segments[random.below(4) as usize];
    options.log.allocation_bytes = [4096, 1, 512, 64 << 10][random.below(4) as usize];
    if random.below(2) == 0 {
        options.snapshots.growth_baseline = u64::from(random.below(2000));
        options.snapshots.max_segments = 1 + random.below(6) as usize;
    }
    options.retention = match random.below(4) {
        0 => Retention::All,
        keep => Retention::Snapshots(NonZeroUsize::new(keep as usize).unwrap()),
    };
    options
}
