//! [`Version`]: the tables that make up the store at one moment.
//!
//! Invariant: a version never changes. The manifest makes the next one out of it by copying only
//! what an edit touches, and not even that while nobody else holds it.

use std::sync::Arc;

use super::filenum::FileNum;
use super::keyspace::{ById, ByName, Keyspace, KeyspaceId};
use super::table::{ByNumber, SstMetadata};
use crate::tree::Tree;

/// The keyspaces and tables at one moment.
///
/// Hold an `Arc<Version>` for as long as its tables are read: no file that it names is given out by
/// [`obsolete_files`](super::Manifest::obsolete_files) until then. Cloning is cheap, and so is holding
/// on to many versions: they share all that they have in common.
#[derive(Clone, Debug, Default)]
pub struct Version {
    pub(super) number: u64,
    pub(super) keyspaces: Tree<ById>,
    pub(super) names: Tree<ByName>,
    pub(super) tables: Tree<ByNumber>,
    pub(super) next_keyspace: u32,
    pub(super) last_seq: u64,
    pub(super) wal_floor: u64,
}

impl Version {
    /// How many edits have made this version; those that were refused do not count.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The keyspaces, in the order of their numbers.
    pub fn keyspaces(&self) -> impl DoubleEndedIterator<Item = &Keyspace> {
        self.keyspaces.iter().map(|keyspace| &*keyspace.0)
    }

    /// A keyspace.
    pub fn keyspace(&self, id: KeyspaceId) -> Option<&Keyspace> {
        let found = self
            .keyspaces
            .get(|keyspace: &ById| keyspace.0.id.cmp(&id))?;
        Some(&found.0)
    }

    /// The keyspace of this name.
    pub fn keyspace_named(&self, name: &str) -> Option<&Keyspace> {
        let found = self.names.get(|other: &ByName| (*other.0).cmp(name))?;
        self.keyspace(found.1)
    }

    /// The number of the next keyspace: all that were ever created are below it.
    pub(crate) fn next_keyspace(&self) -> KeyspaceId {
        KeyspaceId::new(self.next_keyspace)
    }

    /// A table.
    pub fn table(&self, filenum: FileNum) -> Option<&Arc<SstMetadata>> {
        Some(&self.tables.get(ByNumber::place(filenum))?.table)
    }

    /// All tables, in the order of their numbers.
    pub fn tables(&self) -> impl DoubleEndedIterator<Item = &Arc<SstMetadata>> {
        self.tables.iter().map(|table| &table.table)
    }

    /// How many tables there are.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there are no tables.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The bytes of all tables.
    pub fn bytes(&self) -> u64 {
        self.tables.sum().map_or(0, |totals| totals.bytes)
    }

    /// The highest sequence number that a table or a flush has had. A store goes on above it, and
    /// above what its log holds.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// All entries of the write-ahead log up to this sequence number are in tables, for every
    /// keyspace: log that lies wholly at or below it may go. It never falls.
    pub fn wal_floor(&self) -> u64 {
        self.wal_floor
    }
}
