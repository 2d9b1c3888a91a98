//! `quipu stats`: a store in figures.

use std::io::Write;
use std::path::PathBuf;

use quipu_io::DiskIo;

use super::figures::Figures;
use super::{DEFAULT, Outcome, Store};

/// Show what a store holds
///
/// What is counted from its opening on is 0 here; "stats" in "quipu shell" shows it for a store that
/// is at work. The store is opened as a program opens it: it must not be open elsewhere, and is
/// written to if it was not closed. "quipu manifest files" shows the tables of an open one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the store
    dir: PathBuf,

    /// Print a JSON object, with all sizes in bytes
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Outcome {
    let store = Store::for_reading(io, &args.dir, DEFAULT).await?;
    let figures = Figures::of(&store.db);
    store.close(Ok(())).await?;
    if args.json {
        serde_json::to_writer(&mut *stdout, &figures).map_err(std::io::Error::from)?;
        writeln!(stdout)?;
    } else {
        figures.print(stdout)?;
    }
    Ok(())
}
