//! The committer: takes rounds from the queue, writes and syncs them, and has them answered.
//!
//! It is started by the append that finds the queue idle and ends when the queue is empty, so an
//! idle log has no task, and an appender that is never polled again holds up nobody.
//!
//! Invariants:
//! - Nothing is answered `Ok` before the sync that covers it has returned `Ok`.
//! - A failed write or sync is the last one: nothing is retried.
//! - Nothing of a new segment is acknowledged before its predecessor is sealed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::BytesMut;
use quipu_io::Io;
use quipu_io::planted::planted;

use super::core::{Command, Core, Machine, lock};
use super::queue::{Phase, Round, Work};
use super::segment::{Failure, SegmentWriter};
use super::waiting::Answer;
use crate::format::aligned;
use crate::format::frame::{self, HEADER_BYTES};
use crate::{Error, Result, Seq};

/// How often the queue is looked at without seeing it grow before a round is closed, or the
/// committer ends. A look lets everybody else run who can; a bound by a clock would not hold in
/// simulated time.
const LOOKS: u32 = 64;

/// Whether the committer waits a little for more work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Gathers rounds, and looks again before it ends.
    Lingering,
    /// Takes what is there.
    Brief,
}

/// How many rounds an appender writes within its own call: one is its own.
const BRIEF_ROUNDS: u32 = 256;

/// On a thread of the backend: runs until the queue stays empty.
pub(crate) async fn linger<I: Io, M: Machine<I>>(core: Arc<Core<I, M>>) {
    if let Some(mut committer) = Committer::take(core) {
        committer.drive(Manner::Lingering, u32::MAX).await;
    }
}

/// Inside an appender's call: does what is there, and ends. If others go on appending meanwhile, it
/// leaves them to the backend after a few rounds.
pub(crate) async fn visit<I: Io, M: Machine<I>>(core: Arc<Core<I, M>>) {
    let Some(mut committer) = Committer::take(core) else {
        return;
    };
    if !committer.drive(Manner::Brief, BRIEF_ROUNDS).await {
        let io = committer.core.directory.io.clone();
        io.spawn(async move {
            committer.drive(Manner::Lingering, u32::MAX).await;
        });
    }
}

/// A frame that is in the log as durably as was asked.
struct Written {
    /// So much the log has grown.
    bytes: u64,
    last: Seq,
    /// To be used again.
    buffer: Option<BytesMut>,
}

struct Committer<I: Io, M: Machine<I>> {
    core: Arc<Core<I, M>>,
    /// Gone once the committer has ended, in whatever way.
    writer: Option<Box<SegmentWriter<I>>>,
    /// How many edits the next round will have if all whom the last one answered append again.
    expected: u64,
    /// Whether the last round was synced, so that it is worth waiting for company for the next sync. A
    /// write without one is done soonest by who appends, in the call.
    lingers: bool,
    /// Room for tickets, which the queue gets back.
    tickets: Vec<(M::Ticket, u32)>,
}

impl<I: Io, M: Machine<I>> Committer<I, M> {
    fn take(core: Arc<Core<I, M>>) -> Option<Committer<I, M>> {
        let writer = lock(&core.writer).take()?;
        Some(Committer {
            core,
            writer: Some(writer),
            expected: 0,
            lingers: false,
            tickets: Vec::new(),
        })
    }

    /// Does at most so much work; tells whether it has ended because there is no more.
    async fn drive(&mut self, manner: Manner, most: u32) -> bool {
        for _ in 0..most {
            match self.next(manner).await {
                Some(Work::Frame(round)) => self.commit(round).await,
                // What is rare is boxed: the future of a plain append is to stay small.
                Some(Work::Command(command)) => Box::pin(self.command(command)).await,
                None => return true,
            }
        }
        false
    }

