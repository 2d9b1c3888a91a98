//! [`Reader`]: the proven payloads of a log, without a lock, beside a writer or without one.
//!
//! Invariants:
//! - Nothing is shown beyond the highest proof that was read, so never what a crash can take back.
//! - The writer may be in the middle of anything: damage is what a second reading of an unchanged
//!   listing repeats.
//! - Nothing on disk is changed.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::planted::planted;
use quipu_io::{DiskIo, File, Io, OpenOptions};

use super::edit_at;
use crate::codec::Codec;
use crate::directory::{Directory, Listing};
use crate::format::header::{FRAMES_OFFSET, Predecessor};
use crate::recovery::chain::{self, Segment};
use crate::recovery::scan::{self, Frame, Frames, Stop};
use crate::recovery::survey;
use crate::{Error, Result, Seq};

/// One payload of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// What was appended.
    pub payload: Bytes,
    /// Where its frame begins in its segment.
    pub offset: u64,
}

/// Reads a log's payloads in order, from the first that is retained to the last that is proven.
///
/// It takes no lock and changes nothing, so it works beside a writer, on a read-only copy, and on a
/// full disk. What a writer appended last is shown once the next frame, a seal or a snapshot proves
/// it.
pub struct Reader<I: Io = DiskIo> {
    directory: Directory<I>,
    codec: Option<Codec>,
    listing: Listing,
    segments: Vec<Segment>,
    /// Of `segments`.
    current: usize,
    open: Option<OpenSegment<I::File>>,
    proven: Seq,
    /// Intact, and not proven yet.
    pending: VecDeque<Frame>,
    /// The last payload that was read into `pending`.
    read: Seq,
    /// The last payload that was shown.
    shown: Seq,
    frame: Option<(Frame, usize, Seq)>,
    path: PathBuf,
    finding: Option<(Listing, Error)>,
}

struct OpenSegment<F> {
    path: PathBuf,
    file: Arc<F>,
    frames: Frames<F>,
    size: u64,
    fingerprint: u64,
    successor: Option<Predecessor>,
}

