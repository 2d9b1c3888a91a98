//! From the files of a directory to a log that can be appended to, in named steps:
//!
//! 1. [`Recovery::begin`]: lock, list, read headers and seals, judge the chain.
//! 2. [`Recovery::start_after`]: the caller has loaded a snapshot; replay begins behind it.
//! 3. [`Recovery::next_frame`]: the frames, in order, each verified; at the end, the tail is judged
//!    by every proof there is.
//! 4. [`Recovery::finish`]: go on in the last segment, or publish a new one.
//!
//! Invariants:
//! - Nothing is written before step 4, so an error before it leaves every byte as it was.
//! - A frame below a proof is there, or the result is `Corrupt`.
//! - No byte is written behind or into the frames that were read, except behind a clean close.
//! - What step 4 answers with is durable, and no later crash takes it back.

pub(crate) mod chain;
mod finish;
mod report;
pub(crate) mod scan;
pub(crate) mod survey;
pub(crate) mod tail;

pub(crate) use finish::Opened;
pub use report::{Discarded, Left, LoadedSnapshot, Recovered};

use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use quipu_io::planted::planted;
use quipu_io::{File, Io, OpenOptions};

use self::chain::Segment;
use self::scan::{Frame, Frames, Stop};
use self::tail::Tail;
use crate::codec::Codec;
use crate::directory::{Directory, Listing};
use crate::format::header::FRAMES_OFFSET;
use crate::{Error, Result, Seq};

/// A log that is being opened.
pub(crate) struct Recovery<I: Io> {
    directory: Directory<I>,
    codec: Codec,
    lock: I::Lock,
    listing: Listing,
    segments: Vec<Segment>,
    /// The segments that hold the log, of `segments`.
    chain: Range<usize>,
    /// The segment that is read now, of `segments`.
    current: usize,
    frames: Option<(PathBuf, Frames<I::File>)>,
    /// The last edit before the next frame.
    last: Seq,
    base: Seq,
    fingerprint: u64,
    /// The last segment's, once it is being read.
    tail: Option<(Tail, Arc<I::File>, u64)>,
    report: Recovered,
}

impl<I: Io> Recovery<I> {
    /// Takes the lock and reads what every segment says of itself.
    pub(crate) async fn begin(directory: Directory<I>, codec: Codec) -> Result<Recovery<I>> {
        directory
            .io
            .create_dir_all(&directory.path)
            .await
            .map_err(Error::io)?;
        let lock = take_lock(&directory).await?;
        let listing = directory.list().await?;
        directory.check_start(&listing).await?;
        let segments = survey::read(&directory, &listing, Some(codec)).await?;
        let chain = if segments.is_empty() {
            0..0
        } else {
            chain::judge(&segments, listing.snapshots.first().copied()).map_err(|finding| {
                Error::corrupt(
                    &directory.segment(finding.number),
                    finding.offset,
                    finding.reason,
                )
            })?
        };
        let mut recovery = Recovery {
            current: chain.start,
            directory,
            codec,
            lock,
            listing,
            segments,
            chain,
            frames: None,
            last: Seq::ZERO,
            base: Seq::ZERO,
            fingerprint: 0,
            tail: None,
            report: Recovered::default(),
        };
        recovery.start_after(Seq::ZERO);
        Ok(recovery)
    }

    pub(crate) fn directory(&self) -> &Directory<I> {
        &self.directory
    }

    /// The snapshots that are there, in ascending order.
    pub(crate) fn snapshots(&self) -> &[Seq] {
        &self.listing.snapshots
    }

    /// Whether the log goes back to the first edit, so that no snapshot is needed.
    pub(crate) fn reaches_first_edit(&self) -> bool {
        self.segments
            .get(self.chain.start)
            .is_none_or(|first| first.header.predecessor.is_none())
    }

    pub(crate) fn report(&self) -> &Recovered {
        &self.report
    }

    pub(crate) fn report_mut(&mut self) -> &mut Recovered {
        &mut self.report
    }

    /// Replay will begin with the edit after `base`; whole segments before it are not read.
    pub(crate) fn start_after(&mut self, base: Seq) {
        self.base = base.plus(u64::from(planted("replay begins one edit late")));
        self.current = self.chain.start;
        while self.current + 1 < self.chain.end
            && (self.segments[self.current + 1].header.first <= base.next()
                || planted("replay reads the last segment only"))
        {
            self.current += 1;
        }
        if let Some(segment) = self.segments.get(self.current) {
            self.last = before(segment.header.first);
        }
    }

