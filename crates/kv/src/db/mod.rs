//! [`Db`]: the store.

mod alarm;
mod attempts;
mod background;
mod bell;
mod budget;
mod checkpoint;
mod commit;
mod compact;
mod core;
mod cut;
mod flush;
mod keyspace;
mod marks;
mod options;
mod outputs;
mod parts;
mod pressure;
mod read;
mod recovery;
mod room;
mod scan;
mod snapshot;
mod snapshots;
mod stats;
mod tables;
mod view;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::planted::planted;
use quipu_io::{DiskIo, Io, Runtime};
use quipu_journal::log::Durability;

use self::background::Stage;
use self::core::{Core, lock};

pub use keyspace::KeyspaceHandle;
pub use options::Options;
pub use pressure::{Backlog, Pressure};
pub use recovery::Recovered;
pub use room::HeldBack;
pub use scan::Scan;
pub use snapshot::Snapshot;
pub use stats::{Causes, LevelStats, Stats};

use crate::manifest::{KeyspaceId, KeyspaceOptions, Version};
use crate::{Error, Result, WriteBatch};

/// An embedded key-value store. A clone is another handle to the same one.
///
/// See the [front page](crate) for an example and for what is guaranteed. The operations here are of
/// the default keyspace; [`keyspace`](Db::keyspace) gives others.
pub struct Db<I: Io = DiskIo> {
    core: Arc<Core<I>>,
    recovered: Arc<Recovered>,
}

impl<I: Io + Runtime> Db<I> {
    /// Opens the store in `dir`, or begins one.
    ///
    /// When this answers, everything that it shows is durable. It runs on the backend's own threads,
    /// and to its end even if the future is dropped.
    ///
    /// # Errors
    ///
    /// - `Journal` and `Wal`, as [`Journal::open`](quipu_journal::Journal::open) fails; with `Locked`
    ///   while it is open elsewhere.
    /// - `MissingTable`, `Corrupt`: what the manifest names is not there, or damaged.
    /// - `Incomplete`: the manifest or the log is gone, or has lost its end.
    /// - `Io`.
    pub fn open(
        io: I,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> impl Future<Output = Result<Self>> + Send + 'static {
        let dir = dir.as_ref().to_owned();
        let (answer, waiting) = futures::channel::oneshot::channel();
        let opener = io.clone();
        io.spawn(async move {
            let opened = recovery::open(opener, dir, options).await;
            // If nobody is waiting any more, the store ends here.
            let _ = answer.send(opened.map(|(core, recovered)| Db {
                core: Arc::new(core),
                recovered: Arc::new(recovered),
            }));
        });
        async {
            let db = waiting.await.map_err(|_| Error::Closed)??;
            db.core.sweep_behind_readers();
            db.core.kick();
            Ok(db)
        }
    }

