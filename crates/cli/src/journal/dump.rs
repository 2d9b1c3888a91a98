//! `quipu journal dump`: shows what is in the files, in the order in which they are read.

use std::io::Write;

use quipu_io::DiskIo;
use quipu_journal::{Item, Segment};

use super::{Common, line, page};
use crate::failure::Failure;

/// Show what is in a journal's files: segments with their frames, then snapshots
///
/// This shows what is there, and judges nothing: whether bytes behind the last frame are missed, or
/// were never acknowledged, is what "quipu journal verify" finds out. A file that cannot be read is
/// shown as damage, the next one follows, and the exit code is 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,

    /// Only frames that hold this edit or a later one, and snapshots that stand for it
    #[arg(
        long,
        value_name = "SEQ",
        default_value_t = 0,
        hide_default_value = true
    )]
    from: u64,

    /// Stop each journal after this many frames
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Show of each edit its size and its first 64 bytes, in hex
    #[arg(long)]
    payload: bool,
}

pub(super) async fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Result<(), Failure> {
    let common = &args.common;
    let mut findings = Vec::new();
    for (index, prefix) in common.journals(io).await?.iter().enumerate() {
        if !common.json {
            page::heading(stdout, index, prefix)?;
        }
        let mut selection = Selection::new(args);
        let mut dump = quipu_journal::dump(io.clone(), &common.dir, prefix).await?;
        while selection.wants_more() {
            let Some(item) = dump.next().await else {
                break;
            };
            for item in selection.pass(item) {
                if common.json {
                    line::print(stdout, prefix, &item, args.payload)?;
                } else {
                    page::print(stdout, &item, args.payload)?;
                }
                if let Item::Damage(error) = item {
                    findings.push(error);
                }
            }
        }
    }
    Failure::unless_empty(findings)
}

/// Which items are shown.
///
/// A segment that began earlier than what was asked for waits for its first frame that is wanted.
#[derive(Debug)]
struct Selection {
    from: u64,
    frames_left: Option<u64>,
    waiting: Option<Segment>,
}

impl Selection {
    fn new(args: &Args) -> Selection {
        Selection {
            from: args.from,
            frames_left: args.limit,
            waiting: None,
        }
    }

    fn wants_more(&self) -> bool {
        self.frames_left != Some(0)
    }

    /// The items that are shown now that this one has come.
    fn pass(&mut self, item: Item) -> Vec<Item> {
        match &item {
            Item::Segment(segment) => {
                let waits = segment.first.get() < self.from;
                self.waiting = waits.then(|| segment.clone());
                if waits { Vec::new() } else { vec![item] }
            }
            Item::Frame(frame) if frame.last.get() < self.from => Vec::new(),
            Item::Frame(_) => {
                self.frames_left = self.frames_left.map(|left| left - 1);
                let segment = self.waiting.take().map(Item::Segment);
                segment.into_iter().chain([item]).collect()
            }
            Item::End { .. } if self.waiting.take().is_some() => Vec::new(),
            Item::Snapshot(snapshot) if snapshot.contents.seq.get() < self.from => Vec::new(),
            _ => vec![item],
        }
    }
}
