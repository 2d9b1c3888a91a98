//! One lifetime of the machine: the disk, the executor, the choices, and where crashes may come.

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::choice::{Purpose, Tape, Trace};
use super::counts::IoCounts;
use super::disk::Disk;
use super::executor::{Executor, TaskId};
use super::fault::Fault;
use super::image::DiskImage;
use super::inode::{InodeId, Name};
use super::machine::{Listings, Stopped};
use super::operation::Operation;
use super::plan::Faults;
use super::random::Random;
use super::sync::PendingSync;
use crate::{DirEntry, EntryKind};

/// A moment at which a crash could show something new.
#[derive(Clone, Debug)]
pub struct CrashPoint {
    /// Counts the crash points of a world from 0.
    pub ordinal: u64,
    /// What was about to happen, or had just happened.
    pub kind: CrashKind,
    /// How many decisions the tape had made by then, the one about a crash here included.
    pub digits: usize,
    /// The disk at that moment, for [`Sim::boot`](super::Sim::boot). It is not crashed yet, so one
    /// image serves all profiles.
    pub image: DiskImage,
}

/// What made a [`CrashPoint`].
#[derive(Clone, Debug, PartialEq, Eq, derive_more::Display)]
pub enum CrashKind {
    /// A sync of this file or directory was about to complete: nothing of it is certain yet.
    #[display("before the sync of {}", _0.display())]
    BeforeSync(PathBuf),
    /// The program called [`SimIo::mark`](super::SimIo::mark): it has just promised something.
    #[display("at \"{_0}\"")]
    Mark(String),
}

/// When the machine stops by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CrashPlan {
    /// It does not.
    #[default]
    Never,
    /// At the crash point of this ordinal.
    At(u64),
    /// At every crash point the tape says whether it stops there, with so many chances in 10,000 where
    /// the tape is a seeded one.
    Chosen(u32),
}

/// How long operations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Latency {
    /// They complete at once. The cheapest, for the exploration of crash states.
    None,
    /// A sync takes 200 µs and everything else 10 µs.
    #[default]
    Fixed,
    /// The fixed time, multiplied by a choice between 1 and 1000.
    Varied,
}

type Hook = Box<dyn FnMut(CrashPoint) + Send>;

pub(super) struct World {
    pub(super) executor: Arc<Executor>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) disk: Disk,
    pub(super) tape: Tape,
    pub(super) faults: Faults,
    pub(super) counts: IoCounts,
    pub(super) trace: Trace,
    pub(super) random: Random,
    pub(super) locks: BTreeSet<InodeId>,
    pub(super) latency: Latency,
    pub(super) listings: Listings,
    pub(super) hook: Option<Hook>,
    pub(super) crash: CrashPlan,
    /// The crash point at which the machine has stopped.
    pub(super) crashed: Option<(u64, CrashKind)>,
    pub(super) points: u64,
    /// The machine has stopped: no operation starts or completes any more.
    pub(super) stopped: bool,
    /// By how many seconds the calendar's clock is wrong.
    pub(super) clock_error: i64,
    /// How long the machines before this one have run.
    pub(super) age_at_boot: Duration,
    /// Who runs now, or ran last.
    pub(super) running: TaskId,
    /// What each task did last, by its id.
    pub(super) last_operations: Vec<Option<Operation>>,
    /// Operations so far.
    pub(super) submitted: u64,
    /// The ordinal of the newest operation that has answered.
    pub(super) completed: u64,
}

/// An operation that has had its effect, or failed to, and has not answered yet.
struct Started<T> {
    result: io::Result<T>,
    delay: Duration,
    /// Counts the operations in the order of their submission.
    ordinal: u64,
}

impl World {
    pub(super) fn new(state: State) -> World {
        World {
            executor: Arc::default(),
            state: Mutex::new(state),
        }
    }