    /// The newest value of a key.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        self.core.get(KeyspaceId::DEFAULT, key.as_ref()).await
    }

    /// The newest values of several keys, all as of the same moment, in the order of the keys given.
    pub async fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>> {
        self.core.multi_get(KeyspaceId::DEFAULT, keys).await
    }

    /// Sets a key, durably.
    pub fn put(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<()>> + Send + 'static {
        let mut batch = WriteBatch::new();
        batch.put(key, value);
        self.write(batch, Durability::Disk)
    }

    /// Deletes a key, durably. It need not be there.
    pub fn delete(
        &self,
        key: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<()>> + Send + 'static {
        let mut batch = WriteBatch::new();
        batch.delete(key);
        self.write(batch, Durability::Disk)
    }

    /// Deletes the keys from `start` up to, and without, `end`, durably.
    pub fn delete_range(
        &self,
        start: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<()>> + Send + 'static {
        let mut batch = WriteBatch::new();
        batch.delete_range(start, end);
        self.write(batch, Durability::Disk)
    }

    /// Applies a batch: all of it becomes visible at once, when it is as durable as is asked.
    ///
    /// It is queued when this is called, so the order of calls is the order of writes, unless the
    /// store has to hold writers back ([`Stats::pressure`]): then it is queued when the future has
    /// waited for that. Dropping the future before takes it back; after that, nothing does.
    ///
    /// With [`Durability::Disk`], everything that was written before is durable, too: an empty batch does
    /// that and nothing else.
    ///
    /// # Errors
    ///
    /// - `Wal` with `NotCommitted`: it was not written and never will be.
    /// - `Wal` with `InDoubt` or `Poisoned`: the disk failed. Close the store and open it again, which
    ///   decides whether it is there.
    /// - `TooLarge`: a key above 65,535 bytes or a value above 1 GiB; `Wal` with `TooLarge` for a batch
    ///   that is larger than the log's edits may be.
    /// - `UnknownKeyspace`, `Closed`; while writers are stalled, whatever keeps flushes from going on.
    pub fn write(
        &self,
        batch: WriteBatch,
        durability: Durability,
    ) -> impl Future<Output = Result<()>> + Send + 'static {
        self.core.write(batch, durability)
    }

    /// The pairs of a range, in the order of keys, as of now.
    pub fn scan<'a>(&self, keys: impl std::ops::RangeBounds<&'a [u8]>) -> Result<Scan<I>> {
        self.core.scan(KeyspaceId::DEFAULT, &keys, false)
    }

    /// The pairs of a range in reverse order, as of now.
    pub fn scan_reverse<'a>(&self, keys: impl std::ops::RangeBounds<&'a [u8]>) -> Result<Scan<I>> {
        self.core.scan(KeyspaceId::DEFAULT, &keys, true)
    }

    /// The pairs whose keys begin with `prefix`, in the order of keys, as of now.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan<I>> {
        self.core.prefix(KeyspaceId::DEFAULT, prefix.as_ref())
    }

    /// The store as of now, for as long as the snapshot is held.
    pub fn snapshot(&self) -> Snapshot<I> {
        Snapshot::new(self.core.clone())
    }

    /// The keyspace of this name, if there is one.
    pub fn keyspace(&self, name: &str) -> Option<KeyspaceHandle<I>> {
        let views = self.core.views();
        let view = views.values().find(|view| *view.name == *name)?;
        Some(KeyspaceHandle::new(self.core.clone(), view.id))
    }

    /// Creates a keyspace. Once begun, that runs to its end even if the future is dropped.
    pub async fn create_keyspace(&self, name: &str) -> Result<KeyspaceHandle<I>> {
        let name = name.to_owned();
        let create = async move |core: Arc<Core<I>>| core.create_keyspace(&name).await;
        let id = self.core.to_its_end(create).await?;
        Ok(KeyspaceHandle::new(self.core.clone(), id))
    }

    /// Drops a keyspace and everything in it. The default one cannot be dropped. Once begun, that runs
    /// to its end even if the future is dropped.
    pub async fn drop_keyspace(&self, keyspace: KeyspaceId) -> Result<()> {
        let drop = async move |core: Arc<Core<I>>| core.drop_keyspace(keyspace).await;
        self.core.to_its_end(drop).await
    }

    /// Writes everything that is in memory now as tables, and waits for it.
    ///
    /// What has failed before is tried again. How compactions go meanwhile is not this one's concern.
    ///
    /// # Errors
    ///
    /// Whatever keeps the flush from being done: `NoSpace`, `Io`, `Journal`, `Wal`; and `Closed`. Dropping the
    /// future stops nothing that was begun.
    pub async fn flush(&self) -> Result<()> {
        self.core.check_open()?;
        self.core.flush_all().await
    }

    /// Brings everything of a range down to the lowest level, so that no more is kept of it than is
    /// visible: with `..`, a full compaction. What is in memory is flushed first.
    pub async fn compact_range<'a>(
        &self,
        keys: impl std::ops::RangeBounds<&'a [u8]>,
    ) -> Result<()> {
        self.core.compact_range(KeyspaceId::DEFAULT, &keys).await
    }

    /// The tables as of now, by keyspace and level. Their files stay for as long as this is held.
    pub fn version(&self) -> Arc<Version> {
        self.core.manifest.version()
    }

    /// What the store has done, and holds.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// What open found.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Makes a second store in `dir`, which holds what this one does at some moment of the call, and
    /// which [`open`](Db::open) opens. Writes, flushes and compactions go on meanwhile.
    ///
    /// What is in memory is flushed first; then the files of the tables are given a second name, so that
    /// a checkpoint takes little time and, as long as both stores have them, no space. It is there whole
    /// and durable when this answers, and after a crash whole or not at all: until it is whole it stands
    /// under the name of `dir` with `.checkpoint.tmp` behind, which the next checkpoint to `dir` clears.
    /// This runs to its end even if the future is dropped.
    ///
    /// # Errors
    ///
    /// - `Checkpoint`: there is something at `dir`; it is on another file system than the store; or
    ///   another checkpoint to it is being made. Nothing is touched.
    /// - Whatever keeps the flush from being done; `Io`, `NoSpace`, `Journal`; `Closed`. Should it be
    ///   there nevertheless, then it is whole, and perhaps not durable.
    pub fn checkpoint(
        &self,
        dir: impl AsRef<Path>,
    ) -> impl Future<Output = Result<()>> + Send + 'static {
        let dir = dir.as_ref().to_owned();
        let (answer, waiting) = futures::channel::oneshot::channel();
        let core = self.core.clone();
        self.core.io.spawn(async move {
            // Nobody may be waiting any more.
            let _ = answer.send(core.checkpoint(&dir).await);
        });
        async { waiting.await.map_err(|_| Error::Closed)? }
    }

    /// Ends all handles: finishes what is queued and what runs in the background, and releases the
    /// locks. Without a write-ahead log, flushes everything first; if that fails, the store stays
    /// open.
    ///
    /// Without it the next open finds the log unclean, and loses nothing that was answered.
    pub async fn close(&self) -> Result<()> {
        let closing = self.core.begin_close()?;
        if !self.core.options.wal {
            self.core.flush_all().await?;
        }
        closing.close();
        self.core.idle().await;
        let ended = self.core.end_segment().await;
        let log = self.core.wal.close().await;
        let manifest = self.core.manifest.close().await;
        log.map_err(Error::wal)?;
        manifest?;
        ended
    }
}

