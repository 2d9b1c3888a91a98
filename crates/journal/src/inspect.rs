//! Looking into a journal's files: [`dump`] shows what is there, [`verify`] judges it.
//!
//! Neither takes a lock, changes anything, or needs to know the edits' type.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::Io;

use crate::directory::{self, Directory};
use crate::format::frame;
use crate::format::header::FRAMES_OFFSET;
use crate::recovery::scan::{self, Frames, Stop};
use crate::recovery::survey;
use crate::snapshot::SnapshotReader;
use crate::{Error, LoadedSnapshot, Replayable, Result, Seq, codec, log};

/// The file name prefixes of the journals and logs in a directory, sorted.
pub async fn prefixes<I: Io>(io: &I, dir: impl AsRef<Path>) -> Result<Vec<String>> {
    directory::prefixes(io, dir.as_ref()).await
}

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
    /// The segment before, and where that ends: number, generation, offset, last edit.
    pub predecessor: Option<(u64, u64, u64, Seq)>,
    /// Durable through this edit and offset, as its seal says.
    pub sealed: Option<(Seq, u64)>,
    /// The segment after, as its seal says: number and generation.
    pub successor: Option<(u64, u64)>,
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
    checksum: crate::format::Checksum,
    size: u64,
}

#[derive(Debug)]
enum Source {
    Segment(u64),
    Snapshot(Seq),
}

/// Begins to read the files of the journal with this file name prefix.
///
/// Fails only if the directory cannot be listed; what is wrong with a file is an [`Item`].
pub async fn dump<I: Io>(io: I, dir: impl AsRef<Path>, prefix: &str) -> Result<Dump<I>> {
    let directory = Directory::new(io, dir.as_ref(), prefix)?;
    let listing = directory.list().await?;
    let segments = listing.segments.into_iter().map(Source::Segment);
    let snapshots = listing.snapshots.into_iter().map(Source::Snapshot);
    let mut left: Vec<_> = segments.chain(snapshots).collect();
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
            },
        };
        Some(item.unwrap_or_else(|error| {
            self.frames = None;
            Item::Damage(error)
        }))
    }

    async fn open_segment(&mut self, number: u64) -> Result<Item> {
        let segment = survey::read_one(&self.directory, number).await?;
        let survey::Surveyed {
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
            predecessor: header
                .predecessor
                .map(|before| (before.number, before.generation, before.end, before.last)),
            sealed: segment.seal.map(|seal| (seal.last, seal.end)),
            successor: segment
                .seal
                .and_then(|seal| seal.successor)
                .map(|successor| (successor.number, successor.generation)),
        };
        self.frames = Some(OpenFrames {
            file,
            frames,
            checksum,
            size,
        });
        Ok(Item::Segment(item))
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
        let mut reader = SnapshotReader::open(&self.directory, seq).await?;
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

/// What [`verify`] found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Segments that hold the log.
    pub segments: usize,
    /// Sound snapshots, in ascending order.
    pub snapshots: Vec<LoadedSnapshot>,
    /// Edits that were read and are proven to be durable.
    pub edits: u64,
    /// The first edit that is retained.
    pub first_seq: Seq,
    /// The last edit that is proven to be durable.
    pub last_seq: Seq,
    /// Everything that is wrong. Empty: the journal opens, with nothing missing.
    pub findings: Vec<Error>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Reads every byte of the journal with this file name prefix that counts, and changes nothing.
///
/// `progress` is called with the bytes read so far. What is torn at the end of an unclean log is no
/// finding: it was never acknowledged. Fails only if the directory cannot be listed.
pub async fn verify<I: Io>(
    io: I,
    dir: impl AsRef<Path>,
    prefix: &str,
    mut progress: impl FnMut(u64),
) -> Result<Verified> {
    let directory = Directory::new(io, dir.as_ref(), prefix)?;
    let listing = directory.list().await?;
    let mut verified = Verified::default();
    let mut bytes = 0;
    let reading = log::Reader::open(directory.io.clone(), &directory.path, prefix).await;
    if let Err(error) = read_log(reading, &mut verified, &mut bytes, &mut progress).await {
        verified.findings.push(error);
    }
    for seq in listing.snapshots {
        match read_snapshot(&directory, seq, &mut bytes, &mut progress).await {
            Ok(snapshot) => verified.snapshots.push(snapshot),
            // A writer beside us may have pruned it since.
            Err(_) if !directory.list().await?.snapshots.contains(&seq) => {}
            Err(error) => verified.findings.push(error),
        }
    }
    Ok(verified)
}

async fn read_log<I: Io>(
    reader: Result<log::Reader<I>>,
    verified: &mut Verified,
    bytes: &mut u64,
    progress: &mut impl FnMut(u64),
) -> Result<()> {
    let mut reader = reader?;
    verified.segments = reader.segments().len();
    verified.first_seq = reader.first_retained().next();
    verified.last_seq = reader.first_retained();
    while let Some(entry) = reader.next().await? {
        verified.edits += 1;
        verified.last_seq = entry.seq;
        *bytes += entry.payload.len() as u64;
        if verified.edits.is_multiple_of(1024) {
            progress(*bytes);
        }
    }
    Ok(())
}

async fn read_snapshot<I: Io>(
    directory: &Directory<I>,
    seq: Seq,
    bytes: &mut u64,
    progress: &mut impl FnMut(u64),
) -> Result<LoadedSnapshot> {
    let mut reader = SnapshotReader::open(directory, seq).await?;
    while let Some((_, part)) = reader.next().await? {
        *bytes += part.len() as u64;
        progress(*bytes);
    }
    Ok(reader.loaded())
}
