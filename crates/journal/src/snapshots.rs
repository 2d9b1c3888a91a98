//! Taking snapshots of a journal's state, when asked and when the policy says so.
//!
//! Invariants:
//! - One at a time, and none after a failure of the log: a snapshot holds nothing beyond `synced`.
//! - The log goes on while one is written; a failed one is reported and waits until the log has
//!   grown by as much again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use quipu_io::Io;
use quipu_io::planted::planted;

use crate::codec::{self, Codec};
use crate::log::core::{Core, lock};
use crate::options::Retention;
use crate::recovery::LoadedSnapshot;
use crate::snapshot::{self, Growth, SnapshotPolicy};
use crate::state::Applied;
use crate::{Error, Replayable, Result, Seq};

/// What a journal remembers of its snapshots.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) policy: SnapshotPolicy,
    pub(crate) retention: Retention,
    /// The newest one that is sound.
    pub(crate) newest: Option<LoadedSnapshot>,
    /// Those that open found damaged, or whose publication failed.
    pub(crate) damaged: Vec<Seq>,
    /// Bytes of log behind the newest, or behind the last failed attempt.
    pub(crate) log_bytes: u64,
    /// Segments that a failed attempt has left behind, and that call for no other.
    pub(crate) excused_segments: usize,
    /// Whether the policy's snapshot is under way.
    pub(crate) automatic: bool,
    /// Why the last attempt failed, if it did.
    pub(crate) failure: Option<Error>,
}

impl Keeper {
    fn seq(&self) -> Seq {
        self.newest.map_or(Seq::ZERO, |newest| newest.seq)
    }
}

/// Takes the snapshot, and removes the segments, that a loop of crashes has kept from being.
///
/// Called before open answers: a program that dies behind every open would otherwise leave one more
/// segment each time. A failure is reported, and the journal opens.
pub(crate) async fn catch_up<S: Replayable, I: Io>(core: &Arc<Core<I, Applied<S>>>) {
    let overgrown = {
        let keeper = lock(&core.machine.keeper);
        segments_behind(core, &keeper) > keeper.policy.max_segments || is_overgrown(core, &keeper)
    };
    if overgrown && let Err(error) = take(core).await {
        tracing::warn!(%error, "a snapshot failed, the log goes on");
    }
}

/// Counts what a round has added, and takes a snapshot if that makes it due.
pub(crate) fn after_round<S: Replayable, I: Io>(core: &Arc<Core<I, Applied<S>>>, bytes: u64) {
    let mut keeper = lock(&core.machine.keeper);
    keeper.log_bytes = keeper.log_bytes.saturating_add(bytes);
    let growth = Growth {
        log_bytes: keeper.log_bytes,
        snapshot_bytes: keeper.newest.map_or(0, |newest| newest.bytes),
        segments: segments_behind(core, &keeper),
    };
    let due = keeper.policy.is_due(growth) || is_overgrown(core, &keeper);
    if keeper.automatic || !due {
        return;
    }
    keeper.automatic = true;
    drop(keeper);
    let core = core.clone();
    core.clone().directory.io.spawn(async move {
        let result = take(&core).await;
        lock(&core.machine.keeper).automatic = false;
        if let Err(error) = result {
            tracing::warn!(%error, "a snapshot failed, the log goes on");
        }
    });
}

/// Segments that hold log behind the newest snapshot, without those that are excused.
fn segments_behind<S: Replayable, I: Io>(core: &Core<I, Applied<S>>, keeper: &Keeper) -> usize {
    let files = lock(&core.files);
    if files.segments.len() <= keeper.policy.max_segments {
        return 0;
    }
    let covered = snapshot::covered(&files.segments, keeper.seq()).len();
    (files.segments.len() - covered).saturating_sub(keeper.excused_segments)
}

/// Whether too many segments are there, and some for which a snapshot stands: a program that crashes
/// again and again behind the same edit leaves one each time, and none of them calls for a snapshot.
fn is_overgrown<S: Replayable, I: Io>(core: &Core<I, Applied<S>>, keeper: &Keeper) -> bool {
    let files = lock(&core.files);
    let most = keeper.policy.max_segments;
    if files.segments.len().saturating_sub(keeper.excused_segments) <= most {
        return false;
    }
    let plan = snapshot::plan(&files, &keeper.damaged, keeper.retention, most);
    !plan.segments.is_empty()
}

