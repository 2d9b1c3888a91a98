//! One lifetime of the machine: the disk, the executor, the choices, and where crashes may come.

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::chain::Stamp;
use super::choice::{Purpose, Tape, Trace};
use super::disk::Disk;
use super::executor::Executor;
use super::fault::{Fault, Faults, Operation};
use super::image::DiskImage;
use super::inode::{InodeId, Name};
use super::random::Random;
use crate::{DirEntry, EntryKind};

/// A moment at which a crash could show something new.
#[derive(Clone, Debug)]
pub struct CrashPoint {
    /// Counts the crash points of a world from 0.
    pub ordinal: u64,
    /// What was about to happen, or had just happened.
    pub kind: CrashKind,
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
    pub(super) trace: Trace,
    pub(super) random: Random,
    pub(super) locks: BTreeSet<InodeId>,
    pub(super) latency: Latency,
    pub(super) shuffle_listings: bool,
    pub(super) hook: Option<Hook>,
    pub(super) crash: CrashPlan,
    /// The crash point at which the machine has stopped.
    pub(super) crashed: Option<(u64, CrashKind)>,
    pub(super) points: u64,
    /// The machine has stopped: no operation starts or completes any more.
    pub(super) stopped: bool,
}

/// A sync between its submission and its completion.
pub(super) struct PendingSync {
    world: Arc<World>,
    operation: Operation,
    inode: InodeId,
    path: Arc<Path>,
    /// What had been issued when it was submitted.
    until: Stamp,
    is_complete: bool,
}

impl World {
    pub(super) fn new(state: State) -> World {
        World {
            executor: Arc::default(),
            state: Mutex::new(state),
        }
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
        self.executor.note(operation);
        let done = self.state().start(operation, path, effect);
        let Some((result, delay)) = done else {
            return pending().await;
        };
        self.pass(delay).await;
        result.map_err(|error| crate::IoError::wrap(operation.name(), path, error))
    }

    /// Starts a sync of the file or directory.
    pub(super) async fn sync(
        self: &Arc<Self>,
        operation: Operation,
        path: &Arc<Path>,
        find: impl FnOnce(&mut State) -> io::Result<InodeId> + Send,
    ) -> io::Result<()> {
        self.executor.note(operation);
        let started = self.state().start(operation, path, |state| {
            let inode = find(state)?;
            Ok((inode, state.disk.clock))
        });
        let Some((started, delay)) = started else {
            return pending().await;
        };
        let pending_sync = started.map(|(inode, until)| PendingSync {
            world: Arc::clone(self),
            operation,
            inode,
            path: Arc::clone(path),
            until,
            is_complete: false,
        });
        self.pass(delay).await;
        let result = match pending_sync {
            Ok(mut pending_sync) => pending_sync.complete(),
            Err(error) => Err(error),
        };
        if self.state().stopped {
            return pending().await;
        }
        result.map_err(|error| crate::IoError::wrap(operation.name(), path, error))
    }

    async fn pass(&self, delay: Duration) {
        if !delay.is_zero() {
            let mut dropped = CountDropped(Some(self));
            self.executor.sleep(delay).await;
            dropped.0 = None;
        }
        if self.state().stopped {
            pending().await
        }
    }

    /// A crash may come here.
    pub(super) fn crash_point(&self, kind: CrashKind) {
        let (mut hook, point) = {
            let mut state = self.state();
            if state.stopped {
                return;
            }
            let ordinal = state.points;
            state.points += 1;
            if state.crashes_at(ordinal) {
                state.stopped = true;
                state.crashed = Some((ordinal, kind.clone()));
            }
            let Some(hook) = state.hook.take() else {
                return;
            };
            let image = DiskImage::of(state.disk.clone());
            let point = CrashPoint {
                ordinal,
                kind,
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
    ) -> Option<(io::Result<T>, Duration)> {
        if self.stopped {
            return None;
        }
        let struck = self.faults.strike(operation, &mut self.tape);
        let result = struck.and_then(|()| effect(self));
        if let Err(error) = &result {
            self.count_error(error);
        }
        self.trace.add(operation as u64);
        self.trace.add_bytes(path.as_os_str().as_encoded_bytes());
        self.trace.add(u64::from(result.is_ok()));
        Some((result, self.delay(operation)))
    }

    fn crashes_at(&mut self, ordinal: u64) -> bool {
        match self.crash {
            CrashPlan::Never => false,
            CrashPlan::At(planned) => planned == ordinal,
            CrashPlan::Chosen(chances) => self.tape.strikes(Purpose::Crash, chances, 10_000),
        }
    }

    fn count_error(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::StorageFull => self.faults.count(Fault::StorageFull),
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
        if self.shuffle_listings && found.len() > 1 {
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

    /// What a completed sync does to the disk, and what its caller is told.
    fn finish_sync(&mut self, sync: &PendingSync) -> io::Result<()> {
        if self.faults.lying_sync {
            self.faults.count(Fault::LyingSync);
        } else if sync.operation == Operation::SyncDir {
            self.disk.sync_dir(sync.inode, sync.until);
        } else {
            self.disk.sync_file(sync.inode, sync.until);
        }
        self.trace.add(sync.until);
        Ok(())
    }

    /// The failure of a sync, if it fails.
    fn fail_sync(&mut self, sync: &PendingSync) -> Option<io::Result<()>> {
        let how = self.faults.strike_sync(&mut self.tape)?;
        self.trace.add(sync.until);
        if sync.operation != Operation::SyncDir {
            let (inode, until) = (sync.inode, sync.until);
            self.disk
                .fail_sync(inode, until, how.forget, how.evict, &mut self.tape);
        }
        Some(match how.told {
            true => Err(io::Error::other("injected sync failure")),
            false => Ok(()),
        })
    }
}

impl PendingSync {
    fn complete(&mut self) -> io::Result<()> {
        self.is_complete = true;
        {
            let mut state = self.world.state();
            if state.stopped {
                return Ok(());
            }
            if let Some(result) = state.fail_sync(self) {
                return result;
            }
        }
        let path = self.path.to_path_buf();
        self.world.crash_point(CrashKind::BeforeSync(path));
        let mut state = self.world.state();
        if state.stopped {
            return Ok(());
        }
        state.finish_sync(self)
    }
}

impl Drop for PendingSync {
    /// An operation whose future is dropped still completes.
    fn drop(&mut self) {
        if !self.is_complete {
            // Nobody is there to be told of an error.
            let _ = self.complete();
        }
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
