//! Quipu's store, with its defaults but for what the settings say.

use std::{ops::ControlFlow, path::Path};

use quipu_io::DiskIo;
use quipu_kv::{Db, Options, WriteBatch};

use crate::{
    Result,
    store::{
        self, BLOCK_BYTES, Compression, Direction, Durability, FROZEN_MEMTABLES, Key, Settings,
        Store, Writers, digest,
    },
};

pub(crate) const STORE: store::Run = store::run::<Db>();

impl Store for Db {
    const WRITERS: Writers = Writers::Tasks;

    async fn open(dir: &Path, settings: &Settings) -> Result<Self> {
        let mut options = Options::default();
        options.memtable_bytes = settings.memtable_bytes();
        options.frozen_memtables = FROZEN_MEMTABLES;
        options.cache_bytes = settings.cache_bytes();
        options.compactions = settings.compactions;
        options.compaction.table_bytes = settings.table_bytes;
        options.table.block_bytes = BLOCK_BYTES;
        options.table.filter_bits_per_key = settings.filter_bits;
        options.table.compression = match settings.compression {
            Compression::None => quipu_kv::Compression::None,
            Compression::Lz4 => quipu_kv::Compression::Lz4,
        };
        Ok(Db::open(DiskIo::new()?, dir, options).await?)
    }

    async fn put(&self, key: &Key, value: &[u8], durability: Durability) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.put(key, value);
        Ok(self.write(batch, durability).await?)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.delete(key);
        Ok(self.write(batch, Durability::Os).await?)
    }

    async fn get(&self, key: &Key) -> Result<Option<u64>> {
        let value = Db::get(self, key).await?;
        Ok(value.map(|value| digest(&value)))
    }

    async fn multi_get(&self, keys: &[Key]) -> Result<Vec<Option<u64>>> {
        let values = Db::multi_get(self, keys).await?;
        let digests = values.into_iter().map(|value| Some(digest(&value?)));
        Ok(digests.collect())
    }

    async fn scan(
        &self,
        start: Option<&Key>,
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let start = start.map_or(&[][..], |key| &key[..]);
        let mut scan = match direction {
            Direction::Forward => Db::scan(self, start..)?,
            Direction::Reverse => self.scan_reverse(start..)?,
        };
        while let Some((key, value)) = scan.next().await? {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        Ok(Db::flush(self).await?)
    }

    async fn compact(&self) -> Result<()> {
        Ok(self.compact_range(..).await?)
    }

    fn tables(&self) -> Option<u64> {
        Some(self.stats().tables as u64)
    }

    async fn close(self) -> Result<()> {
        Ok(Db::close(&self).await?)
    }
}
