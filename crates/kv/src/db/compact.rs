//! Compactions: what the picker says is done here.
//!
//! Invariants:
//! - Outputs and their names are durable before the manifest names them, inputs and outputs change
//!   places in one edit, and inputs go when nobody reads them any more.
//! - Versions of one key never stand in two outputs, so outputs do not overlap; range tombstones are
//!   cut where outputs are.
//! - Whatever happens, the inputs are given back, and the outputs of a compaction that failed go.
//! - None begins that does not fit the [budgets](super::budget), and what it has set aside it gives back.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::planted::planted;
use quipu_io::{Io, Runtime};

use super::background::{Stage, Work};
use super::budget::Share;
use super::core::{Core, lock};
use super::recovery::millis;
use crate::compaction::{Compaction, Kind as Task, Manual, Situation, compact_range, pick};
use crate::manifest::{FileNum, Keyspace, KeyspaceId, SstMetadata, Version};
use crate::merge::{Merge, Retention, Source};
use crate::table::{IterOptions, RangeTombstone, TableWriter};
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
            // What it has had is there for others, and its inputs may go.
            drop(begun);
            core.sweep().await;
            core.ended(ended, |work| {
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
            if let Some(error) = self.take_failure() {
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

    /// Sets aside what a compaction needs: memory for the blocks in its hands, and disk for its
    /// outputs, which take as much as the inputs at most while those are still there.
    fn room(&self, compaction: &Compaction, version: &Version) -> Result<Room, HeldBack> {
        let (mut needed, mut written, mut readahead) = (0, 0, 0);
        if compaction.kind == Task::Merge {
            written = compaction.inputs.iter().map(|table| table.size).sum();
            let sources = sources(compaction);
            let at_once = self.options.compactions.max(1) as u64;
            let share = self.memory.limit().saturating_sub(2 * WRITER_BYTES) / at_once;
            let table = &self.options.table;
            let blocks = 2 * table.block_bytes as u64 + table.partition_bytes as u64;
            let fixed = WRITER_BYTES + sources * blocks;
            let ahead = share.saturating_sub(fixed) / sources;
            let ahead = ahead.clamp(LEAST_READAHEAD, MOST_READAHEAD);
            needed = fixed + sources * ahead;
            readahead = usize::try_from(ahead).unwrap_or(usize::MAX);
        }
        let held = version.bytes();
        let disk = self.disk.reserve(written, held);
        let disk = disk.ok_or_else(|| HeldBack::Disk {
            needed: written,
            left: (self.disk.limit() - self.disk.used().min(self.disk.limit()))
                .saturating_sub(held),
        })?;
        // A flush always has its part.
        let beside = WRITER_BYTES;
        let memory = self
            .memory
            .reserve(needed, if needed == 0 { 0 } else { beside });
        let memory = memory.ok_or_else(|| HeldBack::Memory {
            needed,
            left: self
                .memory
                .limit()
                .saturating_sub(self.memory.used() + beside),
        })?;
        Ok(Room {
            readahead,
            _memory: memory,
            _disk: disk,
        })
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

/// What a table takes in memory while it is written: what is gathered for a write, and what of that is
/// being written.
pub(crate) const WRITER_BYTES: u64 = 2 << 20;

/// What a merge reads ahead of each source at least, and at most.
const LEAST_READAHEAD: u64 = 16 << 10;
const MOST_READAHEAD: u64 = 1 << 20;

/// Why a compaction that there is to do does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, derive_more::Display)]
#[non_exhaustive]
pub enum HeldBack {
    /// [`Options::disk_bytes`](crate::Options::disk_bytes) leaves too little.
    #[display("it needs {needed} bytes of disk while it runs, and `disk_bytes` leaves {left}")]
    Disk {
        /// The bytes of its inputs, which its outputs may come to as well.
        needed: u64,
        /// What is left beside the tables and the compactions that run.
        left: u64,
    },
    /// [`Options::background_bytes`](crate::Options::background_bytes) leaves too little.
    #[display("it needs {needed} bytes of memory, and `background_bytes` leaves {left}")]
    Memory {
        /// What it would hold, by an estimate.
        needed: u64,
        /// What is left beside the compactions that run.
        left: u64,
    },
}

/// A compaction whose inputs are taken.
pub(crate) struct Begun {
    keyspace: KeyspaceId,
    compaction: Compaction,
    room: Room,
    /// Keeps the files of the inputs, also if the keyspace is dropped.
    _version: Arc<Version>,
}

/// What a compaction may use, until this is dropped.
struct Room {
    readahead: usize,
    _memory: Share,
    _disk: Share,
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
        _version: version,
    }
}

/// The places that a merge reads from: each table of level 0, and each level below.
fn sources(compaction: &Compaction) -> u64 {
    let mut levels = BTreeSet::new();
    let inputs = compaction.inputs.iter();
    let sources = inputs.filter(|table| table.level == 0 || levels.insert(table.level));
    sources.count().max(1) as u64
}

/// The tables that a merge writes, one after the other.
struct Outputs<'a, I: Io> {
    core: &'a Arc<Core<I>>,
    keyspace: KeyspaceId,
    compaction: &'a Compaction,
    writer: Option<(FileNum, TableWriter<I::File>)>,
    /// The last key that was written.
    last: Vec<u8>,
    /// From here on range tombstones are still to be written.
    tombstones_from: Bytes,
    /// How many of the places to cut at lie behind us.
    cuts: usize,
    numbers: Vec<FileNum>,
    tables: Vec<SstMetadata>,
}

impl<'a, I: Io + Runtime> Outputs<'a, I> {
    fn new(core: &'a Arc<Core<I>>, keyspace: KeyspaceId, compaction: &'a Compaction) -> Self {
        Outputs {
            core,
            keyspace,
            compaction,
            writer: None,
            last: Vec::new(),
            tombstones_from: Bytes::new(),
            cuts: 0,
            numbers: Vec::new(),
            tables: Vec::new(),
        }
    }

    async fn add(
        &mut self,
        key: &[u8],
        seq: u64,
        kind: crate::entry::Kind,
        value: &[u8],
        retention: &Retention,
    ) -> Result<()> {
        if self.is_full(key) {
            // The first key that is not in this output any more.
            let end = [&self.last[..], &[0]].concat();
            self.end(Some(end.into()), retention).await?;
        }
        let writer = self.writer().await?;
        writer.add(key, seq, kind, value).await?;
        self.last.clear();
        self.last.extend_from_slice(key);
        Ok(())
    }

    /// Whether an output ends before this key.
    fn is_full(&mut self, key: &[u8]) -> bool {
        let before = self.cuts;
        let cut_at = &self.compaction.cut_at;
        while cut_at.get(self.cuts).is_some_and(|cut| key > &**cut) {
            self.cuts += 1;
        }
        match &self.writer {
            Some((_, writer)) if *key != *self.last => {
                self.cuts > before && self.compaction.max_output_bytes < u64::MAX
                    || writer.estimated_bytes() >= self.compaction.max_output_bytes
            }
            _ => false,
        }
    }

    async fn finish(&mut self, retention: &Retention) -> Result<()> {
        self.end(None, retention).await
    }

    /// Ends an output, which gets the range tombstones up to `end`.
    async fn end(&mut self, end: Option<Bytes>, retention: &Retention) -> Result<()> {
        let kept = retention
            .deleted()
            .iter()
            .filter(|range| retention.keeps_range(range));
        let cut: Vec<RangeTombstone> = kept
            .filter_map(|range| cut(range, &self.tombstones_from, end.as_ref()))
            .collect();
        if self.writer.is_none() && cut.is_empty() {
            return Ok(());
        }
        self.writer().await?;
        let Some((_, mut writer)) = self.writer.take() else {
            return Ok(());
        };
        for range in cut {
            writer.add_range_tombstone(&range.start, &range.end, range.seq)?;
        }
        let summary = writer.finish().await?;
        let inputs = &self.compaction.inputs;
        let mut table = summary.metadata(self.keyspace, self.compaction.output_level);
        table.min_timestamp = inputs
            .iter()
            .map(|input| input.min_timestamp)
            .min()
            .unwrap_or(0);
        table.max_timestamp = inputs
            .iter()
            .map(|input| input.max_timestamp)
            .max()
            .unwrap_or(0);
        table.created = self.core.now();
        self.tables.push(table);
        if let Some(end) = end {
            self.tombstones_from = end;
        }
        Ok(())
    }

    async fn writer(&mut self) -> Result<&mut TableWriter<I::File>> {
        if self.writer.is_none() {
            let filenum = self.core.manifest.alloc_filenum()?;
            self.numbers.push(filenum);
            let writer = self.core.create_table(filenum).await?;
            self.writer = Some((filenum, writer));
        }
        match &mut self.writer {
            Some((_, writer)) => Ok(writer),
            None => unreachable!("it was made above"),
        }
    }
}

/// What of a range tombstone lies between two keys.
fn cut(range: &RangeTombstone, from: &Bytes, to: Option<&Bytes>) -> Option<RangeTombstone> {
    let start = range.start.clone().max(from.clone());
    let end = match to {
        Some(to) => range.end.clone().min(to.clone()),
        None => range.end.clone(),
    };
    (start < end).then_some(RangeTombstone {
        start,
        end,
        seq: range.seq,
    })
}
