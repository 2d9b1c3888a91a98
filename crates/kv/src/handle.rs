//! [`TableHandle`]: an open table, and what of it every read needs.

use std::sync::Arc;

use quipu_io::File;

use crate::Result;
use crate::manifest::SstMetadata;
use crate::table::{Found, IterOptions, Table, TableIter};
use crate::tombstone::RangeTombstones;

/// A table that is open.
#[derive(Debug)]
pub(crate) struct TableHandle<F> {
    table: Arc<Table<F>>,
    metadata: Arc<SstMetadata>,
    deleted: RangeTombstones,
}

impl<F: File> TableHandle<F> {
    pub(crate) fn new(table: Table<F>, metadata: Arc<SstMetadata>) -> Self {
        let mut deleted = RangeTombstones::default();
        for tombstone in table.range_tombstones() {
            deleted.insert(tombstone.clone());
        }
        TableHandle {
            table: Arc::new(table),
            metadata,
            deleted,
        }
    }

    pub(crate) fn smallest(&self) -> &[u8] {
        &self.metadata.smallest
    }

    pub(crate) fn largest(&self) -> &[u8] {
        &self.metadata.largest
    }

    /// Its range tombstones.
    pub(crate) fn deleted(&self) -> &RangeTombstones {
        &self.deleted
    }

    /// The newest version of a key at or below `seq`. Range tombstones are not looked at.
    pub(crate) async fn get(&self, key: &[u8], seq: u64) -> Result<Option<Found>> {
        self.table.get(key, seq).await
    }

    pub(crate) fn iter(&self, options: IterOptions) -> TableIter<F> {
        TableIter::new(self.table.clone(), options)
    }
}
