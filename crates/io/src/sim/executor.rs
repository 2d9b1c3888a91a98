//! Tasks and virtual time: one thread, and an order that is chosen, not met by chance.
//!
//! Invariants:
//! - Time moves only when nothing can run, and then straight to the next timer.
//! - A task that is held back runs after a bounded time and a bounded number of steps of others, and is
//!   not held back again before it has.
//! - No lock is held while a task runs, is dropped or is woken.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_task::{Builder, Runnable, Task};

use super::operation::Operation;

/// After so many steps of others a task is held back no longer.
const PATIENCE: u32 = 100;

/// Which task, in the order of spawning. 0 is the future that the simulation was given to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskId(pub(super) u64);

pub(super) const MAIN: TaskId = TaskId(0);

#[derive(Default)]
pub(super) struct Executor {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In the order of waking.
    ready: VecDeque<Woken>,
    main_is_ready: bool,
    tasks: BTreeMap<TaskId, Spawned>,
    spawned: u64,
    now: Duration,
    timers: BTreeMap<TimerKey, Waker>,
    timers_made: u64,
    /// Who was woken and is not to run before this moment.
    held: BTreeMap<TimerKey, Woken>,
    /// Steps of others since one of them was held back.
    steps_of_others: u32,
    closed: bool,
    /// Whether `close` is still dropping what it found, and what that wakes.
    draining: bool,
}

/// What can be run next.
pub(super) enum Ready {
    Main,
    Task(Runnable<TaskId>),
}

/// Somebody who was woken.
pub(super) struct Woken {
    pub(super) ready: Ready,
    /// It has been held back since it was woken.
    pub(super) was_held: bool,
}

struct Spawned {
    /// Dropping it drops the future.
    task: Task<(), TaskId>,
    /// Wakes it though nobody else does.
    waker: Waker,
    spawned_at: &'static Location<'static>,
}

/// Timers of the same instant fire in the order in which they were set.
type TimerKey = (Duration, u64);

impl Executor {
    /// Starts a task that runs until it is complete or the world ends.
    pub(super) fn spawn(
        self: &Arc<Self>,
        spawned_at: &'static Location<'static>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let Some((id, runnable, task)) = self.start(work) else {
            return;
        };
        let spawned = Spawned {
            task,
            waker: runnable.waker(),
            spawned_at,
        };
        self.lock().tasks.insert(id, spawned);
        runnable.schedule();
    }

    /// Runs a closure as a task of one step.
    pub(super) fn spawn_blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Blocking<T> {
        let task = self.start(async move { work() });
        Blocking {
            task: task.map(|(_, runnable, task)| {
                runnable.schedule();
                task
            }),
        }
    }

    fn start<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<(TaskId, Runnable<TaskId>, Task<T, TaskId>)> {
        let id = {
            let mut inner = self.lock();
            if inner.closed {
                return None;
            }
            inner.spawned += 1;
            TaskId(inner.spawned)
        };
        let executor = Arc::clone(self);
        let schedule = move |runnable: Runnable<TaskId>| executor.push(Ready::Task(runnable));
        let (runnable, task) = Builder::new()
            .propagate_panic(true)
            .metadata(id)
            .spawn(move |_| work, schedule);
        Some((id, runnable, task))
    }