/// Takes a snapshot of the durable state and removes what it makes superfluous.
///
/// If nothing was appended since the newest, that one is the answer.
pub(crate) async fn take<S: Replayable, I: Io>(core: &Arc<Core<I, Applied<S>>>) -> Result<Seq> {
    let _maintenance = core.maintenance.lock().await;
    core.check_open()?;
    let result = write_and_prune(core).await;
    let mut keeper = lock(&core.machine.keeper);
    keeper.failure = result.as_ref().err().cloned();
    if result.is_err() {
        keeper.log_bytes = 0;
        keeper.excused_segments = lock(&core.files).segments.len();
    }
    result
}

async fn write_and_prune<S: Replayable, I: Io>(core: &Arc<Core<I, Applied<S>>>) -> Result<Seq> {
    let (seq, parts, log_bytes) = {
        let state = core.machine.read();
        let parts = catch_unwind(AssertUnwindSafe(|| state.machine.snapshot_parts()));
        let log_bytes = lock(&core.machine.keeper).log_bytes;
        let seq = match planted("a snapshot is named by what is queued") {
            true => core.positions().queued,
            false => state.applied,
        };
        (seq, parts.map_err(|_| panicked())?, log_bytes)
    };
    // Always the keeper first where both are held: a guard made in an `&&` lives to its end.
    let newest = lock(&core.machine.keeper).newest;
    let known = newest.is_some_and(|newest| newest.seq == seq)
        && lock(&core.files).snapshots.last() == Some(&seq);
    if !known {
        let parts = encoded::<S, I>(core, parts);
        let written = snapshot::write(&core.directory, Codec::Bincode, seq, parts).await;
        let written = written.inspect_err(|_| {
            // Its name may be there all the same: it counts for nothing, and goes with the next prune,
            // before the log that it would need.
            lock(&core.machine.keeper).damaged.push(seq);
            lock(&core.files).add_snapshot(seq);
        })?;
        tracing::debug!(%seq, parts = written.parts, bytes = written.bytes, "snapshot published");
        lock(&core.files).add_snapshot(seq);
        let mut keeper = lock(&core.machine.keeper);
        keeper.newest = Some(written);
        keeper.damaged.retain(|damaged| *damaged != seq);
        keeper.log_bytes -= log_bytes.min(keeper.log_bytes);
        keeper.excused_segments = 0;
    }
    let plan = {
        let keeper = lock(&core.machine.keeper);
        let files = lock(&core.files);
        snapshot::plan(
            &files,
            &keeper.damaged,
            keeper.retention,
            keeper.policy.max_segments,
        )
    };
    snapshot::prune(&core.directory, &core.files, plan).await?;
    let mut keeper = lock(&core.machine.keeper);
    let files = lock(&core.files);
    keeper
        .damaged
        .retain(|damaged| files.snapshots.contains(damaged));
    Ok(seq)
}

/// The parts as bytes. Ends with an error when the journal ends, or when the user's code panics.
fn encoded<S: Replayable, I: Io>(
    core: &Arc<Core<I, Applied<S>>>,
    mut parts: Box<dyn Iterator<Item = S::Edit> + Send>,
) -> impl Iterator<Item = Result<Vec<u8>>> + Send {
    let core = core.clone();
    std::iter::from_fn(move || {
        if let Err(error) = core.check_open() {
            return Some(Err(error));
        }
        let part = match catch_unwind(AssertUnwindSafe(|| parts.next())) {
            Ok(part) => part?,
            Err(_) => return Some(Err(panicked())),
        };
        let mut bytes = Vec::new();
        let encoded = catch_unwind(AssertUnwindSafe(|| codec::encode(&part, &mut bytes)));
        Some(match encoded {
            Ok(Ok(())) => Ok(bytes),
            Ok(Err(reason)) => Err(Error::Encode { reason }),
            Err(_) => Err(panicked()),
        })
    })
}

fn panicked() -> Error {
    Error::Snapshot {
        reason: "the state's snapshot panicked".into(),
    }
}
