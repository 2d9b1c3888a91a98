//! [`SegmentWriter`]: the segment that frames are appended to.
//!
//! Invariants: space is allocated before a frame is written into it; a frame is written once, at the
//! end of the frames before it; after a failed write or sync the writer is not used again.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quipu_io::planted::{planted, varying};
use quipu_io::{File, Io, IoError};

use crate::directory::{Directory, Draft};
use crate::format::Checksum;
use crate::format::frame::{self, HEADER_BYTES, usize_of};
use crate::format::header::{FRAMES_OFFSET, Predecessor, SEAL_OFFSET, SegmentHeader};
use crate::format::seal::{Seal, Successor};
use crate::options::LogOptions;
use crate::recovery::scan::Frame;
use crate::recovery::tail::Mark;
use crate::{Error, Result, Seq};

/// The first step of allocation; the steps grow with the file, for most journals are small.
const FIRST_ALLOCATION_BYTES: u64 = 64 << 10;

/// Where appends go.
#[derive(Debug)]
pub(crate) struct SegmentWriter<I: Io> {
    directory: Directory<I>,
    file: Arc<I::File>,
    header: SegmentHeader,
    checksum: Checksum,
    end: Mark,
    allocated: u64,
    allocation_bytes: u64,
    /// Up to here the space is in use, as the file system sees it.
    zeroed: u64,
    zero_bytes: u64,
}

/// A segment's place in the sequence of edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentSpan {
    pub(crate) number: u64,
    pub(crate) first: Seq,
}

/// How a step of writing failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nothing that counts was written: it may be tried again.
    Refused(Error),
    /// It is not known what is on disk: nothing more may be written.
    Fatal(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Failure::Refused(error) | Failure::Fatal(error) => error,
        }
    }
}

impl<I: Io> SegmentWriter<I> {
    /// Publishes a segment that begins with these frames.
    pub(crate) async fn create(
        directory: &Directory<I>,
        header: SegmentHeader,
        copies: &[Frame],
        options: &LogOptions,
    ) -> Result<SegmentWriter<I>, Failure> {
        let checksum = Checksum::new(header.generation);
        let (body, end) = copy_frames(&header, copies, checksum);
        let draft = directory
            .draft(directory.segment(header.number))
            .await
            .map_err(Failure::Refused)?;
        let first_step = FIRST_ALLOCATION_BYTES.min(options.allocation_bytes);
        let allocated = end.offset + first_step;
        if let Err(error) = draft.file().allocate(0, allocated).await {
            draft.abandon().await;
            return Err(Failure::Refused(Error::io(error)));
        }
        let file = fill(draft, &header, &directory.prefix, body)
            .await
            .map_err(Failure::Fatal)?;
        Ok(SegmentWriter {
            directory: directory.clone(),
            file,
            header,
            checksum,
            end,
            allocated,
            allocation_bytes: options.allocation_bytes,
            zeroed: end.offset,
            zero_bytes: options.zero_ahead_bytes,
        })
    }

