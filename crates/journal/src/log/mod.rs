//! The log layer: payloads instead of edits, and durability as each append asks for it.
//!
//! [`Journal`](crate::Journal) is a log, a state and snapshots. Whoever brings a state of their own
//! (a store's write-ahead log, a queue) uses [`Log`] and gets the same segments, the same recovery,
//! the same guarantees.

pub(crate) mod committer;
pub(crate) mod core;
mod queue;
mod reader;
pub(crate) mod segment;
pub(crate) mod waiting;

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use quipu_io::planted::planted;
use quipu_io::{DiskIo, Io};

pub use self::reader::{Entry, Reader};
pub use crate::options::LogOptions;

use self::core::{Command, Core, Handle, Machine, lock};
use self::segment::SegmentSpan;
use self::waiting::{Answer, Waiting};
use crate::codec::Codec;
use crate::directory::Directory;
use crate::format::frame::EDIT_HEADER_BYTES;
use crate::recovery::scan::Frame;
use crate::recovery::{Recovered, Recovery};
use crate::snapshot::{self, SnapshotReader};
use crate::{Error, Result, Seq};

/// When an append to a [`Log`] is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk: it survives the loss of power.
    Disk,
    /// When the operating system has it: it survives the end of the process, not the loss of power.
    Os,
}

/// How far a log has come. `synced ≤ written ≤ queued` holds at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Positions {
    /// On disk.
    pub synced: Seq,
    /// In the operating system's hands.
    pub written: Seq,
    /// Handed in. The numbers above `written` are not final: a failed append gives its own back.
    pub queued: Seq,
}

/// A durable sequence of payloads. A clone is another handle to the same log.
///
/// ```
/// use quipu_io::DiskIo;
/// use quipu_journal::log::{Durability, Log, LogOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # smol::block_on(async {
/// let opening = Log::open(DiskIo::new()?, &dir, "wal", LogOptions::default()).await?;
/// let log = opening.finish().await?;
/// log.append(b"first", Durability::Os).await?;
/// log.append(b"second", Durability::Disk).await?; // and so the first is durable, too
/// log.close().await?;
///
/// let mut opening = Log::open(DiskIo::new()?, &dir, "wal", LogOptions::default()).await?;
/// while let Some((seq, payload)) = opening.next().await? {
///     println!("{seq}: {payload:?}");
/// }
/// let log = opening.finish().await?;
/// assert_eq!(log.recovered().last_seq.get(), 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok(())
/// # }
/// ```
pub struct Log<I: Io = DiskIo> {
    core: Arc<Handle<I, Acknowledge>>,
}

/// A [`Log`] that is being opened: what it holds can be read, and nothing was written yet.
///
/// What [`next`](Opening::next) gives is durable once [`finish`](Opening::finish) has answered, and
/// not before.
pub struct Opening<I: Io = DiskIo> {
    recovery: Recovery<I>,
    options: LogOptions,
    floor: Seq,
    frame: Option<(Frame, usize, Seq)>,
}

