//! Looking into a journal's files: [`dump`] shows what is there, [`verify`] judges it.
//!
//! Neither takes a lock, changes anything, or needs to know the edits' type.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::{File, Io, OpenOptions};

use crate::directory::{self, Directory, Listing};
use crate::format::frame;
use crate::format::header::FRAMES_OFFSET;
use crate::recovery::scan::{self, Frames, Stop};
use crate::recovery::survey;
use crate::snapshot::SnapshotReader;
use crate::{Error, LoadedSnapshot, Replayable, Result, Seq, codec, log};

/// The file name prefixes of the journals and logs in a directory, sorted.
///
/// A journal of which nothing but its marked lock file is left is among them: it is lost, not absent.
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
    checksum: crate::format::Checksum,
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
        let after = survey::read_one(&self.directory, *next).await.ok()?;
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
    /// Intact edits behind them that nothing on disk proves to be durable yet: the next open keeps
    /// them, and a crash before it may take them.
    pub unproven_edits: u64,
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

/// How far [`verify`] has come, in bytes of the journal's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Read, or found to need no reading; never more than `total`.
    pub done: u64,
    /// The size of all files when reading began, which includes space that is reserved.
    pub total: u64,
}

/// Reads every byte of the journal with this file name prefix that counts, and changes nothing.
///
/// `progress` is called now and then, at the latest after 1024 edits or a MiB and one edit, and at
/// the end. What is torn at the end of an unclean log is no finding: it was never acknowledged.
/// Fails only if the directory cannot be listed.
pub async fn verify<I: Io>(
    io: I,
    dir: impl AsRef<Path>,
    prefix: &str,
    progress: impl FnMut(Progress),
) -> Result<Verified> {
    let directory = Directory::new(io, dir.as_ref(), prefix)?;
    let listing = directory.list().await?;
    let mut meter = Meter::new(&directory, &listing, progress).await;
    let mut verified = Verified::default();
    let reading = log::Reader::open(directory.io.clone(), &directory.path, prefix).await;
    if let Err(error) = read_log(reading, &mut verified, &mut meter).await {
        verified.findings.push(error);
    }
    for seq in listing.snapshots {
        match read_snapshot(&directory, seq, &mut meter).await {
            Ok(snapshot) => verified.snapshots.push(snapshot),
            // A writer beside us may have pruned it since.
            Err(_) if !directory.list().await?.snapshots.contains(&seq) => {}
            Err(error) => verified.findings.push(error),
        }
    }
    meter.finish();
    Ok(verified)
}

async fn read_log<I: Io>(
    reader: Result<log::Reader<I>>,
    verified: &mut Verified,
    meter: &mut Meter<impl FnMut(Progress)>,
) -> Result<()> {
    let mut reader = reader?;
    verified.segments = reader.segments().len();
    verified.first_seq = reader.first_retained().next();
    verified.last_seq = reader.first_retained();
    let mut told = 0;
    while let Some(entry) = reader.next().await? {
        verified.edits += 1;
        verified.last_seq = entry.seq;
        if verified.edits.is_multiple_of(1024) || entry.offset.abs_diff(told) >= PROGRESS_BYTES {
            told = entry.offset;
            meter.reach(reader.path(), entry.offset);
        }
    }
    verified.unproven_edits = reader.unproven();
    Ok(())
}

async fn read_snapshot<I: Io>(
    directory: &Directory<I>,
    seq: Seq,
    meter: &mut Meter<impl FnMut(Progress)>,
) -> Result<LoadedSnapshot> {
    let mut reader = SnapshotReader::open(directory, seq).await?;
    while let Some((offset, _)) = reader.next().await? {
        meter.reach(reader.path(), offset);
    }
    Ok(reader.loaded())
}

/// How much of a segment may be read without telling.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Turns a place in a file into a [`Progress`] over all files.
struct Meter<F> {
    /// In the order in which they are read, each with the bytes of those before it.
    files: Vec<(PathBuf, u64)>,
    total: u64,
    progress: F,
}

impl<F: FnMut(Progress)> Meter<F> {
    async fn new<I: Io>(directory: &Directory<I>, listing: &Listing, progress: F) -> Meter<F> {
        let segments = listing.segments.iter();
        let snapshots = listing.snapshots.iter();
        let paths = segments.map(|&number| directory.segment(number));
        let paths = paths.chain(snapshots.map(|&seq| directory.snapshot(seq)));
        let mut meter = Meter {
            files: Vec::new(),
            total: 0,
            progress,
        };
        for path in paths {
            // Reading it will say what is wrong with it.
            let size = match directory.io.open(&path, OpenOptions::ReadOnly).await {
                Ok(file) => file.size().await.unwrap_or(0),
                Err(_) => 0,
            };
            meter.files.push((path, meter.total));
            meter.total += size;
        }
        meter
    }

    fn reach(&mut self, path: &Path, offset: u64) {
        // A file that a writer beside us has added since counts as behind all of them.
        let known = self.files.iter().find(|(file, _)| file == path);
        let before = known.map_or(self.total, |(_, before)| *before);
        (self.progress)(Progress {
            done: (before + offset).min(self.total),
            total: self.total,
        });
    }

    fn finish(&mut self) {
        (self.progress)(Progress {
            done: self.total,
            total: self.total,
        });
    }
}
