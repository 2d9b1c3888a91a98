//! The manifest of an LSM tree: which tables make it up, durably, for a store or for tables of your
//! own.
//!
//! ```
//! use quipu_kv::manifest::{Flushed, KeyspaceOptions, Manifest, SstMetadata};
//! use quipu_journal::{DiskIo, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! # smol::block_on(async {
//! let manifest = Manifest::open(DiskIo::new()?, dir, Options::default(), std::future::ready(Ok([]))).await?;
//! let users = manifest.create_keyspace("users", KeyspaceOptions::default()).await?;
//!
//! // A flush: take a number, write and sync the table under it, then say so.
//! let filenum = manifest.alloc_filenum()?;
//! let mut table = SstMetadata::new(filenum, users, 0, *b"ada", *b"grace");
//! table.max_seq = 17;
//! let flushed = Flushed { keyspace: users, after: 0, through: 17 };
//! manifest.record_flush(vec![table], vec![flushed]).await?; // durable
//!
//! // A compaction: tables come and go together. Whoever holds a version keeps its files.
//! let before = manifest.version();
//! let merged = SstMetadata::new(manifest.alloc_filenum()?, users, 1, *b"ada", *b"grace");
//! manifest.record_compaction(vec![merged], vec![filenum]).await?;
//! assert!(manifest.obsolete_files().is_empty());
//! drop(before);
//! assert_eq!(manifest.obsolete_files(), [filenum]); // delete it, and say so
//! manifest.forget(&[filenum]);
//!
//! let version = manifest.version();
//! let users = version.keyspace_named("users").ok_or("it was created")?;
//! assert_eq!(users.overlapping(b"b".as_slice()..=b"c").count(), 1);
//! assert_eq!(version.wal_floor(), 17); // log up to here may go
//! manifest.close().await?;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # The nouns
//!
//! - A *table* is a file of sorted entries; [`SstMetadata`] is what the manifest knows of it. The
//!   manifest opens, writes and deletes no file.
//! - A [`FileNum`] names a table for ever. [`Manifest::alloc_filenum`] hands them out.
//! - A [`Version`] is all tables at one moment, by [`Keyspace`] and [`Level`], with queries by key
//!   and by time. It never changes.
//! - A [`ManifestEdit`] turns one version into the next, whole or not at all. One that does not fit
//!   is answered with a [`Refusal`] and changes nothing.
//! - The *floor* of the write-ahead log is the lowest [`flushed_through`](Keyspace::flushed_through)
//!   of all keyspaces: what lies at or below it is in tables.
//!
//! # What is guaranteed
//!
//! - **A recorded edit is durable**, and what a version shows no crash takes back: the manifest is a
//!   [`Journal`](quipu_journal::Journal), and has no durability of its own.
//! - **A number is never used twice.** None is handed out that a table ever had, that a file bore
//!   at open or that was handed out since, and an edit that uses one again is refused.
//! - **A file may go when no held version names it and the edit that dropped it is durable**;
//!   [`Manifest::obsolete_files`] lists no other, and none at all after a failure in doubt.
//! - **Levels keep their shape.** Tables of a sorted level never overlap.
//! - **The floor never passes what is not in tables**: flushes of a keyspace join without a gap.
//!
//! An edit costs what it names, not what there is: `O(tables named × log tables)`. A version is
//! pinned, and its successors are made, without copying it. Snapshots are written in parts while
//! edits go on.
//!
//! # What is asked of the caller
//!
//! Tables and their names are durable before they are recorded. They are listed at open, under the
//! manifest's lock. Files go only when they are obsolete. Tables have a directory of their own: the
//! manifest syncs its directory, too, and a failure of that may be told to it and not to you.
//!
//! `examples/own_tables.rs` in the repository is a small tree with tables of its own that shows each of
//! these steps. The command `quipu manifest` looks into a manifest, and so does [`history`].

mod edit;
mod filenum;
mod handle;
pub mod history;
mod judge;
mod keyspace;
mod refusal;
mod retired;
mod state;
mod table;
mod version;

pub use edit::{Counters, Flushed, KeyspaceRecord, ManifestEdit, ManifestEditV1, SnapshotPart};
pub use filenum::FileNum;
pub use handle::{Manifest, Recovered};
pub use keyspace::{Keyspace, KeyspaceId, KeyspaceOptions, Level};
pub use refusal::Refusal;
pub use state::{Accepted, ManifestState};
pub use table::SstMetadata;
pub use version::Version;
