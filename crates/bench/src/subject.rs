//! The seam between workloads and what is measured.
//!
//! A subject is one file in `subjects/` with one `pub(crate) const SUBJECT: Subject`, and one line
//! in `all`. Quipu itself is a subject like any other. The constant names a function for each
//! group of workloads; `Err` says why the subject takes no part in it.
//!
//! What a function has to keep to:
//! - It runs in a process of its own, is given a fresh, empty directory, and may block. Only where
//!   there is a `prepare`, the others find what it, and those before them, left in theirs.
//! - Each writer appends the `Records` of its `Load::indices`, those of the warm-up untimed. Subjects
//!   whose append blocks get this, and the latencies, from `append_from_threads`.
//! - Creating files, and whatever else a long-running program does once, stays outside the clock.

use std::path::Path;

use crate::{
    Result,
    load::Load,
    measurement::Measurement,
    store,
    subjects::{json_lines, quipu, raw},
    workload::Workload,
};

/// A subject's part in a group of workloads, or why it has none.
pub type Part<T> = std::result::Result<T, &'static str>;

/// Does the work in a directory, and measures it.
pub type Measure = fn(&Path, Load) -> Result<Measurement>;

/// Leaves in a directory what the measurement needs.
pub type Prepare = fn(&Path, Load) -> Result<()>;

/// What is measured, by the functions that measure it.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// In one word.
    pub name: &'static str,
    /// Appends that return once their record is on disk, from `writers` writers at once.
    pub append_durable: Part<Measure>,
    /// Appends that return once the operating system has their record.
    pub append_os: Part<Measure>,
    /// Opening a log.
    pub replay: Part<Prepared>,
    /// The latency of appends while a snapshot is taken.
    pub snapshot_stall: Part<SnapshotStall>,
    /// Runs in the simulator, as many as there are appends.
    pub explore: Part<Measure>,
    /// Opening the manifest that [`edits`](crate::history::edits) lead to.
    pub manifest_open: Part<Prepared>,
    /// Recording flushes durably in a manifest of [`Load::tables`] tables, as
    /// [`record_flushes`](crate::history::record_flushes) does.
    pub manifest_flush: Part<Prepared>,
    /// The store's workloads, of which it may leave some out.
    pub store: Part<store::Run>,
}

impl Subject {
    /// One that takes part in nothing yet, and why.
    pub const fn abstaining(name: &'static str, reason: &'static str) -> Self {
        Self {
            name,
            append_durable: Err(reason),
            append_os: Err(reason),
            replay: Err(reason),
            snapshot_stall: Err(reason),
            explore: Err(reason),
            manifest_open: Err(reason),
            manifest_flush: Err(reason),
            store: Err(reason),
        }
    }
}

/// A measurement of what was there before.
#[derive(Debug, Clone, Copy)]
pub struct Prepared {
    /// Leaves on disk what is opened. Of a replay: the records as edits, in `Load::batches`.
    pub prepare: Prepare,
    /// Opens it. In a replay each edit is given to `Replayed`.
    pub measure: Measure,
}

impl Prepared {
    /// `None` where there is no such step.
    fn run(&self, step: Step, dir: &Path, load: Load) -> Option<Result<Measurement>> {
        match step {
            Step::Prepare => Some((self.prepare)(dir, load).map(|()| Measurement::default())),
            Step::Measure => Some((self.measure)(dir, load)),
            Step::MeasureSnapshotting => None,
        }
    }
}

/// Appends beside the snapshot of a large state.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotStall {
    /// Builds a state of `state_bytes`.
    pub prepare: Prepare,
    /// Opens it and appends durably, with no snapshot.
    pub alone: Measure,
    /// The same with a snapshot under way during all appends that are timed.
    pub snapshotting: Measure,
}

impl SnapshotStall {
    fn run(&self, step: Step, dir: &Path, load: Load) -> Option<Result<Measurement>> {
        Some(match step {
            Step::Prepare => (self.prepare)(dir, load).map(|()| Measurement::default()),
            Step::Measure => (self.alone)(dir, load),
            Step::MeasureSnapshotting => (self.snapshotting)(dir, load),
        })
    }
}

/// All subjects of this build. The raw one comes first: it is the limit.
pub(crate) fn all() -> Vec<Subject> {
    vec![
        raw::SUBJECT,
        quipu::SUBJECT,
        json_lines::SUBJECT,
        #[cfg(feature = "peers")]
        crate::subjects::raft_engine::SUBJECT,
        #[cfg(feature = "peers")]
        crate::subjects::okaywal::SUBJECT,
        #[cfg(feature = "peers")]
        crate::subjects::fjall::SUBJECT,
        #[cfg(feature = "peers")]
        crate::subjects::redb::SUBJECT,
    ]
}

/// Finds one of `subjects` by its name.
pub(crate) fn named(name: &str, subjects: &[Subject]) -> Result<Subject> {
    let found = subjects.iter().find(|subject| subject.name == name);
    found
        .copied()
        .ok_or_else(|| format!("no subject {name} in this program").into())
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
            Workload::ManifestOpen => self.manifest_open.err(),
            Workload::ManifestFlush10 | Workload::ManifestFlush20000 => self.manifest_flush.err(),
        }
    }

    pub(crate) fn run(
        &self,
        workload: Workload,
        step: Step,
        dir: &Path,
        load: Load,
    ) -> Result<Measurement> {
        let measure = |measure: Measure| (step == Step::Measure).then(|| measure(dir, load));
        let done = match workload {
            Workload::Append1 | Workload::Append64 => measure(self.append_durable?),
            Workload::AppendOs1 | Workload::AppendOs4 => measure(self.append_os?),
            Workload::Explore => measure(self.explore?),
            Workload::Replay => self.replay?.run(step, dir, load),
            Workload::SnapshotStall => self.snapshot_stall?.run(step, dir, load),
            Workload::ManifestOpen => self.manifest_open?.run(step, dir, load),
            Workload::ManifestFlush10 | Workload::ManifestFlush20000 => {
                self.manifest_flush?.run(step, dir, load)
            }
        };
        done.unwrap_or_else(|| Err(format!("{} has no step {step:?}", workload.name()).into()))
    }
}