impl<I: Io> Log<I> {
    /// Opens the log with this file name prefix, or begins one, in a directory that is created
    /// where it is missing.
    ///
    /// Fails with `Locked` while it is open elsewhere, and with `Corrupt` and others as
    /// [`Journal::open`](crate::Journal::open) does. Dropping the future or the [`Opening`] leaves
    /// everything as it was.
    pub fn open(
        io: I,
        dir: impl AsRef<Path>,
        prefix: &str,
        options: LogOptions,
    ) -> impl Future<Output = Result<Opening<I>>> + Send + 'static {
        let directory = Directory::new(io, dir.as_ref(), prefix);
        async move {
            options.check()?;
            let mut recovery = Recovery::begin(directory?, Codec::Plain).await?;
            let floor = find_floor(&mut recovery).await?;
            recovery.start_after(floor);
            Ok(Opening {
                recovery,
                options,
                floor,
                frame: None,
            })
        }
    }

    /// Appends a payload. Queued when called: the order of calls is the order in the log.
    ///
    /// With `Os`, an idle log is written to before this returns, where the write does not wait.
    /// Dropping the future takes nothing back: the payload may be written.
    ///
    /// Fails with `NotCommitted` (no space, and nothing was written), `InDoubt`, `Poisoned`,
    /// `TooLarge`, `Overloaded` or `Closed`.
    pub fn append(&self, payload: impl AsRef<[u8]>, durability: Durability) -> LogAppend {
        self.queue(payload.as_ref(), durability, None)
    }

    /// Appends a payload, and calls `then` with its number once it is as durable as was asked.
    ///
    /// The calls come in the order of the numbers, each before its append is answered, whether or
    /// not anybody waits for that: what is derived from the log can be kept in step with it. They are
    /// made by whoever drives the round, so `then` must be short, and must not wait for the log. It
    /// is not called when the append fails. Everything else is as for [`append`](Log::append).
    pub fn append_then(
        &self,
        payload: impl AsRef<[u8]>,
        durability: Durability,
        then: impl FnOnce(Seq) + Send + 'static,
    ) -> LogAppend {
        self.queue(payload.as_ref(), durability, Some(Box::new(then)))
    }

    fn queue(&self, payload: &[u8], durability: Durability, then: Option<Then>) -> LogAppend {
        let limit = self.core.options.max_edit_bytes;
        if payload.len() > limit {
            let (bytes, limit) = (payload.len() as u64, limit as u64);
            return LogAppend(Waiting::refused(Error::TooLarge { bytes, limit }));
        }
        let Ok(len) = u32::try_from(payload.len()) else {
            let (bytes, limit) = (payload.len() as u64, u64::from(u32::MAX));
            return LogAppend(Waiting::refused(Error::TooLarge { bytes, limit }));
        };
        let sync = durability == Durability::Disk;
        let (answer, waiting) = match durability {
            Durability::Disk => Waiting::patient(&self.core.patience),
            Durability::Os => Waiting::brief(&self.core.patience),
        };
        let ticket = Ticket { answer, then };
        let parts: &[&[u8]] = &[&len.to_le_bytes(), payload];
        match self.core.append(parts, 1, ticket, sync) {
            Ok(()) => LogAppend(waiting),
            Err(error) => LogAppend(Waiting::refused(error)),
        }
    }

    /// Makes everything durable that was appended before, and answers with the last of it.
    pub fn sync(&self) -> impl Future<Output = Result<Seq>> + Send + 'static {
        self.core.command(Command::Sync)
    }

    /// Begins a new segment, and answers with the last number of the one before.
    pub fn rotate(&self) -> impl Future<Output = Result<Seq>> + Send + 'static {
        self.core.command(Command::Rotate)
    }

    /// Removes the segments that hold nothing above `seq`, which must be durable.
    ///
    /// The floor is durable before anything goes: from then on open gives nothing up to `seq`, and
    /// a segment above it that is missing is an error. Nothing happens while there is no whole
    /// segment to remove.
    pub fn truncate_front(&self, seq: Seq) -> impl Future<Output = Result<()>> + Send + 'static {
        let (answer, waiting) = Waiting::new();
        let core = self.core.clone();
        self.core.directory.io.spawn(async move {
            // Nobody may be waiting any more.
            let _ = answer.send(truncate(&core, seq).await);
        });
        waiting
    }

    /// How far the log has come.
    pub fn positions(&self) -> Positions {
        self.core.positions()
    }

    /// What open found.
    pub fn recovered(&self) -> &Recovered {
        &self.core.recovered
    }

    /// Finishes what is queued, seals the log and releases the lock, for all clones.
    ///
    /// Takes effect when called. Later appends fail with `Closed`, and so does a second close.
    /// Without it the next open finds the log unclean, and loses nothing.
    pub fn close(&self) -> impl Future<Output = Result<()>> + Send + 'static {
        self.core.close()
    }
}

impl<I: Io> Opening<I> {
    /// The next payload in order, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<(Seq, Bytes)>> {
        loop {
            if let Some((frame, at, seq)) = &mut self.frame
                && *seq <= frame.header.last()
            {
                let (payload, end) = edit_at(&frame.payload, *at).ok_or_else(|| {
                    let path = self.recovery.current_path();
                    Error::corrupt(&path, frame.header.offset, "its edits' lengths are wrong")
                })?;
                let number = *seq;
                (*at, *seq) = (end, seq.next());
                if number > self.floor {
                    return Ok(Some((number, payload)));
                }
                continue;
            }
            match self.recovery.next_frame().await? {
                Some(frame) => {
                    let first = frame.header.first;
                    self.frame = Some((frame, 0, first));
                }
                None => return Ok(None),
            }
        }
    }

    /// Reads what is left, makes everything durable that was read, and begins to take appends.
    ///
    /// Fails with `NoSpace` where an unclean log needs a new segment and there is no room; nothing
    /// has changed then.
    pub async fn finish(mut self) -> Result<Log<I>> {
        while self.recovery.next_frame().await?.is_some() {}
        let opened = self.recovery.finish(&self.options).await?;
        tracing::info!(recovered = %opened.report, "log opened");
        Ok(Log {
            core: Arc::new(Handle(Core::new(opened, self.options, Acknowledge))),
        })
    }
}

/// One edit of a payload, and where the next begins.
fn edit_at(payload: &Bytes, at: usize) -> Option<(Bytes, usize)> {
    let (head, rest) = payload
        .get(at..)?
        .split_first_chunk::<EDIT_HEADER_BYTES>()?;
    let len = u32::from_le_bytes(*head) as usize;
    let start = at + EDIT_HEADER_BYTES;
    rest.get(..len)?;
    Some((payload.slice(start..start + len), start + len))
}

