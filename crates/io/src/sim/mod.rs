//! A simulated machine: a disk in memory that loses what a real disk may lose, a deterministic
//! executor, and virtual time.
//!
//! A run is a pure function of the program and of a [`Tape`] of choices: which task runs next, how
//! long an operation takes, what fails, and what a crash leaves. The same tape gives the same run.
//!
//! ```
//! use std::path::Path;
//! use std::sync::{Arc, Mutex};
//! use quipu_io::{Bytes, File, Io, OpenOptions};
//! use quipu_io::sim::{Sim, SimOptions, Tape};
//!
//! // Run a program once, and keep the disk of every moment at which a crash could matter.
//! let sim = Sim::new(SimOptions::default());
//! let points = Arc::new(Mutex::new(Vec::new()));
//! let collected = Arc::clone(&points);
//! sim.on_crash_point(move |point| collected.lock().unwrap().push(point));
//! let io = sim.io();
//! sim.block_on(async {
//!     let file = io.open(Path::new("a"), OpenOptions::CreateNew).await?;
//!     file.write_at(0, Bytes::from_static(b"hello")).await?;
//!     file.sync_data().await?;
//!     io.sync_dir(Path::new("")).await?;
//!     io.mark("saved");
//!     std::io::Result::Ok(())
//! })??;
//!
//! // At each of them, boot from every disk that a crash could leave.
//! for point in points.lock().unwrap().drain(..) {
//!     let mut next = Some(Tape::zeros());
//!     while let Some(tape) = next {
//!         let options = SimOptions { tape, ..SimOptions::default() };
//!         let sim = Sim::boot(point.image.clone(), options);
//!         let io = sim.io();
//!         let found = sim.block_on(async {
//!             let file = io.open(Path::new("a"), OpenOptions::ReadOnly).await?;
//!             file.read_at(0, 100).await
//!         })?;
//!         // Three points: before each of the two syncs, and the promise.
//!         if point.ordinal == 2 {
//!             assert_eq!(found?, "hello");
//!         }
//!         next = sim.tape().successor();
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The disk
//!
//! Inodes and names are separate. Each sector, each size and each name is a chain of versions, in
//! the order in which they were issued; the program sees the newest. A sync raises the floor below
//! which nothing can fall back. After a power loss nothing is decided before somebody looks:
//! opening decides about names, a stat about the size, a read about the sectors it touches, and
//! what was seen stays. What nobody reads stays open, also through further crashes.
//!
//! - A chain survives at or past the newest version that a sync covers which returned `Ok`: what
//!   had been issued when that sync was submitted.
//! - A sector is exactly one of its versions. What was written and never survived is zeros.
//! - A name whose inode did not survive is dropped. Only a sync of the file (or, for a directory,
//!   of the directory itself) makes the inode survive for certain.
//! - Data beyond the surviving size is gone, and growing again shows zeros.
//! - A rename survives whole or not at all.
//! - Any further order is up to the [`Profile`].
//!
//! An operation has its effect when its future is first polled, and answers after its latency. If
//! the future is dropped in between, a sync completes at that moment.
//!
//! # What it does not model
//!
//! Torn sectors; a write that damages its neighbours; old content in newly allocated space; file
//! attributes; symbolic links; the removal of directories; more than one process. Paths start at
//! the root, whether they say so or not, and `..` is refused. Short transfers and interrupted calls
//! are hidden by every backend, so there are none here.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the disk is in memory, so its offsets fit; digits and radixes are tiny"
)]

mod chain;
mod choice;
mod content;
mod directory;
mod disk;
mod executor;
mod fault;
mod image;
mod inode;
mod io;
mod profile;
mod random;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub use choice::{Digit, Purpose, Tape};
pub use disk::Forget;
pub use fault::{FailedSync, Fault, FaultRates, Operation};
pub use image::DiskImage;
pub use io::{SimFile, SimIo, SimLock};
pub use profile::Profile;
pub use random::Random;
pub use world::{CrashKind, CrashPoint, Latency};

use choice::Trace;
use executor::{Executor, Ready};
use fault::Faults;
use random::mix;
use world::{State, World};

/// How a world runs.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// For [`Io::random`](crate::Io::random).
    pub seed: u64,
    /// Makes all choices.
    pub tape: Tape,
    /// What kind of crash ended the lifetime before, for [`Sim::boot`].
    pub profile: Profile,
    /// Bytes in a sector of a new disk: a power of two.
    pub sector_size: u32,
    /// Which task runs next.
    pub schedule: Schedule,
    /// How long operations take.
    pub latency: Latency,
    /// Whether directories are listed in an order chosen by the tape, instead of sorted.
    pub shuffle_listings: bool,
    /// After so many steps of tasks in one call the run is stopped as a live-lock.
    pub step_limit: u64,
    /// Stops the machine at the crash point of this ordinal.
    pub crash_at: Option<u64>,
}

