//! The manifest on somebody else's history: all edits of a RocksDB manifest, one life for each.
//!
//! Invariants: no real edit is refused; after each, and after every open, the version is what a plain
//! map says, whatever ended the life before; no number that was named is handed out; and at the end
//! the tables are those that RocksDB lists itself.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod model;
mod rocksdb;

use std::path::Path;

use self::model::Model;
use self::rocksdb::{Edit, History};
use quipu_io::sim::{Profile, Sim, SimOptions};
use quipu_io::{DiskIo, Io};
use quipu_journal::{Options, Reader, Replayable};
use quipu_kv::Error;
use quipu_kv::manifest::{
    FileNum, Flushed, KeyspaceId, KeyspaceOptions, Manifest, ManifestState, Version,
};

/// A snapshot is due whenever the log has outgrown the last one.
fn options() -> Options {
    let mut options = Options::default();
    options.log.allocation_bytes = 4096;
    options.log.zero_ahead_bytes = 0;
    options.log.segment_bytes = 16 << 10;
    options.snapshots.growth_baseline = 1;
    options.snapshots.max_segments = 8;
    options
}

/// Opens the manifest. One that was dropped keeps its lock until a snapshot that is under way ends.
async fn open<I: Io>(io: &I, dir: &Path, found: Vec<FileNum>) -> Manifest<I> {
    loop {
        match Manifest::open(
            io.clone(),
            dir,
            options(),
            std::future::ready(Ok(found.clone())),
        )
        .await
        {
            Err(Error::Journal {
                source: quipu_journal::Error::Locked { .. },
            }) => smol::future::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

/// One life but for its end: open, one edit.
async fn live<I: Io>(io: &I, dir: &Path, edit: &Edit, model: &mut Model) -> Manifest<I> {
    let manifest = open(io, dir, model.found()).await;
    model.check(&manifest.version());
    assert_eq!(manifest.recovered().orphans, model.orphans());
    assert_eq!(manifest.recovered().missing, []);
    assert_eq!(manifest.obsolete_files(), model.orphans());

    model.hand_out(manifest.alloc_filenum().unwrap());
    if model.recorded == 0 {
        create(&manifest, model).await;
    }
    record(&manifest, edit, model).await;
    model.hand_out(manifest.alloc_filenum().unwrap());
    model.check(&manifest.version());
    manifest
}

async fn create<I: Io>(manifest: &Manifest<I>, model: &mut Model) {
    let options = KeyspaceOptions::default();
    let created = manifest.create_keyspace("default", options).await.unwrap();
    assert_eq!(created, KeyspaceId::new(0));
    model.recorded += 1;
}

/// RocksDB flushes into level 0, and compacts everything else.
async fn record<I: Io>(manifest: &Manifest<I>, edit: &Edit, model: &mut Model) {
    let added = edit.tables();
    let removed: Vec<FileNum> = edit
        .remove
        .iter()
        .map(|number| FileNum::new(*number))
        .collect();
    let before = model.flushed_through;
    model.apply(edit);
    let recorded = if removed.is_empty() {
        let flushed = Flushed {
            keyspace: KeyspaceId::new(0),
            after: before,
            through: model.flushed_through,
        };
        manifest.record_flush(added, vec![flushed]).await
    } else {
        manifest.record_compaction(added, removed).await
    };
    assert_eq!(recorded.unwrap(), model.recorded);
}

/// The end of the history: RocksDB's own list, and its own counters.
async fn compare_with_rocksdb<I: Io>(io: &I, dir: &Path, history: &History) {
    let mut reader = Reader::<ManifestState, I>::open(io.clone(), dir)
        .await
        .unwrap();
    let mut state = reader.replay_to(reader.proven()).await.unwrap();
    while let Some((_, edit)) = reader.next().await.unwrap() {
        state.apply(edit).unwrap();
    }
    assert_eq!(live_tables(state.version()), history.live);
    let last = history.edits.last().unwrap();
    assert_eq!(state.version().last_seq(), last.last_seq);
    // RocksDB counts the numbers of its other files, too, and ours is the one behind the last table.
    let highest = history.edits.iter().flat_map(|edit| &edit.add);
    let highest = highest.map(|table| table.filenum).max().unwrap();
    assert_eq!(state.next_filenum().get(), highest + 1);
    assert!(state.next_filenum().get() <= last.next);
}

/// After the end of the history: numbers are remembered when no table is left that has them, and
/// nothing but a snapshot could tell.
async fn drop_all<I: Io>(io: &I, dir: &Path, model: &mut Model) {
    let manifest = open(io, dir, model.found()).await;
    let all = Edit {
        add: Vec::new(),
        remove: model.live(),
        ..Edit::default()
    };
    record(&manifest, &all, model).await;
    manifest.snapshot().await.unwrap();
    manifest.close().await.unwrap();
    let manifest = open(io, dir, Vec::new()).await;
    model.check(&manifest.version());
    // So many that those from 0 on would come to one that was named.
    for _ in 0..1000 {
        model.hand_out(manifest.alloc_filenum().unwrap());
    }
    manifest.close().await.unwrap();
}

fn live_tables(version: &Version) -> Vec<(u32, u64)> {
    let tables = version.tables();
    let mut tables: Vec<_> = tables
        .map(|table| (table.level, table.filenum.get()))
        .collect();
    tables.sort_unstable();
    tables
}

/// Every other life is dropped, and not closed.
#[test]
fn the_history_is_kept_on_a_real_disk_through_an_open_for_each_edit() {
    let dir = tempfile::tempdir().unwrap();
    let io = DiskIo::new().unwrap();
    let history = History::read();
    let mut model = Model::default();
    smol::block_on(async {
        for (index, edit) in history.edits.iter().enumerate() {
            let manifest = live(&io, dir.path(), edit, &mut model).await;
            if index % 2 == 0 {
                manifest.close().await.unwrap();
            }
        }
        let manifest = open(&io, dir.path(), model.found()).await;
        model.check(&manifest.version());
        manifest.close().await.unwrap();
        compare_with_rocksdb(&io, dir.path(), &history).await;
        drop_all(&io, dir.path(), &mut model).await;
    });
}

/// All that is not durable is lost, or not, as a seed says.
#[test]
fn the_history_is_kept_through_a_power_loss_after_each_edit() {
    let dir = Path::new("manifest");
    let history = History::read();
    let mut model = Model::default();
    let mut sim = Sim::new(SimOptions::seeded(0));
    for (seed, edit) in (1..).zip(&history.edits) {
        let io = sim.io();
        let lived = sim.block_on(live(&io, dir, edit, &mut model));
        let manifest = lived.unwrap();
        let disk = sim.crash();
        drop(manifest);
        sim = Sim::boot(
            disk,
            SimOptions {
                profile: Profile::Posix,
                ..SimOptions::seeded(seed)
            },
        );
    }
    let io = sim.io();
    let end = async {
        let manifest = open(&io, dir, model.found()).await;
        model.check(&manifest.version());
        manifest.close().await.unwrap();
        compare_with_rocksdb(&io, dir, &history).await;
        drop_all(&io, dir, &mut model).await;
    };
    sim.run(end).unwrap();
}