    /// What to do next; `None` once there is nothing, and the committer has ended.
    ///
    /// Closing a round too early makes appenders settle into two halves, each of which waits for the
    /// other's sync. So a round is closed when as many edits are there as were answered last plus
    /// those that were queued already, or when nobody has come for a while.
    async fn next(&mut self, manner: Manner) -> Option<Work<M::Ticket, Command>> {
        self.writer.as_ref()?;
        let (mut seen, mut looks) = (0, 0);
        loop {
            // Without the queue's lock, which those want who append meanwhile.
            let waiting = self.core.waiting.load(Ordering::Relaxed);
            let patient = manner == Manner::Lingering && self.lingers && looks < LOOKS;
            if waiting >= self.expected.max(1) || !patient {
                let mut queue = self.core.queue();
                queue.recycle_tickets(std::mem::take(&mut self.tickets));
                if !queue.is_empty() {
                    return queue.pop();
                }
                if !patient {
                    *lock(&self.core.writer) = self.writer.take();
                    queue.running = planted("a committer that has ended counts as running");
                    return None;
                }
            }
            looks = if waiting > seen { 0 } else { looks + 1 };
            seen = waiting;
            LetOthersRun(false).await;
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Sync(answer) => {
                let result = self.sync().await;
                self.core.queue().busy = false;
                self.answer(answer, result);
            }
            Command::Rotate(answer) => {
                let result = self.rotate().await;
                self.core.queue().busy = false;
                self.answer(answer, result);
            }
            Command::Close => {
                let result = self.close().await.map_err(Failure::into_error);
                if let Err(error) = &result {
                    self.poison(error.clone());
                }
                self.writer = None;
                {
                    let mut queue = self.core.queue();
                    (queue.running, queue.busy) = (false, false);
                }
                self.core.end(result);
            }
        }
    }

    async fn commit(&mut self, mut round: Round<M::Ticket>) {
        let before = self
            .writer
            .as_ref()
            .map_or(Seq::ZERO, |writer| writer.last());
        let written = self.write(&mut round).await;
        let Round {
            edits,
            mut tickets,
            sync,
            ..
        } = round;
        self.lingers = sync;
        match written {
            Ok(Written {
                bytes,
                last,
                buffer,
            }) => {
                {
                    // Counted before anybody is woken: whoever is answered now may append again. And
                    // whoever drops the last handle then finds nothing under way.
                    let mut queue = self.core.queue();
                    queue.recycle(buffer);
                    queue.written = last;
                    if sync {
                        queue.synced = last;
                    }
                    (queue.in_hand, queue.busy) = (0, false);
                    self.expected = u64::from(edits) + queue.edits();
                }
                let core = self.core.clone();
                let mut behind = Vec::new();
                let stop = |error: &Error| behind = self.stop(error);
                match core.machine.commit(before.next(), &mut tickets, stop) {
                    Ok(()) => {
                        self.tickets = tickets;
                        M::after_round(&core, bytes);
                    }
                    Err(error) => self.reject(behind, &Arc::new(error)),
                }
            }
            Err(Failure::Refused(error)) => {
                {
                    let mut queue = self.core.queue();
                    (queue.in_hand, queue.busy) = (0, false);
                }
                let refusal = error.not_committed();
                for (ticket, _) in tickets {
                    self.core.machine.reject(ticket, refusal.clone());
                }
            }
            Err(Failure::Fatal(error)) => {
                // Poisoned before anybody is answered, so that nobody can append in between.
                if planted("a failure is followed by a seal") {
                    let _ = Box::pin(self.close()).await;
                }
                let behind = self.stop(&error);
                let source = Arc::new(error);
                let mut seq = before;
                for (ticket, edits) in tickets {
                    let source = source.clone();
                    let doubt = match planted("what is in doubt is called not committed") {
                        true => Error::NotCommitted { source },
                        false => Error::InDoubt {
                            seq: seq.next(),
                            source,
                        },
                    };
                    seq = seq.plus(u64::from(edits));
                    self.core.machine.reject(ticket, doubt);
                }
                self.reject(behind, &source);
            }
        }
    }

    /// Writes one frame, and syncs it if asked to.
    async fn write(&mut self, round: &mut Round<M::Ticket>) -> Result<Written, Failure> {
        let payload = round.frame.len() - HEADER_BYTES;
        let bytes = (HEADER_BYTES as u64) + aligned(payload as u64);
        let full = self.writer()?.end() + bytes > self.core.options.segment_bytes;
        if full && !self.writer()?.is_empty() {
            Box::pin(self.rotate()).await?;
        }
        let watermark = match planted("a watermark covers what is only written") {
            true => self.core.queue().written,
            false => self.core.queue().synced,
        };
        let (mut edits, sync) = (round.edits, round.sync);
        let writer = self.writer()?;
        writer.reserve(bytes, sync).await?;
        if edits > 1 && planted("a batch is written as two frames") {
            let first = frame::split_first(&mut round.frame);
            writer.write(first, 1, watermark).await?;
            edits -= 1;
        }
        let frame = std::mem::take(&mut round.frame);
        let buffer = writer.write(frame, edits, watermark).await?;
        let last = writer.last();
        if sync && !planted("an append is answered without a sync") {
            writer.sync().await?;
        }
        if !sync {
            self.sync_behind()?;
        }
        Ok(Written {
            bytes,
            last,
            buffer,
        })
    }

