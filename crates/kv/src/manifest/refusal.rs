//! [`Refusal`]: why an edit does not fit the manifest.

use super::filenum::FileNum;
use super::keyspace::KeyspaceId;

/// Why an edit was refused. It is in the journal and has changed nothing, now and in every replay.
///
/// Each says that the caller's view of the manifest was not the manifest's: look at the current
/// version and decide again.
#[derive(Clone, Debug, PartialEq, Eq, derive_more::Display, derive_more::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No such keyspace, or not any more.
    #[display("there is no keyspace {keyspace}")]
    UnknownKeyspace {
        /// What was named.
        keyspace: KeyspaceId,
    },
    /// The name is taken.
    #[display("keyspace {keyspace} has the name {name:?} already")]
    KeyspaceExists {
        /// The name.
        name: String,
        /// Who has it.
        keyspace: KeyspaceId,
    },
    /// There are no numbers for keyspaces left.
    #[display("all numbers of keyspaces have been given")]
    KeyspacesExhausted,
    /// An edit has named this number before: allocate another.
    #[display("file number {filenum} has been used before: allocate another")]
    NumberUsed {
        /// The number.
        filenum: FileNum,
    },
    /// The edit names a number twice.
    #[display("the edit names file {filenum} twice")]
    NamedTwice {
        /// The number.
        filenum: FileNum,
    },
    /// The edit removes what is not there.
    #[display("there is no table {filenum} to be removed")]
    UnknownFile {
        /// The number.
        filenum: FileNum,
    },
    /// A table that is removed and added again is to be the same file, at another level.
    #[display("table {filenum} is removed and added again as another file")]
    MovedAndChanged {
        /// The number.
        filenum: FileNum,
    },
    /// A range ends before it begins.
    #[display("the {range} of table {filenum} end before they begin")]
    EmptyRange {
        /// The table.
        filenum: FileNum,
        /// What it is a range of.
        range: &'static str,
    },
    /// The tables of a sorted level would overlap.
    #[display("table {filenum} would overlap table {other} in level {level}, which is sorted")]
    Overlap {
        /// The table that is added.
        filenum: FileNum,
        /// The one that it overlaps.
        other: FileNum,
        /// Their level.
        level: u32,
    },
    /// A flush does not begin where the last one of its keyspace ended.
    #[display(
        "keyspace {keyspace} is flushed through {flushed_through}, and the edit goes on behind {after}"
    )]
    FlushOutOfOrder {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// Where the edit begins.
        after: u64,
        /// Where it has to begin.
        flushed_through: u64,
    },
    /// A flush ends before it begins.
    #[display("keyspace {keyspace} would be flushed back from {after} to {through}")]
    FlushedBack {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// Where the edit begins.
        after: u64,
        /// Where it ends.
        through: u64,
    },
    /// A keyspace would need what the write-ahead log may have dropped.
    #[display(
        "the new keyspace would need the log behind {flushed_through}, of which only what lies behind {wal_floor} is kept"
    )]
    BehindFloor {
        /// What the keyspace was to be created with.
        flushed_through: u64,
        /// The floor of the log.
        wal_floor: u64,
    },
}
