//! [`Answers`]: what each answer of a journal or a log means for the history (oracle 13).
//!
//! Where nothing can fail, an error is a violation. Where the disk may fail, errors are legal, and
//! each says something that has to be true: what was refused is not there and never comes back; what
//! is in doubt may be there; and behind what is in doubt nothing is committed any more.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::history::History;
use super::oracles::{ANSWERS, crash_never_keeps_it_from_opening};
use super::program::{Stage, lock};
use super::violation::Verdict;
use crate::{Error, Result, Seq};

/// Judges the answers of one open journal or log, or of what is built on one and has a history `H`
/// that holds the journal's.
#[derive(Clone, Debug)]
pub struct Answers<H = History> {
    pub(super) history: Arc<Mutex<H>>,
    is_faulty: bool,
    /// The edit that somebody was told is in doubt, or 0 for any other failure that stops the log:
    /// nothing behind it is committed.
    stopped: Arc<Mutex<Option<u64>>>,
    /// An open that nobody waits for any more may hold the lock for a while.
    may_be_locked: Arc<AtomicBool>,
}

/// How often an open that finds the lock held is tried again, after twice as long each time: an operation
/// may stall for an hour, and more than one may.
const PATIENCE: u32 = 28;

impl<H: AsRef<History> + AsMut<History>> Answers<H> {
    /// Of a life that begins with this history.
    pub fn new(is_faulty: bool, history: Arc<Mutex<H>>) -> Answers<H> {
        Answers {
            history,
            is_faulty,
            stopped: Arc::default(),
            may_be_locked: Arc::default(),
        }
    }

    /// What has happened, to read or to add to.
    pub fn history(&self) -> MutexGuard<'_, H> {
        lock(&self.history)
    }

    fn is_damaged(&self) -> bool {
        self.history().as_ref().is_damaged
    }

    /// Whether operations may fail for reasons that are not the program's.
    pub fn is_faulty(&self) -> bool {
        self.is_faulty || self.is_damaged()
    }

    /// Whether an answer has said that nothing is committed any more.
    pub fn has_stopped(&self) -> bool {
        lock(&self.stopped).is_some()
    }

    /// Notes that somebody has begun to open and does not wait for it.
    pub(super) fn lock_may_be_held(&self) {
        self.may_be_locked.store(true, Ordering::Relaxed);
    }

    /// Opens, again and again if the lock may be held for a while.
    pub(super) async fn when_unlocked<T, F: Future<Output = Result<T>>>(
        &self,
        io: &impl Stage,
        open: impl Fn() -> F,
    ) -> Result<T> {
        for attempt in 0..PATIENCE {
            match open().await {
                Err(Error::Locked { .. }) if self.may_be_locked.load(Ordering::Relaxed) => {
                    io.sleep(Duration::from_millis(1 << attempt)).await;
                }
                other => return other,
            }
        }
        open().await
    }

    /// What was opened; `None` if the disk is in the way.
    pub fn of_open<T>(&self, opened: Result<T>) -> Verdict<Option<T>> {
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if self.is_damaged() => self.typed(&error).map(|()| None),
            // A read or a write that fails, or no room: but never a word of damage.
            Err(Error::Io { .. } | Error::NoSpace { .. }) if self.is_faulty => Ok(None),
            Err(error) => crash_never_keeps_it_from_opening(Err(error)),
        }
    }

    /// Damage gives errors that name a file, or an error of the disk: nothing else.
    fn typed(&self, error: &Error) -> Verdict {
        match error {
            Error::Locked { .. } | Error::Closed | Error::Overloaded { .. } => {
                ANSWERS.broken(format!("the disk is damaged, and open says: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the group was acknowledged, and is durable if it was said to be.
    pub fn of_append(&self, group: u64, answer: Result<Seq>, durable: bool) -> Verdict<bool> {
        let mut guard = self.history();
        let history = guard.as_mut();
        let mut stopped = lock(&self.stopped);
        match answer {
            // An answer from before may be heard after.
            Ok(first) if stopped.is_some_and(|doubt| first.get() > doubt) => {
                let text = format!("edit {first} is committed behind one that is in doubt");
                ANSWERS.broken(text)
            }
            Ok(first) => history
                .acknowledge(group, first.get(), durable)
                .map(|()| true),
            Err(error) if !self.is_faulty => {
                ANSWERS.broken(format!("nothing was wrong, and an append: {error}"))
            }
            Err(Error::NotCommitted { .. }) => {
                history.refuse(group);
                Ok(false)
            }
            Err(Error::Poisoned { .. }) => {
                history.refuse(group);
                stopped.get_or_insert(u64::MAX);
                Ok(false)
            }
            Err(Error::InDoubt { seq, .. }) => {
                let doubt = stopped.unwrap_or(u64::MAX).min(seq.get());
                *stopped = Some(doubt);
                let place = history.place(group).map(|place| place as u64 + 1);
                match place == Some(seq.get()) {
                    true => Ok(false),
                    false => ANSWERS.broken(format!("edit {place:?} is in doubt as {seq}")),
                }
            }
            Err(error) => ANSWERS.broken(format!("an answer that nobody expects: {error}")),
        }
    }

    /// Whether the snapshot was taken; it stands for at least what was applied before.
    pub fn of_snapshot(&self, taken: Result<Seq>, applied: Seq) -> Verdict<bool> {
        match taken {
            Ok(seq) if self.has_stopped() => ANSWERS.broken(format!(
                "a snapshot of edit {seq} behind one that is in doubt"
            )),
            Ok(seq) if seq >= applied => Ok(true),
            Err(_) if self.is_faulty => Ok(false),
            other => ANSWERS.broken(format!("a snapshot of edit {applied}: {other:?}")),
        }
    }

    /// Whether it was a clean close.
    pub fn of_close(&self, closed: Result<()>) -> Verdict<bool> {
        match closed {
            Ok(()) if self.has_stopped() => {
                ANSWERS.broken("what has stopped does not close cleanly")
            }
            Ok(()) => Ok(true),
            Err(_) if self.is_faulty => Ok(false),
            Err(error) => ANSWERS.broken(format!("nothing was wrong, and close: {error}")),
        }
    }

    /// An answer that says nothing about one edit: a sync, a rotation, a truncation.
    pub fn of_call<T>(&self, answer: Result<T>) -> Verdict<bool> {
        match answer {
            Ok(_) if self.has_stopped() => {
                ANSWERS.broken("a call succeeds behind what is in doubt")
            }
            Ok(_) => Ok(true),
            Err(_) if self.is_faulty => {
                lock(&self.stopped).get_or_insert(0);
                Ok(false)
            }
            Err(error) => ANSWERS.broken(format!("nothing was wrong, and a call: {error}")),
        }
    }
}
