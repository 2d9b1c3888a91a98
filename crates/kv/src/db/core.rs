//! [`Core`]: what the handles of one store share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use quipu_io::Io;
use quipu_io::planted::planted;
use quipu_journal::log::Log;

use super::background::{Stage, Work};
use super::bell::Bell;
use super::budget::Budget;
use super::commit::Commits;
use super::marks::Marks;
use super::options::Options;
use super::pressure::Pressure;
use super::snapshots::Snapshots;
use super::stats::Counters;
use super::tables::OpenTables;
use super::view::View;
use crate::batch::WriteBatch;
use crate::manifest::{KeyspaceId, Manifest};
use crate::{Error, Result};

pub(crate) type Views<I> = BTreeMap<KeyspaceId, Arc<View<I>>>;

/// See the [module](self).
pub(crate) struct Core<I: Io> {
    pub(crate) io: I,
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) manifest: Manifest<I>,
    /// Gets nothing if the store keeps no log.
    pub(crate) wal: Log<I>,
    pub(crate) tables: OpenTables<I>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// Rings when a flush or a compaction is done, or has failed.
    pub(crate) progress: Bell,
    pub(crate) stats: Counters,
    /// What tables that are read and written in the background hold in memory.
    pub(crate) memory: Arc<Budget>,
    /// What is set aside for the outputs of compactions.
    pub(crate) disk: Arc<Budget>,
    pub(crate) work: Mutex<Work>,
    /// Writes up to this number are visible.
    pub(crate) visible: AtomicU64,
    pub(crate) pressure: Mutex<Pressure>,
    commits: Mutex<Commits>,
    views: RwLock<Views<I>>,
    pub(crate) marks: Mutex<Marks>,
    /// Held while a keyspace comes or goes, and by whoever wants none to.
    pub(crate) keyspaces: futures::lock::Mutex<()>,
}

/// What a store begins with.
pub(crate) struct Beginning<I: Io> {
    pub(crate) io: I,
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) manifest: Manifest<I>,
    pub(crate) wal: Log<I>,
    pub(crate) tables: OpenTables<I>,
    pub(crate) views: Views<I>,
    pub(crate) last_seq: u64,
    pub(crate) marks: Marks,
}

impl<I: Io> Core<I> {
    pub(crate) fn new(beginning: Beginning<I>) -> Self {
        Core {
            memory: Budget::new(beginning.options.background_bytes),
            disk: Budget::new(beginning.options.disk_bytes),
            io: beginning.io,
            dir: beginning.dir,
            options: beginning.options,
            manifest: beginning.manifest,
            wal: beginning.wal,
            tables: beginning.tables,
            snapshots: Arc::default(),
            progress: Bell::default(),
            stats: Counters::default(),
            work: Mutex::default(),
            pressure: Mutex::default(),
            visible: AtomicU64::new(beginning.last_seq),
            commits: Mutex::new(Commits {
                next_seq: match planted("the last number is given again") {
                    true => beginning.last_seq,
                    false => beginning.last_seq + 1,
                },
            }),
            views: RwLock::new(beginning.views),
            marks: Mutex::new(beginning.marks),
            keyspaces: futures::lock::Mutex::default(),
        }
    }

    /// The last number that is visible.
    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// The view of a keyspace.
    pub(crate) fn view(&self, keyspace: KeyspaceId) -> Result<Arc<View<I>>> {
        let views = self.views();
        let view = views.get(&keyspace).cloned();
        view.ok_or(Error::UnknownKeyspace { keyspace })
    }

    pub(crate) fn views(&self) -> RwLockReadGuard<'_, Views<I>> {
        self.views.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn views_mut(&self) -> RwLockWriteGuard<'_, Views<I>> {
        self.views.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn commits(&self) -> MutexGuard<'_, Commits> {
        lock(&self.commits)
    }

    /// Fails once the store is being closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        match lock(&self.work).stage {
            Stage::Open => Ok(()),
            Stage::Closing | Stage::Closed => Err(Error::Closed),
        }
    }

    pub(crate) fn check_keyspaces(&self, batch: &WriteBatch) -> Result<()> {
        let views = self.views();
        match batch.keyspaces().find(|id| !views.contains_key(id)) {
            Some(keyspace) => Err(Error::UnknownKeyspace { keyspace }),
            None => Ok(()),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
