//! [`dump`]: every frame and every snapshot of a journal, sound or not.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::Io;

use crate::directory::Directory;
use crate::format::header::FRAMES_OFFSET;
use crate::format::{Checksum, frame};
use crate::recovery::scan::{self, Frames, Stop};
use crate::recovery::survey::{self, Surveyed};
use crate::snapshot::SnapshotReader;
use crate::{Error, LoadedSnapshot, Replayable, Result, Seq, codec};

/// One thing that [`dump`] comes upon.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Item {
    /// A segment; its frames follow.
    Segment(Segment),
    /// A frame of the segment before it.
    Frame(Frame),
    /// The end of a segment's frames.
    End {
        /// Where they end.
        offset: u64,
        /// Bytes behind them up to the last that is not zero: torn, or no longer part of the log.
        bytes: u64,
        /// Why there is no further frame, if that is not plain zeros.
        reason: Option<&'static str>,
    },
    /// A snapshot.
    Snapshot(Snapshot),
    /// Something that cannot be read.
    Damage(Error),
}

/// A segment, as its header and its seal describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// The file.
    pub path: PathBuf,
    /// Its number.
    pub number: u64,
    /// The random number in all of its checksums.
    pub generation: u64,
    /// The file's size, which includes space that is reserved.
    pub bytes: u64,
    /// The number of its first edit.
    pub first: Seq,
    /// The edits up to here were in it when it was published.
    pub published_through: Seq,
    /// The segment before it.
    pub predecessor: Option<Predecessor>,
    /// What its seal says.
    pub sealed: Option<Sealed>,
}

/// The segment before another one, as that one's header describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Predecessor {
    /// Its number.
    pub number: u64,
    /// Its generation.
    pub generation: u64,
    /// Where its part of the log ends.
    pub end: u64,
    /// Its last edit.
    pub last: Seq,
}

/// A segment's seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// Everything up to this edit is durable.
    pub last: Seq,
    /// Where its frame ends.
    pub end: u64,
    /// The segment that follows, if one did when the seal was written.
    pub successor: Option<Successor>,
}

/// A segment, as its predecessor's seal names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Successor {
    /// Its number.
    pub number: u64,
    /// Its generation.
    pub generation: u64,
}

/// A frame, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Where it begins.
    pub offset: u64,
    /// Its size on disk.
    pub bytes: u64,
    /// Its first edit.
    pub first: Seq,
    /// Its last edit.
    pub last: Seq,
    /// Everything up to here was durable when it was written.
    pub watermark: Seq,
    /// Whether it is part of the log. The next segment says where this one's part ends: what stands
    /// behind that is in there again, or was never proven and dropped.
    pub in_log: bool,
    payload: Bytes,
    edits: u32,
}

/// A snapshot, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The file.
    pub path: PathBuf,
    /// What was found in it.
    pub contents: LoadedSnapshot,
}

impl Frame {
    /// The edits as they are stored, each with its number.
    pub fn payloads(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        let edits = frame::edits(&self.payload, self.edits).flatten();
        edits
            .enumerate()
            .map(|(index, edit)| (self.first.plus(index as u64), edit))
    }

    /// The edits of a journal of `S`, each with its number; or what the decoder said.
    pub fn edits<S: Replayable>(&self) -> impl Iterator<Item = (Seq, Result<S::Edit, String>)> {
        self.payloads()
            .map(|(seq, bytes)| (seq, codec::decode(bytes)))
    }
}

/// Reads a journal's files one after the other: segments with their frames, then snapshots.
///
/// Damage in one of them is an item, and the next one follows.
pub struct Dump<I: Io> {
    directory: Directory<I>,
    /// What is to be read, the next one last.
    left: Vec<Source>,
    frames: Option<OpenFrames<I>>,
}

struct OpenFrames<I: Io> {
    file: Arc<I::File>,
    frames: Frames<I::File>,
    checksum: Checksum,
    size: u64,
    /// Where its part of the log ends, if the next segment says so.
    log_end: Option<u64>,
}

#[derive(Debug)]
enum Source {
    Segment(u64),
    Snapshot(Seq),
    /// What is wrong with the files as a whole.
    Damage(Error),
}

