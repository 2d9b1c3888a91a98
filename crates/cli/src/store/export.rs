//! `quipu export`: the pairs of a store as text.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use quipu_io::DiskIo;

use super::{DEFAULT, Outcome, Store};
use crate::escape::{self, Escaped};
use crate::progress::{Bar, Unit};

/// Print the pairs of a store in the order of keys: each line a key, a tab and a value
///
/// "quipu load" makes the same store of it, byte for byte. The store is opened as a program opens
/// it: it must not be open elsewhere, and is written to if it was not closed.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(crate) struct Args {
    /// The directory of the store
    dir: PathBuf,

    /// The keyspace that is printed
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    keyspace: String,
}

fn help() -> String {
    format!(
        "{}\n\nExamples:\n  \
         quipu export store > pairs.tsv\n  \
         quipu export store | head",
        escape::HELP
    )
}

pub(super) async fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Outcome {
    let store = Store::for_reading(io, &args.dir, &args.keyspace).await?;
    let text = format!("export {}", args.dir.display());
    let mut bar = Bar::new(io, Unit::Pairs, text, !io::stdout().is_terminal());
    let exported = export(&store, &mut bar, stdout).await;
    bar.clear();
    store.close(exported).await
}

async fn export(store: &Store, bar: &mut Bar, stdout: &mut impl Write) -> Outcome {
    let mut scan = store.keyspace.scan(..)?;
    let mut pairs = 0;
    while let Some((key, value)) = scan.next().await? {
        writeln!(stdout, "{}\t{}", Escaped(key), Escaped(value))?;
        pairs += 1;
        bar.reach(pairs, 0);
    }
    // A reader that has gone away shows before the store is closed.
    stdout.flush()?;
    Ok(())
}
