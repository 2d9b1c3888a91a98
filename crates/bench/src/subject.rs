//! The seam between workloads and what is measured.
//!
//! A subject is one file in `subjects/` with one `pub(crate) const SUBJECT: Subject`, and one line
//! in [`all`]. Quipu itself is a subject like any other. The constant names a function for each
//! group of workloads; `Err` says why the subject takes no part in it.
//!
//! What a function has to keep to:
//! - It runs in a process of its own, is given a fresh, empty directory, and may block. Only
//!   `replay` and the two of `snapshot_stall` find what `prepare` left in theirs.
//! - Each writer appends the [`Records`](crate::load::Records) of its [`Load::indices`], those of
//!   the warm-up untimed. Subjects whose append blocks get this, and the latencies, from
//!   [`append_from_threads`](crate::load::append_from_threads).
//! - Creating files, and whatever else a long-running program does once, stays outside the clock.

use std::path::Path;

use crate::{
    Result,
    load::Load,
    measurement::Measurement,
    subjects::{quipu, raw},
    workload::Workload,
};

/// A subject's part in a group of workloads, or why it has none.
pub(crate) type Part<T> = std::result::Result<T, &'static str>;

/// Does the work in a directory, and measures it.
pub(crate) type Measure = fn(&Path, Load) -> Result<Measurement>;

/// Leaves in a directory what the measurement needs.
pub(crate) type Prepare = fn(&Path, Load) -> Result<()>;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// Appends that return once their record is on disk, from `writers` writers at once.
    pub(crate) append_durable: Part<Measure>,
    /// Appends that return once the operating system has their record.
    pub(crate) append_os: Part<Measure>,
    pub(crate) replay: Part<Replay>,
    pub(crate) snapshot_stall: Part<SnapshotStall>,
    /// Runs in the simulator, as many as there are appends.
    pub(crate) explore: Part<Measure>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Replay {
    /// Writes the records as edits, in [`Load::batches`], and leaves the log on disk.
    pub(crate) prepare: Prepare,
    /// Opens the log, and has each edit given to [`Replayed`](crate::load::Replayed).
    pub(crate) replay: Measure,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct SnapshotStall {
    /// Builds a state of `state_bytes`.
    pub(crate) prepare: Prepare,
    /// Opens it and appends durably, with no snapshot.
    pub(crate) alone: Measure,
    /// The same with a snapshot under way during all appends that are timed.
    pub(crate) snapshotting: Measure,
}

/// All subjects of this build. The raw one comes first: it is the limit.
pub(crate) fn all() -> Vec<Subject> {
    vec![
        raw::SUBJECT,
        quipu::SUBJECT,
        #[cfg(feature = "peers")]
        crate::subjects::raft_engine::SUBJECT,
        #[cfg(feature = "peers")]
        crate::subjects::okaywal::SUBJECT,
    ]
}

/// Finds a subject by its name.
pub(crate) fn named(name: &str) -> Result<Subject> {
    let known = all();
    if let Some(subject) = known.iter().find(|subject| subject.name == name) {
        return Ok(*subject);
    }
    let names: Vec<_> = known.iter().map(|subject| subject.name).collect();
    let names = names.join(", ");
    Err(format!("no subject {name} in this build; it has {names} (peers: --features peers)").into())
}

/// What a child process is asked to do for a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Step {
    Prepare,
    Measure,
    /// The measurement of `snapshot-stall` that has a snapshot under way.
    MeasureSnapshotting,
}

impl Subject {
    /// Why this subject takes no part in `workload`, if it does not.
    pub(crate) fn abstains(&self, workload: Workload) -> Option<&'static str> {
        match workload {
            Workload::Append1 | Workload::Append64 => self.append_durable.err(),
            Workload::AppendOs1 | Workload::AppendOs4 => self.append_os.err(),
            Workload::Replay => self.replay.err(),
            Workload::SnapshotStall => self.snapshot_stall.err(),
            Workload::Explore => self.explore.err(),
        }
    }

    pub(crate) fn run(
        &self,
        workload: Workload,
        step: Step,
        dir: &Path,
        load: Load,
    ) -> Result<Measurement> {
        let prepare = |prepare: Prepare| prepare(dir, load).map(|()| Measurement::default());
        match (workload, step) {
            (Workload::Append1 | Workload::Append64, Step::Measure) => {
                self.append_durable?(dir, load)
            }
            (Workload::AppendOs1 | Workload::AppendOs4, Step::Measure) => {
                self.append_os?(dir, load)
            }
            (Workload::Explore, Step::Measure) => self.explore?(dir, load),
            (Workload::Replay, Step::Prepare) => prepare(self.replay?.prepare),
            (Workload::Replay, Step::Measure) => (self.replay?.replay)(dir, load),
            (Workload::SnapshotStall, Step::Prepare) => prepare(self.snapshot_stall?.prepare),
            (Workload::SnapshotStall, Step::Measure) => (self.snapshot_stall?.alone)(dir, load),
            (Workload::SnapshotStall, Step::MeasureSnapshotting) => {
                (self.snapshot_stall?.snapshotting)(dir, load)
            }
            (_, step) => Err(format!("{} has no step {step:?}", workload.name()).into()),
        }
    }
}