impl<I: Io> Reader<I> {
    /// Opens the log with this file name prefix for reading; or a journal, whose payloads are its
    /// encoded edits.
    ///
    /// A directory without any file of it gives a reader that ends at once. Fails with `Corrupt`
    /// and others as opening the log does, and with `Io` where the directory is missing.
    pub fn open(
        io: I,
        dir: impl AsRef<Path>,
        prefix: &str,
    ) -> impl Future<Output = Result<Reader<I>>> + Send + 'static {
        Reader::open_as(Directory::new(io, dir.as_ref(), prefix), None)
    }

    /// Opens what is of this codec, or of any.
    pub(crate) async fn open_as(
        directory: Result<Directory<I>>,
        codec: Option<Codec>,
    ) -> Result<Reader<I>> {
        let mut reader = Reader {
            path: PathBuf::new(),
            directory: directory?,
            codec,
            listing: Listing::default(),
            segments: Vec::new(),
            current: 0,
            open: None,
            proven: Seq::ZERO,
            pending: VecDeque::new(),
            read: Seq::ZERO,
            shown: Seq::ZERO,
            frame: None,
            finding: None,
        };
        while let Err(error) = reader.look().await {
            reader.confirm(error).await?;
        }
        reader.shown = reader.first_retained();
        reader.start_after(reader.shown);
        Ok(reader)
    }

    /// The next proven payload, or `None` at the end of what is proven.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.take_entry()? {
                return Ok(Some(entry));
            }
            if self.pending.front().is_some_and(|frame| {
                frame.header.last() <= self.proven || planted("a reader shows what nothing proves")
            }) {
                self.frame = self.pending.pop_front().map(|frame| {
                    let first = frame.header.first;
                    (frame, 0, first)
                });
                continue;
            }
            match self.advance().await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => self.look_again(error).await?,
            }
        }
    }

    /// Everything up to here is proven to be durable, as far as this reader has read.
    pub fn proven(&self) -> Seq {
        self.proven
    }

    /// The number before the first payload that is retained.
    pub(crate) fn first_retained(&self) -> Seq {
        let chain = self.segments.first();
        chain.map_or(Seq::ZERO, |segment| {
            Seq::new(segment.header.first.get() - 1)
        })
    }

    /// How many intact payloads were read that nothing proves yet.
    pub(crate) fn unproven(&self) -> u64 {
        self.read.since(self.shown)
    }

    pub(crate) fn directory(&self) -> &Directory<I> {
        &self.directory
    }

    pub(crate) fn snapshots(&self) -> &[Seq] {
        &self.listing.snapshots
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segment that the last entry came from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on with the payload after `seq`.
    pub(crate) fn start_after(&mut self, seq: Seq) {
        self.shown = seq;
        self.pending.clear();
        self.frame = None;
        self.open = None;
        self.current = 0;
        let next = seq.next();
        while self
            .segments
            .get(self.current + 1)
            .is_some_and(|after| after.header.first <= next)
        {
            self.current += 1;
        }
        if let Some(segment) = self.segments.get(self.current) {
            self.read = Seq::new(segment.header.first.get() - 1);
        }
    }

    fn take_entry(&mut self) -> Result<Option<Entry>> {
        while let Some((frame, at, seq)) = &mut self.frame {
            if *seq > frame.header.last() {
                self.frame = None;
                break;
            }
            let Some((payload, end)) = edit_at(&frame.payload, *at) else {
                let reason = "the lengths of its edits do not add up";
                return Err(Error::corrupt(&self.path, frame.header.offset, reason));
            };
            let entry = Entry {
                seq: *seq,
                payload,
                offset: frame.header.offset,
            };
            (*at, *seq) = (end, seq.next());
            if entry.seq > self.shown {
                self.shown = entry.seq;
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Lists the files and reads what the segments say of themselves.
    async fn look(&mut self) -> Result<()> {
        self.listing = self.directory.list().await?;
        self.directory.check_start(&self.listing).await?;
        let mut segments = survey::read(&self.directory, &self.listing, self.codec).await?;
        if !segments.is_empty() {
            let oldest = self.listing.snapshots.first().copied();
            let chain = chain::judge(&segments, oldest).map_err(|finding| {
                let path = self.directory.segment(finding.number);
                Error::corrupt(&path, finding.offset, finding.reason)
            })?;
            segments.drain(..chain.start);
        }
        // A snapshot stands for durable edits only; so does what a successor says of its
        // predecessor, and a seal. What a segment was published with is durable, but its name may
        // not be.
        let newest = self.listing.snapshots.last().copied().unwrap_or(Seq::ZERO);
        let sealed = segments
            .iter()
            .filter_map(|segment| segment.seal)
            .map(|seal| seal.last);
        let before = segments
            .iter()
            .filter_map(|segment| segment.header.predecessor);
        let stated = sealed
            .chain(before.map(|predecessor| predecessor.last))
            .max();
        self.proven = self.proven.max(newest).max(stated.unwrap_or(Seq::ZERO));
        self.segments = segments;
        Ok(())
    }

    /// Looks again after a finding, and goes on where it was.
    async fn look_again(&mut self, error: Error) -> Result<()> {
        self.confirm(error).await?;
        while let Err(error) = self.look().await {
            self.confirm(error).await?;
        }
        let first = self.first_retained();
        if self.shown < first {
            return Err(Error::NotRetained {
                seq: self.shown.next(),
                first: first.next(),
            });
        }
        self.start_after(self.shown);
        Ok(())
    }

    /// Passes a finding on if the same listing has given the same one before.
    async fn confirm(&mut self, error: Error) -> Result<()> {
        if matches!(
            error,
            Error::UnsupportedVersion { .. } | Error::UnsupportedCodec { .. }
        ) {
            return Err(error);
        }
        let listing = self.directory.list().await?;
        let repeated = self
            .finding
            .as_ref()
            .is_some_and(|(before, known)| *before == listing && same_place(known, &error));
        if repeated || planted("a reader believes what it finds once") {
            return Err(error);
        }
        self.finding = Some((listing, error));
        Ok(())
    }

    /// Reads one more frame into `pending`; `false` at the end.
    async fn advance(&mut self) -> Result<bool> {
        if self.open.is_none() {
            let Some(segment) = self.segments.get(self.current) else {
                return Ok(false);
            };
            let successor = self.segments.get(self.current + 1);
            let path = self.directory.segment(segment.number());
            self.open = Some(open_segment(&self.directory, path, segment, successor).await?);
        }
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        let offset = open.frames.offset();
        match open.frames.next().await? {
            Ok(frame) if frame.header.first != self.read.next() => Err(Error::corrupt(
                &open.path,
                offset,
                "a frame is missing before this one",
            )),
            Ok(frame) => {
                open.fingerprint = frame.header.fingerprint();
                self.path.clone_from(&open.path);
                self.read = frame.header.last();
                self.proven = self.proven.max(frame.header.watermark);
                self.pending.push_back(frame);
                Ok(true)
            }
            Err(stop) => self.end_segment(stop).await,
        }
    }

    async fn end_segment(&mut self, stop: Stop) -> Result<bool> {
        let (Some(open), Some(segment)) = (&self.open, self.segments.get(self.current)) else {
            return Ok(false);
        };
        let end = open.frames.offset();
        let wrong = |reason: String| Err(Error::corrupt(&open.path, end, reason));
        let Some(stated) = open.successor else {
            // The last one: its frames may go on while this is read, so the end is only this end.
            let checksum = segment.header.checksum();
            let beyond = scan::beyond(&open.file, checksum, end, open.size).await?;
            self.proven = self.proven.max(beyond.watermark);
            if self.proven > self.read {
                return wrong(format!(
                    "{}, and edits up to {} are proven",
                    stop.reason(),
                    self.proven
                ));
            }
            return Ok(false);
        };
        if stop != Stop::Limit || end != stated.end || self.read != stated.last {
            return wrong(format!(
                "{}, and edits up to {} are proven",
                stop.reason(),
                stated.last
            ));
        }
        if open.fingerprint != stated.fingerprint {
            return wrong("the last frame is not the one that the next segment names".into());
        }
        self.open = None;
        self.current += 1;
        Ok(true)
    }
}

async fn open_segment<I: Io>(
    directory: &Directory<I>,
    path: PathBuf,
    segment: &Segment,
    successor: Option<&Segment>,
) -> Result<OpenSegment<I::File>> {
    let opened = directory.io.open(&path, OpenOptions::ReadOnly).await;
    let file = Arc::new(opened.map_err(Error::io)?);
    let size = file.size().await.map_err(Error::io)?;
    let successor = successor.and_then(|after| after.header.predecessor);
    let limit = successor.map_or(size, |stated| stated.end.min(size));
    let frames = Frames::new(
        file.clone(),
        segment.header.checksum(),
        FRAMES_OFFSET,
        limit,
    );
    Ok(OpenSegment {
        path,
        file,
        frames,
        size,
        fingerprint: 0,
        successor,
    })
}

/// Whether two findings are the same one.
fn same_place(a: &Error, b: &Error) -> bool {
    match (a, b) {
        (
            Error::Corrupt { path, offset, .. },
            Error::Corrupt {
                path: other,
                offset: at,
                ..
            },
        ) => (path, offset) == (other, at),
        (Error::NotAJournal { path }, Error::NotAJournal { path: other }) => path == other,
        (Error::Io { source }, Error::Io { source: other }) => {
            source.kind() == other.kind() && source.kind() != ErrorKind::Interrupted
        }
        _ => false,
    }
}

impl<I: Io> fmt::Debug for Reader<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.directory.path)
            .field("shown", &self.shown)
            .field("proven", &self.proven)
            .finish_non_exhaustive()
    }
}