impl Default for SimOptions {
    /// The mildest world, in which everything happens in order.
    fn default() -> SimOptions {
        SimOptions {
            seed: 0,
            tape: Tape::zeros(),
            profile: Profile::Posix,
            sector_size: 512,
            schedule: Schedule::Fifo,
            latency: Latency::Fixed,
            shuffle_listings: false,
            step_limit: 10_000_000,
            crash_at: None,
        }
    }
}

impl SimOptions {
    /// A world in which the order of tasks, latencies, listings, faults and crashes come from a
    /// seed.
    pub fn seeded(seed: u64) -> SimOptions {
        SimOptions {
            seed,
            tape: Tape::seeded(seed),
            schedule: Schedule::Chosen,
            latency: Latency::Varied,
            shuffle_listings: true,
            ..SimOptions::default()
        }
    }
}

/// Which of the tasks that can run does so next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Schedule {
    /// The one that was woken first.
    #[default]
    Fifo,
    /// The one that was woken last.
    Lifo,
    /// The tape says. 0 is the one that was woken first.
    Chosen,
}

/// Why a run ended before its future was complete.
#[derive(Debug, Clone, PartialEq, Eq, derive_more::Display, derive_more::Error)]
pub enum Stopped {
    /// Nothing can run, no timer is set, and the future is not complete.
    #[display("deadlock: {} waiting", waiting.join("; "))]
    Deadlock {
        /// What is not complete, and what each did last.
        waiting: Vec<String>,
    },
    /// More steps than [`SimOptions::step_limit`].
    #[display("no end after {steps} steps: {} waiting", waiting.join("; "))]
    StepLimit {
        /// Steps taken.
        steps: u64,
        /// What is not complete, and what each did last.
        waiting: Vec<String>,
    },
    /// The machine stopped at [`SimOptions::crash_at`].
    #[display("crashed at point {point}")]
    Crashed {
        /// The ordinal of the crash point.
        point: u64,
    },
}

/// A simulated machine from its start to its crash.
///
/// Dropping it drops all tasks; operations that are still waited for elsewhere never complete.
pub struct Sim {
    world: Arc<World>,
    schedule: Schedule,
    step_limit: u64,
}

impl Sim {
    /// A machine with an empty disk.
    pub fn new(options: SimOptions) -> Sim {
        Sim::boot(DiskImage::empty(options.sector_size), options)
    }

    /// A machine whose disk is what a crash of kind [`SimOptions::profile`] leaves of the image.
    pub fn boot(image: DiskImage, options: SimOptions) -> Sim {
        let mut disk = image.disk;
        disk.crash(options.profile);
        let state = State {
            disk,
            tape: options.tape,
            faults: Faults::default(),
            trace: Trace::default(),
            random: Random::new(options.seed, 0x10),
            locks: BTreeSet::new(),
            latency: options.latency,
            shuffle_listings: options.shuffle_listings,
            hook: None,
            crash_at: options.crash_at,
            points: 0,
            stopped: false,
        };
        Sim {
            world: Arc::new(World::new(state)),
            schedule: options.schedule,
            step_limit: options.step_limit,
        }
    }

    /// The backend for programs in this world.
    pub fn io(&self) -> SimIo {
        SimIo {
            world: Arc::clone(&self.world),
        }
    }

