//! [`View`]: everything that a read of a keyspace goes through, as of one moment.
//!
//! Invariants:
//! - A view never changes, except that its active memtable gets entries with numbers above those of
//!   all readers that have begun.
//! - Sources are asked from the newest to the oldest: of one key, each has only newer versions than
//!   the next.
//! - A view holds the manifest's version, so the files of its tables stay.

use std::sync::Arc;

use quipu_io::Io;

use crate::handle::TableHandle;
use crate::manifest::{KeyspaceId, Version};
use crate::memtable::MemTable;

/// See the [module](self).
pub(crate) struct View<I: Io> {
    pub(crate) id: KeyspaceId,
    pub(crate) name: Arc<str>,
    pub(crate) active: Arc<MemTable>,
    /// The newest first.
    pub(crate) frozen: Vec<Frozen>,
    pub(crate) tables: Arc<Tables<I>>,
}

/// A memtable that gets no more entries, and is to become a table.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub(crate) memtable: Arc<MemTable>,
    /// All writes up to this number were applied when it was frozen.
    pub(crate) through: u64,
}

/// The tables of a keyspace.
pub(crate) struct Tables<I: Io> {
    pub(crate) version: Arc<Version>,
    /// From level 0 down.
    pub(crate) levels: Vec<LevelTables<I>>,
}

/// The open tables of one level.
pub(crate) struct LevelTables<I: Io> {
    /// Whether they are in the order of keys, without overlaps; else the newest comes first.
    pub(crate) is_sorted: bool,
    pub(crate) tables: Vec<Arc<TableHandle<I::File>>>,
}

impl<I: Io> Clone for View<I> {
    fn clone(&self) -> Self {
        View {
            id: self.id,
            name: self.name.clone(),
            active: self.active.clone(),
            frozen: self.frozen.clone(),
            tables: self.tables.clone(),
        }
    }
}
