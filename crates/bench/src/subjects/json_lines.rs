//! A manifest as small stores have it: a file with one JSON object per edit, appended and synced.
//! Whoever opens it reads all edits there ever were, for such manifests have no snapshots.
//!
//! It is written to be fast within that: a buffered reader, one reused line, a hash map of the live
//! tables, and each level sorted once at the end. It checks nothing: no checksum, no rule.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    time::Instant,
};

use crate::{
    Result,
    history::{self, Edit, Flushing, Table},
    load::Load,
    measurement::Measurement,
    subject::{Prepared, Subject},
};

const NOT_A_LOG: &str = "it is a manifest";

pub(crate) const SUBJECT: Subject = Subject {
    name: "json-lines",
    append_durable: Err(NOT_A_LOG),
    append_os: Err(NOT_A_LOG),
    replay: Err(NOT_A_LOG),
    snapshot_stall: Err(NOT_A_LOG),
    explore: Err(NOT_A_LOG),
    manifest_open: Ok(Prepared {
        prepare: |dir, load| write(dir, history::edits(load.tables)),
        measure: open,
    }),
    manifest_flush: Ok(Prepared {
        prepare: |dir, load| write(dir, history::live_tables(load.tables).map(Edit::flush)),
        measure: flush,
    }),
    store: Err("it is a manifest, not a store"),
};

const FILE_NAME: &str = "manifest.json";

/// Not synced edit by edit: that is not what is measured.
fn write(dir: &Path, edits: impl Iterator<Item = Edit>) -> Result<()> {
    let mut file = BufWriter::new(File::create_new(dir.join(FILE_NAME))?);
    for edit in edits {
        serde_json::to_writer(&mut file, &edit)?;
        file.write_all(b"\n")?;
    }
    Ok(file.into_inner()?.sync_all()?)
}

fn open(dir: &Path, load: Load) -> Result<Measurement> {
    let start = Instant::now();
    let state = State::read(&dir.join(FILE_NAME))?;
    let levels = state.levels();
    let opened = state.tables.len() as u64;
    history::check_opened(load.tables, opened, |level, key| levels.find(level, key))?;
    Ok(Measurement::new(load.tables, start.elapsed()))
}

fn flush(dir: &Path, load: Load) -> Result<Measurement> {
    let path = dir.join(FILE_NAME);
    let state = State::read(&path)?;
    let mut manifest = Manifest {
        file: OpenOptions::new().append(true).open(path)?,
        last_number: state.tables.keys().copied().max().unwrap_or(0),
        state,
        flushed: Vec::new(),
        line: Vec::new(),
    };
    let measurement = history::record_flushes(load, &mut manifest)?;
    if manifest.state.tables.len() as u64 != load.tables {
        return Err("the manifest has not kept its number of tables".into());
    }
    Ok(measurement)
}

/// The live tables.
#[derive(Debug, Default)]
struct State {
    tables: HashMap<u64, Table>,
}

impl State {
    fn read(path: &Path) -> Result<Self> {
        let mut state = Self::default();
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line)? > 0 {
            state.apply(serde_json::from_slice(&line)?);
            line.clear();
        }
        Ok(state)
    }

    fn apply(&mut self, edit: Edit) {
        for number in edit.removed {
            self.tables.remove(&number);
        }
        let added = edit.added.into_iter().map(|table| (table.number, table));
        self.tables.extend(added);
    }

    /// Without it no key is found, so an open ends here.
    fn levels(&self) -> Levels<'_> {
        let mut levels = Levels::default();
        for table in self.tables.values() {
            let level = usize::from(table.level);
            if levels.0.len() <= level {
                levels.0.resize_with(level + 1, Vec::new);
            }
            levels.0[level].push(table);
        }
        for level in &mut levels.0 {
            level.sort_unstable_by(|one, other| one.smallest.cmp(&other.smallest));
        }
        levels
    }
}

/// The tables of each level, sorted by key.
#[derive(Debug, Default)]
struct Levels<'s>(Vec<Vec<&'s Table>>);

impl Levels<'_> {
    fn find(&self, level: u8, key: &str) -> Option<u64> {
        let level = self.0.get(usize::from(level))?;
        let place = level.partition_point(|table| *table.largest < *key);
        let table = level.get(place).filter(|table| *table.smallest <= *key)?;
        Some(table.number)
    }
}

/// The manifest, open to be written.
#[derive(Debug)]
struct Manifest {
    file: File,
    state: State,
    last_number: u64,
    flushed: Vec<u64>,
    line: Vec<u8>,
}

impl Manifest {
    fn record(&mut self, edit: Edit) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &edit)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)?;
        self.file.sync_data()?;
        self.state.apply(edit);
        Ok(())
    }
}

impl Flushing for Manifest {
    fn flush(&mut self, table: Table) -> Result<()> {
        self.last_number += 1;
        self.flushed.push(self.last_number);
        let number = self.last_number;
        self.record(Edit::flush(Table { number, ..table }))
    }

    fn remove_flushed(&mut self) -> Result<()> {
        let removed = self.flushed.drain(..).collect();
        self.record(Edit {
            added: Vec::new(),
            removed,
        })
    }
}