    /// How long this machine and those before it have run.
    pub(super) fn age(&self) -> Duration {
        let at_boot = self.state().age_at_boot;
        at_boot + self.executor.now()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does an operation: its effect at the first poll, its answer after its latency.
    pub(super) async fn operate<T: Send>(
        &self,
        operation: Operation,
        path: &Path,
        effect: impl FnOnce(&mut State) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        let started = self.state().start(operation, path, effect);
        let Some(started) = started else {
            return pending().await;
        };
        self.pass(started.delay, started.ordinal).await;
        let error = match started.result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        Err(crate::IoError::wrap(operation.name(), path, error))
    }

    /// Starts a sync of the file or directory.
    pub(super) async fn sync(
        &self,
        operation: Operation,
        path: &Path,
        find: impl FnOnce(&mut State) -> io::Result<InodeId> + Send,
    ) -> io::Result<()> {
        let started = self.state().start(operation, path, |state| {
            let inode = find(state)?;
            state.counts.syncs += 1;
            Ok((inode, state.disk.clock))
        });
        let Some(started) = started else {
            return pending().await;
        };
        let pending_sync = started.result.map(|(inode, until)| PendingSync {
            world: self,
            operation,
            inode,
            path,
            until,
            is_complete: false,
        });
        self.pass(started.delay, started.ordinal).await;
        let result = match pending_sync {
            Ok(mut pending_sync) => pending_sync.complete(),
            Err(error) => Err(error),
        };
        if self.state().stopped {
            return pending().await;
        }
        result.map_err(|error| crate::IoError::wrap(operation.name(), path, error))
    }

    /// Lets the time pass that an operation takes.
    async fn pass(&self, delay: Duration, ordinal: u64) {
        if delay.is_zero() {
            return;
        }
        let mut dropped = CountDropped(Some(self));
        self.executor.sleep(delay).await;
        dropped.0 = None;
        if self.state().stopped {
            pending().await
        }
        self.state().completes(ordinal);
    }

    /// A crash may come here.
    pub(super) fn crash_point(&self, kind: impl FnOnce() -> CrashKind) {
        let (mut hook, point) = {
            let mut state = self.state();
            if state.stopped {
                return;
            }
            let ordinal = state.points;
            state.points += 1;
            let crashes = state.crashes_at(ordinal);
            if !crashes && state.hook.is_none() {
                return;
            }
            let kind = kind();
            if crashes {
                state.stopped = true;
                state.crashed = Some((ordinal, kind.clone()));
            }
            let Some(hook) = state.hook.take() else {
                return;
            };
            let age = state.age_at_boot + self.executor.now();
            let image = DiskImage::of(state.disk.clone(), age);
            let point = CrashPoint {
                ordinal,
                kind,
                digits: state.tape.digits().len(),
                image,
            };
            (hook, point)
        };
        hook(point);
        self.state().hook.get_or_insert(hook);
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Starts an operation; `None` when the machine has stopped.
    fn start<T>(
        &mut self,
        operation: Operation,
        path: &Path,
        effect: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Option<Started<T>> {
        if self.stopped {
            return None;
        }
        self.note(operation);
        let result = self.refuse(operation).and_then(|()| effect(self));
        if let Err(error) = &result {
            self.count_error(operation, error);
        }
        self.trace.add(operation as u64);
        self.trace.add_bytes(path.as_os_str().as_encoded_bytes());
        self.trace.add(u64::from(result.is_ok()));
        self.submitted += 1;
        Some(Started {
            result,
            delay: self.delay(operation) + self.stall(),
            ordinal: self.submitted,
        })
    }

    /// An operation answers.
    fn completes(&mut self, ordinal: u64) {
        if ordinal < self.completed {
            self.faults.count(Fault::OutOfOrder);
        }
        self.completed = self.completed.max(ordinal);
    }

    /// The task takes a step.
    pub(super) fn takes_step(&mut self, id: TaskId) {
        self.running = id;
        self.trace.add(id.0);
    }

    /// Notes what the running task does.
    fn note(&mut self, operation: Operation) {
        let index = self.running.0 as usize;
        if index >= self.last_operations.len() {
            self.last_operations.resize(index + 1, None);
        }
        self.last_operations[index] = Some(operation);
    }

    /// What the task did last.
    pub(super) fn last_operation(&self, id: TaskId) -> Option<Operation> {
        *self.last_operations.get(id.0 as usize)?
    }

    pub(super) fn check_crash(&self) -> Result<(), Stopped> {
        match &self.crashed {
            Some((point, kind)) => Err(Stopped::Crashed {
                point: *point,
                kind: kind.clone(),
            }),
            None => Ok(()),
        }
    }

    fn crashes_at(&mut self, ordinal: u64) -> bool {
        match self.crash {
            CrashPlan::Never => false,
            CrashPlan::At(planned) => planned == ordinal,
            CrashPlan::Chosen(chances) => self.tape.strikes(Purpose::Crash, chances, 10_000),
        }
    }

    fn count_error(&mut self, operation: Operation, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::StorageFull => self.faults.count(Fault::StorageFull(operation)),
            io::ErrorKind::Other if error.get_ref().is_some_and(|e| e.is::<Unreadable>()) => {
                self.faults.count(Fault::UnreadableSector);
            }
            _ => {}
        }
    }

    fn delay(&mut self, operation: Operation) -> Duration {
        const STALLS: [u32; 8] = [1, 2, 3, 5, 8, 20, 100, 1000];
        let base = match operation.is_sync() {
            true => Duration::from_micros(200),
            false => Duration::from_micros(10),
        };
        match self.latency {
            Latency::None => Duration::ZERO,
            Latency::Fixed => base,
            Latency::Varied => {
                let stall = self.tape.choose(Purpose::Latency, STALLS.len() as u32);
                base * STALLS[stall as usize]
            }
        }
    }

    /// Directory entries in the order in which this run lists them.
    pub(super) fn listing(&mut self, mut found: Vec<(Name, InodeId)>) -> Vec<DirEntry> {
        if self.listings == Listings::Reversed {
            found.reverse();
        }
        if found.len() > 1 && self.shuffles() {
            for last in (1..found.len()).rev() {
                let back = self.tape.choose(Purpose::Listing, last as u32 + 1) as usize;
                found.swap(last, last - back);
            }
            self.faults.count(Fault::ShuffledListing);
        }
        let entries = found.iter().map(|(name, id)| DirEntry {
            name: name.into(),
            kind: match self.disk.inode(*id).is_directory() {
                true => EntryKind::Directory,
                false => EntryKind::File,
            },
        });
        entries.collect()
    }
}

/// Counts an operation whose future is dropped while it waits.
struct CountDropped<'a>(Option<&'a World>);

impl Drop for CountDropped<'_> {
    fn drop(&mut self) {
        if let Some(world) = self.0 {
            let mut state = world.state();
            if !state.stopped {
                state.faults.count(Fault::DroppedOperation);
            }
        }
    }
}

/// Inside the error of a read that met an unreadable sector.
#[derive(Debug, derive_more::Display, derive_more::Error)]
#[display("unreadable sector")]
pub(super) struct Unreadable;
