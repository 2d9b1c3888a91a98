//! `quipu journal`: what is in a journal's files, and whether it is sound.

mod dump;
mod excerpt;
mod line;
mod page;
mod verify;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use quipu_io::DiskIo;

use crate::directory;
use crate::failure::Failure;

/// Look into journals and check them, without changing anything
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    Dump(dump::Args),
    Verify(verify::Args),
}

const EXAMPLES: &str = "\
Examples:
  quipu journal verify ledger
  quipu journal dump ledger --from 1000 --limit 20 --payload
  quipu journal dump ledger --json | jq 'select(.kind == \"segment\")'";

/// What every subcommand takes.
#[derive(Debug, Args)]
struct Common {
    /// The directory that holds the journal
    dir: PathBuf,

    /// Only the journal with this file name prefix [default: all journals in DIR]
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,

    /// Print one JSON object per line
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
        Command::Verify(args) => verify::run(io, args, stdout).await,
    }
}

impl Common {
    /// The prefixes of the journals that are meant: at least one.
    async fn journals(&self, io: &DiskIo) -> Result<Vec<String>, Failure> {
        let dir = self.dir.display();
        let found = directory::journals(io, &self.dir, "journal").await?;
        if found.is_empty() {
            let text = format!("{dir} holds no journal: name the directory that a program opened");
            return Err(Failure::Text(text));
        }
        match &self.prefix {
            None => Ok(found),
            Some(prefix) if found.contains(prefix) => Ok(vec![prefix.clone()]),
            Some(prefix) => Err(Failure::Text(format!(
                "{dir} holds no journal with the prefix {prefix:?}: name one of {}",
                found.join(", ")
            ))),
        }
    }
}
