//! An embedded LSM key-value store whose manifest and write-ahead log are Quipu journals, and that
//! manifest for people who bring tables of their own.
//!
//! ```
//! use quipu_kv::{Db, Durability, Options, WriteBatch};
//! use quipu_journal::DiskIo;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! # smol::block_on(async {
//! let db = Db::open(DiskIo::new()?, dir, Options::default()).await?;
//! db.put(b"ada", b"1815").await?; // durable
//!
//! let before = db.snapshot();
//! let mut batch = WriteBatch::new();
//! batch.put(b"grace", b"1906").delete(b"ada");
//! db.write(batch, Durability::Os).await?; // survives the program, not a loss of power
//!
//! assert_eq!(db.get(b"ada").await?, None);
//! assert_eq!(before.get(b"ada").await?.as_deref(), Some(&b"1815"[..]));
//!
//! let mut scan = db.scan(b"a".as_slice()..)?;
//! while let Some((key, value)) = scan.next().await? {
//!     assert_eq!((key, value), (&b"grace"[..], &b"1906"[..]));
//! }
//! db.close().await?;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # The nouns
//!
//! - A [`Db`] holds *keyspaces*, which share one log, one manifest and one sequence of writes.
//! - A write goes to the *write-ahead log* (a [`Log`](quipu_journal::log::Log)) and, once that has it as
//!   durably as was asked, into a *memtable*. A full memtable is *frozen* and *flushed*: written as a
//!   sorted *table*. *Compactions* merge tables, by one of four [`Strategy`]s.
//! - The [`manifest`] says which tables there are, and is one
//!   [`Replayable`](quipu_journal::Replayable). Whoever has tables of their own can use it alone.
//! - A [`Snapshot`] shows the store as of one write, a [`Scan`] a range of it.
//!
//! # What is guaranteed
//!
//! - **A write that was answered is as durable as was asked**, and a [`WriteBatch`] is whole, also
//!   across keyspaces and crashes.
//! - **What open shows, no later crash takes back.**
//! - **Nothing is deleted that anybody can still need**: not by a crash, a snapshot, or a scan.
//! - **Damage is an error with file and offset**, never a wrong value or a missing one.
//!
//! Everything runs on any [`Io`](quipu_io::Io), and so in the simulator.
//!
//! # What is not there yet
//!
//! The manifest is complete: its format is frozen. **The store on top of it is young**: its formats may
//! still change. The feature `check` has both crashed wherever a crash can matter. A limit on memory for compactions, and the command line's `shell`, `load` and `export` are
//! missing.
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
pub use db::{Backlog, Db, KeyspaceHandle, Options, Pressure, Recovered, Scan, Snapshot, Stats};
pub use error::{Error, Result};
pub use quipu_journal::log::Durability;
pub use table::{Compression, TableOptions};
