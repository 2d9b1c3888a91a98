//! Runs one future to its end on the thread that calls.
//!
//! Invariant: a wake that comes at any time after a poll began leads to another poll.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::planted::planted;

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
        if signal.take() && !planted("a wake during a poll is lost") {
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    /// Waits for `rounds` wakes, each after a poll that gives its waker to `wake`.
    ///
    /// `woken` counts the wakes. A poll without one fails, and one that gets lost hangs.
    fn wait(rounds: usize, woken: &AtomicUsize, mut wake: impl FnMut(Waker)) {
        let mut polls = 0;
        drive(poll_fn(|context| {
            assert_eq!(woken.load(Ordering::SeqCst), polls, "a poll follows a wake");
            if polls == rounds {
                return Poll::Ready(());
            }
            polls += 1;
            wake(context.waker().clone());
            Poll::Pending
        }));
    }

    /// Wakes from another thread, sometimes before this one parks and sometimes after.
    fn wait_for_another_thread(rounds: usize, mut before: impl FnMut()) {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let (sender, receiver) = mpsc::channel::<Waker>();
        let waking = thread::spawn(move || {
            for (round, waker) in receiver.iter().enumerate() {
                for _ in 0..round % 300 {
                    std::hint::spin_loop();
                }
                count.fetch_add(1, Ordering::SeqCst);
                waker.wake();
            }
        });
        wait(rounds, &woken, |waker| {
            before();
            sender.send(waker).unwrap();
        });
        drop(sender);
        waking.join().unwrap();
    }

    #[test]
    fn wakes_of_another_thread_lead_to_polls_at_any_time() {
        wait_for_another_thread(20_000, || {});
    }

    #[test]
    fn wakes_during_a_poll_lead_to_one_more() {
        let woken = AtomicUsize::new(0);
        wait(1_000, &woken, |waker| {
            woken.fetch_add(1, Ordering::SeqCst);
            waker.wake_by_ref();
            waker.wake();
        });
    }

    #[test]
    fn what_unparks_the_thread_for_another_reason_leads_to_no_poll() {
        let woken = AtomicUsize::new(0);
        let mut stale = None;
        wait(1, &woken, |waker| {
            woken.fetch_add(1, Ordering::SeqCst);
            stale = Some(waker.clone());
            waker.wake();
        });
        let stale = stale.unwrap();
        wait_for_another_thread(1_000, || {
            stale.wake_by_ref();
            thread::current().unpark();
        });
    }
}
