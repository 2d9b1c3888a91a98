//! [`Waiting`]: an answer that the committer will give, and [`Patience`]: how it is waited for.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures::channel::oneshot;

use crate::{Error, Result};

/// Gives an answer.
pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// A future that owns nothing but its place in the line: dropping it takes nothing back.
#[derive(Debug)]
pub(crate) enum Waiting<T> {
    Answer(oneshot::Receiver<Result<T>>, Option<Turn>),
    Brief(oneshot::Receiver<Result<T>>, u32),
    Refused(Option<Error>),
}

impl<T> Waiting<T> {
    /// Sleeps until the answer is there.
    pub(crate) fn new() -> (Answer<T>, Waiting<T>) {
        let (sender, receiver) = oneshot::channel();
        (sender, Waiting::Answer(receiver, None))
    }

    /// Asks a number of times without letting go of its thread: for an answer that is a write into the
    /// operating system's cache away, and that another thread is about to give.
    pub(crate) fn brief(patience: &Arc<Patience>) -> (Answer<T>, Waiting<T>) {
        let (sender, receiver) = oneshot::channel();
        let spins = patience.polls.min(BRIEF_SPINS);
        (sender, Waiting::Brief(receiver, spins))
    }

    /// Asks a number of times before it sleeps, if nobody else does.
    pub(crate) fn patient(patience: &Arc<Patience>) -> (Answer<T>, Waiting<T>) {
        let (sender, receiver) = oneshot::channel();
        (sender, Waiting::Answer(receiver, patience.turn()))
    }

    pub(crate) fn refused(error: Error) -> Waiting<T> {
        Waiting::Refused(Some(error))
    }
}

impl<T> Future for Waiting<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        match self.get_mut() {
            Waiting::Answer(receiver, turn) => {
                if let Some(taken) = turn {
                    match receiver.try_recv() {
                        Ok(None) if taken.ask_again() => {
                            context.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        Ok(None) => *turn = None,
                        Ok(Some(answer)) => {
                            taken.answered();
                            *turn = None;
                            return Poll::Ready(answer);
                        }
                        Err(oneshot::Canceled) => return Poll::Ready(Err(unanswered())),
                    }
                }
                Pin::new(receiver)
                    .poll(context)
                    .map(|answer| answer.unwrap_or_else(|_| Err(unanswered())))
            }
            Waiting::Brief(receiver, spins) => {
                for _ in 0..std::mem::take(spins) {
                    match receiver.try_recv() {
                        Ok(None) => std::hint::spin_loop(),
                        Ok(Some(answer)) => return Poll::Ready(answer),
                        Err(oneshot::Canceled) => return Poll::Ready(Err(unanswered())),
                    }
                }
                Pin::new(receiver)
                    .poll(context)
                    .map(|answer| answer.unwrap_or_else(|_| Err(unanswered())))
            }
            Waiting::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Closed))),
        }
    }
}

/// The committer was torn down, by a panic or with the backend that ran it: whether the edit is on
/// disk is not known.
fn unanswered() -> Error {
    let source = std::io::Error::other("nobody is left to answer");
    Error::Poisoned {
        source: Arc::new(Error::io(source)),
    }
}

/// How often an answer that is near is asked for in a row: for about as long as waking a thread
/// takes.
const BRIEF_SPINS: u32 = 1024;

/// Decides who asks again at once instead of sleeping.
///
/// To wake a sleeping thread can take a quarter of the time of a sync. So one of those who wait, and
/// no more, keeps its thread awake by asking again, with everybody else on the same executor running
/// in between. Where the disk is too slow for that, it is given up for a while.
#[derive(Debug)]
pub(crate) struct Patience {
    polls: u32,
    taken: AtomicBool,
    /// Appends that go without, since the last attempt was in vain.
    skip: AtomicU32,
}

/// How many appends go without after an attempt in vain.
const SKIPPED: u32 = 64;

impl Patience {
    pub(crate) fn new(polls: u32) -> Patience {
        Patience {
            polls,
            taken: AtomicBool::new(false),
            skip: AtomicU32::new(0),
        }
    }

    fn turn(self: &Arc<Self>) -> Option<Turn> {
        if self.polls == 0 || self.taken.load(Ordering::Relaxed) {
            return None;
        }
        // Races between these steps cost or save a few polls, and nothing else.
        let skip = self.skip.load(Ordering::Relaxed);
        if skip > 0 {
            self.skip.store(skip - 1, Ordering::Relaxed);
            return None;
        }
        let taken = self.taken.swap(true, Ordering::Relaxed);
        (!taken).then(|| Turn {
            patience: self.clone(),
            left: self.polls,
        })
    }
}

/// The right to ask again, which one waiter has at a time.
#[derive(Debug)]
pub(crate) struct Turn {
    patience: Arc<Patience>,
    left: u32,
}

impl Turn {
    fn ask_again(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.patience.skip.store(SKIPPED, Ordering::Relaxed);
        }
        self.left > 0
    }

    fn answered(&self) {
        self.patience.skip.store(0, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.patience.taken.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// Polls until it no longer asks to be polled again at once; gives how often it was polled.
    fn polls_before_sleep(waiting: &mut Waiting<u32>) -> usize {
        struct Again(AtomicBool);
        impl std::task::Wake for Again {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let again = Arc::new(Again(AtomicBool::new(true)));
        let waker = Waker::from(again.clone());
        let mut polls = 0;
        while again.0.swap(false, Ordering::Relaxed) {
            polls += 1;
            let polled = Pin::new(&mut *waiting).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        polls
    }

    #[test]
    fn one_at_a_time_asks_again_and_in_vain_only_so_often() {
        let patience = Arc::new(Patience::new(10));
        let (_first_answer, mut first) = Waiting::patient(&patience);
        let (_second_answer, mut second) = Waiting::patient(&patience);
        assert_eq!(polls_before_sleep(&mut first), 10);
        assert_eq!(polls_before_sleep(&mut second), 1);
        // It was in vain, so the next ones go to sleep at once, and after a while one tries again.
        for _ in 0..SKIPPED {
            let (_answer, mut waiting) = Waiting::patient(&patience);
            assert_eq!(polls_before_sleep(&mut waiting), 1);
        }
        let (_answer, mut waiting) = Waiting::patient(&patience);
        assert_eq!(polls_before_sleep(&mut waiting), 10);
    }

    #[test]
    fn whoever_is_dropped_lets_the_next_one_ask() {
        let patience = Arc::new(Patience::new(10));
        drop(Waiting::<u32>::patient(&patience));
        let (_answer, mut waiting) = Waiting::patient(&patience);
        assert_eq!(polls_before_sleep(&mut waiting), 10);
    }

    #[test]
    fn a_backend_without_threads_is_never_asked_again() {
        let patience = Arc::new(Patience::new(0));
        let (_answer, mut waiting) = Waiting::patient(&patience);
        assert_eq!(polls_before_sleep(&mut waiting), 1);
        let (_answer, mut waiting) = Waiting::brief(&patience);
        assert_eq!(polls_before_sleep(&mut waiting), 1);
    }
}
