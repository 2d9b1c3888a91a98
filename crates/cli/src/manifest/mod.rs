//! `quipu manifest`: which tables make up an LSM tree, and how that came about.

mod dump;
mod files;
mod history;
mod table;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use quipu_io::DiskIo;
use quipu_journal::{Reader, Replayable, Seq};
use quipu_kv::manifest::ManifestState;

use crate::directory;
use crate::failure::Failure;
use crate::progress::{Bar, Unit};

/// Look into the manifest of an LSM tree, without changing anything
///
/// What is shown is proven to be durable, so no crash takes it back. The last edit of a manifest
/// that is open elsewhere, or was not closed, may be missing until the next one proves it. No table
/// is read.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    Dump(dump::Args),
    Files(files::Args),
    History(history::Args),
}

const EXAMPLES: &str = "\
Examples:
  quipu manifest files store
  quipu manifest history store --every 10 | less
  quipu manifest dump store --json | jq 'select(.outcome == \"refused\")'";

/// What every subcommand takes.
#[derive(Debug, Args)]
struct Common {
    /// The directory that holds the manifest
    dir: PathBuf,

    /// Print one JSON object per line; keys are in hex there
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(
    io: &DiskIo,
    command: &Command,
    stdout: &mut impl Write,
) -> Result<(), Failure> {
    match command {
        Command::Dump(args) => dump::run(io, args, stdout).await,
        Command::Files(args) => files::run(io, args, stdout).await,
        Command::History(args) => history::run(io, args, stdout).await,
    }
}

impl Common {
    /// Opens the manifest for reading, if there is one.
    async fn open(&self, io: &DiskIo) -> Result<Reader<ManifestState>, Failure> {
        let found = directory::journals(io, &self.dir, "manifest").await?;
        if !found
            .iter()
            .any(|prefix| prefix == ManifestState::filename_prefix())
        {
            let dir = self.dir.display();
            return Err(Failure::Text(match found.as_slice() {
                [] => format!("{dir} holds no manifest: name the directory that a program opened"),
                _ => format!(
                    "{dir} holds no manifest, but other journals ({}): look at them with \
                     \"quipu journal dump\"",
                    found.join(", ")
                ),
            }));
        }
        Ok(Reader::open(io.clone(), &self.dir).await?)
    }

    fn bar(&self, io: &DiskIo) -> Bar {
        let text = format!("manifest {}", self.dir.display());
        Bar::new(io, Unit::Millionths, text, !self.json)
    }
}

/// Moves the bar on: edit `seq` is read, of those behind `start`.
fn reach(bar: &mut Bar, start: Seq, seq: Seq, reader: &Reader<ManifestState>) {
    let of = |seq: Seq| (seq.get() - start.get()) as f64;
    // More may be proven while this is read.
    bar.reach_share(of(seq) / of(reader.proven().max(seq)));
}