    /// Begins a sync that nobody waits for, if much is unsynced and none is under way.
    fn sync_behind(&mut self) -> Result<(), Failure> {
        let core = self.core.clone();
        let writer = self.writer()?;
        let limit = core.options.sync_behind_bytes;
        if limit == 0 || writer.unsynced() < limit {
            return Ok(());
        }
        // The lock on the directory is not released while it is under way.
        match core.sync_behind.try_lock_owned() {
            Some(guard) => writer.sync_behind((guard, core)),
            None => Ok(()),
        }
    }

    async fn sync(&mut self) -> Result<Seq, Failure> {
        let (written, synced) = {
            let queue = self.core.queue();
            (queue.written, queue.synced)
        };
        if synced < written && !planted("a sync takes what is written for synced") {
            self.writer()?.sync().await?;
            self.core.queue().synced = written;
        }
        Ok(written)
    }

    /// Sync, publish the next segment, seal this one: in this order, for the seal says that the next
    /// one is there, and its header that this one is whole.
    async fn rotate(&mut self) -> Result<Seq, Failure> {
        let last = match planted("a rotation does not sync the frames") {
            true => self.core.queue().written,
            false => self.sync().await?,
        };
        let core = self.core.clone();
        let next = self.writer()?.rotate(&core.options).await?;
        tracing::debug!(segment = next.number(), first = %last.next(), "segment published");
        lock(&core.files).segments.push(next.span());
        self.writer = Some(Box::new(next));
        Ok(last)
    }

    /// Two syncs: one for both would let the seal survive without what it vouches for.
    async fn close(&mut self) -> Result<(), Failure> {
        if !planted("a close has one sync for frames and seal") {
            self.sync().await?;
        }
        if planted("a close writes no seal") {
            return Ok(());
        }
        self.writer()?.seal(None).await
    }

    fn writer(&mut self) -> Result<&mut SegmentWriter<I>, Failure> {
        let writer = self.writer.as_deref_mut();
        writer.ok_or(Failure::Refused(Error::Closed))
    }

    fn answer<T>(&mut self, answer: Answer<T>, result: Result<T, Failure>) {
        let result = match result {
            Ok(value) => Ok(value),
            Err(Failure::Refused(error)) => Err(error.not_committed()),
            Err(Failure::Fatal(error)) => {
                self.poison(error.clone());
                Err(Error::Poisoned {
                    source: Arc::new(error),
                })
            }
        };
        // Nobody may be waiting any more.
        let _ = answer.send(result);
    }

    fn poison(&mut self, error: Error) {
        let behind = self.stop(&error);
        self.reject(behind, &Arc::new(error));
    }

    /// Ends the committer: nothing is taken any more. Gives what was queued.
    fn stop(&mut self, error: &Error) -> Vec<Work<M::Ticket, Command>> {
        tracing::error!(%error, "the journal is stopped");
        self.writer = None;
        let mut queue = self.core.queue();
        queue.phase = Phase::Poisoned(Error::Poisoned {
            source: Arc::new(error.clone()),
        });
        queue.running = false;
        let behind = std::iter::from_fn(|| queue.pop()).collect();
        queue.busy = false;
        queue.in_hand = 0;
        behind
    }

    fn reject(&self, work: Vec<Work<M::Ticket, Command>>, source: &Arc<Error>) {
        let refusal = Error::NotCommitted {
            source: source.clone(),
        };
        for work in work {
            match work {
                Work::Frame(round) => {
                    for (ticket, _) in round.tickets {
                        self.core.machine.reject(ticket, refusal.clone());
                    }
                }
                Work::Command(Command::Sync(answer) | Command::Rotate(answer)) => {
                    let _ = answer.send(Err(refusal.clone()));
                }
                Work::Command(Command::Close) => {
                    self.core.end(Err(Error::Poisoned {
                        source: source.clone(),
                    }));
                }
            }
        }
    }
}

impl<I: Io, M: Machine<I>> Drop for Committer<I, M> {
    /// Torn down in the middle of its work, by a panic or with the backend: nobody is left waiting.
    fn drop(&mut self) {
        if self.writer.is_some() {
            let source = std::io::Error::other("the committer was torn down");
            self.poison(Error::Io {
                source: Arc::new(source),
            });
        }
    }
}

/// Pending once: whoever else can run does so first.
struct LetOthersRun(bool);

impl Future for LetOthersRun {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
