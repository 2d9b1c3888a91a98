//! redb: a copy-on-write B-tree in one file.
//!
//! Each write is a transaction, as each write of the others is on its own. One that need not be durable
//! is lost by a crash of the program too, which the others' are not. Each get is a transaction that
//! reads, for it has to see what is newest; the gets of one batch share theirs.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use redb::{Database, ReadableDatabase, TableDefinition};

use crate::{
    Result,
    store::{self, Direction, Durability, Key, Settings, Store, Workload, Writers, digest},
    subject::Subject,
};

pub(crate) const SUBJECT: Subject = Subject {
    store: Ok(store::run::<Redb>()),
    ..Subject::abstaining("redb", "only its store is measured")
};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("default");

#[derive(Clone)]
struct Redb {
    database: Arc<Database>,
}

impl Redb {
    fn write(
        &self,
        durability: Durability,
        write: impl FnOnce(&mut redb::Table<'_, &[u8], &[u8]>) -> Result<()>,
    ) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(match durability {
            Durability::Disk => redb::Durability::Immediate,
            _ => redb::Durability::None,
        })?;
        write(&mut transaction.open_table(TABLE)?)?;
        Ok(transaction.commit()?)
    }
}

impl Store for Redb {
    const WRITERS: Writers = Writers::Threads;

    fn abstains(workload: Workload) -> Option<&'static str> {
        match workload {
            Workload::OpenTables => Some("one file"),
            _ => None,
        }
    }

    async fn open(dir: &Path, settings: &Settings) -> Result<Self> {
        let database = Database::builder()
            .set_cache_size(usize::try_from(settings.cache_bytes())?)
            .create(dir.join("store.redb"))?;
        let store = Self {
            database: Arc::new(database),
        };
        // Who reads finds a table.
        store.write(Durability::Disk, |_| Ok(()))?;
        Ok(store)
    }

    async fn put(&self, key: &Key, value: &[u8], durability: Durability) -> Result<()> {
        self.write(durability, |table| {
            table.insert(&key[..], value)?;
            Ok(())
        })
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.write(Durability::Os, |table| {
            table.remove(&key[..])?;
            Ok(())
        })
    }

    async fn get(&self, key: &Key) -> Result<Option<u64>> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let value = table.get(&key[..])?;
        Ok(value.map(|value| digest(value.value())))
    }

    async fn multi_get(&self, keys: &[Key]) -> Result<Vec<Option<u64>>> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let digests = keys.iter().map(|key| {
            let value = table.get(&key[..])?;
            Ok(value.map(|value| digest(value.value())))
        });
        digests.collect()
    }

    async fn scan(
        &self,
        start: Option<&Key>,
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let mut pairs = table.range(start.map_or(&[][..], |key| &key[..])..)?;
        let next = || match direction {
            Direction::Forward => pairs.next(),
            Direction::Reverse => pairs.next_back(),
        };
        for pair in std::iter::from_fn(next) {
            let (key, value) = pair?;
            if visit(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// There is no memtable; but from here on all is durable.
    async fn flush(&self) -> Result<()> {
        self.write(Durability::Disk, |_| Ok(()))
    }

    /// The file cannot be compacted while others hold the store, and is not.
    async fn compact(&self) -> Result<()> {
        Ok(())
    }

    fn tables(&self) -> Option<u64> {
        None
    }

    async fn close(self) -> Result<()> {
        self.flush().await
    }
}