    /// Completes when virtual time has moved on by `duration`.
    pub(super) fn sleep(self: &Arc<Self>, duration: Duration) -> Sleep {
        Sleep {
            executor: Arc::clone(self),
            deadline: self.now().saturating_add(duration),
            key: None,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.lock().now
    }

    /// The waker of the future that the simulation was given to run, which is ready at once.
    pub(super) fn main_waker(self: &Arc<Self>) -> Waker {
        self.wake_main();
        Waker::from(Arc::clone(self))
    }

    fn wake_main(&self) {
        let mut inner = self.lock();
        if !inner.main_is_ready && !inner.closed {
            inner.main_is_ready = true;
            inner.ready.push_back(Woken::now(Ready::Main));
        }
    }

    /// Takes one of those that can run, as `choose` says: it is told how many there are, in the order of
    /// waking. `None` when nobody can.
    pub(super) fn take(&self, choose: impl FnOnce(usize) -> usize) -> Option<Woken> {
        let mut inner = self.lock();
        if inner.ready.is_empty() {
            return None;
        }
        let index = choose(inner.ready.len());
        let woken = inner.ready.remove(index)?;
        if !inner.held.is_empty() {
            inner.steps_of_others += 1;
            if inner.steps_of_others == PATIENCE {
                let held = std::mem::take(&mut inner.held);
                inner.ready.extend(held.into_values());
            }
        }
        if let Ready::Main = woken.ready {
            inner.main_is_ready = false;
        }
        Some(woken)
    }

    /// Does not let somebody run who was taken, for a while.
    pub(super) fn hold_back(&self, mut woken: Woken, delay: Duration) {
        let mut inner = self.lock();
        if let Ready::Main = woken.ready {
            inner.main_is_ready = true;
        }
        woken.was_held = true;
        let deadline = inner.now.saturating_add(delay);
        let key = inner.timer_key(deadline);
        inner.held.insert(key, woken);
        inner.steps_of_others = 0;
    }

    /// Wakes the task at `index`, counted in the order of spawning with the future that the simulation was
    /// given as the first. `false` if it could run anyway.
    pub(super) fn wake(self: &Arc<Self>, index: usize) -> bool {
        let ready = |executor: &Executor| executor.lock().ready.len();
        let before = ready(self);
        match index.checked_sub(1) {
            None => self.wake_main(),
            Some(index) => {
                let nth = |inner: &Inner| inner.tasks.values().nth(index).map(|s| s.waker.clone());
                let waker = nth(&self.lock());
                waker.iter().for_each(Waker::wake_by_ref);
            }
        }
        ready(self) > before
    }

    /// How many could be woken.
    pub(super) fn tasks(&self) -> usize {
        self.lock().tasks.len() + 1
    }

    /// Forgets the task if the step that it has run was its last.
    pub(super) fn has_run(&self, id: TaskId) {
        let mut inner = self.lock();
        let is_finished = |spawned: &Spawned| spawned.task.is_finished();
        let finished = match inner.tasks.get(&id).is_some_and(is_finished) {
            true => inner.tasks.remove(&id),
            false => None,
        };
        drop(inner);
        drop(finished);
    }

    /// Moves time to the next timer and wakes whoever waits for that instant. `false` if there is
    /// none.
    pub(super) fn skip_to_next_timer(&self) -> bool {
        let mut inner = self.lock();
        let first = |key: Option<&TimerKey>| key.map(|(deadline, _)| *deadline);
        let timer = first(inner.timers.keys().next());
        let held = first(inner.held.keys().next());
        let Some(deadline) = timer.into_iter().chain(held).min() else {
            return false;
        };
        inner.now = deadline;
        let due = take_due(&mut inner.timers, deadline);
        if !inner.held.is_empty() {
            let released = take_due(&mut inner.held, deadline);
            inner.ready.extend(released.into_values());
        }
        drop(inner);
        for waker in due.into_values() {
            waker.wake();
        }
        true
    }

    /// Says what has not finished. `last` knows what each did last.
    pub(super) fn waiting(&self, last: impl Fn(TaskId) -> Option<Operation>) -> Vec<String> {
        let inner = self.lock();
        let last = |id| match last(id) {
            Some(operation) => format!(", after {operation}"),
            None => String::new(),
        };
        let main = format!("the main future{}", last(MAIN));
        let tasks = inner.tasks.iter().map(|(id, spawned)| {
            let operation = last(*id);
            format!("task {} spawned at {}{operation}", id.0, spawned.spawned_at)
        });
        std::iter::once(main).chain(tasks).collect()
    }

    /// Drops all tasks, and whatever is spawned from now on.
    ///
    /// A task that is dropped may wake another one while it holds a lock that the other's drop wants,
    /// so what is woken meanwhile waits for its turn instead of being dropped on the spot.
    pub(super) fn close(&self) {
        let (tasks, mut ready, timers, held) = {
            let mut inner = self.lock();
            inner.closed = true;
            inner.draining = true;
            (
                std::mem::take(&mut inner.tasks),
                std::mem::take(&mut inner.ready),
                std::mem::take(&mut inner.timers),
                std::mem::take(&mut inner.held),
            )
        };
        drop(tasks);
        drop(timers);
        drop(held);
        // A task that waits is only dropped once it is run, so dropping the tasks has filled this again.
        loop {
            drop(std::mem::take(&mut ready));
            ready = std::mem::take(&mut self.lock().ready);
            if ready.is_empty() {
                break;
            }
        }
        self.lock().draining = false;
    }

    fn push(&self, ready: Ready) {
        let mut inner = self.lock();
        if inner.closed && !inner.draining {
            drop(inner);
            drop(ready);
            return;
        }
        inner.ready.push_back(Woken::now(ready));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn timer_key(&mut self, deadline: Duration) -> TimerKey {
        self.timers_made += 1;
        (deadline, self.timers_made)
    }
}

impl Woken {
    fn now(ready: Ready) -> Woken {
        Woken {
            ready,
            was_held: false,
        }
    }

    pub(super) fn id(&self) -> TaskId {
        match &self.ready {
            Ready::Main => MAIN,
            Ready::Task(runnable) => *runnable.metadata(),
        }
    }
}

/// Takes out what is due at `deadline`.
fn take_due<T>(timers: &mut BTreeMap<TimerKey, T>, deadline: Duration) -> BTreeMap<TimerKey, T> {
    let later = timers.split_off(&(deadline, u64::MAX));
    std::mem::replace(timers, later)
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("now", &self.now())
            .field("waiting", &self.waiting(|_| None))
            .finish()
    }
}

/// The waker of the future that the simulation was given to run.
impl Wake for Executor {
    fn wake(self: Arc<Self>) {
        self.wake_main();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_main();
    }
}

/// The future of a closure that runs to its end even if this is dropped.
pub(super) struct Blocking<T> {
    /// `None` when the world has ended: then this never completes.
    task: Option<Task<T, TaskId>>,
}

impl<T> Future for Blocking<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.task {
            Some(task) => Pin::new(task).poll(context),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Blocking<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.detach();
        }
    }
}

/// Waits in virtual time.
pub(super) struct Sleep {
    executor: Arc<Executor>,
    deadline: Duration,
    key: Option<TimerKey>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sleep = &mut *self;
        let mut inner = sleep.executor.lock();
        if inner.now >= sleep.deadline {
            return Poll::Ready(());
        }
        let key = match sleep.key {
            Some(key) => key,
            None => inner.timer_key(sleep.deadline),
        };
        sleep.key = Some(key);
        let replaced = inner.timers.insert(key, context.waker().clone());
        drop(inner);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let removed = self.executor.lock().timers.remove(&key);
            drop(removed);
        }
    }
}
