//! [`Error`]: what went wrong, where, and what the caller can do about it.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Seq;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed. Each variant is a different thing for the caller to do.
///
/// It is `Clone`, because one failed sync answers every append that waited for it. Its text holds the
/// texts of its causes, so it has no `source`; [`io_kind`](Error::io_kind) tells the kind at the bottom.
#[derive(Clone, Debug, derive_more::Display, derive_more::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else has this journal open, in this process or another: close it there.
    #[display("{} is locked: the journal is open elsewhere, close it there first", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },

    /// The disk said no. The cause names the operation and the path.
    #[display("{source}")]
    Io {
        /// What the backend reported; part of this error's own text.
        #[error(not(source))]
        source: Arc<io::Error>,
    },

    /// The disk is full: make room, then try again. Nothing has to be undone.
    #[display("{source}; make room and try again")]
    NoSpace {
        /// What the backend reported; part of this error's own text.
        #[error(not(source))]
        source: Arc<io::Error>,
    },

    /// The disk holds something that no crash can have left there: restore the file.
    ///
    /// Nothing was changed on disk.
    #[display(
        "{} is corrupt at offset {offset}: {reason}; restore the file from a copy",
        path.display()
    )]
    Corrupt {
        /// The damaged or missing file.
        path: PathBuf,
        /// Where in the file the damage begins.
        offset: u64,
        /// What was expected, and what is there.
        reason: Cow<'static, str>,
    },

    /// The file's first bytes are not those of a file of this kind.
    #[display("{} is not a file of a journal, its first bytes are wrong: restore it or move it away", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },

    /// A newer release wrote this file: use that release.
    #[display(
        "{} has format version {found}, and this release reads up to {supported}; use a newer one",
        path.display()
    )]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version that the file states.
        found: u32,
        /// The newest version that this release reads.
        supported: u32,
    },

    /// The edits in this file are encoded in another way than those that were asked for.
    ///
    /// It is a log that is opened as a journal, or the other way round; or a newer release wrote it.
    #[display(
        "{} holds edits of codec {found} and cannot be opened as this: open it as what it is (0 is a \
         log, 1 a journal), or with a newer release",
        path.display()
    )]
    UnsupportedCodec {
        /// The file.
        path: PathBuf,
        /// The codec's number.
        found: u16,
    },

    /// An intact edit does not decode: the program's edit type does not fit this journal.
    ///
    /// Every byte on disk stays as it was: open it with a program that knows the edit.
    #[display(
        "edit {seq} in {} at offset {offset} does not decode: {reason}; \
         every edit type that was ever written must stay readable",
        path.display()
    )]
    Decode {
        /// The edit; for a snapshot, the seq that it stands for.
        seq: Seq,
        /// The file that holds it.
        path: PathBuf,
        /// Where its frame begins.
        offset: u64,
        /// What the decoder said.
        reason: String,
    },

    /// `Replayable::apply` panicked on this edit, live or in replay, or what was to follow an append to
    /// a log did.
    #[display("applying edit {seq} panicked; apply must be total, mend it and open again")]
    Apply {
        /// The edit.
        seq: Seq,
    },

    /// The edit cannot be encoded. Nothing was written; the journal goes on.
    #[display("the edit cannot be encoded: {reason}")]
    Encode {
        /// What the encoder said.
        reason: String,
    },

    /// The edit or the batch is larger than the options allow. Nothing was written.
    #[display("{bytes} bytes are more than the limit of {limit}; split it or raise the limit")]
    TooLarge {
        /// Its encoded size.
        bytes: u64,
        /// The limit that it exceeds.
        limit: u64,
    },

    /// More is queued than the options allow: wait for earlier appends. Nothing was written.
    #[display("{queued} bytes are queued, of {limit} allowed; wait for earlier appends")]
    Overloaded {
        /// Bytes in the queue.
        queued: u64,
        /// The limit.
        limit: u64,
    },

    /// The journal was closed, by this handle or by another clone of it.
    #[display("the journal is closed")]
    Closed,

    /// The edit was not written and never will be.
    #[display("not committed: {source}")]
    NotCommitted {
        /// What stopped it.
        #[error(not(source))]
        source: Arc<Error>,
    },

    /// The edit may or may not be on disk; the next open decides.
    ///
    /// It is committed if and only if the next open that succeeds reports a last sequence number of
    /// at least `seq`.
    #[display("edit {seq} is in doubt until the journal is opened again: {source}")]
    InDoubt {
        /// The number that the edit has if it is committed.
        seq: Seq,
        /// What failed.
        #[error(not(source))]
        source: Arc<Error>,
    },

    /// An earlier write or sync failed, and nothing more is written: close the journal and open it
    /// again. Reads go on showing the last durable state.
    #[display("an earlier failure stopped this journal, close it and open it again: {source}")]
    Poisoned {
        /// The first failure.
        #[error(not(source))]
        source: Arc<Error>,
    },

    /// A snapshot could not be made from the state. The log goes on.
    #[display("the snapshot failed: {reason}")]
    Snapshot {
        /// What happened.
        reason: Cow<'static, str>,
    },

    /// The edit was pruned, and only a snapshot stands for it: ask for one that is retained.
    #[display(
        "edit {seq} is not retained: the journal goes back to edit {first}, ask from there on"
    )]
    NotRetained {
        /// The edit that was asked for, or that was to come next.
        seq: Seq,
        /// The first edit that is retained.
        first: Seq,
    },

    /// The edit is not there yet, or is there and not proven to be durable: open a reader again later.
    ///
    /// The next append, a snapshot and a close each prove what was appended before.
    #[display(
        "edit {seq} is not proven to be durable yet, edits up to {proven} are: open a reader again \
         once another append, a snapshot or a close has proven it"
    )]
    NotProven {
        /// The edit that was asked for.
        seq: Seq,
        /// The last edit that is proven.
        proven: Seq,
    },

    /// An option or a file name prefix that cannot work.
    #[display("invalid option: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
}

impl Error {
    /// The kind of the I/O error at the bottom, if there is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Error::Io { source } | Error::NoSpace { source } => Some(source.kind()),
            Error::NotCommitted { source }
            | Error::InDoubt { source, .. }
            | Error::Poisoned { source } => source.io_kind(),
            _ => None,
        }
    }

    /// Whether this is damage on disk that only a copy of the file can mend.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Error::Corrupt { .. } | Error::NotAJournal { .. })
    }

    pub(crate) fn io(source: io::Error) -> Error {
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        let source = Arc::new(source);
        if full {
            Error::NoSpace { source }
        } else {
            Error::Io { source }
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, reason: impl Into<Cow<'static, str>>) -> Error {
        Error::Corrupt {
            path: path.to_owned(),
            offset,
            reason: reason.into(),
        }
    }

    pub(crate) fn not_committed(self) -> Error {
        Error::NotCommitted {
            source: Arc::new(self),
        }
    }
}
