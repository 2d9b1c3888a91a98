//! fjall: an LSM store in Rust.
//!
//! Its workers flush and compact, so it has one more than compactions at once. How large a table is
//! that `compact` writes is not to be set; so where tables are to be small, it is left to the
//! compactions that come by themselves.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode,
    compaction::Leveled,
    config::{
        BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy,
        FilterPolicyEntry,
    },
};

use crate::{
    Result,
    store::{
        self, BLOCK_BYTES, Compression, Direction, Durability, Key, Settings, Store, TABLE_BYTES,
        Writers, digest,
    },
    subject::Subject,
};

pub(crate) const SUBJECT: Subject = Subject {
    store: Ok(store::run::<Fjall>()),
    ..Subject::abstaining("fjall", "only its store is measured")
};

#[derive(Clone)]
struct Fjall {
    database: Database,
    keyspace: Keyspace,
    has_small_tables: bool,
}

impl Store for Fjall {
    const WRITERS: Writers = Writers::Threads;

    async fn open(dir: &Path, settings: &Settings) -> Result<Self> {
        let database = Database::builder(dir)
            .cache_size(settings.cache_bytes())
            .worker_threads(settings.compactions + 1)
            .open()?;
        #[expect(clippy::cast_precision_loss, reason = "a few bits")]
        let bits = BloomConstructionPolicy::BitsPerKey(settings.filter_bits as f32);
        let compression = match settings.compression {
            Compression::None => CompressionType::None,
            Compression::Lz4 => CompressionType::Lz4,
        };
        let leveled = Leveled::default().with_table_target_size(settings.table_bytes);
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(settings.memtable_bytes())
                .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES as u32))
                .data_block_compression_policy(CompressionPolicy::all(compression))
                .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(bits)))
                .compaction_strategy(Arc::new(leveled.clone()))
        };
        Ok(Self {
            keyspace: database.keyspace("default", options)?,
            database,
            has_small_tables: settings.table_bytes < TABLE_BYTES,
        })
    }

    async fn put(&self, key: &Key, value: &[u8], durability: Durability) -> Result<()> {
        self.keyspace.insert(key, value)?;
        if durability == Durability::Disk {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        Ok(self.keyspace.remove(key)?)
    }

    async fn get(&self, key: &Key) -> Result<Option<u64>> {
        let value = self.keyspace.get(key)?;
        Ok(value.map(|value| digest(&value)))
    }

    /// It has none of its own.
    async fn multi_get(&self, keys: &[Key]) -> Result<Vec<Option<u64>>> {
        let digests = keys.iter().map(|key| {
            let value = self.keyspace.get(key)?;
            Ok(value.map(|value| digest(&value)))
        });
        digests.collect()
    }

    async fn scan(
        &self,
        start: Option<&Key>,
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let start = start.map_or(&[][..], |key| &key[..]);
        let mut pairs = self.keyspace.range(start..);
        let next = || match direction {
            Direction::Forward => pairs.next(),
            Direction::Reverse => pairs.next_back(),
        };
        for pair in std::iter::from_fn(next) {
            let (key, value) = pair.into_inner()?;
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        Ok(self.keyspace.rotate_memtable_and_wait()?)
    }

    async fn compact(&self) -> Result<()> {
        if !self.has_small_tables {
            self.keyspace.major_compact()?;
        }
        Ok(())
    }

    fn tables(&self) -> Option<u64> {
        Some(self.keyspace.table_count() as u64)
    }

    async fn close(self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}
