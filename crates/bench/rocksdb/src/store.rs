//! RocksDB's store, with its defaults but for what the settings say.
//!
//! Index and filters are not in its block cache, as by default. Compactions and flushes have one thread
//! of their own each, as by default.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use quipu_bench::{
    Result,
    store::{
        self, BLOCK_BYTES, Compression, Direction, Durability, FROZEN_MEMTABLES, Key, Settings,
        Store, Writers, digest,
    },
};
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, CompactOptions, DB, DBCompressionType,
    Options, ReadOptions, WriteOptions,
};

pub(crate) const STORE: store::Run = store::run::<RocksDb>();

#[derive(Clone)]
struct RocksDb {
    db: Arc<DB>,
}

fn options(settings: &Settings) -> Result<Options> {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_size(BLOCK_BYTES);
    blocks.set_bloom_filter(f64::from(settings.filter_bits), false);
    blocks.set_block_cache(&Cache::new_lru_cache(usize::try_from(
        settings.cache_bytes(),
    )?)?);
    // The newest format that this version reads; the default is an older one, for older versions' sake.
    blocks.set_format_version(5);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(usize::try_from(settings.memtable_bytes())?);
    options.set_max_write_buffer_number(i32::try_from(FROZEN_MEMTABLES)?);
    options.set_max_background_jobs(i32::try_from(settings.compactions + 1)?);
    options.set_target_file_size_base(settings.table_bytes);
    options.set_compression_type(match settings.compression {
        Compression::None => DBCompressionType::None,
        Compression::Lz4 => DBCompressionType::Lz4,
    });
    Ok(options)
}

impl Store for RocksDb {
    const WRITERS: Writers = Writers::Threads;

    async fn open(dir: &Path, settings: &Settings) -> Result<Self> {
        let db = DB::open(&options(settings)?, dir)?;
        Ok(Self { db: Arc::new(db) })
    }

    async fn put(&self, key: &Key, value: &[u8], durability: Durability) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Disk);
        Ok(self.db.put_opt(key, value, &options)?)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        Ok(self.db.delete(key)?)
    }

    async fn get(&self, key: &Key) -> Result<Option<u64>> {
        let value = self.db.get_pinned(key)?;
        Ok(value.map(|value| digest(&value)))
    }

    async fn multi_get(&self, keys: &[Key]) -> Result<Vec<Option<u64>>> {
        let values = self.db.multi_get(keys).into_iter();
        let digests = values.map(|value| Ok(value?.map(|value| digest(&value))));
        digests.collect()
    }

    async fn scan(
        &self,
        start: Option<&Key>,
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut pairs = self.db.raw_iterator_opt(ReadOptions::default());
        match (start, direction) {
            (Some(start), Direction::Forward) => pairs.seek(start),
            (_, Direction::Forward) => pairs.seek_to_first(),
            (_, Direction::Reverse) => pairs.seek_to_last(),
        }
        while let Some((key, value)) = pairs.item() {
            let is_before = start.is_some_and(|start| key < &start[..]);
            if is_before || visit(key, value).is_break() {
                break;
            }
            match direction {
                Direction::Forward => pairs.next(),
                Direction::Reverse => pairs.prev(),
            }
        }
        Ok(pairs.status()?)
    }

    async fn flush(&self) -> Result<()> {
        Ok(self.db.flush()?)
    }

    async fn compact(&self) -> Result<()> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db
            .compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }

    fn tables(&self) -> Option<u64> {
        Some(self.db.live_files().ok()?.len() as u64)
    }

    async fn close(self) -> Result<()> {
        self.db.cancel_all_background_work(true);
        Ok(())
    }
}
