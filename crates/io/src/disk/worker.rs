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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;

    use super::*;

    /// Waits for `rounds` wakes; `wake` is to bring about one for each waker that it is given.
    fn wait(rounds: usize, mut wake: impl FnMut(Waker)) -> usize {
        let mut polls = 0;
        let waits = poll_fn(|context| {
            polls += 1;
            if polls > rounds {
                return Poll::Ready(());
            }
            wake(context.waker().clone());
            Poll::Pending
        });
        drive(waits);
        polls
    }

    /// A wake that gets lost shows as a test that hangs.
    #[test]
    fn wakes_of_another_thread_lead_to_polls_at_any_time() {
        const ROUNDS: usize = 20_000;
        let (sender, receiver) = mpsc::channel::<Waker>();
        let waking = thread::spawn(move || {
            for (round, waker) in receiver.iter().enumerate() {
                // Some before the thread parks, and some after.
                for _ in 0..round % 300 {
                    std::hint::spin_loop();
                }
                waker.wake();
            }
        });
        assert_eq!(
            wait(ROUNDS, |waker| sender.send(waker).unwrap()),
            ROUNDS + 1
        );
        drop(sender);
        waking.join().unwrap();
    }

    #[test]
    fn wakes_during_a_poll_lead_to_one_more() {
        let twice = |waker: Waker| {
            waker.wake_by_ref();
            waker.wake();
        };
        assert_eq!(wait(1_000, twice), 1_001);
    }

    #[test]
    fn wakes_for_what_has_ended_lead_to_no_poll_of_what_follows() {
        let mut stale = None;
        wait(1, |waker| {
            waker.wake_by_ref();
            stale = Some(waker);
        });
        let stale = stale.unwrap();
        stale.wake_by_ref();
        let (sender, receiver) = mpsc::channel::<Waker>();
        let waking = thread::spawn(move || receiver.iter().for_each(Waker::wake));
        let polls = wait(1, |waker| {
            stale.wake_by_ref();
            sender.send(waker).unwrap();
        });
        assert_eq!(polls, 2);
        drop(sender);
        waking.join().unwrap();
    }
}
