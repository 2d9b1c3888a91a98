//! Threads that may block, and what runs on them.
//!
//! The threads are those of smol's blocking pool, which starts one more whenever work is waiting
//! and none is idle. The pool cancels what has not started when its handle is dropped, so no handle
//! is dropped here without being detached.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::worker;
use crate::planted::planted;

thread_local! {
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is the pool's, so that a call may block it.
pub(super) fn may_block() -> bool {
    MAY_BLOCK.get()
}

/// Runs `work` in place on a thread that may block, and on the pool otherwise.
///
/// Once polled, `work` runs to its end even if the future is dropped.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if may_block() { work() } else { run(work).await }
}

/// Runs `work` on the pool, from now on and to its end. A panic continues in who awaits it.
pub(super) fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
    let task = smol::unblock(|| {
        let _permit = Permit::take();
        work()
    });
    Job { task: Some(task) }
}

/// Gives `work` a thread of the pool until it ends. A panic ends it, and goes no further.
pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(run(|| worker::drive(work)));
}

/// The handle to what [`run`] started. Dropping it leaves the work running.
pub(super) struct Job<T> {
    /// `None` only while this is being dropped.
    task: Option<smol::Task<T>>,
}

impl<T> Future for Job<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.task {
            Some(task) => Pin::new(task).poll(context),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take()
            && !planted("dropping a future cancels its work")
        {
            task.detach();
        }
    }
}

/// Marks the thread as one that may block, until dropped: a panic must not leave the mark behind.
struct Permit;

impl Permit {
    fn take() -> Permit {
        MAY_BLOCK.set(true);
        Permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        MAY_BLOCK.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn only_threads_of_the_pool_may_block() {
        assert!(!may_block());
        assert!(smol::block_on(run(may_block)));
        let (sender, receiver) = mpsc::channel();
        spawn(async move { sender.send(may_block()).unwrap() });
        assert!(receiver.recv().unwrap());
    }

    #[test]
    fn work_changes_threads_once() {
        let (first, second) = smol::block_on(blocking(|| {
            let second = worker::drive(blocking(|| thread::current().id()));
            (thread::current().id(), second)
        }));
        assert_ne!(first, thread::current().id());
        assert_eq!(first, second);
    }

    #[test]
    fn a_panic_takes_the_permit_back() {
        let panics = || {
            let _permit = Permit::take();
            resume_unwind(Box::new(()));
        };
        assert!(catch_unwind(panics).is_err());
        assert!(!may_block());
    }

    #[test]
    fn the_pool_outlives_panics() {
        for _ in 0..100 {
            spawn(async { resume_unwind(Box::new("spawned")) });
            let panics = run(|| resume_unwind(Box::new("ran")));
            let caught: thread::Result<()> =
                catch_unwind(AssertUnwindSafe(|| smol::block_on(panics)));
            assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"ran"));
        }
        assert_eq!(smol::block_on(run(|| 1)), 1);
    }

    #[test]
    fn work_runs_although_its_handle_is_dropped() {
        const JOBS: usize = 1_000;
        let (sender, receiver) = mpsc::channel();
        for job in 0..JOBS {
            let sender = sender.clone();
            drop(run(move || sender.send(job).unwrap()));
        }
        drop(sender);
        let mut ran: Vec<usize> = receiver.iter().collect();
        ran.sort_unstable();
        assert_eq!(ran, Vec::from_iter(0..JOBS));
    }
}
