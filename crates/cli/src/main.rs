//! The `quipu` command: works on stores, looks into what Quipu keeps on disk, and crashes it in a
//! simulator.
//!
//! How it is laid out: each subcommand is a module that holds its arguments and runs it; what it
//! finds out comes from the libraries, and nothing here knows a byte on disk.
//!
//! Invariants:
//! - Reports go to stdout, for people or with `--json` one object per line; everything else goes to
//!   stderr.
//! - The exit code is 0 only on success, 1 on a failure, 2 on arguments that make no sense.
//! - What is wrong is one line each on stderr that begins with `error:` and says what to do.
//! - When the reader of stdout goes away the command ends quietly, but not as a success: it has not
//!   said all that it was asked for.

mod count;
mod directory;
mod escape;
mod failure;
mod journal;
mod key;
mod levels;
mod manifest;
mod progress;
mod sim;
mod store;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quipu_io::DiskIo;

use crate::failure::Failure;

/// Work on key-value stores, look into what Quipu keeps on disk, and crash it in a simulator.
///
/// "journal" and "manifest" change no file and take no lock, so they work beside a program that has the
/// files open, and on a read-only copy. The simulator keeps its disk in memory.
#[derive(Debug, Parser)]
#[command(name = "quipu", version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  quipu load store pairs.tsv            Put the lines of a file into a store
  quipu shell store                     Work on it: put, get, del, scan ...
  quipu journal verify ledger           Is the journal in the directory \"ledger\" intact?
  quipu manifest history store          How did the levels of an LSM tree come about?
  quipu sim                             Does the journal survive whatever a crash can do?

Exit codes: 0 success, 1 failure or damage found, 2 wrong usage";

#[derive(Debug, Subcommand)]
enum Command {
    Shell(store::Shell),
    Load(store::Load),
    Export(store::Export),
    Stats(store::Stats),
    #[command(subcommand)]
    Journal(journal::Command),
    #[command(subcommand)]
    Manifest(manifest::Command),
    Sim(sim::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut stdout = BufWriter::new(io::stdout().lock());
    let result = run(&args.command, &mut stdout);
    // What was found out before a failure is part of the report, and stands before it.
    let flushed = stdout.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command, stdout: &mut impl Write) -> Result<(), Failure> {
    let io = DiskIo::new().map_err(|cause| Failure::Text(cause.to_string()))?;
    smol::block_on(async {
        match command {
            Command::Shell(args) => store::shell(&io, args, stdout).await,
            Command::Load(args) => store::load(&io, args, stdout).await,
            Command::Export(args) => store::export(&io, args, stdout).await,
            Command::Stats(args) => store::stats(&io, args, stdout).await,
            Command::Journal(command) => journal::run(&io, command, stdout).await,
            Command::Manifest(command) => manifest::run(&io, command, stdout).await,
            // The simulator has an executor of its own.
            Command::Sim(args) => sim::run(&io, args, stdout),
        }
    })
}
