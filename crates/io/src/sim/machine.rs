//! [`Sim`]: a machine from its start to its crash.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_task::Runnable;

use super::choice::{Purpose, Tape, Trace};
use super::counts::IoCounts;
use super::executor::{Executor, MAIN, Ready, TaskId};
use super::fault::Fault;
use super::image::DiskImage;
use super::injection::SimFaults;
use super::io::SimIo;
use super::medium::DiskModel;
use super::plan::Faults;
use super::profile::Profile;
use super::random::{Random, mix};
use super::world::{CrashKind, CrashPlan, CrashPoint, Latency, State, World};

/// Keeps [`Io::random`](crate::Io::random) apart from the streams of a tape of the same seed.
const RANDOM_LABEL: u64 = 1 << 32;

/// How a world runs.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// For [`Io::random`](crate::Io::random). Every lifetime of a disk has its own numbers.
    pub seed: u64,
    /// Makes all choices.
    pub tape: Tape,
    /// What kind of crash ended the lifetime before, for [`Sim::boot`].
    pub profile: Profile,
    /// Bytes in a sector of a new disk: a power of two.
    pub sector_size: u32,
    /// What a power loss may do to a sector.
    pub model: DiskModel,
    /// Which task runs next.
    pub schedule: Schedule,
    /// How long operations take.
    pub latency: Latency,
    /// In which order directories are listed.
    pub listings: Listings,
    /// After so many steps of tasks in one call the run is stopped as a live-lock.
    pub step_limit: u64,
    /// When the machine stops by itself.
    pub crash: CrashPlan,
}

impl Default for SimOptions {
    /// The mildest world, in which everything happens in order.
    fn default() -> SimOptions {
        SimOptions {
            seed: 0,
            tape: Tape::zeros(),
            profile: Profile::Posix,
            sector_size: 512,
            model: DiskModel::default(),
            schedule: Schedule::Fifo,
            latency: Latency::Fixed,
            listings: Listings::Sorted,
            step_limit: 10_000_000,
            crash: CrashPlan::Never,
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
            listings: Listings::Shuffled,
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

/// The order in which directories are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Listings {
    /// By name.
    #[default]
    Sorted,
    /// The other way round: for programs that have come to rely on the order.
    Reversed,
    /// The tape says.
    Shuffled,
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
    /// The machine stopped, as [`SimOptions::crash`] has it.
    #[display("crashed at point {point}, {kind}")]
    Crashed {
        /// The ordinal of the crash point.
        point: u64,
        /// What was about to happen, or had just happened.
        kind: CrashKind,
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
        let DiskImage { mut disk, age, .. } = image;
        disk.crash(options.profile);
        disk.model = options.model;
        // Generations must not repeat from one lifetime to the next.
        let random = Random::new(options.seed, RANDOM_LABEL + disk.crashes);
        let state = State {
            disk,
            tape: options.tape,
            faults: Faults::default(),
            counts: IoCounts::default(),
            trace: Trace::default(),
            random,
            locks: BTreeSet::new(),
            latency: options.latency,
            listings: options.listings,
            hook: None,
            crash: options.crash,
            crashed: None,
            points: 0,
            stopped: false,
            clock_error: 0,
            age_at_boot: age,
            running: MAIN,
            last_operations: Vec::new(),
            submitted: 0,
            completed: 0,
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
                    let waiting = self.waiting();
                    return Err(Stopped::Deadlock { waiting });
                }
                Some(Ready::Main) => {
                    if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                        return Ok(output);
                    }
                }
                Some(Ready::Task(runnable)) => self.run_task(runnable),
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
                self.run_task(runnable);
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
        let age = self.world.age();
        DiskImage::of(self.world.state().disk.clone(), age)
    }

    /// Ends the world at once and gives its disk.
    pub fn crash(self) -> DiskImage {
        self.world.state().stopped = true;
        self.image()
    }

    /// Looks at the disk, or damages it, while the program runs.
    pub fn edit_disk<R>(&self, edit: impl FnOnce(&mut DiskImage) -> R) -> R {
        let age = self.world.age();
        let mut state = self.world.state();
        let mut image = DiskImage::of(state.disk.clone(), age);
        let result = edit(&mut image);
        state.disk = image.disk;
        result
    }

    /// Keeps account of what the crash before this world has left, for [`Sim::survival`]. Called before
    /// the program runs, it misses nothing.
    pub fn tell_survival(&self) {
        self.world.state().disk.tell_survival();
    }

    /// What the crash before this world has left, in words: a line for each thing that was looked at and
    /// of which not the newest survived, and a last one for all the rest. Empty without
    /// [`Sim::tell_survival`].
    pub fn survival(&self) -> Vec<String> {
        self.world.state().disk.survival()
    }

    /// What goes wrong in this world, and what has gone wrong.
    pub fn faults(&self) -> SimFaults<'_> {
        SimFaults::of(&self.world)
    }

    /// What the program has asked of the disk since the machine started.
    pub fn io_counts(&self) -> IoCounts {
        let state = self.world.state();
        IoCounts {
            open_handles: state.disk.open_handles(),
            ..state.counts
        }
    }

    /// The choices made so far.
    pub fn tape(&self) -> Tape {
        self.world.state().tape.clone()
    }

    /// A hash over every decision and every operation so far, with the bytes it wrote. Two runs
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
                waiting: self.waiting(),
            });
        }
        *steps += 1;
        loop {
            let mut state = self.world.state();
            state.check_crash()?;
            let choose = |ready| choose_ready(self.schedule, ready, &mut state.tape);
            let Some(woken) = self.executor().take(choose) else {
                drop(state);
                if !self.executor().skip_to_next_timer() {
                    return Ok(None);
                }
                continue;
            };
            if !woken.was_held
                && let Some(delay) = state.delayed_wake()
            {
                self.executor().hold_back(woken, delay);
                continue;
            }
            state.takes_step(woken.id());
            let spurious = state.spurious_wake(|| self.executor().tasks());
            drop(state);
            if let Some(index) = spurious
                && self.executor().wake(index)
            {
                self.world.state().faults.count(Fault::SpuriousWake);
            }
            return Ok(Some(woken.ready));
        }
    }

    fn run_task(&self, runnable: Runnable<TaskId>) {
        let id = *runnable.metadata();
        runnable.run();
        self.executor().has_run(id);
    }

    /// What is not complete, and what each did last.
    fn waiting(&self) -> Vec<String> {
        let state = self.world.state();
        self.executor().waiting(|id| state.last_operation(id))
    }

    fn executor(&self) -> &Arc<Executor> {
        &self.world.executor
    }
}

fn choose_ready(schedule: Schedule, ready: usize, tape: &mut Tape) -> usize {
    match schedule {
        Schedule::Fifo => 0,
        Schedule::Lifo => ready - 1,
        Schedule::Chosen => tape.choose(Purpose::Schedule, ready as u32) as usize,
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
