//! An embedded key-value store: an LSM tree whose manifest and write-ahead log are Quipu journals.
//!
//! Keys and values are bytes, in the order of keys. A write is on disk when it is answered, any number of
//! tasks read and write at once under any executor, and readers hold up nobody. Everything runs on any
//! [`Io`](quipu_io::Io): on a disk, and in a simulator that crashes it.
//!
//! ```
//! use quipu_io::DiskIo;
//! use quipu_kv::{Db, Durability, Options, WriteBatch};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! # smol::block_on(async {
//! let db = Db::open(DiskIo::new()?, dir, Options::default()).await?;
//! db.put("ada", "1815").await?; // on disk
//!
//! let before = db.snapshot();
//! let mut batch = WriteBatch::new(); // all of it or nothing
//! batch.put("grace", "1906").delete("ada");
//! db.write(batch, Durability::Os).await?; // survives the program, not a loss of power
//!
//! assert_eq!(db.get("ada").await?, None);
//! assert_eq!(before.get("ada").await?.as_deref(), Some(&b"1815"[..]));
//!
//! let mut scan = db.scan(b"a".as_slice()..)?;
//! while let Some((key, value)) = scan.next().await? {
//!     assert_eq!((key, value), (&b"grace"[..], &b"1906"[..]));
//! }
//!
//! let visits = db.create_keyspace("visits").await?; // has keys of its own
//! visits.put("grace", "1").await?;
//! db.close().await?;
//!
//! let db = Db::open(DiskIo::new()?, dir, Options::default()).await?;
//! assert_eq!(db.get("grace").await?.as_deref(), Some(&b"1906"[..]));
//! assert!(db.keyspace("visits").is_some());
//! # db.close().await?;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # The nouns
//!
//! - A [`Db`] is an open store: a directory that one process has open. It holds *keyspaces*, of which one
//!   is there from the beginning; a [`KeyspaceHandle`] is one of them. They share one log, one manifest and
//!   one sequence of writes, so that a [`WriteBatch`] may write to several.
//! - A write goes to the *write-ahead log* (a [`Log`](quipu_journal::log::Log)) and, once that has it as
//!   durably as was asked ([`Durability`]), into the keyspace's *memtable*: then readers see it. A full
//!   memtable is *frozen* and *flushed*, which is written as a sorted *table* of level 0; the log that
//!   is in tables goes.
//! - *Compactions* merge tables into deeper levels, by one of four [`Strategy`]s, and drop what nobody can
//!   see any more. Where they lag behind, writers are held back ([`Pressure`]).
//! - The [`manifest`] says which tables there are, and is one [`Replayable`](quipu_journal::Replayable).
//!   A [`Version`](manifest::Version) is what it says at one moment. Whoever has tables of their own can
//!   use it alone.
//! - A [`Snapshot`] shows the store as of one write for as long as it is held, and a [`Scan`] a range of it.
//!
//! # What is guaranteed
//!
//! - **A write that was answered is as durable as was asked**, and a [`WriteBatch`] is whole, also
//!   across keyspaces and crashes.
//! - **A write is visible once it is as durable as was asked**, and not before. Writes take effect in the
//!   order in which they are called, unless writers are held back.
//! - **What open shows, no later crash takes back.**
//! - **Nothing is deleted that anybody can still need**: not by a crash, a snapshot, or a scan.
//! - **Damage is an error with file and offset**, never a wrong value or a missing one. What it does
//!   not reach goes on being read; a compaction that meets it fails and changes nothing; and with the
//!   file restored, all is there again.
//! - **A full disk loses nothing.** Reads go on; writes, flushes and compactions fail with an error
//!   whose kind is `StorageFull`, and are as if they had not been. Once there is room, all works again
//!   without opening the store anew, unless the error is `InDoubt`, `Poisoned` or `Io`: that is where a
//!   rename or the sync of a directory found no room. A flush or a compaction that failed is tried again by the next
//!   call that needs it.
//!
//! # Limits
//!
//! - A key has at most 65,535 bytes, a value 1 GiB, and a batch what
//!   [`max_edit_bytes`](quipu_journal::LogOptions::max_edit_bytes) allows: 64 MiB by default.
//! - A batch is atomic, and nothing more: there are no transactions that read.
//! - One process has a store open, for writing even where it only reads. A second one is told that it
//!   is locked.
//! - Values expire only by table, and with the time-window strategy
//!   ([`TimeWindowOptions::ttl`]); reads do not filter.
//! - The top of each table's index stays in memory, uncounted. At most
//!   [`open_files`](Options::open_files) tables have their file open.
//!
//! # How far it is
//!
//! The feature `check` has manifest and store crashed wherever a crash can matter. The manifest's format
//! is frozen; **the formats of tables and of the log's batches may still change.**
//!
//! # Further reading
//!
//! In the repository, `docs/tuning.md` tells what every one of the [`Options`] does, and how to read
//! [`Stats`]; `examples/kv_basic.rs` and `examples/time_series.rs` are whole programs; the command
//! `quipu` works on a store, and shows its tables and their history.
//!
//! # Features
//!
//! - `check`: manifest and store in the crash explorer, for tests.
//! - `zstd`: tables that are packed with zstd, which is a C library and takes a C compiler to build.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
#[cfg(feature = "check")]
pub mod check;
mod compaction;
mod db;
mod entry;
mod error;
mod handle;
mod key;
pub mod manifest;
mod memtable;
mod merge;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        unused_imports,
        reason = "statistics and checks of the store will use it"
    )
)]
mod table;
mod tombstone;
mod tree;

pub use batch::WriteBatch;
pub use compaction::{
    BackpressureOptions, Cause, CompactionOptions, LeveledOptions, SimpleLeveledOptions, Strategy,
    TieredOptions, TimeWindowOptions,
};
pub use db::{
    Backlog, Causes, Db, HeldBack, KeyspaceHandle, LevelStats, Options, Pressure, Recovered, Scan,
    Snapshot, Stats,
};
pub use error::{Error, Result};
pub use quipu_journal::log::Durability;
pub use table::{CacheStats, Compression, TableOptions};