/// The newest intact statement of what was truncated: a snapshot without parts.
///
/// One that cannot be read now is not passed over: what it says is truncated would come back.
async fn find_floor<I: Io>(recovery: &mut Recovery<I>) -> Result<Seq> {
    let mut first_error = None;
    for seq in recovery.snapshots().to_vec().into_iter().rev() {
        let read = async {
            let mut reader =
                SnapshotReader::open(recovery.directory(), Some(Codec::Plain), seq).await?;
            while reader.next().await?.is_some() {}
            Ok::<_, Error>(())
        };
        match read.await {
            Ok(()) => return Ok(seq),
            Err(error) if error.is_corrupt() => {
                let path = recovery.directory().snapshot(seq);
                recovery
                    .report_mut()
                    .skipped_snapshots
                    .push((path, error.clone()));
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match first_error {
        Some(error) if !recovery.reaches_first_edit() => Err(error),
        _ => Ok(Seq::ZERO),
    }
}

async fn truncate<I: Io>(core: &Arc<Core<I, Acknowledge>>, seq: Seq) -> Result<()> {
    let _maintenance = core.maintenance.lock().await;
    core.check_open()?;
    let synced = core.queue().synced;
    if seq > synced {
        let reason = format!("edits up to {synced} are durable, {seq} cannot be truncated yet");
        return Err(Error::Invalid {
            reason: reason.into(),
        });
    }
    let (plan, is_floor) = {
        let files = lock(&core.files);
        let segments = snapshot::covered(&files.segments, seq);
        let snapshots = files
            .snapshots
            .iter()
            .copied()
            // A higher floor was promised before, perhaps by a call that a crash has cut short.
            .filter(|old| *old < seq || planted("a lower floor replaces a higher one"))
            .collect();
        let plan = snapshot::Prune {
            snapshots,
            segments,
        };
        (plan, seq >= reach(&files.segments))
    };
    if plan.segments.is_empty() {
        return Ok(());
    }
    if is_floor {
        let written = snapshot::write(&core.directory, Codec::Plain, seq, std::iter::empty()).await;
        // Also if that failed: the name may be there all the same, and goes before the log that it
        // needs.
        lock(&core.files).add_snapshot(seq);
        written?;
    }
    snapshot::prune(&core.directory, &core.files, plan).await
}

/// The last payload before those that the log has without a gap.
///
/// Segments below were truncated once, and a crash has brought them back. A floor there would be below
/// the gap, and so a loss that open would have to report.
fn reach(segments: &[SegmentSpan]) -> Seq {
    let mut reach = Seq::ZERO;
    let mut above: Option<u64> = None;
    for segment in segments.iter().rev() {
        if above.is_some_and(|above| segment.number + 1 != above) {
            break;
        }
        above = Some(segment.number);
        reach = Seq::new(segment.first.get() - 1);
    }
    reach
}

/// The machine of a plain log: an edit is done when it is durable.
#[derive(Debug)]
pub(crate) struct Acknowledge;

/// What an append leaves in the queue.
pub(crate) struct Ticket {
    answer: Answer<Seq>,
    then: Option<Then>,
}

type Then = Box<dyn FnOnce(Seq) + Send>;

impl<I: Io> Machine<I> for Acknowledge {
    type Ticket = Ticket;

    fn commit(
        &self,
        first: Seq,
        tickets: &mut Vec<(Ticket, u32)>,
        stop: impl FnOnce(&Error),
    ) -> Result<()> {
        let mut seq = first;
        let mut tickets = tickets.drain(..);
        while let Some((ticket, edits)) = tickets.next() {
            if let Some(then) = ticket.then
                && catch_unwind(AssertUnwindSafe(|| then(seq))).is_err()
            {
                let error = Error::Apply { seq };
                stop(&error);
                let rest = tickets.map(|(ticket, _)| ticket.answer);
                for answer in [ticket.answer].into_iter().chain(rest) {
                    let _ = answer.send(Err(error.clone()));
                }
                return Err(error);
            }
            // Nobody may be waiting any more.
            let _ = ticket.answer.send(Ok(seq));
            seq = seq.plus(u64::from(edits));
        }
        Ok(())
    }

    fn reject(&self, ticket: Ticket, error: Error) {
        let _ = ticket.answer.send(Err(error));
    }
}

/// The answer to [`Log::append`]: the payload's number, once it is as durable as was asked.
#[must_use = "an append that nobody waits for may fail without anybody knowing"]
#[derive(Debug)]
pub struct LogAppend(Waiting<Seq>);

impl Future for LogAppend {
    type Output = Result<Seq>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Seq>> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<I: Io> Clone for Log<I> {
    fn clone(&self) -> Self {
        Log {
            core: self.core.clone(),
        }
    }
}

impl<I: Io> fmt::Debug for Log<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("path", &self.core.directory.path)
            .field("positions", &self.positions())
            .finish_non_exhaustive()
    }
}

impl<I: Io> fmt::Debug for Opening<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("floor", &self.floor)
            .finish_non_exhaustive()
    }
}
