//! Tasks and virtual time: one thread, and an order that is chosen, not met by chance.
//!
//! Invariants:
//! - Time moves only when nothing can run, and then straight to the next timer.
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

use super::fault::Operation;

/// Which task, in the order of spawning. 0 is the future that the simulation was given to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskId(pub(super) u64);

const MAIN: TaskId = TaskId(0);

#[derive(Default)]
pub(super) struct Executor {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    ready: VecDeque<Ready>,
    main_is_ready: bool,
    tasks: BTreeMap<TaskId, Spawned>,
    spawned: u64,
    current: Option<TaskId>,
    main_operation: Option<Operation>,
    now: Duration,
    timers: BTreeMap<TimerKey, Waker>,
    timers_made: u64,
    closed: bool,
    /// Whether `close` is still dropping what it found, and what that wakes.
    draining: bool,
}

/// What can be run next.
pub(super) enum Ready {
    Main,
    Task(Runnable<TaskId>),
}

struct Spawned {
    /// Dropping it drops the future.
    task: Task<(), TaskId>,
    spawned_at: &'static Location<'static>,
    last_operation: Option<Operation>,
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
            spawned_at,
            last_operation: None,
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
        let waker = Arc::new(MainWaker {
            executor: Arc::clone(self),
        });
        waker.wake_by_ref();
        waker.into()
    }

    /// How many can run now.
    pub(super) fn ready(&self) -> usize {
        self.lock().ready.len()
    }

    /// Takes the one at `index`, counted in the order of waking.
    pub(super) fn take(&self, index: usize) -> Option<(TaskId, Ready)> {
        let mut inner = self.lock();
        let ready = inner.ready.remove(index)?;
        let id = match &ready {
            Ready::Main => MAIN,
            Ready::Task(runnable) => *runnable.metadata(),
        };
        if id == MAIN {
            inner.main_is_ready = false;
        }
        inner.current = Some(id);
        Some((id, ready))
    }

    /// Notes that the task has run a step, and forgets it if that was its last.
    pub(super) fn has_run(&self, id: TaskId) {
        let mut inner = self.lock();
        inner.current = None;
        let is_finished = |spawned: &Spawned| spawned.task.is_finished();
        let finished = match inner.tasks.get(&id).is_some_and(is_finished) {
            true => inner.tasks.remove(&id),
            false => None,
        };
        drop(inner);
        drop(finished);
    }

    /// Notes what the running task does, for the report of what waits.
    pub(super) fn note(&self, operation: Operation) {
        let mut inner = self.lock();
        match inner.current {
            Some(MAIN) => inner.main_operation = Some(operation),
            Some(id) => {
                if let Some(spawned) = inner.tasks.get_mut(&id) {
                    spawned.last_operation = Some(operation);
                }
            }
            None => {}
        }
    }

    /// Moves time to the next timer and wakes whoever waits for that instant. `false` if there is
    /// none.
    pub(super) fn skip_to_next_timer(&self) -> bool {
        let mut inner = self.lock();
        let Some((&(deadline, _), _)) = inner.timers.first_key_value() else {
            return false;
        };
        inner.now = deadline;
        let later = inner.timers.split_off(&(deadline, u64::MAX));
        let due = std::mem::replace(&mut inner.timers, later);
        drop(inner);
        for waker in due.into_values() {
            waker.wake();
        }
        true
    }

    /// Says what has not finished, and what each did last.
    pub(super) fn waiting(&self) -> Vec<String> {
        let inner = self.lock();
        let last = |operation: Option<Operation>| match operation {
            Some(operation) => format!(", after {operation}"),
            None => String::new(),
        };
        let main = format!("the main future{}", last(inner.main_operation));
        let tasks = inner.tasks.iter().map(|(id, spawned)| {
            let operation = last(spawned.last_operation);
            format!("task {} spawned at {}{operation}", id.0, spawned.spawned_at)
        });
        std::iter::once(main).chain(tasks).collect()
    }

    /// Drops all tasks, and whatever is spawned from now on.
    ///
    /// A task that is dropped may wake another one while it holds a lock that the other's drop wants,
    /// so what is woken meanwhile waits for its turn instead of being dropped on the spot.
    pub(super) fn close(&self) {
        let (tasks, mut ready, timers) = {
            let mut inner = self.lock();
            inner.closed = true;
            inner.draining = true;
            (
                std::mem::take(&mut inner.tasks),
                std::mem::take(&mut inner.ready),
                std::mem::take(&mut inner.timers),
            )
        };
        drop(tasks);
        drop(timers);
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
        inner.ready.push_back(ready);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("now", &self.now())
            .field("waiting", &self.waiting())
            .finish()
    }
}

struct MainWaker {
    executor: Arc<Executor>,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut inner = self.executor.lock();
        if !inner.main_is_ready && !inner.closed {
            inner.main_is_ready = true;
            inner.ready.push_back(Ready::Main);
        }
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
        let key = *sleep.key.get_or_insert_with(|| {
            inner.timers_made += 1;
            (sleep.deadline, inner.timers_made)
        });
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
