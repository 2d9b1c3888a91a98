//! Flushing: frozen memtables become tables.
//!
//! Invariants:
//! - A table and its name are durable before the manifest names it, and the log is durable up to the
//!   table's last write before that: no crash leaves a table with writes that the log has lost.
//! - Memtables are flushed in the order in which they were frozen, and those that were frozen at one
//!   moment are recorded in one edit. Without a log this is what a crash leaves: the store as of a moment
//!   at which all were frozen, for all keyspaces.
//! - A memtable goes from a view in the same moment in which its table comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quipu_io::planted::planted;
use quipu_io::{Io, Runtime};
use quipu_journal::Seq;
use quipu_journal::log::Durability;

use super::attempts::Job;
use super::background::Stage;
use super::core::{Core, lock};
use super::parts;
use super::room::WRITER_BYTES;
use super::view::{Frozen, View};
use crate::manifest::{FileNum, Flushed, KeyspaceId, SstMetadata};
use crate::table::TableWriter;
use crate::{Error, Result};

impl<I: Io + Runtime> Core<I> {
    /// Flushes the memtables that were frozen first: all of that moment.
    pub(crate) async fn flush_frozen(self: &Arc<Self>) -> Result<()> {
        let mut oldest: Vec<(KeyspaceId, Frozen)> = self
            .views()
            .values()
            .filter_map(|view| {
                let frozen = match planted("the newest memtable is flushed first") {
                    true => view.frozen.first(),
                    false => view.frozen.last(),
                };
                Some((view.id, frozen?.clone()))
            })
            .collect();
        let moments = oldest.iter().map(|(_, frozen)| frozen.through);
        let through = moments.min().unwrap_or_default();
        oldest.retain(|(_, frozen)| frozen.through == through);
        if planted("each keyspace is flushed by itself") {
            oldest.truncate(1);
        }
        self.flush(&oldest, through).await?;
        self.truncate_log().await?;
        self.sweep().await;
        Ok(())
    }

    async fn flush(self: &Arc<Self>, group: &[(KeyspaceId, Frozen)], through: u64) -> Result<()> {
        let mut numbers = Vec::new();
        let recorded = async {
            let (tables, durable) = self.write_tables(group, &mut numbers).await?;
            self.record_flush(tables, through, durable).await
        };
        let recorded = recorded.await;
        // Without effect for those that are recorded, or in doubt.
        numbers
            .into_iter()
            .for_each(|filenum| self.manifest.abandon(filenum));
        if let Err(error) = recorded {
            // On a full disk, what every attempt leaves would take the room that is made.
            self.sweep().await;
            return Err(error);
        }
        for (keyspace, frozen) in group {
            self.install(*keyspace, |view| {
                view.frozen
                    .retain(|other| !Arc::ptr_eq(&other.memtable, &frozen.memtable));
            })?;
        }
        self.reach_cuts();
        Ok(())
    }

    /// Writes a table for each memtable, all of them durable and open when this answers: with the number
    /// up to which the log is durable, too.
    async fn write_tables(
        self: &Arc<Self>,
        group: &[(KeyspaceId, Frozen)],
        numbers: &mut Vec<FileNum>,
    ) -> Result<(BTreeMap<KeyspaceId, SstMetadata>, u64)> {
        let _memory = self.memory.take(WRITER_BYTES);
        let mut tables = BTreeMap::new();
        for (keyspace, frozen) in group {
            let filenum = self.manifest.alloc_filenum()?;
            numbers.push(filenum);
            let table = self.write_table(*keyspace, frozen, filenum).await?;
            tables.insert(*keyspace, table);
        }
        self.tables.sync_dir().await?;
        let visible = self.visible();
        if !planted("a flush is recorded without a sync of the log") {
            self.wal.sync().await.map_err(Error::wal)?;
        }
        let opening = tables.values().cloned().map(Arc::new);
        self.tables.open(opening).await?;
        Ok((tables, visible))
    }

    /// Records the tables, but for those of keyspaces that were dropped meanwhile: nobody needs them.
    async fn record_flush(
        self: &Arc<Self>,
        mut tables: BTreeMap<KeyspaceId, SstMetadata>,
        through: u64,
        durable: u64,
    ) -> Result<()> {
        loop {
            let version = self.manifest.version();
            tables.retain(|keyspace, _| version.keyspace(*keyspace).is_some());
            if tables.is_empty() {
                return Ok(());
            }
            let flushed = self.stretches(&tables.keys().copied().collect(), through, durable);
            let files: Vec<SstMetadata> = tables.values().cloned().collect();
            let bytes = files.iter().map(|table| table.size).sum();
            match self.manifest.record_flush(files, flushed).await {
                Err(error) if error.is_unknown_keyspace() => {}
                recorded => {
                    recorded?;
                    self.stats.note_flush(bytes);
                    return Ok(());
                }
            }
        }
    }

