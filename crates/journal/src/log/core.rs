//! [`Core`]: what the handles of an open log share. `Log` and `Journal` are both made of it.
//!
//! The positions, and the order that always holds between them:
//!
//! ```text
//! snapshot ≤ applied ≤ synced ≤ written ≤ queued
//! ```
//!
//! Invariants:
//! - The queue's order is the order of sequence numbers.
//! - At most one committer is at work, and one is whenever the queue is not empty.
//! - The lock is held until the committer and maintenance have ended.

use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use futures::FutureExt;
use quipu_io::Io;
use quipu_io::planted::planted;

use super::queue::{Phase, Queue};
use super::segment::{SegmentSpan, SegmentWriter};
use super::waiting::{Answer, Patience, Waiting};
use super::{Positions, committer};
use crate::directory::Directory;
use crate::options::LogOptions;
use crate::recovery::{Opened, Recovered};
use crate::{Error, Result, Seq};

/// What is done with edits once they are durable: nothing but answering for a `Log`, applying them
/// for a `Journal`.
pub(crate) trait Machine<I: Io>: Sized + Send + Sync + 'static {
    /// What an append leaves in the queue.
    type Ticket: Send + 'static;

    /// The edits from `first` on are as durable as was asked. Takes and answers every ticket, and fails if
    /// nothing may be appended any more: then it calls `stop` before it answers anybody.
    fn commit(
        &self,
        first: Seq,
        tickets: &mut Vec<(Self::Ticket, u32)>,
        stop: impl FnOnce(&Error),
    ) -> Result<()>;

    /// Answers one ticket with an error.
    fn reject(&self, ticket: Self::Ticket, error: Error);

    /// Called after every round, with the bytes that it added to the log.
    fn after_round(_core: &Arc<Core<I, Self>>, _bytes: u64) {}
}

/// What the committer is asked for besides frames.
#[derive(Debug)]
pub(crate) enum Command {
    Sync(Answer<Seq>),
    Rotate(Answer<Seq>),
    Close,
}

pub(crate) type CoreQueue<I, M> = Queue<<M as Machine<I>>::Ticket, Command>;

pub(crate) struct Core<I: Io, M: Machine<I>> {
    pub(crate) directory: Directory<I>,
    pub(crate) options: LogOptions,
    pub(crate) machine: M,
    pub(crate) recovered: Recovered,
    queue: Mutex<CoreQueue<I, M>>,
    /// What `queue` tells without its lock.
    pub(crate) waiting: Arc<AtomicU64>,
    /// Where the committer finds its segment, and leaves it when it ends: boxed, for it goes back and forth.
    pub(crate) writer: Mutex<Option<Box<SegmentWriter<I>>>>,
    pub(crate) files: Mutex<Files>,
    /// Held while snapshots are written and files removed: one at a time.
    pub(crate) maintenance: futures::lock::Mutex<()>,
    /// Held by a sync that goes on behind the writes.
    pub(crate) sync_behind: Arc<futures::lock::Mutex<()>>,
    closing: Mutex<Closing<I>>,
    pub(crate) patience: Arc<Patience>,
}

/// The files that are there, in ascending order.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) segments: Vec<SegmentSpan>,
    pub(crate) snapshots: Vec<Seq>,
}

impl Files {
    /// Notes a snapshot, which may have replaced one of the same name.
    pub(crate) fn add_snapshot(&mut self, seq: Seq) {
        if let Err(place) = self.snapshots.binary_search(&seq) {
            self.snapshots.insert(place, seq);
        }
    }
}

struct Closing<I: Io> {
    lock: Option<I::Lock>,
    waiting: Vec<Answer<()>>,
    result: Option<Result<()>>,
    begun: bool,
}

impl<I: Io, M: Machine<I>> Core<I, M> {
    pub(crate) fn new(opened: Opened<I>, options: LogOptions, machine: M) -> Arc<Core<I, M>> {
        let last = opened.writer.last();
        let queue = Queue::new(last, options.max_frame_bytes, options.max_queue_bytes);
        let patience = Arc::new(Patience::new(opened.directory.io.busy_polls()));
        Arc::new(Core {
            patience,
            directory: opened.directory,
            options,
            machine,
            recovered: opened.report,
            waiting: queue.waiting.clone(),
            queue: Mutex::new(queue),
            writer: Mutex::new(Some(Box::new(opened.writer))),
            files: Mutex::new(Files {
                segments: opened.segments,
                snapshots: opened.snapshots,
            }),
            maintenance: futures::lock::Mutex::new(()),
            sync_behind: Arc::default(),
            closing: Mutex::new(Closing {
                lock: Some(opened.lock),
                waiting: Vec::new(),
                result: None,
                begun: false,
            }),
        })
    }

    /// Queues one append. Without `sync`, an idle log writes it before this returns, if the backend's
    /// write does not wait.
    pub(crate) fn append(
        self: &Arc<Self>,
        payload: &[&[u8]],
        edits: u32,
        ticket: M::Ticket,
        sync: bool,
    ) -> Result<()> {
        let mut queue = self.queue();
        queue.push(payload, edits, ticket, sync)?;
        self.wake(queue, !sync);
        Ok(())
    }

