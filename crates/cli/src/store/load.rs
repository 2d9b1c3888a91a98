//! `quipu load`: pairs of a text go into a store.

use std::io::Write;
use std::path::PathBuf;

use quipu_io::DiskIo;

use super::bulk::Bulk;
use super::lines::Lines;
use super::{Outcome, Store, Writing, say};
use crate::count::Count;
use crate::escape::{self, unescape};
use crate::failure::Failure;
use crate::progress::{Bar, Unit};

/// Put the pairs of a text into a store: each line a key, a tab and a value
///
/// A key that comes again gets the later value. What is loaded is durable batch by batch, so a run
/// that was killed has lost nothing of what it had done, and can simply be run again. A line that is
/// no pair ends the run; the lines before it are in the store.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(crate) struct Args {
    /// The directory of the store, created where it is missing
    dir: PathBuf,

    /// The text [default: standard input, which is also "-"]
    file: Option<PathBuf>,

    #[command(flatten)]
    writing: Writing,
}

fn help() -> String {
    format!(
        "{}\nA value begins behind the first tab and may hold others.\n\n\
         Examples:\n  \
         quipu load store pairs.tsv\n  \
         zcat pairs.tsv.gz | quipu load store\n  \
         quipu export old | quipu load new",
        escape::HELP
    )
}

pub(super) async fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Outcome {
    // First: where there is nothing to load, no store is begun.
    let mut lines = Lines::open(io, args.file.as_deref()).await?;
    let store = Store::for_writing(io, &args.dir, &args.writing).await?;
    if lines.are_typed() {
        say("Type a key, a tab and a value on each line; Ctrl-D ends it.\n")?;
    }
    let text = format!("load {}", args.dir.display());
    let mut bar = match lines.bytes() {
        Some(_) => Bar::new(io, Unit::Bytes, text, true),
        None => Bar::new(io, Unit::BytesUntilNow, text, !lines.are_typed()),
    };
    let loaded = load(&store, &mut lines, &mut bar).await;
    bar.clear();
    let pairs = store.close(loaded).await?;
    writeln!(stdout, "{} loaded", Count(pairs, "pair"))?;
    Ok(())
}

/// Loads the pairs, and says how many there were.
async fn load(store: &Store, lines: &mut Lines, bar: &mut Bar) -> Result<u64, Failure> {
    let mut bulk = Bulk::new(store);
    let read = fill(&mut bulk, lines, bar).await;
    // Whatever has gone wrong: what was before it is not lost.
    let finished = bulk.finish().await;
    let stored = Count(bulk.stored(), "pair");
    match read.and(finished.map_err(Failure::from)) {
        Ok(()) => Ok(bulk.stored()),
        Err(Failure::Text(text)) => Err(Failure::Text(format!("{text}; {stored} loaded before"))),
        Err(other) => Err(other),
    }
}

async fn fill(bulk: &mut Bulk<'_>, lines: &mut Lines, bar: &mut Bar) -> Outcome {
    while let Some(line) = lines.next().await? {
        match pair(line) {
            Ok((key, value)) => {
                let put = bulk.put(&key, &value).await;
                put.map_err(|error| Failure::Text(format!("{lines}: {error}")))?;
            }
            Err(reason) => return Err(Failure::Text(format!("{lines}: {reason}"))),
        }
        bar.reach(lines.read(), lines.bytes().unwrap_or(0));
    }
    Ok(())
}

/// The key and the value of a line, or why it is no pair.
fn pair(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let Some(tab) = line.iter().position(|byte| *byte == b'\t') else {
        return Err("there is no tab between a key and a value".into());
    };
    Ok((unescape(&line[..tab])?, unescape(&line[tab + 1..])?))
}
