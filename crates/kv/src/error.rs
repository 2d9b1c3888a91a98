//! [`Error`]: what went wrong, and what the caller can do about it.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::manifest::{KeyspaceId, Refusal};

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
#[derive(Clone, Debug, derive_more::Display, derive_more::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal underneath says why; its text names file and offset.
    #[display("the manifest: {source}")]
    Journal {
        /// What it said; part of this error's own text.
        #[error(not(source))]
        source: quipu_journal::Error,
    },

    /// The edit does not fit the manifest and has changed nothing: look at the current version.
    #[display("the manifest refused: {refusal}")]
    Refused {
        /// Why.
        #[error(not(source))]
        refusal: Refusal,
    },

    /// All file numbers have been given. A file on disk with a number near 2^64 that is none of the
    /// store's has this effect: remove it and open again.
    #[display(
        "file numbers are used up: is there a file with a number near 2^64 that does not belong here?"
    )]
    NumbersExhausted,

    /// The write-ahead log underneath says why; its text names file and offset.
    #[display("the write-ahead log: {source}")]
    Wal {
        /// What it said; part of this error's own text.
        #[error(not(source))]
        source: quipu_journal::Error,
    },

    /// A payload of the write-ahead log is whole, and is no batch of this release.
    #[display("payload {seq} of the write-ahead log cannot be read: {reason}")]
    Batch {
        /// The payload.
        seq: quipu_journal::Seq,
        /// What is wrong with it.
        reason: String,
    },

    /// The manifest names a table that is not there: restore the file.
    #[display("{} is missing: restore the file from a copy", path.display())]
    MissingTable {
        /// The file.
        path: PathBuf,
    },

    /// There is no such keyspace, or not any more.
    #[display("there is no keyspace {keyspace}")]
    UnknownKeyspace {
        /// Its number.
        keyspace: KeyspaceId,
    },

    /// The default keyspace is always there: delete what is in it instead.
    #[display("the default keyspace cannot be dropped: delete what is in it")]
    DefaultKeyspace,

    /// No checkpoint was made.
    #[display("no checkpoint was made at {}: {reason}", path.display())]
    Checkpoint {
        /// Where it would have been, or what is in its way.
        path: PathBuf,
        /// Why not, and what can be done about it.
        reason: &'static str,
    },

    /// The store is closed.
    #[display("the store is closed: open it again")]
    Closed,

    /// The disk said no. The cause names the operation and the path.
    #[display("{source}")]
    Io {
        /// What the backend reported; part of this error's own text.
        #[error(not(source))]
        source: Arc<io::Error>,
    },

    /// The disk is full: make room, then try again.
    #[display("{source}; make room and try again")]
    NoSpace {
        /// What the backend reported; part of this error's own text.
        #[error(not(source))]
        source: Arc<io::Error>,
    },

    /// A table holds something that was not written there: restore the file.
    #[display(
        "{} is corrupt at offset {offset}: {reason}; restore the file from a copy",
        path.display()
    )]
    Corrupt {
        /// The damaged table.
        path: PathBuf,
        /// Where in the file the damaged part begins.
        offset: u64,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },

    /// The file's last bytes are not those of a table.
    #[display(
        "{} is not a table, its last bytes are wrong: restore it or move it away",
        path.display()
    )]
    NotATable {
        /// The file.
        path: PathBuf,
    },

    /// A newer release wrote this table: use that release.
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

    /// This build cannot unpack what the table is packed with.
    #[display(
        "{} is packed with codec {found}, which this build lacks: 2 is zstd, the feature `zstd`",
        path.display()
    )]
    UnsupportedCodec {
        /// The file.
        path: PathBuf,
        /// The codec's number.
        found: u32,
    },

    /// A table cannot be written as it was asked for; what is in the file is of no use.
    #[display("the table {} cannot be written: {reason}", path.display())]
    InvalidTable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },

    /// The key or the value is larger than a table can hold. Nothing was written.
    #[display("{bytes} bytes are more than the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit that it exceeds.
        limit: u64,
    },
}

impl Error {
    /// Why the manifest refused the edit, if that is what happened.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::Refused { refusal } => Some(refusal),
            _ => None,
        }
    }

    pub(crate) fn wal(source: quipu_journal::Error) -> Error {
        Error::Wal { source }
    }

    /// Whether the manifest refused because a keyspace is not there any more.
    pub(crate) fn is_unknown_keyspace(&self) -> bool {
        matches!(self.refusal(), Some(Refusal::UnknownKeyspace { .. }))
    }

    /// Whether the edit is not there, and never will be.
    pub(crate) fn is_not_recorded(&self) -> bool {
        use quipu_journal::Error as Journal;
        match self {
            Error::Refused { .. } => true,
            Error::Journal { source } => matches!(
                source,
                Journal::NotCommitted { .. }
                    | Journal::Overloaded { .. }
                    | Journal::TooLarge { .. }
                    | Journal::Encode { .. }
                    | Journal::Closed
                    | Journal::Poisoned { .. }
            ),
            _ => false,
        }
    }
}

impl From<quipu_journal::Error> for Error {
    fn from(source: quipu_journal::Error) -> Self {
        Error::Journal { source }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        let source = Arc::new(source);
        if source.kind() == io::ErrorKind::StorageFull {
            Error::NoSpace { source }
        } else {
            Error::Io { source }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Refused { refusal }
    }
}
