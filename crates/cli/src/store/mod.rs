//! The store: `quipu shell`, `load`, `export` and `stats`.
//!
//! Invariants:
//! - What is answered with `ok`, and what is reported as loaded, is durable, unless the log was
//!   turned off.
//! - A store is closed whatever came of the work on it, but for a signal: that loses nothing either,
//!   and the next open has more to read.
//! - Nothing is created where a store is only read.

mod bulk;
mod command;
mod export;
mod figures;
mod lines;
mod load;
mod shell;
mod stats;

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use quipu_io::DiskIo;
use quipu_kv::{Db, Error, KeyspaceHandle, Options, Strategy};

use crate::directory;
use crate::failure::Failure;

pub(crate) use export::Args as Export;
pub(crate) use load::Args as Load;
pub(crate) use shell::Args as Shell;
pub(crate) use stats::Args as Stats;

pub(crate) async fn shell(io: &DiskIo, args: &Shell, stdout: &mut impl Write) -> Outcome {
    shell::run(io, args, stdout).await
}

pub(crate) async fn load(io: &DiskIo, args: &Load, stdout: &mut impl Write) -> Outcome {
    load::run(io, args, stdout).await
}

pub(crate) async fn export(io: &DiskIo, args: &Export, stdout: &mut impl Write) -> Outcome {
    export::run(io, args, stdout).await
}

pub(crate) async fn stats(io: &DiskIo, args: &Stats, stdout: &mut impl Write) -> Outcome {
    stats::run(io, args, stdout).await
}

pub(crate) type Outcome = Result<(), Failure>;

/// How a store is written, for the commands that write.
#[derive(Debug, Args)]
struct Writing {
    /// The keyspace that is written, created where it is missing
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    keyspace: String,

    /// Keep no write-ahead log: faster, and a kill or a crash loses what is not flushed
    #[arg(long)]
    no_wal: bool,

    /// How tables are compacted while the store is open
    #[arg(long, value_enum, default_value_t = Compaction::Leveled)]
    strategy: Compaction,
}

/// The keyspace that every store has.
const DEFAULT: &str = "default";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compaction {
    /// Levels of growing size, merged table by table
    Leveled,
    /// Levels of growing size, merged whole
    SimpleLeveled,
    /// Sorted runs of similar size: less is written, more is read
    Tiered,
    /// A sorted run for each day
    TimeWindow,
}

impl Writing {
    fn options(&self) -> Options {
        let mut options = Options::default();
        options.wal = !self.no_wal;
        options.compaction.strategy = match self.strategy {
            Compaction::Leveled => Strategy::Leveled(Default::default()),
            Compaction::SimpleLeveled => Strategy::SimpleLeveled(Default::default()),
            Compaction::Tiered => Strategy::Tiered(Default::default()),
            Compaction::TimeWindow => Strategy::TimeWindow(Default::default()),
        };
        options
    }
}

/// An open store, and the keyspace of it that is meant.
#[derive(Debug)]
struct Store {
    dir: PathBuf,
    db: Db,
    keyspace: KeyspaceHandle,
}

impl Store {
    /// Opens a store for writing, or begins one.
    async fn for_writing(io: &DiskIo, dir: &Path, writing: &Writing) -> Result<Store, Failure> {
        directory::may_hold_store(io, dir).await?;
        let db = open(io, dir, writing.options()).await?;
        let name = &writing.keyspace;
        let keyspace = match db.keyspace(name) {
            Some(keyspace) => Ok(keyspace),
            None => db.create_keyspace(name).await.map_err(Failure::from),
        };
        Store::of(dir, db, keyspace).await
    }

    /// Opens a store that is there, of which a keyspace is read.
    async fn for_reading(io: &DiskIo, dir: &Path, name: &str) -> Result<Store, Failure> {
        directory::holds_store(io, dir).await?;
        let db = open(io, dir, Options::default()).await?;
        let keyspace = db.keyspace(name).ok_or_else(|| unknown(dir, &db, name));
        Store::of(dir, db, keyspace).await
    }

    async fn of(
        dir: &Path,
        db: Db,
        keyspace: Result<KeyspaceHandle, Failure>,
    ) -> Result<Store, Failure> {
        match keyspace {
            Ok(keyspace) => Ok(Store {
                dir: dir.to_owned(),
                db,
                keyspace,
            }),
            Err(failure) => {
                db.close().await?;
                Err(failure)
            }
        }
    }

    /// Closes the store, and gives the result of the work on it, unless closing fails.
    async fn close<T>(self, result: Result<T, Failure>) -> Result<T, Failure> {
        let closed = self.db.close().await;
        let value = result?;
        closed?;
        Ok(value)
    }
}

async fn open(io: &DiskIo, dir: &Path, options: Options) -> Result<Db, Failure> {
    let opened = Db::open(io.clone(), dir, options).await;
    opened.map_err(|error| not_opened(dir, &error))
}

fn not_opened(dir: &Path, error: &Error) -> Failure {
    let shown = dir.display();
    if error.is_locked() {
        let text = format!("{shown} is locked: the store is open elsewhere, close it there first");
        return Failure::Text(text);
    }
    Failure::Text(match error.io_kind() {
        Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => format!(
            "{error}; a store is opened for writing even to be read: run this as a user who may \
             write {shown}, or on a copy"
        ),
        _ => error.to_string(),
    })
}

fn unknown(dir: &Path, db: &Db, name: &str) -> Failure {
    let version = db.version();
    let names: Vec<_> = version
        .keyspaces()
        .map(|keyspace| keyspace.name())
        .collect();
    Failure::Text(format!(
        "{} has no keyspace {name:?}: name one of {}",
        dir.display(),
        names.join(", ")
    ))
}

/// Says something to who types, on stderr: answers alone are on stdout.
fn say(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}
