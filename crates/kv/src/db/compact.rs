//! Compactions: what the picker says is done here.
//!
//! Invariants:
//! - Outputs and their names are durable before the manifest names them, inputs and outputs change
//!   places in one edit, and inputs go when nobody reads them any more.
//! - Whatever happens, the inputs are given back, and the outputs of a compaction that failed go.
//! - None begins that does not fit the [budgets](super::budget), and what it has set aside it gives back.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use quipu_io::planted::planted;
use quipu_io::{Io, Runtime};

use super::attempts::{Attempt, Job};
use super::background::{Stage, Work};
use super::core::{Core, lock};
use super::outputs::Outputs;
use super::recovery::millis;
use super::room::Room;
use crate::compaction::{Compaction, Kind as Task, Manual, Situation, compact_range, pick};
use crate::manifest::{FileNum, Keyspace, KeyspaceId, SstMetadata, Version};
use crate::merge::{Merge, Retention, Source};
use crate::table::IterOptions;
use crate::tombstone::RangeTombstones;
use crate::{Error, Result};

impl<I: Io + Runtime> Core<I> {
    /// Starts as many compactions as there are to do and may run.
    pub(crate) fn begin_compactions(self: &Arc<Self>) {
        while let Some(begun) = self.next_compaction() {
            self.start(begun);
        }
    }

    /// Runs a compaction whose inputs are taken.
    fn start(self: &Arc<Self>, begun: Begun) {
        let core = self.clone();
        self.io.spawn(async move {
            let ended = match core.compact(&begun).await {
                // Dropped meanwhile: nobody needs it.
                Err(_) if core.manifest.version().keyspace(begun.keyspace).is_none() => Ok(()),
                ended => ended,
            };
            let inputs = begun.compaction.inputs.iter();
            let inputs: Vec<FileNum> = inputs.map(|table| table.filenum).collect();
            let attempt = begun.attempt;
            // What it has had is there for others, and its inputs may go.
            drop(begun);
            core.sweep().await;
            core.ended(Job::Compaction, attempt, ended, |work| {
                work.compactions -= 1;
                for filenum in &inputs {
                    work.busy.remove(filenum);
                }
            });
        });
    }

