//! [`Applied`]: the state of a journal, which follows the durable log.
//!
//! Invariants:
//! - Only durable edits are applied, in order, each once.
//! - Everybody who waits is answered, also when `apply` panics; behind a panic nothing is applied.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use quipu_io::Io;
use quipu_io::planted::planted;

use crate::codec;
use crate::format::frame;
use crate::log::Entry;
use crate::log::core::{Core, Machine};
use crate::log::waiting::Answer;
use crate::recovery::scan::Frame;
use crate::snapshots::{self, Keeper};
use crate::{Error, Replayable, Result, Seq};

/// The state and its bookkeeping.
pub(crate) struct Applied<S> {
    state: RwLock<State<S>>,
    pub(crate) keeper: Mutex<Keeper>,
}

/// A state and the last edit that is in it.
pub(crate) struct State<S> {
    pub(crate) machine: S,
    pub(crate) applied: Seq,
}

/// What an append of a journal leaves in the queue.
pub(crate) enum Ticket<S: Replayable> {
    One(S::Edit, Answer<(Seq, S::Output)>),
    Batch(Vec<S::Edit>, Answer<(Seq, Vec<S::Output>)>),
}

impl<S: Replayable> State<S> {
    pub(crate) fn initial() -> State<S> {
        State {
            machine: S::initial(),
            applied: Seq::ZERO,
        }
    }

    /// Applies the edits of a frame that come after those that are in the state.
    pub(crate) fn replay(&mut self, frame: &Frame, path: &Path) -> Result<()> {
        loop {
            let mut applying = false;
            let rest = AssertUnwindSafe(|| self.replay_rest(frame, path, &mut applying));
            match catch_unwind(rest) {
                Ok(result) => return result,
                Err(_) if applying => {
                    return Err(Error::Apply {
                        seq: self.applied.next(),
                    });
                }
                // An answer panicked when it was dropped, as it may have done live: the edit is
                // applied, and the next one follows.
                Err(_) => tracing::warn!(seq = %self.applied, "dropping an answer panicked"),
            }
        }
    }

    fn replay_rest(&mut self, frame: &Frame, path: &Path, applying: &mut bool) -> Result<()> {
        let header = &frame.header;
        let mut seq = header.first;
        for edit in frame::edits(&frame.payload, header.edits) {
            let Some(edit) = edit else {
                let reason = "the lengths of its edits do not add up";
                return Err(Error::corrupt(path, header.offset, reason));
            };
            if seq > self.applied {
                *applying = true;
                let edit = decode::<S>(edit, seq, path, header.offset)?;
                let answer = self.machine.apply(edit);
                self.applied = seq;
                *applying = false;
                drop(answer);
            }
            seq = seq.next();
        }
        Ok(())
    }

    /// Applies the edit after those that are in the state.
    pub(crate) fn apply_encoded(&mut self, entry: &Entry, path: &Path) -> Result<()> {
        let edit = decode::<S>(&entry.payload, entry.seq, path, entry.offset)?;
        self.apply(edit)
            .map(drop)
            .ok_or(Error::Apply { seq: entry.seq })
    }

    /// Applies one part of the snapshot of `seq`.
    pub(crate) fn load(&mut self, part: &[u8], seq: Seq, path: &Path, offset: u64) -> Result<()> {
        let edit = decode::<S>(part, seq, path, offset)?;
        catch_unwind(AssertUnwindSafe(|| self.machine.apply(edit)))
            .map(drop)
            .map_err(|_| Error::Apply { seq })
    }
}

/// The edit that these bytes hold.
pub(crate) fn decode<S: Replayable>(
    bytes: &[u8],
    seq: Seq,
    path: &Path,
    offset: u64,
) -> Result<S::Edit> {
    codec::decode(bytes).map_err(|reason| Error::Decode {
        seq,
        path: path.to_owned(),
        offset,
        reason,
    })
}

impl<S: Replayable> Applied<S> {
    pub(crate) fn new(state: State<S>, keeper: Keeper) -> Applied<S> {
        Applied {
            state: RwLock::new(state),
            keeper: Mutex::new(keeper),
        }
    }

