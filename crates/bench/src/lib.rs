//! Benchmarks of Quipu: each figure is a ratio to what the disk, or one plain loop, does in the
//! same run on the same machine.
//!
//! ```text
//! cargo run --release -p quipu-bench --features peers -- all
//! cargo run --release -p quipu-bench --features peers -- append-1 --json
//! cargo run --release -p quipu-bench --features peers -- store --rounds 1 --keys 100000
//! ```
//!
//! How it is laid out: a [`workload`] says what is done and what bounds it; a [`subject`] does it;
//! `rounds` runs the subjects in turn, each in its own `child` process, and `report` prints the
//! medians. A new subject is one file in `subjects/` and one line in `subject::all`; one that needs
//! more than a Rust toolchain is a package and a program of its own, such as `crates/bench/rocksdb`,
//! which [`serve`]s it, and is named with `--with`. Stores have workloads of their own, in [`store`].
//!
//! Invariants:
//! - The limit is measured in every round, next to the subjects, because a machine drifts; ratios
//!   are taken within a round, and their median is reported.
//! - All subjects are given the same records, and the same work before the clock starts.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the raw limits and the peers use the operating system themselves"
)]

mod child;
pub mod history;
pub mod load;
pub mod measurement;
mod participant;
mod report;
mod rounds;
pub mod store;
pub mod subject;
pub mod workload;

mod subjects {
    #[cfg(feature = "peers")]
    pub(crate) mod fjall;
    pub(crate) mod json_lines;
    #[cfg(feature = "peers")]
    pub(crate) mod okaywal;
    pub(crate) mod quipu;
    pub(crate) mod quipu_manifest;
    pub(crate) mod quipu_store;
    #[cfg(feature = "peers")]
    pub(crate) mod raft_engine;
    pub(crate) mod raw;
    #[cfg(feature = "peers")]
    pub(crate) mod redb;
}

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use tempfile::TempDir;

pub use crate::child::serve;
use crate::{child::Request, report::Report, rounds::Rounds, store::StoreArgs, workload::Workload};

/// An error is only ever shown, so its type carries nothing but its text.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Measure Quipu against the disk's own limits and against its peers.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Args {
    /// What to measure.
    #[arg(required = true, value_name = "WORKLOAD", value_parser = workload_parser())]
    workloads: Option<Workloads>,

    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,

    /// Where to write, on a real disk: by default ./target, or else the temporary directory.
    #[arg(long)]
    dir: Option<PathBuf>,

    /// Measure this subject only, beside the limit.
    #[arg(long)]
    subject: Option<String>,

    /// Multiply the amount of work; a small factor shows quickly whether everything runs.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,

    /// Measure the subject of this program too: target/rocksdb/release/quipu-bench-rocksdb.
    #[arg(long, value_name = "PROGRAM")]
    with: Vec<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Store(StoreArgs),
    #[command(flatten)]
    Request(Request),
}

/// One workload, or all of them.
#[derive(Debug, Clone)]
struct Workloads(Vec<Workload>);

fn workload_parser() -> impl TypedValueParser<Value = Workloads> {
    let names = Workload::value_variants()
        .iter()
        .map(|workload| workload.name());
    PossibleValuesParser::new(names.chain(["all"])).map(|name| {
        let chosen = Workload::value_variants().iter().copied();
        Workloads(
            chosen
                .filter(|workload| name == "all" || workload.name() == name)
                .collect(),
        )
    })
}

/// The whole program: measures what the command line names.
pub fn main() -> ExitCode {
    let args = Args::parse();
    exit(match &args.command {
        Some(Command::Store(store)) => store.measure(),
        Some(Command::Request(request)) => request.answer(&subject::all()),
        None => measure(&args),
    })
}

fn exit(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell when standard error itself is gone.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    let dir = scratch_dir(args.dir.as_deref())?;
    let rounds = Rounds::new(
        dir.path(),
        participant::all(&args.with)?,
        args.subject.as_deref(),
        args.scale,
    )?;
    let mut report = Report::new(args.json);
    for &workload in args.workloads.iter().flat_map(|workloads| &workloads.0) {
        rounds.run(workload, &mut report)?;
    }
    dir.close()?;
    Ok(())
}

/// A fresh directory below `parent`, which goes when the value does.
fn scratch_dir(parent: Option<&Path>) -> Result<TempDir> {
    let target = Path::new("target");
    let parent = match parent {
        Some(parent) => parent.to_path_buf(),
        None if target.is_dir() => target.to_path_buf(),
        None => env::temp_dir(),
    };
    let shown = parent.display();
    let parent = fs::canonicalize(&parent).map_err(|cause| format!("{shown}: {cause}"))?;
    if is_memory(&parent)? {
        return Err(format!("{shown} is in memory: name a directory on a disk with --dir").into());
    }
    Ok(tempfile::Builder::new()
        .prefix("quipu-bench-")
        .tempdir_in(parent)?)
}

/// Whether `dir` is in a file system that keeps its files in memory, where a sync costs nothing.
#[cfg(target_os = "linux")]
fn is_memory(dir: &Path) -> Result<bool> {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    // The field's type and sign differ between architectures; the magic numbers have 32 bits.
    let kind = rustix::fs::statfs(dir)?.f_type as u64 & 0xffff_ffff;
    Ok(kind == TMPFS || kind == RAMFS)
}

#[cfg(not(target_os = "linux"))]
fn is_memory(_dir: &Path) -> Result<bool> {
    Ok(false)
}
