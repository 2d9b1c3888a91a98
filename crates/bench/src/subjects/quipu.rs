//! Quipu itself: a journal for what is durable and what is replayed, a log for what is not synced.

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use quipu_io::DiskIo;
use quipu_journal::check::{self, Bounds, Notes, Plan};
use quipu_journal::log::{Durability, Log, LogOptions};
use quipu_journal::{Journal, Options, Replayable, SnapshotPolicy};
use serde::{Deserialize, Serialize};
use smol::{LocalExecutor, block_on};

use crate::{
    Result,
    load::{self, Latencies, Load, Records, Replayed},
    measurement::Measurement,
    subject::{Prepared, SnapshotStall, Subject},
    subjects::{quipu_manifest, quipu_store},
};

pub(crate) const SUBJECT: Subject = Subject {
    name: "quipu",
    append_durable: Ok(append_durable),
    append_os: Ok(append_os),
    replay: Ok(Prepared {
        prepare: prepare_replay,
        measure: replay,
    }),
    snapshot_stall: Ok(SnapshotStall {
        prepare: prepare_state,
        alone: |dir, load| append_beside(dir, load, false),
        snapshotting: |dir, load| append_beside(dir, load, true),
    }),
    explore: Ok(explore),
    manifest_open: Ok(quipu_manifest::OPEN),
    manifest_flush: Ok(quipu_manifest::FLUSH),
    store: Ok(quipu_store::STORE),
};

/// Crash executions as the exhaustive tier makes them: open, replay, and all oracles.
fn explore(_dir: &Path, load: Load) -> Result<Measurement> {
    let check = check::journal::<Notes>(Notes::edit);
    let bounds = Bounds {
        ops: 4,
        ..Bounds::default()
    };
    let mut runs = check.explore(Plan::Counted(bounds));
    let start = Instant::now();
    for _ in 0..load.appends {
        match runs.next() {
            Some(run) => run.map_err(|finding| finding.to_string())?,
            None => return Err("there are fewer runs than that".into()),
        }
    }
    Ok(Measurement::new(load.appends, start.elapsed()))
}

/// Counts its edits, and holds chunks of a state that is cheap to clone.
#[derive(Default)]
struct Machine {
    replayed: Replayed,
    chunks: Arc<Vec<Arc<[u8]>>>,
}

#[derive(Serialize, Deserialize)]
enum Edit {
    Record(#[serde(with = "serde_bytes")] Vec<u8>),
    Chunk(#[serde(with = "serde_bytes")] Vec<u8>),
}

impl Replayable for Machine {
    type Edit = Edit;
    type Output = ();

    fn filename_prefix() -> &'static str {
        "bench"
    }

    fn initial() -> Self {
        Self::default()
    }

    fn apply(&mut self, edit: Edit) {
        match edit {
            Edit::Record(record) => self.replayed.apply(&record),
            Edit::Chunk(chunk) => Arc::make_mut(&mut self.chunks).push(chunk.into()),
        }
    }

    fn snapshot(&self) -> Edit {
        Edit::Chunk(self.chunks.concat())
    }

    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = Edit> + Send> {
        let chunks = Arc::clone(&self.chunks);
        let parts = (0..chunks.len()).map(move |index| Edit::Chunk(chunks[index].to_vec()));
        Box::new(parts)
    }
}

async fn open(dir: &Path) -> Result<Journal<Machine>> {
    let mut options = Options::default();
    options.snapshots = SnapshotPolicy::never();
    Ok(Journal::open(DiskIo::new()?, dir, options).await?)
}

/// All writers are tasks on one thread, as in a server with one executor.
fn append_durable(dir: &Path, load: Load) -> Result<Measurement> {
    let records = Records::new(load.record_bytes);
    let executor = LocalExecutor::new();
    block_on(executor.run(async {
        let journal = open(dir).await?;
        let spawn = |timed: bool| {
            let tasks = (0..load.writers).map(|writer| {
                let (warm_up, indices) = load.indices(writer);
                let indices = if timed { indices } else { warm_up };
                executor.spawn(append_all(journal.clone(), &records, indices))
            });
            join_all(tasks.collect::<Vec<_>>())
        };
        for result in spawn(false).await {
            result?;
        }
        let start = Instant::now();
        let results = spawn(true).await;
        let elapsed = start.elapsed();
        let mut latencies = Vec::new();
        for result in results {
            latencies.extend(result?);
        }
        Ok(Measurement::new(load.total(), elapsed).with_latencies(latencies))
    }))
}

async fn append_all(
    journal: Journal<Machine>,
    records: &Records,
    indices: Range<u64>,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(usize::try_from(indices.end - indices.start)?);
    for index in indices {
        let begun = Instant::now();
        journal
            .append(Edit::Record(records.get(index).to_vec()))
            .await?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}

fn append_os(dir: &Path, load: Load) -> Result<Measurement> {
    let options = LogOptions::default();
    let log = block_on(async {
        let opening = Log::open(DiskIo::new()?, dir, "bench", options).await?;
        Result::Ok(opening.finish().await?)
    })?;
    load::append_from_threads(load, Latencies::Skip, |_| {
        let log = log.clone();
        move |record| {
            block_on(log.append(record, Durability::Os))?;
            Ok(())
        }
    })
}

fn prepare_replay(dir: &Path, load: Load) -> Result<()> {
    let records = Records::new(load.record_bytes);
    block_on(async {
        let journal = open(dir).await?;
        for batch in load.batches() {
            let edits = batch.map(|index| Edit::Record(records.get(index).to_vec()));
            journal.append_batch(edits).await?;
        }
        Ok(journal.close().await?)
    })
}

fn replay(dir: &Path, load: Load) -> Result<Measurement> {
    let start = Instant::now();
    let journal = block_on(open(dir))?;
    let elapsed = start.elapsed();
    journal.read(|machine| machine.replayed).check(load)?;
    Ok(Measurement::new(load.total(), elapsed))
}

/// The size of a chunk, which is also the size of a part of the snapshot.
const CHUNK_BYTES: usize = 256 << 10;

fn prepare_state(dir: &Path, load: Load) -> Result<()> {
    block_on(async {
        let journal = open(dir).await?;
        for chunk in 0..load.state_bytes / CHUNK_BYTES as u64 {
            let byte = u8::try_from(chunk % 251)?;
            journal.append(Edit::Chunk(vec![byte; CHUNK_BYTES])).await?;
        }
        Ok(journal.close().await?)
    })
}

/// Appends by one writer; beside a snapshot, one follows the other until the last append.
fn append_beside(dir: &Path, load: Load, snapshotting: bool) -> Result<Measurement> {
    let records = Records::new(load.record_bytes);
    let journal = block_on(open(dir))?;
    let (warm_up, indices) = load.indices(0);
    block_on(append_all(journal.clone(), &records, warm_up))?;
    let done = AtomicBool::new(!snapshotting);
    std::thread::scope(|scope| {
        let snapshots = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                block_on(journal.snapshot())?;
            }
            Result::Ok(())
        });
        let start = Instant::now();
        let latencies = block_on(append_all(journal.clone(), &records, indices));
        let elapsed = start.elapsed();
        done.store(true, Ordering::Relaxed);
        snapshots
            .join()
            .unwrap_or_else(|_| Err("the snapshots panicked".into()))?;
        Ok(Measurement::new(load.appends, elapsed).with_latencies(latencies?))
    })
}