    /// What need not be read from the log any more: the stretches of these keyspaces, and of those
    /// which have nothing in memory, up to what the log has durably.
    fn stretches(
        &self,
        keyspaces: &BTreeSet<KeyspaceId>,
        through: u64,
        durable: u64,
    ) -> Vec<Flushed> {
        let version = self.manifest.version();
        // Nothing is being applied meanwhile.
        let views = self.views_mut();
        let idle: BTreeSet<KeyspaceId> = views
            .values()
            .filter(|view| view.active.is_empty() && view.frozen.is_empty())
            .map(|view| view.id)
            .collect();
        drop(views);
        let stretches = version.keyspaces().filter_map(|found| {
            let through = match found.id() {
                id if keyspaces.contains(&id) => through,
                id if idle.contains(&id) => durable,
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
    async fn truncate_log(self: &Arc<Self>) -> Result<()> {
        let version = self.manifest.version();
        let floor = match planted("the log goes as far as it is visible") {
            true => self.visible(),
            false => version.wal_floor(),
        };
        let reached = lock(&self.marks).reach(floor);
        match reached {
            Some(mark) => self.let_go(mark.log, floor).await,
            None => Ok(()),
        }
    }

    /// Lets go of the log up to there. It says before up to where tables stand for it: a manifest that has
    /// lost the edit which says it would leave a gap.
    async fn let_go(self: &Arc<Self>, through: Seq, floor: u64) -> Result<()> {
        let core = self.clone();
        let noted = move |log| lock(&core.marks).note(log);
        let said = parts::in_tables(floor);
        let said = self.wal.append_then(said, Durability::Disk, noted);
        said.await.map_err(Error::wal)?;
        self.wal.truncate_front(through).await.map_err(Error::wal)
    }

    /// Ends the log's segment and lets go of it, if much is in it and nothing that is needed: the next open
    /// would read all of it.
    ///
    /// Not by a flush in the background: where the disk is full, the log may be stopped by this, and
    /// somebody is to hear of it.
    pub(crate) async fn end_segment(self: &Arc<Self>) -> Result<()> {
        self.truncate_log().await?;
        // A new segment takes some syncs.
        let least = (self.options.log.segment_bytes / 64).max(1);
        let through = lock(&self.marks).ends_segment(least);
        let Some(through) = through else {
            return Ok(());
        };
        self.wal.rotate().await.map_err(Error::wal)?;
        if !self.options.wal {
            let said = self.wal.append(parts::unlogged(), Durability::Disk);
            said.await.map_err(Error::wal)?;
        }
        let floor = self.manifest.version().wal_floor();
        self.let_go(through, floor).await
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
        let ranges = content.ranges.iter();
        for range in ranges.skip(usize::from(planted("a flush leaves out a range tombstone"))) {
            writer.add_range_tombstone(&range.start, &range.end, range.seq)?;
        }
        let summary = writer.finish().await?;
        let mut table = summary.metadata(keyspace, 0);
        (table.min_timestamp, table.max_timestamp) = content.times;
        table.created = self.now();
        Ok(table)
    }

    pub(crate) async fn create_table(&self, filenum: FileNum) -> Result<TableWriter<I::File>> {
        let path = self.tables.path(filenum);
        TableWriter::create(&self.io, &path, filenum, self.options.table).await
    }

    /// Flushes all that is in memory now.
    pub(crate) async fn flush_all(self: &Arc<Self>) -> Result<()> {
        self.freeze(|view| {
            !planted("a flush looks at the default keyspace only") || view.id == KeyspaceId::DEFAULT
        });
        self.flushed().await?;
        self.end_segment().await
    }

    /// Waits until nothing that is frozen now is left to be flushed.
    async fn flushed(self: &Arc<Self>) -> Result<()> {
        let through = self.visible();
        let since = self.last_attempt(Job::Flush);
        loop {
            let changed = self.progress.listen();
            let is_left =
                |view: &Arc<View<I>>| view.frozen.iter().any(|frozen| frozen.through <= through);
            if !self.views().values().any(is_left) {
                return Ok(());
            }
            if let Some(error) = self.failure_after(since, Job::Flush) {
                return Err(error);
            }
            if lock(&self.work).stage == Stage::Closed {
                return Err(Error::Closed);
            }
            self.kick_flush();
            // The bell is never dropped before it rings.
            let _ = changed.await;
        }
    }
}
