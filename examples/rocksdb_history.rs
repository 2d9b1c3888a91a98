//! Plays the history of a real RocksDB store through the manifest, and shows how its levels grew.
//!
//! ```text
//! cargo run --release -p quipu-examples --example rocksdb_history [DIR]
//! ```
//!
//! With a DIR the manifest stays there, for `quipu manifest history DIR`.
#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::error::Error;
use std::path::{Path, PathBuf};

use quipu_examples::rocksdb::{Edit, HISTORY, History};
use quipu_io::DiskIo;
use quipu_journal::{Options, Reader};
use quipu_kv::manifest::history::{Chart, Row, Step};
use quipu_kv::manifest::{
    FileNum, Flushed, KeyspaceId, KeyspaceOptions, Manifest, ManifestState, Version,
};

/// So many edits are one line of the chart.
const EDITS_OF_A_ROW: usize = 30;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let history = History::read(HISTORY)?;
    match std::env::args_os().nth(1) {
        Some(dir) => smol::block_on(run(&PathBuf::from(dir), &history)),
        None => smol::block_on(run(tempfile::tempdir()?.path(), &history)),
    }
}

async fn run(dir: &Path, history: &History) -> Result<()> {
    let io = DiskIo::new()?;
    let manifest = Manifest::open(
        io.clone(),
        dir,
        Options::default(),
        std::future::ready(Ok([])),
    )
    .await?;
    if manifest.version().number() > 0 {
        let dir = dir.display();
        return Err(format!("{dir} holds a manifest already: name a new directory").into());
    }
    play(&manifest, history).await?;
    manifest.close().await?;

    // From here on nothing is left but the journal: what is shown was on disk.
    let mut reader = Reader::<ManifestState>::open(io, dir).await?;
    let (_, mut state) = reader.replay_oldest().await?;
    let mut steps = Vec::new();
    while let Some((seq, edit)) = reader.next().await? {
        steps.push(Step::apply(&mut state, seq, edit));
    }
    let rows = steps.chunks(EDITS_OF_A_ROW).filter_map(Row::sum);
    println!("{}\n", Chart(&rows.collect::<Vec<_>>()));

    let version = state.version();
    if live_tables(version) != history.live {
        return Err("the live tables are not those of RocksDB's own list".into());
    }
    println!(
        "{} edits, {} live tables: equal to RocksDB's own list",
        steps.len(),
        version.len()
    );
    Ok(())
}

/// Hands every edit to the manifest, which refuses what does not fit: overlaps in a sorted level, a
/// number that comes again, a table that is not there.
async fn play(manifest: &Manifest, history: &History) -> Result<()> {
    let options = KeyspaceOptions::default();
    let keyspace = manifest.create_keyspace("default", options).await?;
    let mut flushed_through = 0;
    for edit in &history.edits {
        let tables = edit.add.iter().map(|table| table.metadata(keyspace));
        let tables = tables.collect::<std::result::Result<_, _>>()?;
        if edit.remove.is_empty() {
            let flushed = stretch(keyspace, flushed_through, edit);
            flushed_through = flushed.through;
            manifest.record_flush(tables, vec![flushed]).await?;
        } else {
            let removed = edit.remove.iter().map(|number| FileNum::new(*number));
            manifest
                .record_compaction(tables, removed.collect())
                .await?;
        }
    }
    Ok(())
}

/// What RocksDB calls the last sequence number is taken for the end of the flushed log.
fn stretch(keyspace: KeyspaceId, after: u64, edit: &Edit) -> Flushed {
    Flushed {
        keyspace,
        after,
        through: edit.last_seq,
    }
}

fn live_tables(version: &Version) -> Vec<(u32, u64)> {
    let tables = version.tables();
    let tables = tables.map(|table| (table.level, table.filenum.get()));
    let mut tables: Vec<_> = tables.collect();
    tables.sort_unstable();
    tables
}
