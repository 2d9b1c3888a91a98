//! RocksDB's manifest, which cannot be used without RocksDB: it is measured by what surrounds it.
//!
//! - `manifest-open`: what each table adds to the opening of a database. That of an empty one is
//!   taken off, and everything about tables other than the manifest is turned off: their files are
//!   not opened (but for 16), not looked for, and not asked for statistics. What stays: the manifest
//!   is read and applied, written anew, and the directory listed. A million tables would take too
//!   long to make, so there is one for each fifty of the workload.
//! - `manifest-flush`: a flush of one key, which also writes and syncs a table. Beside it, as
//!   `edit_us`, what one edit of the manifest takes: to drop one table, by `DeleteFilesInRanges`,
//!   which also unlinks its file.

use std::{fs, path::Path, time::Instant};

use quipu_bench::{
    Result,
    history::{self, Flushing, Table},
    load::Load,
    measurement::{Measurement, median},
    subject::Prepared,
};
use rocksdb::{DB, FlushOptions, IngestExternalFileOptions, Options, SstFileWriter, WriteOptions};

pub(crate) const OPEN: Prepared = Prepared {
    prepare: |dir, load| {
        fill(&dir.join("empty"), 0)?;
        fill(&dir.join("full"), tables_to_open(load))
    },
    measure: open,
};

pub(crate) const FLUSH: Prepared = Prepared {
    prepare: |dir, load| fill(dir, load.tables),
    measure: flush,
};

/// Live tables of the workload for one of RocksDB's.
const SHARE: u64 = 50;

/// Flushes of the workload for one of RocksDB's, which is slower.
const FLUSHES_SHARE: u64 = 25;

/// Each is open only while it is made or read.
const MAX_OPEN_FILES: i32 = 1_000;

/// Tables that are ingested at once, that is in one edit.
const BATCH: usize = 1_000;

fn tables_to_open(load: Load) -> u64 {
    load.tables.div_ceil(SHARE)
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_disable_auto_compactions(true);
    options.set_max_open_files(MAX_OPEN_FILES);
    options.set_skip_stats_update_on_db_open(true);
    options.set_skip_checking_sst_file_sizes_on_db_open(true);
    options
}

/// Leaves a database with so many tables, each with two keys, all of them on the last level.
fn fill(dir: &Path, tables: u64) -> Result<()> {
    fs::create_dir_all(dir)?;
    let options = options();
    let db = DB::open(&options, dir)?;
    let made = dir.join("made");
    fs::create_dir(&made)?;
    let mut ingest = IngestExternalFileOptions::default();
    ingest.set_move_files(true);
    let tables: Vec<_> = history::live_tables(tables).collect();
    for batch in tables.chunks(BATCH) {
        let mut paths = Vec::new();
        for table in batch {
            let path = made.join(table.number.to_string());
            write_table(&options, &path, table)?;
            paths.push(path);
        }
        db.ingest_external_file_opts(&ingest, paths)?;
    }
    fs::remove_dir_all(made)?;
    Ok(())
}

fn write_table(options: &Options, path: &Path, table: &Table) -> Result<()> {
    let mut writer = SstFileWriter::create(options);
    writer.open(path)?;
    writer.put(&table.smallest, table.number.to_le_bytes())?;
    writer.put(&table.largest, table.number.to_le_bytes())?;
    Ok(writer.finish()?)
}

/// Of the empty database the median of three; of the full one the first time, as with the other
/// subjects, and beside it the second.
fn open(dir: &Path, load: Load) -> Result<Measurement> {
    let tables = tables_to_open(load);
    let last = history::live_tables(tables).last().ok_or("no table")?;
    let open = |name: &str, options: &Options, found: bool| -> Result<f64> {
        let start = Instant::now();
        let db = DB::open(options, dir.join(name))?;
        let elapsed = start.elapsed();
        // This opens a table, so it is not timed.
        if db.get(&last.largest)?.is_some() != found {
            return Err("a database is not as it was made".into());
        }
        Ok(elapsed.as_secs_f64())
    };
    let options = options();
    let empty: Result<Vec<_>> = (0..3).map(|_| open("empty", &options, false)).collect();
    let empty = median(empty?);
    let full = open("full", &options, true)? - empty;
    let again = open("full", &options, true)? - empty;
    let measured = Measurement {
        operations: tables,
        seconds: full,
        ..Measurement::default()
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let again = tables as f64 / again;
    Ok(measured
        .with_detail("empty_ms", empty * 1e3)
        .with_detail("again_tables_per_s", again))
}

fn flush(dir: &Path, load: Load) -> Result<Measurement> {
    let appends = load.appends.div_ceil(FLUSHES_SHARE);
    let mut write = WriteOptions::default();
    write.disable_wal(true);
    let mut manifest = Manifest {
        db: DB::open(&options(), dir)?,
        write,
        flushed: Vec::new(),
        edits: Vec::new(),
    };
    let measured = history::record_flushes(Load { appends, ..load }, &mut manifest)?;
    let left = manifest.db.live_files()?.len() as u64;
    if left != load.tables {
        return Err(format!("{left} tables instead of {}", load.tables).into());
    }
    let edit = median(manifest.edits) * 1e6;
    Ok(measured.with_detail("edit_us", edit))
}

struct Manifest {
    db: DB,
    write: WriteOptions,
    /// The keys of the tables that were flushed since some were dropped.
    flushed: Vec<String>,
    /// How long each edit took that did nothing but drop a table.
    edits: Vec<f64>,
}

impl Flushing for Manifest {
    fn flush(&mut self, table: Table) -> Result<()> {
        let key = table.smallest;
        self.db.put_opt(&key, [0; 8], &self.write)?;
        self.db.flush_opt(&FlushOptions::default())?;
        self.flushed.push(key);
        Ok(())
    }

    /// Only tables below level 0 can be dropped, so they are compacted first.
    fn remove_flushed(&mut self) -> Result<()> {
        let (first, last) = (self.flushed.first(), self.flushed.last());
        self.db.compact_range(first, last);
        let start = Instant::now();
        if let Some((first, last)) = first.zip(last) {
            self.db.delete_file_in_range(first, last)?;
        }
        self.edits.push(start.elapsed().as_secs_f64());
        self.flushed.clear();
        Ok(())
    }
}
