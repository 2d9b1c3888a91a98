//! `quipu manifest history`: how the levels grew and shrank.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZeroUsize;

use quipu_io::DiskIo;
use quipu_journal::Seq;
use quipu_kv::manifest::history::{Change, Chart, Row, Step};
use serde::Serialize;

use super::table::Level;
use super::{Common, reach};
use crate::failure::Failure;

/// Show how the levels grew and shrank, edit by edit
///
/// Each line is an edit: what happened, then the tables and bytes of each level after it, of all
/// keyspaces together. "compaction k0 L0 4 + L1 3 -> L1 5" made five tables of level 1 out of four
/// of level 0 and three of level 1, in keyspace 0. The bar shows the total; each of its digits is a
/// share of that level. An edit that the manifest refused has changed nothing; "quipu manifest
/// dump" tells why it was refused.
///
/// What is shown is proven to be durable: see "quipu manifest --help".
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,

    /// Sum up this many edits in a line
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        hide_default_value = true,
        conflicts_with = "json"
    )]
    every: NonZeroUsize,

    /// Only the last N lines
    #[arg(long, value_name = "N", conflicts_with = "json")]
    last: Option<usize>,
}

pub(super) async fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Result<(), Failure> {
    let mut reader = args.common.open(io).await?;
    let (start, mut state) = reader.replay_oldest().await?;
    let mut page = Page::new(args, start);
    if start > Seq::ZERO {
        page.put(Step::snapshot(state.version(), start), stdout)?;
        page.end_row();
    }
    let mut bar = args.common.bar(io);
    let failure = loop {
        match reader.next().await {
            Ok(Some((seq, edit))) => {
                page.put(Step::apply(&mut state, seq, edit), stdout)?;
                reach(&mut bar, start, seq, &reader);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    bar.clear();
    // What comes before a failure is part of the report.
    page.print(stdout)?;
    Ok(failure?)
}

/// What is shown: for a program at once, for people at the end, when the columns are known.
struct Page {
    json: bool,
    start: Seq,
    every: NonZeroUsize,
    last: usize,
    /// Steps of the row that is not full.
    steps: Vec<Step>,
    rows: VecDeque<Row>,
}

impl Page {
    fn new(args: &Args, start: Seq) -> Page {
        Page {
            json: args.common.json,
            start,
            every: args.every,
            last: args.last.unwrap_or(usize::MAX),
            steps: Vec::new(),
            rows: VecDeque::new(),
        }
    }

    fn put(&mut self, step: Step, stdout: &mut impl Write) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut *stdout, &Line::new(&step))?;
            return writeln!(stdout);
        }
        self.steps.push(step);
        if self.steps.len() == self.every.get() {
            self.end_row();
        }
        Ok(())
    }

    fn end_row(&mut self) {
        self.rows.extend(Row::sum(&self.steps));
        self.steps.clear();
        if self.rows.len() > self.last {
            self.rows.pop_front();
        }
    }

    fn print(mut self, stdout: &mut impl Write) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        self.end_row();
        if self.start > Seq::ZERO {
            let start = self.start;
            writeln!(
                stdout,
                "What led to edit {start} is pruned: this begins with the snapshot of it.\n"
            )?;
        }
        match self.rows.make_contiguous() {
            [] => writeln!(stdout, "no edits"),
            rows => writeln!(stdout, "{}", Chart(rows)),
        }
    }
}

/// One step, for a program. The first may be a snapshot: what led to it is pruned.
#[derive(Debug, Serialize)]
struct Line<'a> {
    seq: u64,
    kind: String,
    changes: Vec<Changed>,
    /// Of the keyspace that came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    refusal: Option<String>,
    levels: Vec<Level>,
}

#[derive(Debug, Serialize)]
struct Changed {
    keyspace: u32,
    removed: Vec<Count>,
    added: Vec<Count>,
}

#[derive(Debug, Serialize)]
struct Count {
    level: u32,
    tables: usize,
}

impl<'a> Line<'a> {
    fn new(step: &'a Step) -> Line<'a> {
        Line {
            seq: step.seq.get(),
            kind: step.kind.to_string(),
            changes: step.changes.iter().map(Changed::new).collect(),
            name: step.name.as_deref(),
            refusal: step.refusal.as_ref().map(ToString::to_string),
            levels: step.levels.iter().map(Level::new).collect(),
        }
    }
}

impl Changed {
    fn new(change: &Change) -> Changed {
        let counts = |tables: &std::collections::BTreeMap<u32, usize>| {
            let counts = tables.iter();
            let counts = counts.map(|(&level, &tables)| Count { level, tables });
            counts.collect()
        };
        Changed {
            keyspace: change.keyspace.get(),
            removed: counts(&change.removed),
            added: counts(&change.added),
        }
    }
}