/// A store that is being closed; open again when this is dropped.
struct Closing<'a, I: Io>(&'a Core<I>);

impl<I: Io> Closing<'_, I> {
    fn close(self) {
        lock(&self.0.work).stage = Stage::Closed;
    }
}

impl<I: Io> Drop for Closing<'_, I> {
    fn drop(&mut self) {
        let mut work = lock(&self.0.work);
        if work.stage == Stage::Closing {
            work.stage = Stage::Open;
        }
        drop(work);
        // Whoever waits for something that does not come any more hears of it.
        self.0.progress.ring();
    }
}

impl<I: Io> Core<I> {
    fn begin_close(&self) -> Result<Closing<'_, I>> {
        // No write is between being let in and being seen.
        let _commits = self.commits();
        self.check_open()?;
        lock(&self.work).stage = Stage::Closing;
        Ok(Closing(self))
    }
}

impl<I: Io + Runtime> Core<I> {
    /// Does something on the backend's own threads, so that nobody can leave it half done.
    async fn to_its_end<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T> {
        let (answer, waiting) = futures::channel::oneshot::channel();
        let working = work(self.clone());
        self.io.spawn(async move {
            // Nobody may be waiting any more.
            let _ = answer.send(working.await);
        });
        waiting.await.map_err(|_| Error::Closed)?
    }

    async fn create_keyspace(&self, name: &str) -> Result<KeyspaceId> {
        let _changing = self.keyspaces.lock().await;
        self.check_open()?;
        // No write of it can have such a number. The log has it durably before the manifest names it, as
        // everything that the manifest knows of.
        let flushed_through = self.visible();
        self.wal.sync().await.map_err(Error::wal)?;
        let options = KeyspaceOptions {
            flushed_through,
            ..KeyspaceOptions::default()
        };
        let id = self.manifest.create_keyspace(name, options).await?;
        let version = self.manifest.version();
        if let Some(keyspace) = version.keyspace(id) {
            let tables = self.tables.of(version.clone(), id)?;
            let view = view::View::new(keyspace, tables);
            self.views_mut().insert(id, Arc::new(view));
        }
        Ok(id)
    }

    async fn drop_keyspace(self: &Arc<Self>, keyspace: KeyspaceId) -> Result<()> {
        let _changing = self.keyspaces.lock().await;
        self.check_open()?;
        if keyspace == KeyspaceId::DEFAULT {
            return Err(Error::DefaultKeyspace);
        }
        self.manifest.drop_keyspace(keyspace).await?;
        self.forget_keyspace(keyspace);
        self.begin_sweep();
        Ok(())
    }

    fn forget_keyspace(&self, keyspace: KeyspaceId) {
        let mut views = self.views_mut();
        views.remove(&keyspace);
        if !planted("writers wait for a keyspace that is dropped") {
            self.feel_pressure(&views);
        }
        drop(views);
        // It may have been the one that writers waited for.
        self.progress.ring();
    }
}

impl<I: Io> Clone for Db<I> {
    fn clone(&self) -> Self {
        Db {
            core: self.core.clone(),
            recovered: self.recovered.clone(),
        }
    }
}

impl<I: Io> fmt::Debug for Db<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db")
            .field("dir", &self.core.dir)
            .field("visible", &self.core.visible())
            .finish_non_exhaustive()
    }
}
