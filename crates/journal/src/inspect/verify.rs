//! [`verify`]: reads a journal as a reader would, and every snapshot, and says what is wrong.

use std::path::{Path, PathBuf};

use quipu_io::{File, Io, OpenOptions};

use crate::directory::{Directory, Listing};
use crate::snapshot::SnapshotReader;
use crate::{Error, LoadedSnapshot, Result, Seq, log};

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
    /// What is wrong: the first finding in the log, and each snapshot that is damaged. Empty: the
    /// journal opens, with nothing missing.
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
/// A prefix without any file is sound, and empty. Fails only if the directory cannot be listed.
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
    let mut reader = SnapshotReader::open(directory, None, seq).await?;
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
