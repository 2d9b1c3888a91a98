//! [`ManifestEdit`]: what the manifest's journal holds, version by version.
//!
//! Invariant: version 1 is frozen. Its bytes are in `docs/kv-format.md` and in a golden file; what
//! is to be added is a variant at the end of [`ManifestEdit`], and an older program then refuses the
//! journal with `Error::Decode`, changing nothing.

use serde::{Deserialize, Serialize};

use super::filenum::FileNum;
use super::keyspace::{KeyspaceId, KeyspaceOptions};
use super::table::SstMetadata;

/// One change of the manifest, as the journal keeps it.
///
/// [`Manifest`](super::Manifest) makes them; who looks into a manifest's journal, with a
/// [`Reader`](quipu_journal::Reader), meets them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ManifestEdit {
    /// The first version.
    V1(ManifestEditV1),
}

/// One change, in the first version of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManifestEditV1 {
    /// Tables are there that were not: a flush of any number of them, or an ingest.
    AddFile {
        /// The tables.
        files: Vec<SstMetadata>,
        /// What need no longer be read from the write-ahead log; nothing for an ingest.
        flushed: Vec<Flushed>,
    },
    /// Tables take the place of others, all at once. A number that is removed and added has moved to
    /// another level.
    Compaction {
        /// The new tables.
        added: Vec<SstMetadata>,
        /// The numbers of those that go.
        removed: Vec<FileNum>,
    },
    /// There is a keyspace more.
    CreateKeyspace {
        /// Its name.
        name: String,
        /// What it is created with.
        options: KeyspaceOptions,
    },
    /// A keyspace goes, with all of its tables.
    DropKeyspace {
        /// Which.
        keyspace: KeyspaceId,
    },
    /// One part of a snapshot. Parts add up.
    Snapshot(SnapshotPart),
}

/// That a stretch of the write-ahead log is in tables, for one keyspace.
///
/// Stretches join without a gap: one that does not begin where the last ended is refused, so an edit
/// that was lost (no room for it, say) cannot be passed over by the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flushed {
    /// Whose entries.
    pub keyspace: KeyspaceId,
    /// The keyspace's `flushed_through` until now: the last sequence number before the stretch.
    pub after: u64,
    /// The last sequence number of the stretch.
    pub through: u64,
}

/// A part of a snapshot: some of the state, to be added to what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// What the state counts; in one part.
    pub counters: Option<Counters>,
    /// Keyspaces, without their tables.
    pub keyspaces: Vec<KeyspaceRecord>,
    /// Tables of keyspaces in this part or an earlier one.
    pub tables: Vec<SstMetadata>,
}

/// What the manifest's state counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// The number of the version.
    pub version: u64,
    /// The lowest file number above all that an edit has named.
    pub next_filenum: u64,
    /// Ranges of numbers below it that no edit has named: the first, and the one behind the last.
    pub free_filenums: Vec<(u64, u64)>,
    /// The number of the next keyspace.
    pub next_keyspace: u32,
    /// The highest sequence number of the store.
    pub last_seq: u64,
    /// All of the write-ahead log up to here is in tables.
    pub wal_floor: u64,
}

/// A keyspace in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyspaceRecord {
    /// Its number.
    pub id: KeyspaceId,
    /// Its name.
    pub name: String,
    /// What it was created with, and how far it is flushed now.
    pub options: KeyspaceOptions,
}