    /// Runs the world until the future is complete. Spawned tasks are then left where they are.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> Result<T, Stopped> {
        let mut future = pin!(future);
        let waker = self.executor().main_waker();
        let mut context = Context::from_waker(&waker);
        let mut steps = 0;
        loop {
            match self.step(&mut steps)? {
                None => {
                    let waiting = self.executor().waiting();
                    return Err(Stopped::Deadlock { waiting });
                }
                Some(Ready::Main) => {
                    if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                        return Ok(output);
                    }
                }
                Some(Ready::Task(runnable)) => {
                    let id = *runnable.metadata();
                    runnable.run();
                    self.executor().has_run(id);
                }
            }
        }
    }

    /// Runs the world until the future is complete and nothing is left that can run.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> Result<T, Stopped> {
        let output = self.block_on(future)?;
        self.run_until_idle()?;
        Ok(output)
    }

    /// Runs the world until no task can run and no timer is set. Tasks may still wait for each
    /// other.
    pub fn run_until_idle(&self) -> Result<(), Stopped> {
        let mut steps = 0;
        while let Some(ready) = self.step(&mut steps)? {
            if let Ready::Task(runnable) = ready {
                let id = *runnable.metadata();
                runnable.run();
                self.executor().has_run(id);
            }
        }
        Ok(())
    }

    /// Calls `hook` at every crash point: before each sync completes, and at each
    /// [`SimIo::mark`]. It may boot other worlds, but not run this one.
    pub fn on_crash_point(&self, hook: impl FnMut(CrashPoint) + Send + 'static) {
        self.world.state().hook = Some(Box::new(hook));
    }

    /// The crash points so far.
    pub fn crash_points(&self) -> u64 {
        self.world.state().points
    }

    /// The disk as it is now, as a crash would meet it.
    pub fn image(&self) -> DiskImage {
        DiskImage::of(self.world.state().disk.clone())
    }

    /// Ends the world at once and gives its disk.
    pub fn crash(self) -> DiskImage {
        self.world.state().stopped = true;
        self.image()
    }

    /// Looks at the disk, or damages it, while the program runs.
    pub fn edit_disk<R>(&self, edit: impl FnOnce(&mut DiskImage) -> R) -> R {
        let mut state = self.world.state();
        let mut image = DiskImage::of(state.disk.clone());
        let result = edit(&mut image);
        state.disk = image.disk;
        result
    }

    /// What goes wrong in this world, and what has gone wrong.
    pub fn faults(&self) -> SimFaults<'_> {
        SimFaults { world: &self.world }
    }

    /// The choices made so far.
    pub fn tape(&self) -> Tape {
        self.world.state().tape.clone()
    }

    /// A hash over every decision and every operation so far, with the bytes it moved. Two runs
    /// that did the same have the same.
    pub fn trace_hash(&self) -> u64 {
        let state = self.world.state();
        let mut trace = state.trace;
        for digit in state.tape.digits() {
            trace.add(u64::from(digit.value) << 32 | u64::from(digit.radix));
        }
        mix(trace.hash())
    }

    /// Takes what runs next; `None` when nothing can.
    fn step(&self, steps: &mut u64) -> Result<Option<Ready>, Stopped> {
        if *steps == self.step_limit {
            return Err(Stopped::StepLimit {
                steps: *steps,
                waiting: self.executor().waiting(),
            });
        }
        *steps += 1;
        while self.executor().ready() == 0 {
            self.check_crash()?;
            if !self.executor().skip_to_next_timer() {
                return Ok(None);
            }
        }
        self.check_crash()?;
        let index = self.choose_ready(self.executor().ready());
        let Some((id, ready)) = self.executor().take(index) else {
            return Ok(None);
        };
        self.world.state().trace.add(id.0);
        Ok(Some(ready))
    }

    fn choose_ready(&self, ready: usize) -> usize {
        match self.schedule {
            Schedule::Fifo => 0,
            Schedule::Lifo => ready - 1,
            Schedule::Chosen => {
                let mut state = self.world.state();
                state.tape.choose(Purpose::Schedule, ready as u32) as usize
            }
        }
    }

    fn check_crash(&self) -> Result<(), Stopped> {
        let state = self.world.state();
        match state.crash_at {
            Some(point) if state.stopped => Err(Stopped::Crashed { point }),
            _ => Ok(()),
        }
    }

    fn executor(&self) -> &Arc<Executor> {
        &self.world.executor
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let hook = {
            let mut state = self.world.state();
            state.stopped = true;
            state.hook.take()
        };
        drop(hook);
        self.world.executor.close();
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("world", &self.world)
            .finish_non_exhaustive()
    }
}

/// Plans faults in a world and counts those that have struck.
#[derive(Clone, Copy, Debug)]
pub struct SimFaults<'a> {
    world: &'a World,
}

impl SimFaults<'_> {
    /// Fails the `nth` call of this operation from now on, the next one being 1, without effect.
    pub fn fail_nth(&self, operation: Operation, nth: u64, kind: std::io::ErrorKind) {
        let mut state = self.world.state();
        state.faults.plan_error(operation, nth, kind);
    }

    /// Fails the `nth` sync from now on that completes, the next one being 1, of whatever file or
    /// directory.
    pub fn fail_nth_sync(&self, nth: u64, how: FailedSync) {
        self.world.state().faults.plan_sync(nth, how);
    }

    /// Leaves room for so many bytes more. `u64::MAX` is as much as anybody likes.
    pub fn full_after(&self, bytes: u64) {
        self.world.state().disk.limit(bytes);
    }

    /// Makes reads of the sector of the file that holds `offset` fail until it is written.
    pub fn make_unreadable(&self, path: impl AsRef<Path>, offset: u64) -> std::io::Result<()> {
        let mut state = self.world.state();
        let state = &mut *state;
        let id = state.disk.walk(path.as_ref(), &mut state.tape)?;
        state.disk.content_mut(id)?.make_unreadable(offset);
        Ok(())
    }

    /// Makes every sync say `Ok` and do nothing: a test suite that passes on such a disk tests
    /// nothing.
    pub fn lie_about_syncs(&self, lie: bool) {
        self.world.state().faults.lying_sync = lie;
    }

    /// Makes faults strike by chance.
    pub fn set_rates(&self, rates: FaultRates) {
        self.world.state().faults.rates = rates;
    }

    /// How often each kind of fault has struck.
    pub fn fired(&self) -> BTreeMap<Fault, u64> {
        self.world.state().faults.fired().clone()
    }

    /// How often this kind of fault has struck.
    pub fn count(&self, fault: Fault) -> u64 {
        let state = self.world.state();
        state.faults.fired().get(&fault).copied().unwrap_or(0)
    }
}
