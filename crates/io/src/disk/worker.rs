//! Runs one future to its end on the thread that calls.
//!
//! Invariant: a wake that comes at any time after a poll began leads to another poll.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Polls `work` until it is ready, and parks the thread while nobody wakes it.
pub(super) fn drive<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let signal = Arc::new(Signal {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&signal));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut context) {
            return output;
        }
        if signal.take() {
            // A future that yields wants others to run, and they are other threads.
            thread::yield_now();
        } else {
            signal.wait();
        }
    }
}

struct Signal {
    thread: Thread,
    woken: AtomicBool,
}

impl Signal {
    /// Whether someone woke this since it was last asked.
    fn take(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }

    /// Parks until woken. `park` may also return for no reason, or for one of long ago.
    fn wait(&self) {
        while !self.take() {
            thread::park();
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Whoever set it first unparks; `unpark` before `park` makes the latter return at once.
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}
