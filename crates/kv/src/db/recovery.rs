//! Opening a store: the manifest, its tables, and then what the log has beyond them.
//!
//! Invariants:
//! - The manifest decides what is a table. What it does not name goes, and only after open has made
//!   durable what it shows.
//! - A write is replayed if its keyspace's tables do not have it: if its number is above the
//!   keyspace's `flushed_through`.
//! - Nothing is shown before all of it is read, a log with a gap is an error of the log's, and
//!   manifest and log that do not [fit](super::parts) are one of the store's.
//! - The log is begun before the first keyspace is recorded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use quipu_io::planted::planted;
use quipu_io::{EntryKind, Io, Runtime};
use quipu_journal::Seq;
use quipu_journal::log::{Durability, Log};

use super::core::{Beginning, Core, Views};
use super::marks::Marks;
use super::options::Options;
use super::parts::{self, Evidence};
use super::tables::OpenTables;
use super::view::{Frozen, View};
use crate::batch::Writes;
use crate::manifest::{FileNum, Keyspace, KeyspaceOptions, Manifest, Version};
use crate::{Error, Result};

/// The directory of the tables. Log, manifest and tables have a directory each: if a sync of one
/// fails, whoever has changed it hears of it, and nobody else takes the next sync's word.
pub(crate) const TABLES: &str = "tables";

/// The directory, and the file name prefix, of the write-ahead log.
pub(crate) const WAL: &str = "wal";

/// The name of the keyspace that operations without one are of.
const DEFAULT: &str = "default";

/// What opening a store found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// What was found of the manifest.
    pub manifest: crate::manifest::Recovered,
    /// What was found of the write-ahead log.
    pub log: quipu_journal::Recovered,
    /// Writes that came from the log.
    pub replayed: u64,
}

pub(crate) async fn open<I: Io + Runtime>(
    io: I,
    dir: PathBuf,
    options: Options,
) -> Result<(Core<I>, Recovered)> {
    let (tables_dir, wal_dir) = (dir.join(TABLES), dir.join(WAL));
    parts::check_manifest(&io, &dir, &wal_dir, &tables_dir).await?;
    let found = list_tables(io.clone(), tables_dir.clone());
    let manifest = Manifest::open(io.clone(), &dir, options.manifest.clone(), found).await?;
    let tables = OpenTables::new(io.clone(), &tables_dir, &options);
    if let Some(filenum) = manifest.recovered().missing.first() {
        let path = tables.path(*filenum);
        return Err(Error::MissingTable { path });
    }
    let version = manifest.version();
    parts::check_log(&io, &version, &wal_dir).await?;
    tables.open(version.tables().cloned()).await?;
    let views = views(&version, &tables)?;
    let mut replay = Replay {
        version,
        views,
        memtable_bytes: options.memtable_bytes,
        time: millis(&io),
        last_seq: 0,
        marks: Marks::default(),
        replayed: 0,
        evidence: Evidence::default(),
    };
    replay.last_seq = replay.version.last_seq();
    let mut opening = Log::open(io.clone(), &wal_dir, WAL, options.log.clone()).await;
    if opening.is_err() && planted("a log that does not open is begun anew") {
        opening = Log::open(io.clone(), dir.join("anew"), WAL, options.log.clone()).await;
    }
    let mut opening = opening.map_err(Error::wal)?;
    while let Some((seq, payload)) = opening.next().await.map_err(Error::wal)? {
        if !options.wal && planted("without a log, what is left of one is not read") {
            continue;
        }
        let replayed = replay.batch(seq, payload);
        replayed.map_err(|reason| Error::Batch { seq, reason })?;
    }
    replay.evidence.judge(&manifest, &dir, &wal_dir)?;
    let wal = opening.finish().await.map_err(Error::wal)?;
    if replay.views.is_empty() {
        let created = manifest.create_keyspace(DEFAULT, KeyspaceOptions::default());
        created.await?;
        replay.views = self::views(&manifest.version(), &tables)?;
    }
    if !options.wal && !replay.evidence.is_unlogged() {
        let said = wal.append(parts::unlogged(), Durability::Disk);
        said.await.map_err(Error::wal)?;
    }
    let recovered = Recovered {
        manifest: manifest.recovered().clone(),
        log: wal.recovered().clone(),
        replayed: replay.replayed,
    };
    let core = Core::new(Beginning {
        io,
        dir,
        options,
        manifest,
        wal,
        tables,
        views: replay.views,
        last_seq: replay.last_seq,
        marks: replay.marks,
    });
    core.sweep().await;
    Ok((core, recovered))
}