/// Begins to read the files of the journal with this file name prefix.
///
/// Fails only if the directory cannot be listed; what is wrong with a file is an [`Item`].
pub async fn dump<I: Io>(io: I, dir: impl AsRef<Path>, prefix: &str) -> Result<Dump<I>> {
    let directory = Directory::new(io, dir.as_ref(), prefix)?;
    let listing = directory.list().await?;
    let start = directory.check_start(&listing).await;
    let damage = start.err().map(Source::Damage).into_iter();
    let segments = listing.segments.into_iter().map(Source::Segment);
    let snapshots = listing.snapshots.into_iter().map(Source::Snapshot);
    let mut left: Vec<_> = damage.chain(segments).chain(snapshots).collect();
    left.reverse();
    Ok(Dump {
        directory,
        left,
        frames: None,
    })
}

impl<I: Io> Dump<I> {
    /// The next item, or `None` at the end.
    pub async fn next(&mut self) -> Option<Item> {
        let item = match &mut self.frames {
            Some(_) => self.next_frame().await,
            None => match self.left.pop()? {
                Source::Segment(number) => self.open_segment(number).await,
                Source::Snapshot(seq) => self.snapshot(seq).await.map(Item::Snapshot),
                Source::Damage(error) => Err(error),
            },
        };
        Some(item.unwrap_or_else(|error| {
            self.frames = None;
            Item::Damage(error)
        }))
    }

    async fn open_segment(&mut self, number: u64) -> Result<Item> {
        let segment = survey::read_one(&self.directory, number, None).await?;
        let Surveyed {
            path,
            file,
            size,
            segment,
        } = segment;
        let header = &segment.header;
        let checksum = header.checksum();
        let file = Arc::new(file);
        let frames = Frames::new(file.clone(), checksum, FRAMES_OFFSET, size);
        let item = Segment {
            path,
            number,
            generation: header.generation,
            bytes: size,
            first: header.first,
            published_through: header.whole,
            predecessor: header.predecessor.map(|before| Predecessor {
                number: before.number,
                generation: before.generation,
                end: before.end,
                last: before.last,
            }),
            sealed: segment.seal.map(|seal| Sealed {
                last: seal.last,
                end: seal.end,
                successor: seal.successor.map(|after| Successor {
                    number: after.number,
                    generation: after.generation,
                }),
            }),
        };
        self.frames = Some(OpenFrames {
            file,
            frames,
            checksum,
            size,
            log_end: self.log_end(&item).await,
        });
        Ok(Item::Segment(item))
    }

    /// Where the part of the log that is in this segment ends, as the next one says.
    async fn log_end(&self, segment: &Segment) -> Option<u64> {
        let Some(Source::Segment(next)) = self.left.last() else {
            return None;
        };
        // If it cannot be read, that is the next item.
        let after = survey::read_one(&self.directory, *next, None).await.ok()?;
        let stated = after.segment.header.predecessor?;
        let meant = (stated.number, stated.generation) == (segment.number, segment.generation);
        meant.then_some(stated.end)
    }

    async fn next_frame(&mut self) -> Result<Item> {
        let Some(open) = &mut self.frames else {
            return Ok(Item::End {
                offset: 0,
                bytes: 0,
                reason: None,
            });
        };
        match open.frames.next().await? {
            Ok(scan::Frame { header, payload }) => Ok(Item::Frame(Frame {
                offset: header.offset,
                bytes: header.end() - header.offset,
                first: header.first,
                last: header.last(),
                watermark: header.watermark,
                in_log: open.log_end.is_none_or(|end| header.offset < end),
                payload,
                edits: header.edits,
            })),
            Err(stop) => {
                let offset = open.frames.offset();
                let beyond = scan::beyond(&open.file, open.checksum, offset, open.size).await?;
                self.frames = None;
                let plain = stop == Stop::Limit || beyond.bytes == 0;
                let reason = (!plain).then(|| stop.reason());
                Ok(Item::End {
                    offset,
                    bytes: beyond.bytes,
                    reason,
                })
            }
        }
    }

    async fn snapshot(&mut self, seq: Seq) -> Result<Snapshot> {
        let mut reader = SnapshotReader::open(&self.directory, None, seq).await?;
        while reader.next().await?.is_some() {}
        Ok(Snapshot {
            path: reader.path().to_owned(),
            contents: reader.loaded(),
        })
    }
}

impl<I: Io> fmt::Debug for Dump<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dump")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
