//! `quipu manifest files`: the tables that are live now.

use std::io::{self, Write};

use indicatif::BinaryBytes;
use quipu_io::DiskIo;
use quipu_journal::{Replayable, Seq};
use quipu_kv::manifest::{ManifestState, Version};
use serde::Serialize;

use super::table::Table;
use super::{Common, reach};
use crate::count::Count;
use crate::failure::Failure;
use crate::levels;

/// Show the live tables by keyspace and level, and what the manifest counts
///
/// Each level begins with its totals; its tables follow in the order of their smallest keys. Sequence
/// numbers, times and keys are ranges, and both ends belong to them.
///
/// What is shown is proven to be durable: see "quipu manifest --help".
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Result<(), Failure> {
    let mut reader = args.common.open(io).await?;
    // The newest snapshot at least is proven at once; the rest turns out as the log is read.
    let start = reader.proven();
    let mut state = reader.replay_to(start).await?;
    let mut seq = start;
    let mut bar = args.common.bar(io);
    let read = loop {
        match reader.next().await {
            Ok(Some((next, edit))) => {
                seq = next;
                // A refusal changes nothing.
                let _ = state.apply(edit);
                reach(&mut bar, start, seq, &reader);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    bar.clear();
    read?;
    if args.common.json {
        print_lines(stdout, &state, seq)?;
    } else {
        print_page(stdout, &state, seq)?;
    }
    Ok(())
}

fn print_page(stdout: &mut impl Write, state: &ManifestState, seq: Seq) -> io::Result<()> {
    let version = state.version();
    let (keyspaces, tables) = (version.keyspaces().count() as u64, version.len() as u64);
    writeln!(
        stdout,
        "manifest as of edit {seq}, version {}: {}, {}, {}",
        version.number(),
        Count(keyspaces, "keyspace"),
        Count(tables, "table"),
        BinaryBytes(version.bytes())
    )?;
    writeln!(stdout, "  next file number      {}", state.next_filenum())?;
    writeln!(stdout, "  last sequence number  {}", version.last_seq())?;
    writeln!(
        stdout,
        "  write-ahead log       in tables through {}",
        version.wal_floor()
    )?;
    for keyspace in version.keyspaces() {
        levels::print(stdout, keyspace)?;
    }
    Ok(())
}

/// A line for a program: first what is counted, then each keyspace with its levels and their tables.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Manifest {
        seq: u64,
        version: u64,
        next_filenum: u64,
        last_seq: u64,
        wal_floor: u64,
        keyspaces: usize,
        tables: usize,
        bytes: u64,
    },
    Keyspace {
        keyspace: u32,
        name: &'a str,
        sorted_from: Option<u32>,
        flushed_through: u64,
        tables: usize,
        bytes: u64,
    },
    Level {
        keyspace: u32,
        level: u32,
        tables: usize,
        bytes: u64,
    },
    Table(Table),
}

fn print_lines(stdout: &mut impl Write, state: &ManifestState, seq: Seq) -> io::Result<()> {
    let version = state.version();
    print(stdout, &summary(state, version, seq))?;
    for keyspace in version.keyspaces() {
        let id = keyspace.id().get();
        let line = Line::Keyspace {
            keyspace: id,
            name: keyspace.name(),
            sorted_from: keyspace.sorted_from(),
            flushed_through: keyspace.flushed_through(),
            tables: keyspace.len(),
            bytes: keyspace.bytes(),
        };
        print(stdout, &line)?;
        for level in keyspace.levels() {
            let line = Line::Level {
                keyspace: id,
                level: level.number(),
                tables: level.len(),
                bytes: level.bytes(),
            };
            print(stdout, &line)?;
            for table in level.tables() {
                print(stdout, &Line::Table(Table::new(table)))?;
            }
        }
    }
    Ok(())
}

fn summary(state: &ManifestState, version: &Version, seq: Seq) -> Line<'static> {
    Line::Manifest {
        seq: seq.get(),
        version: version.number(),
        next_filenum: state.next_filenum().get(),
        last_seq: version.last_seq(),
        wal_floor: version.wal_floor(),
        keyspaces: version.keyspaces().count(),
        tables: version.len(),
        bytes: version.bytes(),
    }
}

fn print(stdout: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *stdout, line)?;
    writeln!(stdout)
}