    /// Flushes all, and brings a range down to the lowest level.
    pub(crate) async fn compact_range<'a>(
        self: &Arc<Self>,
        keyspace: KeyspaceId,
        keys: &impl RangeBounds<&'a [u8]>,
    ) -> Result<()> {
        self.flush_all().await?;
        let range = (keys.start_bound().cloned(), keys.end_bound().cloned());
        self.bring_down(keyspace, range).await
    }

    /// Runs compactions until a range is all at the bottom.
    async fn bring_down(
        self: &Arc<Self>,
        keyspace: KeyspaceId,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<()> {
        let since = self.last_attempt(Job::Compaction);
        loop {
            let changed = self.progress.listen();
            self.check_open()?;
            match self.next_of_range(keyspace, range)? {
                Next::Done => return Ok(()),
                Next::Busy => {}
                Next::Begun(begun) => self.start(begun),
            }
            // The bell is never dropped before it rings.
            let _ = changed.await;
            if let Some(error) = self.failure_after(since, Job::Compaction) {
                return Err(error);
            }
        }
    }

    /// What a manual compaction does next; its inputs are taken.
    fn next_of_range(
        &self,
        keyspace: KeyspaceId,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<Next> {
        let version = self.manifest.version();
        let found = version.keyspace(keyspace);
        let found = found.ok_or(Error::UnknownKeyspace { keyspace })?;
        let mut work = lock(&self.work);
        let compaction = match compact_range(&self.situation(found, &work.busy), range) {
            Manual::Done => return Ok(Next::Done),
            Manual::Busy => return Ok(Next::Busy),
            Manual::Next(compaction) => compaction,
        };
        match self.room(&compaction, &version) {
            Ok(room) => Ok(Next::Begun(take(
                &mut work, version, keyspace, compaction, room,
            ))),
            // Those that run give back what they have.
            Err(_) if work.compactions > 0 => Ok(Next::Busy),
            Err(reason) => Err(Error::OverBudget { reason }),
        }
    }

    fn situation<'a>(
        &'a self,
        keyspace: &'a Keyspace,
        running: &'a BTreeSet<FileNum>,
    ) -> Situation<'a> {
        Situation {
            keyspace,
            running,
            options: &self.options.compaction,
            now: self.now(),
            oldest_snapshot: self.snapshots.visible(|| self.visible())[0],
        }
    }

    /// Picks a compaction for which there is room, and marks its inputs as taken.
    fn next_compaction(&self) -> Option<Begun> {
        let mut work = lock(&self.work);
        if work.stage != Stage::Open || work.compactions >= self.options.compactions {
            return None;
        }
        work.held_back = None;
        let version = self.manifest.version();
        for keyspace in version.keyspaces() {
            let Some(compaction) = pick(&self.situation(keyspace, &work.busy)) else {
                continue;
            };
            match self.room(&compaction, &version) {
                Ok(room) => {
                    let id = keyspace.id();
                    return Some(take(&mut work, version.clone(), id, compaction, room));
                }
                Err(reason) => {
                    tracing::debug!(%reason, "a compaction is held back");
                    work.held_back = Some(reason);
                }
            }
        }
        None
    }

    /// Now, in the unit of tables' timestamps.
    pub(crate) fn now(&self) -> u64 {
        millis(&self.io)
    }

    pub(crate) async fn compact(self: &Arc<Self>, begun: &Begun) -> Result<()> {
        let (keyspace, compaction) = (begun.keyspace, &begun.compaction);
        let (reason, kind) = (compaction.reason, compaction.kind);
        tracing::debug!(%reason, %kind, inputs = compaction.inputs.len(), "compaction");
        let removed: Vec<FileNum> = compaction
            .inputs
            .iter()
            .map(|table| table.filenum)
            .collect();
        let added = match compaction.kind {
            Task::Move => {
                let moved = compaction.inputs.iter().map(|table| {
                    let mut moved = SstMetadata::clone(table);
                    moved.level = compaction.output_level;
                    moved
                });
                moved.collect()
            }
            Task::Drop => Vec::new(),
            Task::Merge => self.merge(begun).await?,
        };
        let bytes = |tables: &mut dyn Iterator<Item = u64>| tables.sum::<u64>();
        let bytes_in = match compaction.kind {
            Task::Merge => bytes(&mut compaction.inputs.iter().map(|table| table.size)),
            _ => 0,
        };
        let bytes_out = match compaction.kind {
            Task::Merge => bytes(&mut added.iter().map(|table| table.size)),
            _ => 0,
        };
        if planted("inputs are deleted before the outputs are recorded") {
            for filenum in removed.iter().filter(|_| compaction.kind == Task::Merge) {
                self.io.remove_file(&self.tables.path(*filenum)).await?;
            }
        }
        let numbers: Vec<FileNum> = added.iter().map(|table| table.filenum).collect();
        if let Err(error) = self.manifest.record_compaction(added, removed).await {
            numbers
                .into_iter()
                .for_each(|filenum| self.manifest.abandon(filenum));
            return Err(error);
        }
        self.stats.note_compaction(bytes_in, bytes_out);
        self.install(keyspace, |view| {
            if planted("a compaction forgets the memtables that were frozen meanwhile") {
                view.frozen.clear();
            }
        })
    }

    /// Writes the outputs. Those of a merge that fails may go.
    async fn merge(self: &Arc<Self>, begun: &Begun) -> Result<Vec<SstMetadata>> {
        let mut outputs = Outputs::new(self, begun.keyspace, &begun.compaction);
        let written = self.write_outputs(begun, &mut outputs).await;
        let tables = outputs.tables;
        if let Err(error) = written {
            outputs
                .numbers
                .into_iter()
                .for_each(|filenum| self.manifest.abandon(filenum));
            return Err(error);
        }
        Ok(tables)
    }

    async fn write_outputs(
        self: &Arc<Self>,
        begun: &Begun,
        outputs: &mut Outputs<'_, I>,
    ) -> Result<()> {
        let compaction = &begun.compaction;
        let (mut merge, deleted) = self.inputs(compaction, begun.room.readahead)?;
        let mut seqs = self.snapshots.visible(|| self.visible());
        if planted("a compaction does not know of snapshots") {
            seqs.drain(..seqs.len() - 1);
        }
        let mut retention = Retention::new(seqs, deleted, compaction.drop_tombstones);
        merge.seek(&[], u64::MAX).await?;
        let mut last: Option<(Vec<u8>, u64)> = None;
        while let Some(key) = merge.key() {
            let (seq, kind) = (merge.seq(), merge.kind());
            // The same entry from two sources.
            let is_twin = last
                .as_ref()
                .is_some_and(|last| last.1 == seq && *last.0 == *key);
            if !is_twin && retention.keeps(key, seq, kind) {
                outputs
                    .add(key, seq, kind, &merge.value(), &retention)
                    .await?;
            }
            if !is_twin {
                let (held, number) = last.get_or_insert_default();
                held.clear();
                held.extend_from_slice(key);
                *number = seq;
            }
            merge.step().await?;
        }
        outputs.finish(&retention).await?;
        self.tables.sync_dir().await?;
        self.tables
            .open(outputs.tables.iter().cloned().map(Arc::new))
            .await
    }

    /// The inputs' entries in order, and all their range tombstones.
    fn inputs(
        &self,
        compaction: &Compaction,
        readahead: usize,
    ) -> Result<(Merge<I::File>, RangeTombstones)> {
        let mut deleted = RangeTombstones::default();
        let mut levels: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for input in &compaction.inputs {
            let table = self.tables.get(input.filenum)?;
            table
                .deleted()
                .iter()
                .for_each(|range| deleted.insert(range.clone()));
            levels.entry(input.level).or_default().push(table);
        }
        // Everything is read once: it would only drive out what readers need.
        let options = IterOptions {
            fill_cache: false,
            readahead,
        };
        let mut sources = Vec::new();
        for (level, mut tables) in levels {
            if level == 0 {
                let single = tables.into_iter().map(|table| vec![table]);
                sources.extend(single.map(|table| Source::of_tables(table, options)));
            } else {
                tables.sort_by(|a, b| a.smallest().cmp(b.smallest()));
                sources.push(Source::of_tables(tables, options));
            }
        }
        Ok((Merge::new(sources), deleted))
    }
}

/// A compaction whose inputs are taken.
pub(crate) struct Begun {
    keyspace: KeyspaceId,
    compaction: Compaction,
    room: Room,
    attempt: Attempt,
    /// Keeps the files of the inputs, also if the keyspace is dropped.
    _version: Arc<Version>,
}

/// What a manual compaction does next.
enum Next {
    Begun(Begun),
    Busy,
    Done,
}

/// Marks the inputs of a compaction as taken.
fn take(
    work: &mut Work,
    version: Arc<Version>,
    keyspace: KeyspaceId,
    compaction: Compaction,
    room: Room,
) -> Begun {
    let inputs = compaction.inputs.iter().map(|table| table.filenum);
    work.busy.extend(inputs);
    work.compactions += 1;
    Begun {
        keyspace,
        compaction,
        room,
        attempt: work.attempts(Job::Compaction).begin(),
        _version: version,
    }
}