    /// Goes on in a segment whose frames end at `end` and are durable.
    pub(crate) fn adopt(
        directory: &Directory<I>,
        header: SegmentHeader,
        file: Arc<I::File>,
        end: Mark,
        options: &LogOptions,
    ) -> SegmentWriter<I> {
        SegmentWriter {
            directory: directory.clone(),
            file,
            checksum: header.checksum(),
            header,
            end,
            // Zeros behind the frames may or may not have space behind them: ask again.
            allocated: end.offset,
            allocation_bytes: options.allocation_bytes,
            zeroed: end.offset,
            zero_bytes: options.zero_ahead_bytes,
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.header.number
    }

    pub(crate) fn span(&self) -> SegmentSpan {
        SegmentSpan {
            number: self.header.number,
            first: self.header.first,
        }
    }

    /// The last edit that was written.
    pub(crate) fn last(&self) -> Seq {
        self.end.last
    }

    /// The end of the frames.
    pub(crate) fn end(&self) -> u64 {
        self.end.offset
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.end.offset == FRAMES_OFFSET
    }

    /// Makes sure that `bytes` more can be written, and synced without metadata if a sync follows.
    pub(crate) async fn reserve(&mut self, bytes: u64, sync: bool) -> Result<(), Failure> {
        let needed = self.end.offset + bytes;
        // Both are rare, and boxed so that the future of an append stays small.
        if needed > self.allocated {
            Box::pin(self.allocate(needed)).await?;
        }
        if sync && needed > self.zeroed && self.zero_bytes > 0 {
            Box::pin(self.zero(needed)).await?;
        }
        Ok(())
    }

    /// Reserves space up to `needed`, and a step more.
    async fn allocate(&mut self, needed: u64) -> Result<(), Failure> {
        let smallest = FIRST_ALLOCATION_BYTES.min(self.allocation_bytes);
        let step = self.allocated.clamp(smallest, self.allocation_bytes);
        let target = needed + step;
        let reserved = match planted("a frame is written without room for it") {
            true => Ok(()),
            false => {
                let more = target - self.allocated;
                self.file.allocate(self.allocated, more).await
            }
        };
        reserved.map_err(|error| match planted("a full disk stops the journal") {
            true => Failure::Fatal(self.error(error)),
            false => Failure::Refused(self.error(error)),
        })?;
        self.allocated = target;
        Ok(())
    }

    /// Writes zeros over the space ahead, up to `needed` at the least.
    ///
    /// A file system that journals its metadata has to note that reserved space is in use now, at
    /// every sync that writes into a new block of it: that takes as long again as the sync of the
    /// data. Here it does so once for many rounds.
    async fn zero(&mut self, needed: u64) -> Result<(), Failure> {
        let start = match planted("zeros are written over frames") {
            true => self.zeroed,
            false => self.zeroed.max(self.end.offset),
        };
        let end = (needed + self.zero_bytes).min(self.allocated);
        let zeros = Bytes::from(vec![0; usize_of(end - start)]);
        let written = self.file.write_at(start, zeros).await;
        written.map_err(|error| Failure::Fatal(self.error(error)))?;
        self.zeroed = end;
        Ok(())
    }

    /// Writes one frame: room for its header and then its payload. Gives the buffer back.
    pub(crate) async fn write(
        &mut self,
        mut frame: BytesMut,
        edits: u32,
        watermark: Seq,
    ) -> Result<Option<BytesMut>, Failure> {
        let first = self.end.last.next();
        let header = frame::finish(
            &mut frame,
            self.end.offset,
            edits,
            first,
            watermark,
            self.checksum,
        );
        let bytes = frame.freeze();
        let written = self.file.write_at(self.end.offset, bytes.clone()).await;
        written.map_err(|error| match planted("a failed write stops nothing") {
            true => Failure::Refused(self.error(error)),
            false => Failure::Fatal(self.error(error)),
        })?;
        self.end = Mark {
            last: header.last(),
            offset: header.end(),
            fingerprint: header.fingerprint(),
        };
        Ok(bytes.try_into_mut().ok())
    }

    pub(crate) async fn sync(&self) -> Result<(), Failure> {
        let mut synced = self.file.sync_data().await;
        if synced.is_err() && planted("a failed sync is retried") {
            synced = self.file.sync_data().await;
        }
        if planted("a failed sync counts as done") {
            return Ok(());
        }
        synced.map_err(|error| match planted("a failed sync stops nothing") {
            true => Failure::Refused(Error::io(error)),
            false => Failure::Fatal(Error::io(error)),
        })
    }

    /// The handle was opened under the temporary name; errors tell the one that is there.
    fn error(&self, error: std::io::Error) -> Error {
        Error::io(IoError::moved(
            error,
            &self.directory.segment(self.header.number),
        ))
    }

    /// Publishes the segment after this one, whose frames are synced, and seals this one.
    pub(crate) async fn rotate(&self, options: &LogOptions) -> Result<SegmentWriter<I>, Failure> {
        let header = SegmentHeader {
            codec: self.header.codec,
            number: self.header.number + 1,
            generation: self.directory.io.random() ^ varying("a generation that no seed decides"),
            first: self.end.last.next(),
            predecessor: Some(Predecessor {
                number: self.header.number,
                generation: self.header.generation,
                end: self.end.offset,
                last: self.end.last,
                fingerprint: self.end.fingerprint,
            }),
            whole: self.end.last,
        };
        let successor = Successor {
            number: header.number,
            generation: header.generation,
        };
        if planted("a rotation seals before it publishes") {
            self.seal(Some(successor)).await?;
        }
        let next = SegmentWriter::create(&self.directory, header, &[], options).await?;
        if !planted("a rotation leaves the seal out") {
            self.seal(Some(successor)).await?;
        }
        Ok(next)
    }

    /// Seals this segment, whose frames are synced.
    pub(crate) async fn seal(&self, successor: Option<Successor>) -> Result<(), Failure> {
        let seal = Seal {
            last: self.end.last,
            end: self.end.offset,
            successor,
        };
        Self::write_seal(&self.file, &self.header, &seal)
            .await
            .map_err(Failure::Fatal)
    }

    pub(crate) async fn write_seal(
        file: &I::File,
        header: &SegmentHeader,
        seal: &Seal,
    ) -> Result<()> {
        let bytes = seal.encode(header.number, header.generation);
        file.write_at(SEAL_OFFSET, Bytes::copy_from_slice(&bytes))
            .await
            .map_err(Error::io)?;
        file.sync_data().await.map_err(Error::io)
    }
}

async fn fill<I: Io>(
    draft: Draft<'_, I>,
    header: &SegmentHeader,
    prefix: &str,
    body: Bytes,
) -> Result<Arc<I::File>> {
    // The place of the seal, too: space that is only allocated may hold what was there before.
    let mut bytes = BytesMut::from(&header.encode(prefix)[..]);
    bytes.resize(usize_of(FRAMES_OFFSET), 0);
    bytes.extend_from_slice(&body);
    draft.write(0, bytes.freeze()).await?;
    draft.publish().await
}

/// The frames again, as they are in the segment with this header.
///
/// Their watermark is the proven end before them: they are copied because nothing proved them.
fn copy_frames(header: &SegmentHeader, copies: &[Frame], checksum: Checksum) -> (Bytes, Mark) {
    let before = Seq::new(header.first.get() - 1);
    let mut end = Mark {
        last: before,
        offset: FRAMES_OFFSET,
        fingerprint: 0,
    };
    let mut body = BytesMut::new();
    for Frame {
        header: copied,
        payload,
    } in copies
    {
        let mut frame = BytesMut::zeroed(HEADER_BYTES);
        frame.extend_from_slice(payload);
        let first = end.last.next();
        let before = match planted("a copied frame proves the copies before it") {
            true => end.last,
            false => before,
        };
        let made = frame::finish(
            &mut frame,
            end.offset,
            copied.edits,
            first,
            before,
            checksum,
        );
        body.extend_from_slice(&frame);
        end = Mark {
            last: made.last(),
            offset: made.end(),
            fingerprint: made.fingerprint(),
        };
    }
    (body.freeze(), end)
}