    /// The state as of the last durable edit.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State<S>> {
        // Poisoned by a panic in `apply`, which has stopped the journal: what is there is shown.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies what the tickets hold. Gives what is to be answered, and what a panic left over.
    fn apply_all(&self, first: Seq, tickets: &mut Vec<(Ticket<S>, u32)>) -> Outcome<S> {
        let mut outcome = Outcome {
            done: Vec::with_capacity(tickets.len()),
            failed: Vec::new(),
        };
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(
            state.applied.next(),
            first,
            "edits are applied in order, each once"
        );
        let mut panicked = false;
        let mut seq = first;
        for (ticket, edits) in tickets.drain(..) {
            let number = seq;
            seq = seq.plus(u64::from(edits));
            match ticket {
                ticket if panicked => outcome.failed.push((number, ticket.into_refusal())),
                Ticket::One(_, answer)
                    if answer.is_canceled() && planted("an abandoned append is not applied") =>
                {
                    state.applied = number;
                }
                Ticket::One(edit, answer) => match state.apply(edit) {
                    Some(output) => outcome.done.push(Done::One(answer, (number, output))),
                    None => {
                        panicked = true;
                        outcome.failed.push((number, Refusal::One(answer)));
                    }
                },
                Ticket::Batch(edits, answer) => {
                    let outputs: Option<Vec<_>> =
                        edits.into_iter().map(|edit| state.apply(edit)).collect();
                    match outputs {
                        Some(outputs) => outcome.done.push(Done::Batch(answer, (number, outputs))),
                        None => {
                            panicked = true;
                            outcome.failed.push((number, Refusal::Batch(answer)));
                        }
                    }
                }
            }
        }
        outcome
    }
}

impl<S: Replayable> State<S> {
    /// Applies one edit; `None` if that panicked.
    fn apply(&mut self, edit: S::Edit) -> Option<S::Output> {
        let output = catch_unwind(AssertUnwindSafe(|| self.machine.apply(edit))).ok()?;
        self.applied = self.applied.next();
        Some(output)
    }
}

struct Outcome<S: Replayable> {
    done: Vec<Done<S>>,
    failed: Vec<(Seq, Refusal<S>)>,
}

enum Done<S: Replayable> {
    One(Answer<(Seq, S::Output)>, (Seq, S::Output)),
    Batch(Answer<(Seq, Vec<S::Output>)>, (Seq, Vec<S::Output>)),
}

/// What is left of a ticket whose edits are gone.
enum Refusal<S: Replayable> {
    One(Answer<(Seq, S::Output)>),
    Batch(Answer<(Seq, Vec<S::Output>)>),
}

impl<S: Replayable> Ticket<S> {
    fn into_refusal(self) -> Refusal<S> {
        match self {
            Ticket::One(_, answer) => Refusal::One(answer),
            Ticket::Batch(_, answer) => Refusal::Batch(answer),
        }
    }
}

impl<S: Replayable> Refusal<S> {
    fn send(self, error: Error) {
        // Nobody may be waiting any more.
        let _ = match self {
            Refusal::One(answer) => answer.send(Err(error)).is_ok(),
            Refusal::Batch(answer) => answer.send(Err(error)).is_ok(),
        };
    }
}

impl<S: Replayable, I: Io> Machine<I> for Applied<S> {
    type Ticket = Ticket<S>;

    fn commit(
        &self,
        first: Seq,
        tickets: &mut Vec<(Ticket<S>, u32)>,
        stop: impl FnOnce(&Error),
    ) -> Result<()> {
        let Outcome { done, failed } = self.apply_all(first, tickets);
        let cause = (!failed.is_empty()).then(|| Error::Apply {
            seq: self.read().applied.next(),
        });
        if let Some(cause) = &cause {
            stop(cause);
        }
        // Answered without the state's lock, which whoever is woken may want at once. An answer that
        // nobody waits for is dropped here, and if that panics it is nobody else's concern.
        for done in done {
            let sent = catch_unwind(AssertUnwindSafe(|| match done {
                Done::One(answer, output) => answer.send(Ok(output)).is_ok(),
                Done::Batch(answer, outputs) => answer.send(Ok(outputs)).is_ok(),
            }));
            if sent.is_err() {
                tracing::warn!("dropping an answer panicked");
            }
        }
        let Some(cause) = cause else {
            return Ok(());
        };
        let source = Arc::new(cause.clone());
        for (seq, refusal) in failed {
            refusal.send(Error::InDoubt {
                seq,
                source: source.clone(),
            });
        }
        Err(cause)
    }

    fn reject(&self, ticket: Ticket<S>, error: Error) {
        ticket.into_refusal().send(error);
    }

    fn after_round(core: &Arc<Core<I, Self>>, bytes: u64) {
        snapshots::after_round(core, bytes);
    }
}
