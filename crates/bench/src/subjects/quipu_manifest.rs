//! Quipu's manifest, with the options it has by default: snapshots are taken by its policy, and an
//! open reads the newest one and the log behind it.

use std::{iter, path::Path, time::Instant};

use futures::{FutureExt, future::BoxFuture};
use quipu_io::DiskIo;
use quipu_journal::Options;
use quipu_kv::manifest::{
    FileNum, Flushed, KeyspaceId, KeyspaceOptions, Manifest, SstMetadata, Version,
};
use smol::block_on;

use crate::{
    Result,
    history::{self, Edit, Flushing, Table},
    load::Load,
    measurement::Measurement,
    subject::Prepared,
};

pub(crate) const OPEN: Prepared = Prepared {
    prepare: |dir, load| block_on(write(dir, history::edits(load.tables))),
    measure: open,
};

pub(crate) const FLUSH: Prepared = Prepared {
    prepare: |dir, load| {
        block_on(write(
            dir,
            history::live_tables(load.tables).map(Edit::flush),
        ))
    },
    measure: flush,
};

const KEYSPACE: &str = "default";

/// How many edits are under way at once while the manifest is made.
const EDITS_AT_ONCE: usize = 10_000;

async fn open_manifest(
    dir: &Path,
    found: impl Iterator<Item = FileNum> + Send + 'static,
) -> Result<Manifest> {
    let found = std::future::ready(Ok(found));
    let io = DiskIo::new()?;
    Ok(Manifest::open(io, dir, Options::default(), found).await?)
}

async fn write(dir: &Path, edits: impl Iterator<Item = Edit>) -> Result<()> {
    let manifest = open_manifest(dir, iter::empty()).await?;
    let created = manifest.create_keyspace(KEYSPACE, KeyspaceOptions::default());
    let keyspace = created.await?;
    let mut edits = edits.peekable();
    while edits.peek().is_some() {
        let some = edits.by_ref().take(EDITS_AT_ONCE);
        let recorded: Vec<_> = some.map(|edit| record(&manifest, keyspace, edit)).collect();
        for recorded in recorded {
            recorded.await?;
        }
        // As a store does that has deleted them.
        manifest.forget(&manifest.obsolete_files());
    }
    Ok(manifest.close().await?)
}

fn record(
    manifest: &Manifest,
    keyspace: KeyspaceId,
    edit: Edit,
) -> BoxFuture<'static, quipu_kv::Result<u64>> {
    let added = edit.added.into_iter();
    let added = added.map(|table| metadata(table, keyspace)).collect();
    if edit.removed.is_empty() {
        manifest.record_flush(added, Vec::new()).boxed()
    } else {
        let removed = edit.removed.into_iter().map(FileNum::new).collect();
        manifest.record_compaction(added, removed).boxed()
    }
}

fn metadata(table: Table, keyspace: KeyspaceId) -> SstMetadata {
    let filenum = FileNum::new(table.number);
    let [smallest, largest] = [table.smallest, table.largest].map(String::into_bytes);
    let level = u32::from(table.level);
    let mut metadata = SstMetadata::new(filenum, keyspace, level, smallest, largest);
    metadata.size = table.bytes;
    metadata.entries = table.entries;
    metadata.tombstones = table.tombstones;
    (metadata.min_seq, metadata.max_seq) = table.sequences;
    (metadata.min_timestamp, metadata.max_timestamp) = table.timestamps;
    metadata.checksum = u64::from(table.checksum);
    metadata.created = table.created;
    metadata
}

/// The files that the manifest should find on disk are named to it, as a store names them.
fn open(dir: &Path, load: Load) -> Result<Measurement> {
    let found: Vec<_> = live_files(load).collect();
    let start = Instant::now();
    let manifest = block_on(open_manifest(dir, found.into_iter()))?;
    let version = manifest.version();
    let opened = version.len() as u64;
    history::check_opened(load.tables, opened, |level, key| find(&version, level, key))?;
    Ok(Measurement::new(load.tables, start.elapsed()))
}

fn live_files(load: Load) -> impl Iterator<Item = FileNum> {
    history::live_tables(load.tables).map(|table| FileNum::new(table.number))
}

fn find(version: &Version, level: u8, key: &str) -> Option<u64> {
    let keyspace = version.keyspace_named(KEYSPACE)?;
    let level = keyspace.level(u32::from(level))?;
    let mut holding = level.overlapping(key.as_bytes()..=key.as_bytes());
    Some(holding.next()?.filenum.get())
}

fn flush(dir: &Path, load: Load) -> Result<Measurement> {
    let manifest = block_on(open_manifest(dir, live_files(load)))?;
    let version = manifest.version();
    let keyspace = version.keyspace_named(KEYSPACE).ok_or("no keyspace")?;
    let mut recorder = Recorder {
        keyspace: keyspace.id(),
        flushed_through: keyspace.flushed_through(),
        manifest,
        flushed: Vec::new(),
    };
    let measurement = history::record_flushes(load, &mut recorder)?;
    let left = recorder.manifest.version().len() as u64;
    if left != load.tables {
        return Err(format!("{left} tables instead of {}", load.tables).into());
    }
    block_on(recorder.manifest.close())?;
    Ok(measurement)
}

struct Recorder {
    manifest: Manifest,
    keyspace: KeyspaceId,
    /// The last sequence number that is in tables.
    flushed_through: u64,
    flushed: Vec<FileNum>,
}

impl Flushing for Recorder {
    /// With the stretch of the write-ahead log that the table makes obsolete, as in a store.
    fn flush(&mut self, table: Table) -> Result<()> {
        let filenum = self.manifest.alloc_filenum()?;
        let number = filenum.get();
        let table = metadata(Table { number, ..table }, self.keyspace);
        let after = self.flushed_through;
        self.flushed_through += 1;
        let flushed = Flushed {
            keyspace: self.keyspace,
            after,
            through: self.flushed_through,
        };
        block_on(self.manifest.record_flush(vec![table], vec![flushed]))?;
        self.flushed.push(filenum);
        Ok(())
    }

    fn remove_flushed(&mut self) -> Result<()> {
        let removed = self.flushed.drain(..).collect();
        block_on(self.manifest.record_compaction(Vec::new(), removed))?;
        self.manifest.forget(&self.manifest.obsolete_files());
        Ok(())
    }
}
