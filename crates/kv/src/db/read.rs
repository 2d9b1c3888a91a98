//! Point reads.
//!
//! Sources are asked from the newest to the oldest. The first version that is found decides, unless a
//! range tombstone that is newer covers it: those of the sources asked until then are all that can be.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::Io;
use quipu_io::planted::planted;

use super::core::Core;
use super::scan::{Range, Scan};
use super::snapshots::Held;
use super::view::{LevelTables, View};
use crate::Result;
use crate::entry::Kind;
use crate::handle::TableHandle;
use crate::manifest::KeyspaceId;
use crate::table::Found;

impl<I: Io> View<I> {
    /// The value of a key, as of a number.
    pub(crate) async fn get(&self, key: &[u8], seq: u64) -> Result<Option<Bytes>> {
        let mut covering = 0;
        let memtables = [&self.active].into_iter();
        for memtable in memtables.chain(self.frozen.iter().map(|frozen| &frozen.memtable)) {
            let (found, tombstone) = memtable.get(key, seq);
            covering = covering.max(tombstone);
            if let Some(found) = found {
                return Ok(visible(found, covering));
            }
        }
        for level in &self.tables.levels {
            for table in level.holding(key) {
                if !planted("a get does not see the range tombstones of tables") {
                    covering = covering.max(table.deleted().covering(key, seq));
                }
                if let Some(found) = table.get(key, seq).await? {
                    return Ok(visible(found, covering));
                }
            }
        }
        Ok(None)
    }
}

impl<I: Io> Core<I> {
    /// The newest value of a key. The view comes before the number: it has all that was visible when
    /// it was taken, and what a compaction drops later it still has.
    pub(crate) async fn get(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Bytes>> {
        let view = self.view(keyspace)?;
        view.get(key, self.visible()).await
    }

    pub(crate) async fn multi_get<K: AsRef<[u8]>>(
        &self,
        keyspace: KeyspaceId,
        keys: &[K],
    ) -> Result<Vec<Option<Bytes>>> {
        let view = self.view(keyspace)?;
        let seq = self.visible();
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(view.get(key.as_ref(), seq).await?);
        }
        Ok(values)
    }

    pub(crate) fn scan<'a>(
        &self,
        keyspace: KeyspaceId,
        keys: &impl RangeBounds<&'a [u8]>,
        reverse: bool,
    ) -> Result<Scan<I>> {
        let held = Arc::new(self.snapshots.hold(|| self.visible()));
        self.scan_at(keyspace, keys, reverse, held)
    }

    pub(crate) fn scan_at<'a>(
        &self,
        keyspace: KeyspaceId,
        keys: &impl RangeBounds<&'a [u8]>,
        reverse: bool,
        held: Arc<Held>,
    ) -> Result<Scan<I>> {
        let owned = |key: &&[u8]| Bytes::copy_from_slice(key);
        let range = (keys.start_bound().map(owned), keys.end_bound().map(owned));
        Ok(Scan::new(self.view(keyspace)?, held, range, reverse))
    }

    pub(crate) fn prefix(&self, keyspace: KeyspaceId, prefix: &[u8]) -> Result<Scan<I>> {
        let end = behind_prefix(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.scan(keyspace, &(Bound::Included(prefix), end), false)
    }
}

/// The first key behind all that begin with `prefix`, if there is one.
fn behind_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn visible(found: Found, covering: u64) -> Option<Bytes> {
    (found.kind == Kind::Put && found.seq > covering).then_some(found.value)
}

impl<I: Io> LevelTables<I> {
    /// The tables that may hold a key, the newest first.
    fn holding(&self, key: &[u8]) -> impl Iterator<Item = &Arc<TableHandle<I::File>>> {
        let tables = if self.is_sorted {
            let at = self.tables.partition_point(|table| match table.largest() {
                largest if planted("the last key of a table is looked for in the next") => {
                    largest <= key
                }
                largest => largest < key,
            });
            &self.tables[at..self.tables.len().min(at + 1)]
        } else {
            &self.tables[..]
        };
        tables
            .iter()
            .filter(move |table| table.smallest() <= key && key <= table.largest())
    }

    /// The tables that may hold something of a range.
    pub(crate) fn overlapping(&self, range: &Range) -> Vec<Arc<TableHandle<I::File>>> {
        let overlaps = |table: &&Arc<TableHandle<I::File>>| {
            (match &range.0 {
                Bound::Included(start) => table.largest() >= &start[..],
                Bound::Excluded(start) => table.largest() > &start[..],
                Bound::Unbounded => true,
            }) && (match &range.1 {
                Bound::Included(end) => table.smallest() <= &end[..],
                Bound::Excluded(end) => table.smallest() < &end[..],
                Bound::Unbounded => true,
            })
        };
        self.tables.iter().filter(overlaps).cloned().collect()
    }
}
