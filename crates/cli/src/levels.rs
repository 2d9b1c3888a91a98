//! The tables of a keyspace, level by level, for people.

use std::fmt;
use std::io::{self, Write};

use indicatif::BinaryBytes;
use quipu_kv::manifest::{Keyspace, Level, SstMetadata};

use crate::count::Count;
use crate::key::Key;

/// Prints a keyspace, behind an empty line.
pub(crate) fn print(stdout: &mut impl Write, keyspace: &Keyspace) -> io::Result<()> {
    writeln!(
        stdout,
        "\nkeyspace {} {:?}: {}, {}, flushed through {}",
        keyspace.id(),
        keyspace.name(),
        Count(keyspace.len() as u64, "table"),
        BinaryBytes(keyspace.bytes()),
        keyspace.flushed_through()
    )?;
    for level in keyspace.levels() {
        let shape = match keyspace.is_sorted(level.number()) {
            true => "sorted",
            false => "may overlap",
        };
        writeln!(
            stdout,
            "\n  level {}: {}, {}, {shape}",
            level.number(),
            Count(level.len() as u64, "table"),
            BinaryBytes(level.bytes())
        )?;
        print_level(stdout, level)?;
    }
    Ok(())
}

const COLUMNS: [&str; 6] = ["file", "size", "entries", "tombstones", "sequence", "time"];

fn print_level(stdout: &mut impl Write, level: &Level) -> io::Result<()> {
    let mut widths = COLUMNS.map(str::len);
    for cells in level.tables().map(|table| cells(table)) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.len().max(*width);
        }
    }
    write_cells(stdout, &COLUMNS, &widths)?;
    writeln!(stdout, "  keys")?;
    for table in level.tables() {
        write_cells(stdout, &cells(table), &widths)?;
        writeln!(stdout, "  {}", Keys(table))?;
    }
    Ok(())
}

fn cells(table: &SstMetadata) -> [String; 6] {
    [
        table.filenum.to_string(),
        BinaryBytes(table.size).to_string(),
        table.entries.to_string(),
        table.tombstones.to_string(),
        format!("{}..{}", table.min_seq, table.max_seq),
        format!("{}..{}", table.min_timestamp, table.max_timestamp),
    ]
}

fn write_cells(
    stdout: &mut impl Write,
    cells: &[impl AsRef<str>],
    widths: &[usize],
) -> io::Result<()> {
    write!(stdout, "  ")?;
    for (cell, width) in cells.iter().zip(widths) {
        write!(stdout, "  {:>width$}", cell.as_ref())?;
    }
    Ok(())
}

/// The keys of a table: `["ada".."grace"]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys<'a>(pub(crate) &'a SstMetadata);

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}..{}]", Key(&self.0.smallest), Key(&self.0.largest))
    }
}
