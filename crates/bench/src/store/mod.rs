//! The store against its peers: `quipu-bench store`.
//!
//! A [`Store`] is one store behind one trait; a [`Workload`] says what is done to it; `driver` does
//! that in a child process, in the same words for all stores; `rounds` has the children take turns, and
//! `tables` prints.
//!
//! Invariants:
//! - All stores get the same [`Settings`], pairs and order of keys, and one thread drives them unless
//!   the workload says otherwise.
//! - What is read was filled in random order and compacted, once for each store and run; a workload that
//!   changes it works on a copy.
//! - Bytes written, space and memory are what the operating system says of the child process.

mod driver;
mod footprint;
mod pairs;
mod rounds;
mod settings;
mod tables;
mod workload;

use std::{future::Future, ops::ControlFlow, path::Path, path::PathBuf};

use clap::{Args, ValueEnum};

pub use self::driver::{Order, Run, run};
pub use self::pairs::{KEY_BYTES, Key, digest};
pub use self::settings::{BLOCK_BYTES, Compression, FROZEN_MEMTABLES, Settings, TABLE_BYTES};
pub use self::workload::Workload;
pub use quipu_kv::Durability;

use self::{rounds::Rounds, tables::Tables};
use crate::{Result, participant, scratch_dir};

/// One store, as its users would call it.
///
/// Whoever blocks does so within these functions; one that is asynchronous is driven by one executor
/// around a whole loop of calls.
pub trait Store: Clone + Send + Sync + 'static {
    /// Whether many writers at once are tasks of one thread, or threads.
    const WRITERS: Writers;

    /// Why it takes no part in a workload, if it does not.
    fn abstains(_workload: Workload) -> Option<&'static str> {
        None
    }

    /// Opens the store in a directory, or begins one.
    fn open(dir: &Path, settings: &Settings) -> impl Future<Output = Result<Self>>;

    /// Sets a key; answers when that is as durable as is asked.
    fn put(
        &self,
        key: &Key,
        value: &[u8],
        durability: Durability,
    ) -> impl Future<Output = Result<()>>;

    /// Deletes a key, and need not sync that.
    fn delete(&self, key: &Key) -> impl Future<Output = Result<()>>;

    /// The [`digest`] of a key's value.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<u64>>>;

    /// The digests of several keys' values, in the best way that the store has.
    fn multi_get(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<u64>>>>;

    /// Shows `visit` the pairs, from `start` on or all, until it breaks.
    fn scan(
        &self,
        start: Option<&Key>,
        direction: Direction,
        visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> impl Future<Output = Result<()>>;

    /// Writes what is in memory into tables, and waits for that.
    fn flush(&self) -> impl Future<Output = Result<()>>;

    /// Compacts everything, and waits for that; what is in memory was flushed.
    fn compact(&self) -> impl Future<Output = Result<()>>;

    /// How many tables there are, if it has any.
    fn tables(&self) -> Option<u64>;

    /// Ends it in order.
    fn close(self) -> impl Future<Output = Result<()>>;
}

/// What many writers at once are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Threads, each blocked by its own write.
    Threads,
    /// Tasks of one thread.
    Tasks,
}

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key on.
    Forward,
    /// From the largest key on.
    Reverse,
}

/// Measure the store against its peers.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// What to measure: by default everything.
    #[arg(value_enum, value_name = "WORKLOAD")]
    workloads: Vec<Workload>,

    #[command(flatten)]
    settings: Settings,

    /// How often each subject does each workload; the medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Measure these subjects only, separated by commas; the first one is what the others are compared to.
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<String>,

    /// Measure the subject of this program too: target/rocksdb/release/quipu-bench-rocksdb.
    #[arg(long, value_name = "PROGRAM")]
    with: Vec<PathBuf>,

    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,

    /// Where to write, on a real disk: by default ./target, or else the temporary directory.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl StoreArgs {
    pub(crate) fn measure(&self) -> Result<()> {
        let dir = scratch_dir(self.dir.as_deref())?;
        let participants = participant::all(&self.with)?;
        let rounds = Rounds::new(
            dir.path(),
            participants,
            &self.subjects,
            &self.settings,
            self.rounds,
        )?;
        let mut tables = Tables::new(self.json, rounds.names());
        let workloads = match &self.workloads[..] {
            [] => Workload::value_variants(),
            chosen => chosen,
        };
        for &workload in workloads {
            tables.add(rounds.run(workload)?)?;
        }
        tables.finish()?;
        dir.close()?;
        Ok(())
    }
}