    /// Queues a command behind everything that is queued.
    pub(crate) fn command<T>(
        self: &Arc<Self>,
        make: impl FnOnce(Answer<T>) -> Command,
    ) -> Waiting<T> {
        let mut queue = self.queue();
        if let Err(error) = queue.check_open() {
            return Waiting::refused(error);
        }
        let (answer, waiting) = Waiting::new();
        queue.push_command(make(answer));
        self.wake(queue, false);
        waiting
    }

    /// Starts a committer if none is at work.
    fn wake(self: &Arc<Self>, mut queue: MutexGuard<'_, CoreQueue<I, M>>, in_place: bool) {
        if queue.running {
            return;
        }
        queue.running = true;
        drop(queue);
        if !in_place {
            self.directory.io.spawn(committer::linger(self.clone()));
            return;
        }
        // One poll does it all where the write goes to the page cache: a change of threads would
        // cost more than the write.
        let mut work = Box::pin(committer::visit(self.clone()));
        let mut context = Context::from_waker(Waker::noop());
        if work.poll_unpin(&mut context).is_pending() {
            self.directory.io.spawn(work);
        }
    }

    /// Ends the log: what is queued is finished, the segment sealed, the lock released.
    ///
    /// Takes effect when called; the future only waits.
    pub(crate) fn close(self: &Arc<Self>) -> Waiting<()> {
        let mut closing = lock(&self.closing);
        if let Some(result) = &closing.result {
            return match result {
                Ok(()) => Waiting::refused(Error::Closed),
                Err(error) => Waiting::refused(error.clone()),
            };
        }
        let (answer, waiting) = Waiting::new();
        closing.waiting.push(answer);
        if std::mem::replace(&mut closing.begun, true) {
            return waiting;
        }
        drop(closing);
        let mut queue = self.queue();
        if let Phase::Open = queue.phase {
            queue.phase = Phase::Closed;
        }
        drop(queue);
        let core = self.clone();
        self.directory.io.spawn(async move {
            // A snapshot under way sees that the log is closed, and stops.
            let _maintenance = core.maintenance.lock().await;
            let poisoned = {
                let mut queue = core.queue();
                match &queue.phase {
                    Phase::Poisoned(error) => error.clone(),
                    _ => {
                        queue.push_command(Command::Close);
                        core.wake(queue, false);
                        return;
                    }
                }
            };
            // The committer has ended with this, and only a sync that it has begun may still be
            // under way.
            drop(core.sync_behind.lock().await);
            core.end(Err(poisoned));
        });
        waiting
    }

    /// The last handle is gone. If nothing is under way, nobody can begin anything any more, and the
    /// lock is released at once; otherwise it is when the last task that touches the disk ends.
    fn abandon(&self) {
        let (maintenance, sync) = (self.maintenance.try_lock(), self.sync_behind.try_lock());
        if maintenance.is_none() || sync.is_none() {
            return;
        }
        let mut queue = self.queue();
        if queue.busy || !queue.is_empty() {
            return;
        }
        if let Phase::Open = queue.phase {
            queue.phase = Phase::Closed;
        }
        drop(queue);
        let mut closing = lock(&self.closing);
        if !closing.begun {
            let released = closing.lock.take();
            drop(closing);
            drop(released);
        }
    }

    /// Releases the lock and answers everybody who waits for that.
    pub(crate) fn end(&self, result: Result<()>) {
        let mut closing = lock(&self.closing);
        let released = closing.lock.take_if(|_| !planted("a close keeps the lock"));
        let waiting = std::mem::take(&mut closing.waiting);
        closing.result = Some(result.clone());
        drop(closing);
        drop(released);
        for answer in waiting {
            let _ = answer.send(result.clone());
        }
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, CoreQueue<I, M>> {
        lock(&self.queue)
    }

    pub(crate) fn positions(&self) -> Positions {
        let queue = self.queue();
        let (synced, written) = (queue.synced, queue.written);
        let queued = written.plus(queue.in_hand + queue.edits());
        assert!(
            synced <= written && written <= queued,
            "positions are out of order"
        );
        Positions {
            synced,
            written,
            queued,
        }
    }

    /// The first failure, or `Closed`, if nothing may be written any more.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.queue().check_open()
    }
}

/// What all clones of a handle share; the log is abandoned when the last of them is dropped.
pub(crate) struct Handle<I: Io, M: Machine<I>>(pub(crate) Arc<Core<I, M>>);

impl<I: Io, M: Machine<I>> Deref for Handle<I, M> {
    type Target = Arc<Core<I, M>>;

    fn deref(&self) -> &Arc<Core<I, M>> {
        &self.0
    }
}

impl<I: Io, M: Machine<I>> Drop for Handle<I, M> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Locks a mutex whose critical sections do not panic; if one did after all, the data is no worse
/// than before.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
