//! [`KeyspaceHandle`]: the operations of one keyspace.

use std::fmt;
use std::future::Future;
use std::ops::RangeBounds;
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::{DiskIo, Io, Runtime};
use quipu_journal::log::Durability;

use super::core::Core;
use super::scan::Scan;
use crate::manifest::KeyspaceId;
use crate::{Result, WriteBatch};

/// One keyspace of a [`Db`](crate::Db). All keyspaces share one log, one manifest and one sequence,
/// so a [`WriteBatch`] may write to several.
pub struct KeyspaceHandle<I: Io = DiskIo> {
    core: Arc<Core<I>>,
    id: KeyspaceId,
}

impl<I: Io + Runtime> KeyspaceHandle<I> {
    pub(crate) fn new(core: Arc<Core<I>>, id: KeyspaceId) -> Self {
        KeyspaceHandle { core, id }
    }

    /// Its number, for batches.
    pub fn id(&self) -> KeyspaceId {
        self.id
    }

    /// The newest value of a key.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        self.core.get(self.id, key.as_ref()).await
    }

    /// The newest values of several keys, all as of the same moment.
    pub async fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>> {
        self.core.multi_get(self.id, keys).await
    }

    /// Sets a key, durably.
    pub fn put(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<()>> + Send + 'static {
        let mut batch = WriteBatch::new();
        batch.put_in(self.id, key, value);
        self.core.write(batch, Durability::Disk)
    }

    /// Deletes a key, durably.
    pub fn delete(
        &self,
        key: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<()>> + Send + 'static {
        let mut batch = WriteBatch::new();
        batch.delete_in(self.id, key);
        self.core.write(batch, Durability::Disk)
    }

    /// The pairs of a range, in the order of keys, as of now.
    pub fn scan<'a>(&self, keys: impl RangeBounds<&'a [u8]>) -> Result<Scan<I>> {
        self.core.scan(self.id, &keys, false)
    }

    /// The pairs of a range in reverse order, as of now.
    pub fn scan_reverse<'a>(&self, keys: impl RangeBounds<&'a [u8]>) -> Result<Scan<I>> {
        self.core.scan(self.id, &keys, true)
    }

    /// The pairs whose keys begin with `prefix`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan<I>> {
        self.core.prefix(self.id, prefix.as_ref())
    }

    /// Brings everything of a range down to the lowest level, as
    /// [`Db::compact_range`](crate::Db::compact_range) does.
    pub async fn compact_range<'a>(&self, keys: impl RangeBounds<&'a [u8]>) -> Result<()> {
        self.core.compact_range(self.id, &keys).await
    }
}

impl<I: Io> Clone for KeyspaceHandle<I> {
    fn clone(&self) -> Self {
        KeyspaceHandle {
            core: self.core.clone(),
            id: self.id,
        }
    }
}

impl<I: Io> fmt::Debug for KeyspaceHandle<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyspaceHandle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