    /// The next frame that holds edits after the base; `None` once the end was reached and judged.
    pub(crate) async fn next_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if self.frames.is_none() && !self.open_segment().await? {
                return Ok(None);
            }
            let Some((path, frames)) = &mut self.frames else {
                return Ok(None);
            };
            let offset = frames.offset();
            match frames.next().await? {
                Ok(frame) if frame.header.first != self.last.next() => {
                    let reason = format!(
                        "a frame begins with edit {}, and edit {} is due",
                        frame.header.first,
                        self.last.next()
                    );
                    return Err(Error::corrupt(path, offset, reason));
                }
                Ok(frame) => {
                    self.last = frame.header.last();
                    self.fingerprint = frame.header.fingerprint();
                    self.report.log_bytes += frame.header.end() - offset;
                    if let Some((tail, ..)) = &mut self.tail {
                        tail.accept(&frame);
                    }
                    if self.last > self.base {
                        let first = frame.header.first.max(self.base.next());
                        self.report.edits += self.last.since(first) + 1;
                        return Ok(Some(frame));
                    }
                }
                Err(stop) => self.end_segment(stop).await?,
            }
        }
    }

    /// The file that the frames come from, for errors about their content.
    pub(crate) fn current_path(&self) -> PathBuf {
        match &self.frames {
            Some((path, ..)) => path.clone(),
            None => self.directory.path.to_path_buf(),
        }
    }

    async fn open_segment(&mut self) -> Result<bool> {
        if self.current >= self.chain.end {
            return Ok(false);
        }
        let segment = &self.segments[self.current];
        let path = self.directory.segment(segment.number());
        let opened = self.directory.io.open(&path, OpenOptions::ReadWrite).await;
        let file = Arc::new(opened.map_err(Error::io)?);
        let size = file.size().await.map_err(Error::io)?;
        let limit = match self.successor() {
            Some(successor) => successor.end.min(size),
            None => {
                let tail = Tail::new(segment, self.listing.snapshots.last().copied());
                self.tail = Some((tail, file.clone(), size));
                size
            }
        };
        let frames = Frames::new(
            file.clone(),
            segment.header.checksum(),
            FRAMES_OFFSET,
            limit,
        );
        self.fingerprint = 0;
        self.frames = Some((path, frames));
        Ok(true)
    }

    /// What the segment after the current one says of it; `None` for the last one.
    fn successor(&self) -> Option<crate::format::header::Predecessor> {
        let next = self.current + 1;
        if next < self.chain.end {
            self.segments[next].header.predecessor
        } else {
            None
        }
    }

    async fn end_segment(&mut self, stop: Stop) -> Result<()> {
        let Some((path, frames)) = self.frames.take() else {
            return Ok(());
        };
        let end = frames.offset();
        match self.successor() {
            Some(stated) => {
                if stop != Stop::Limit || end != stated.end || self.last != stated.last {
                    return Err(Error::corrupt(&path, end, below_proof(stop, stated.last)));
                }
                if self.fingerprint != stated.fingerprint {
                    let reason = "its last frame is not the one that its successor names";
                    return Err(Error::corrupt(&path, FRAMES_OFFSET, reason));
                }
            }
            None => {
                let checksum = self.segments[self.current].header.checksum();
                let Some((tail, file, size)) = &mut self.tail else {
                    return Ok(());
                };
                tail.finish(scan::beyond(file, checksum, end, *size).await?);
                if tail.proven > self.last {
                    return Err(Error::corrupt(&path, end, below_proof(stop, tail.proven)));
                }
            }
        }
        self.current += 1;
        Ok(())
    }
}

fn below_proof(stop: Stop, proven: Seq) -> String {
    format!(
        "{}, and edits up to {proven} are proven to have been durable",
        stop.reason()
    )
}

/// The edit before this one.
fn before(seq: Seq) -> Seq {
    Seq::new(seq.get().saturating_sub(1))
}

async fn take_lock<I: Io>(directory: &Directory<I>) -> Result<I::Lock> {
    let path = directory.lock();
    directory
        .io
        .lock(&path)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => Error::Locked { path },
            _ => Error::io(error),
        })
}
