//! [`Bulk`]: many pairs, in large batches.
//!
//! Invariant: pairs become durable in the order in which they come, and [`Bulk::stored`] counts those
//! that are.

use quipu_kv::manifest::KeyspaceId;
use quipu_kv::{Durability, Error, WriteBatch};
use smol::future::Boxed;

use super::Store;

/// A batch of this size is written.
const BATCH_BYTES: usize = 1 << 20;

/// Puts pairs in batches, of which one is on its way to the disk while the next is filled.
pub(super) struct Bulk<'a> {
    store: &'a Store,
    batch: WriteBatch,
    on_its_way: Option<(u64, Boxed<Result<(), Error>>)>,
    stored: u64,
}

impl<'a> Bulk<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Bulk {
            store,
            batch: empty(),
            on_its_way: None,
            stored: 0,
        }
    }

    /// Takes a pair. It may be in memory only until [`finish`](Bulk::finish) has answered.
    pub(super) async fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        // What is this large may be refused. Then only this is.
        let is_alone = key.len() > usize::from(u16::MAX) || value.len() > BATCH_BYTES;
        if is_alone {
            self.finish().await?;
        }
        self.batch.put_in(self.keyspace(), key, value);
        match is_alone {
            true => self.finish().await,
            false if self.batch.bytes() >= BATCH_BYTES => self.send().await,
            false => Ok(()),
        }
    }

    /// Makes all pairs durable that it was given.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        self.send().await?;
        self.arrive().await
    }

    /// How many pairs are durable.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    async fn send(&mut self) -> Result<(), Error> {
        self.arrive().await?;
        if !self.batch.is_empty() {
            let batch = std::mem::replace(&mut self.batch, empty());
            let pairs = batch.len() as u64;
            let written = self.store.db.write(batch, Durability::Disk);
            self.on_its_way = Some((pairs, Box::pin(written)));
        }
        Ok(())
    }

    async fn arrive(&mut self) -> Result<(), Error> {
        if let Some((pairs, written)) = self.on_its_way.take() {
            written.await?;
            self.stored += pairs;
        }
        Ok(())
    }

    fn keyspace(&self) -> KeyspaceId {
        self.store.keyspace.id()
    }
}

fn empty() -> WriteBatch {
    WriteBatch::with_capacity(BATCH_BYTES + BATCH_BYTES / 8)
}
