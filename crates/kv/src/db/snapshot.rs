//! [`Snapshot`]: the store as of one moment.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::{DiskIo, Io, Runtime};

use super::core::Core;
use super::scan::Scan;
use super::snapshots::Held;
use crate::Result;
use crate::manifest::KeyspaceId;

/// The store as of the moment at which it was taken, whatever is written, flushed or compacted since.
///
/// It keeps versions of keys that are no longer the newest, so hold it only as long as it is read.
pub struct Snapshot<I: Io = DiskIo> {
    core: Arc<Core<I>>,
    held: Arc<Held>,
}

impl<I: Io + Runtime> Snapshot<I> {
    pub(crate) fn new(core: Arc<Core<I>>) -> Self {
        let held = Arc::new(core.snapshots.hold(|| core.visible()));
        Snapshot { core, held }
    }

    /// All writes up to this number are in it, and none above.
    pub fn seq(&self) -> u64 {
        self.held.seq()
    }

    /// The value of a key of the default keyspace.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        self.get_in(KeyspaceId::DEFAULT, key).await
    }

    /// The value of a key.
    pub async fn get_in(
        &self,
        keyspace: KeyspaceId,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Bytes>> {
        let view = self.core.view(keyspace)?;
        view.get(key.as_ref(), self.held.seq()).await
    }

    /// The pairs of a range of the default keyspace, in the order of keys.
    pub fn scan<'a>(&self, keys: impl RangeBounds<&'a [u8]>) -> Result<Scan<I>> {
        self.core
            .scan_at(KeyspaceId::DEFAULT, &keys, false, self.held.clone())
    }

    /// The pairs of a range of the default keyspace, in reverse order.
    pub fn scan_reverse<'a>(&self, keys: impl RangeBounds<&'a [u8]>) -> Result<Scan<I>> {
        self.core
            .scan_at(KeyspaceId::DEFAULT, &keys, true, self.held.clone())
    }

    /// The pairs of a range, in the order of keys.
    pub fn scan_in<'a>(
        &self,
        keyspace: KeyspaceId,
        keys: impl RangeBounds<&'a [u8]>,
    ) -> Result<Scan<I>> {
        self.core.scan_at(keyspace, &keys, false, self.held.clone())
    }
}

impl<I: Io> fmt::Debug for Snapshot<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}
