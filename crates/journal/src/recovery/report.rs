//! [`Recovered`]: what open found and did, as a value.

use std::fmt;
use std::path::PathBuf;

use crate::{Error, Seq};

/// What opening a journal or a log found on disk, and what it did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// The last edit. An append that was in doubt is committed if its number is not above this.
    pub last_seq: Seq,
    /// How the log was left.
    pub left: Left,
    /// The snapshot that replay began with; `None` if it began with the first edit.
    pub snapshot: Option<LoadedSnapshot>,
    /// Snapshots that are damaged, newest first, and what is wrong with each.
    pub skipped_snapshots: Vec<(PathBuf, Error)>,
    /// Edits replayed from the log, behind the snapshot.
    pub edits: u64,
    /// Bytes of log that were read for that.
    pub log_bytes: u64,
    /// Edits at the end that were intact but that nothing on disk proved durable. They are kept,
    /// and durable now.
    pub unproven_edits: u64,
    /// What was dropped from the end of the log: torn, and not proven to have been durable.
    pub discarded: Option<Discarded>,
}

/// How a log was left by whoever had it open last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Left {
    /// There was none: it is new.
    #[default]
    New,
    /// It was closed, or never written to since it was opened.
    Clean,
    /// It was not closed: the program or the machine stopped.
    Unclean,
}

/// A snapshot that was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedSnapshot {
    /// It stands for all edits up to here.
    pub seq: Seq,
    /// How many parts it has.
    pub parts: u64,
    /// The file's size.
    pub bytes: u64,
}

/// Bytes at the end of a segment that are no part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// The segment.
    pub path: PathBuf,
    /// Where they begin.
    pub offset: u64,
    /// How many, up to the last one that is not zero.
    pub bytes: u64,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.left {
            Left::New => return f.write_str("new journal"),
            Left::Clean => write!(f, "clean at edit {}", self.last_seq)?,
            Left::Unclean => write!(f, "recovered to edit {}", self.last_seq)?,
        }
        if let Some(snapshot) = &self.snapshot {
            write!(f, ", from the snapshot of edit {}", snapshot.seq)?;
        }
        write!(f, ", {} edits replayed", self.edits)?;
        if self.unproven_edits > 0 {
            write!(
                f,
                ", {} of them at the end not proven by anything behind them",
                self.unproven_edits
            )?;
        }
        if let Some(Discarded {
            path,
            offset,
            bytes,
        }) = &self.discarded
        {
            write!(
                f,
                ", {bytes} torn bytes dropped at {} offset {offset}",
                path.display()
            )?;
        }
        for (_, error) in &self.skipped_snapshots {
            write!(f, ", a snapshot skipped ({error})")?;
        }
        Ok(())
    }
}
