//! [`OpenTables`]: the tables of all versions that are in use, each opened once.
//!
//! A table that is open has the top of its index in memory, a few kilobytes for each; its file may be
//! closed in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use quipu_io::Io;
use quipu_io::planted::planted;

use super::core::lock;
use super::options::Options;
use super::view::{LevelTables, Tables};
use crate::handle::TableHandle;
use crate::manifest::{FileNum, KeyspaceId, SstMetadata, Version};
use crate::table::{BlockCache, OpenFiles, Table};
use crate::{Error, Result};

/// Tables that are opened at once.
const AT_ONCE: usize = 16;

/// The ending of a table's file.
const ENDING: &str = "sst";

/// See the [module](self).
pub(crate) struct OpenTables<I: Io> {
    io: I,
    dir: PathBuf,
    cache: Arc<BlockCache>,
    files: Arc<OpenFiles<I::File>>,
    /// Why the directory could not be synced, once that has failed. Held by whoever syncs it.
    sync_failure: futures::lock::Mutex<Option<Error>>,
    open: Mutex<BTreeMap<FileNum, Arc<TableHandle<I::File>>>>,
}

impl<I: Io> OpenTables<I> {
    pub(crate) fn new(io: I, dir: &Path, options: &Options) -> Self {
        OpenTables {
            io,
            dir: dir.to_owned(),
            cache: BlockCache::new(options.cache_bytes),
            files: OpenFiles::new(options.open_files),
            sync_failure: futures::lock::Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// Makes the names of new tables durable.
    ///
    /// Several tasks make tables at once, and a sync that fails may forget the names of all of them:
    /// none can be recorded from then on, whatever a later sync says.
    pub(crate) async fn sync_dir(&self) -> Result<()> {
        if planted("the names of tables are not synced") {
            return Ok(());
        }
        let mut failure = self.sync_failure.lock().await;
        if let Some(error) = &*failure {
            return Err(error.clone());
        }
        let synced = self.io.sync_dir(&self.dir).await;
        // Not for lack of room, even if that is what it says: trying again is of no use.
        let synced = synced.map_err(|error| Error::Io {
            source: Arc::new(error),
        });
        *failure = synced.clone().err();
        synced
    }

    pub(crate) fn cache(&self) -> &BlockCache {
        &self.cache
    }

    pub(crate) fn path(&self, filenum: FileNum) -> PathBuf {
        self.dir.join(format!("{filenum}.{ENDING}"))
    }

    /// The number of a table's file, if that is what has this name.
    pub(crate) fn filenum(name: &Path) -> Option<FileNum> {
        let number = name.file_stem()?.to_str()?;
        (name.extension()? == ENDING).then_some(())?;
        Some(FileNum::new(number.parse().ok()?))
    }

    /// Opens those that are not open yet, several at once.
    pub(crate) async fn open(
        &self,
        tables: impl IntoIterator<Item = Arc<SstMetadata>>,
    ) -> Result<()> {
        let mut closed = {
            let open = lock(&self.open);
            let closed = tables
                .into_iter()
                .filter(|table| !open.contains_key(&table.filenum));
            closed.collect::<Vec<_>>().into_iter()
        };
        let mut opening = FuturesUnordered::new();
        loop {
            while opening.len() < AT_ONCE
                && let Some(table) = closed.next()
            {
                opening.push(self.open_one(table));
            }
            match opening.next().await {
                Some(opened) => {
                    let (filenum, table) = opened?;
                    lock(&self.open).insert(filenum, Arc::new(table));
                }
                None => return Ok(()),
            }
        }
    }

    async fn open_one(&self, table: Arc<SstMetadata>) -> Result<(FileNum, TableHandle<I::File>)> {
        let path = self.path(table.filenum);
        let opened = Table::open_among(
            &self.io,
            &path,
            table.filenum,
            table.size,
            self.cache.clone(),
            self.files.clone(),
        );
        Ok((table.filenum, TableHandle::new(opened.await?, table)))
    }

    /// An open table.
    pub(crate) fn get(&self, filenum: FileNum) -> Result<Arc<TableHandle<I::File>>> {
        let table = lock(&self.open).get(&filenum).cloned();
        table.ok_or_else(|| Error::MissingTable {
            path: self.path(filenum),
        })
    }

    /// Lets go of a table. Whoever reads it has it open until then.
    pub(crate) fn close(&self, filenum: FileNum) {
        lock(&self.open).remove(&filenum);
    }

    /// The tables of a keyspace, all of which must be open.
    pub(crate) fn of(&self, version: Arc<Version>, keyspace: KeyspaceId) -> Result<Tables<I>> {
        let mut levels = Vec::new();
        for level in version
            .keyspace(keyspace)
            .into_iter()
            .flat_map(|found| found.levels())
        {
            let is_sorted = version
                .keyspace(keyspace)
                .is_some_and(|found| found.is_sorted(level.number()));
            let mut metadata: Vec<_> = level.tables().collect();
            if !is_sorted {
                metadata.sort_by_key(|table| (table.max_seq, table.filenum));
                metadata.reverse();
            }
            let tables = metadata.into_iter().map(|table| self.get(table.filenum));
            levels.push(LevelTables {
                is_sorted,
                tables: tables.collect::<Result<_>>()?,
            });
        }
        Ok(Tables { version, levels })
    }
}
