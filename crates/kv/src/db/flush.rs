//! Flushing: frozen memtables become tables.
//!
//! Invariants:
//! - A table and its name are durable before the manifest names it, and the log is durable up to the
//!   table's last write before that: no crash leaves a table with writes that the log has lost.
//! - Memtables of a keyspace are flushed in the order in which they were frozen; the manifest refuses
//!   any other.
//! - A memtable goes from a view in the same moment in which its table comes.

use std::collections::BTreeSet;
use std::sync::Arc;

use quipu_io::{Io, Runtime};

use super::core::{Core, lock};
use super::view::{Frozen, View};
use crate::manifest::{FileNum, Flushed, KeyspaceId, Refusal, SstMetadata};
use crate::table::TableWriter;
use crate::{Error, Result};

impl<I: Io + Runtime> Core<I> {
    /// Flushes the oldest frozen memtable of each keyspace that has one.
    pub(crate) async fn flush_frozen(self: &Arc<Self>) -> Result<()> {
        let oldest: Vec<(KeyspaceId, Frozen)> = self
            .views()
            .values()
            .filter_map(|view| Some((view.id, view.frozen.last()?.clone())))
            .collect();
        for (keyspace, frozen) in oldest {
            self.flush(keyspace, frozen).await?;
        }
        self.truncate_log().await?;
        self.sweep().await;
        Ok(())
    }

    async fn flush(self: &Arc<Self>, keyspace: KeyspaceId, frozen: Frozen) -> Result<()> {
        let filenum = self.manifest.alloc_filenum()?;
        let recorded = self.write_and_record(keyspace, &frozen, filenum).await;
        if let Err(error) = recorded {
            self.manifest.abandon(filenum);
            return match self.is_dropped(keyspace) {
                true => Ok(()),
                false => Err(error),
            };
        }
        self.install(keyspace, |view| {
            view.frozen
                .retain(|other| !Arc::ptr_eq(&other.memtable, &frozen.memtable));
        })
    }

    async fn write_and_record(
        self: &Arc<Self>,
        keyspace: KeyspaceId,
        frozen: &Frozen,
        filenum: FileNum,
    ) -> Result<()> {
        let table = self.write_table(keyspace, frozen, filenum).await?;
        self.wal.sync().await.map_err(Error::wal)?;
        self.tables.open([Arc::new(table.clone())]).await?;
        loop {
            let flushed = self.stretches(keyspace, frozen.through);
            let recorded = self.manifest.record_flush(vec![table.clone()], flushed);
            match recorded.await {
                // One of those that have nothing in memory.
                Err(error) if is_drop(&error) && !self.is_dropped(keyspace) => {}
                recorded => {
                    recorded?;
                    self.stats.note_flush();
                    return Ok(());
                }
            }
        }
    }

    /// Whether a keyspace was dropped meanwhile: what was under way for it is of no use to anybody.
    pub(crate) fn is_dropped(&self, keyspace: KeyspaceId) -> bool {
        self.manifest.version().keyspace(keyspace).is_none()
    }

    /// What need not be read from the log any more: this keyspace's stretch, and that of those which
    /// have nothing in memory.
    fn stretches(&self, keyspace: KeyspaceId, through: u64) -> Vec<Flushed> {
        let version = self.manifest.version();
        // Nothing is being applied meanwhile.
        let views = self.views_mut();
        let visible = self.visible();
        let idle: BTreeSet<KeyspaceId> = views
            .values()
            .filter(|view| view.active.is_empty() && view.frozen.is_empty())
            .map(|view| view.id)
            .collect();
        drop(views);
        let stretches = version.keyspaces().filter_map(|found| {
            let through = match found.id() {
                id if id == keyspace => through,
                id if idle.contains(&id) => visible,
                _ => return None,
            };
            let after = found.flushed_through();
            (through > after).then(|| Flushed {
                keyspace: found.id(),
                after,
                through,
            })
        });
        stretches.collect()
    }

    /// Changes a view, and gives it the tables of the newest version.
    pub(crate) fn install(
        &self,
        keyspace: KeyspaceId,
        change: impl FnOnce(&mut View<I>),
    ) -> Result<()> {
        let mut views = self.views_mut();
        let Some(view) = views.get_mut(&keyspace) else {
            return Ok(()); // Dropped meanwhile.
        };
        let version = self.manifest.version();
        let mut next = View::clone(view);
        change(&mut next);
        next.tables = Arc::new(self.tables.of(version, keyspace)?);
        *view = Arc::new(next);
        self.feel_pressure(&views);
        Ok(())
    }

    /// Lets go of the log that is in tables.
    async fn truncate_log(&self) -> Result<()> {
        let version = self.manifest.version();
        let reached = lock(&self.marks).reach(version.wal_floor());
        if let Some(mark) = reached {
            let truncated = self.wal.truncate_front(mark.log);
            truncated.await.map_err(Error::wal)?;
        }
        Ok(())
    }

    /// Writes a memtable as a table of level 0.
    async fn write_table(
        &self,
        keyspace: KeyspaceId,
        frozen: &Frozen,
        filenum: FileNum,
    ) -> Result<SstMetadata> {
        let content = frozen.memtable.snapshot();
        let mut writer = self.create_table(filenum).await?;
        let mut walk = content.walk();
        walk.seek_first();
        while let Some(entry) = walk.item() {
            writer
                .add(entry.key(), entry.seq, entry.kind, &entry.value())
                .await?;
            walk.next();
        }
        for range in content.ranges.iter() {
            writer.add_range_tombstone(&range.start, &range.end, range.seq)?;
        }
        let summary = writer.finish().await?;
        self.io.sync_dir(self.tables.dir()).await?;
        let mut table = summary.metadata(keyspace, 0);
        (table.min_timestamp, table.max_timestamp) = content.times;
        table.created = self.now();
        Ok(table)
    }

    pub(crate) async fn create_table(&self, filenum: FileNum) -> Result<TableWriter<I::File>> {
        let path = self.tables.path(filenum);
        TableWriter::create(&self.io, &path, filenum, self.options.table).await
    }

    /// Waits until nothing that is frozen now is left to be flushed.
    pub(crate) async fn flushed(self: &Arc<Self>) -> Result<()> {
        let through = self.visible();
        loop {
            let changed = self.progress.listen();
            let is_left =
                |view: &Arc<View<I>>| view.frozen.iter().any(|frozen| frozen.through <= through);
            if !self.views().values().any(is_left) {
                return Ok(());
            }
            if let Some(error) = self.take_failure() {
                return Err(error);
            }
            self.kick();
            // The bell is never dropped before it rings.
            let _ = changed.await;
        }
    }
}

/// Whether an edit was refused because a keyspace was dropped.
fn is_drop(error: &Error) -> bool {
    matches!(error.refusal(), Some(Refusal::UnknownKeyspace { .. }))
}