/// The views of all keyspaces, with empty memtables.
fn views<I: Io>(version: &Arc<Version>, tables: &OpenTables<I>) -> Result<Views<I>> {
    let keyspaces = version.keyspaces().map(|keyspace| {
        let view = View::new(keyspace, tables.of(version.clone(), keyspace.id())?);
        Ok((keyspace.id(), Arc::new(view)))
    });
    keyspaces.collect()
}

/// Now, in the unit of tables' timestamps: milliseconds since 1970.
pub(crate) fn millis(runtime: &impl Runtime) -> u64 {
    let since = runtime.wall_clock().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// The numbers of the tables in a directory, whole or not.
async fn list_tables<I: Io>(io: I, dir: PathBuf) -> io::Result<Vec<FileNum>> {
    io.create_dir_all(&dir).await?;
    if let Some(parent) = dir.parent() {
        io.sync_dir(parent).await?;
    }
    let entries = io.read_dir(&dir).await?;
    let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
    let numbers = files.filter_map(|entry| OpenTables::<I>::filenum(Path::new(&entry.name)));
    Ok(numbers.collect())
}

/// Puts what the log holds into memtables.
struct Replay<I: Io> {
    version: Arc<Version>,
    views: Views<I>,
    memtable_bytes: u64,
    /// When this is: the log does not say when its writes came.
    time: u64,
    last_seq: u64,
    marks: Marks,
    replayed: u64,
    evidence: Evidence,
}

impl<I: Io> Replay<I> {
    fn batch(&mut self, log: Seq, payload: bytes::Bytes) -> Result<(), String> {
        let bytes = payload.len();
        let mut writes = Writes::new(&payload)?;
        if writes.is_empty() {
            self.evidence.add_note(writes.next_seq());
            self.marks.note(log);
            return Ok(());
        }
        loop {
            let seq = writes.next_seq();
            let Some((id, write)) = writes.next()? else {
                break;
            };
            self.last_seq = self.last_seq.max(seq);
            self.evidence.add_write(id, seq);
            let keyspace = self.version.keyspace(id);
            let skipped = u64::from(planted("replay begins one write too late"));
            if keyspace.is_some_and(|keyspace| seq > keyspace.flushed_through() + skipped)
                && let Some(view) = self.views.get(&id)
            {
                view.active.insert(self.time, [write]);
                self.replayed += 1;
            }
        }
        // Not the last number of all: the manifest may know of one that the log has further behind.
        let through = match planted("a memtable counts as all writes that the manifest knows of") {
            true => self.last_seq,
            false => writes.next_seq() - 1,
        };
        self.marks.push(log, through, bytes);
        self.freeze(through);
        Ok(())
    }

    /// Gives fresh memtables to the keyspaces whose are full, where the log is read up to here.
    fn freeze(&mut self, through: u64) {
        for view in self.views.values_mut() {
            if !view.active.is_empty() && view.active.bytes() >= self.memtable_bytes {
                let mut next = View::clone(view);
                let memtable = std::mem::take(&mut next.active);
                next.frozen.insert(0, Frozen { memtable, through });
                *view = Arc::new(next);
            }
        }
    }
}

impl<I: Io> View<I> {
    pub(crate) fn new(keyspace: &Keyspace, tables: super::view::Tables<I>) -> Self {
        View {
            id: keyspace.id(),
            name: keyspace.name().into(),
            active: Arc::default(),
            frozen: Vec::new(),
            tables: Arc::new(tables),
        }
    }
}
