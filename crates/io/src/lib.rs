//! The world behind a trait: files, directories and locks, tasks and time.
//!
//! Everything of Quipu that touches a disk does so through [`Io`] and [`File`], and everything
//! that waits does so through [`Runtime`]. Two backends implement all three:
//!
//! - [`DiskIo`], the real one. It works under any executor: smol, tokio, or a bare `block_on`.
//!   It is made for Linux and builds on other Unix systems, where cached reads change threads and
//!   space is reserved by writing zeros. Windows is not a target.
//! - `SimIo` in the module `sim` (feature `sim`), a disk in memory that loses exactly what a real disk may lose,
//!   under a deterministic executor with virtual time.
//!
//! A program that is generic over `Io` runs unchanged on both:
//!
//! ```
//! use quipu_io::{Bytes, DiskIo, File, Io, OpenOptions};
//! # use std::path::Path;
//!
//! async fn save<I: Io>(io: &I, dir: &Path) -> std::io::Result<()> {
//!     let file = io.open(&dir.join("greeting"), OpenOptions::CreateNew).await?;
//!     file.write_at(0, Bytes::from_static(b"hello")).await?;
//!     file.sync_all().await?; // the bytes are durable ...
//!     io.sync_dir(dir).await // ... and now the name is, too
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! # let dir = tempfile::tempdir()?;
//! futures::executor::block_on(save(&DiskIo::new()?, dir.path()))?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a backend promises
//!
//! - A [`File`] is an open inode, not a path: renaming or removing its name does not disturb it.
//! - Nothing is durable before a sync that covers it has returned `Ok`: [`File::sync_data`] for
//!   bytes and size, [`Io::sync_dir`] for names. A sync that fails is not to be retried: what it
//!   should have saved may be gone although a second one says `Ok`.
//! - An operation that was started runs to its end even if its future is dropped. Buffers are owned
//!   and move in and out, so nothing is left dangling.
//! - Transfers are complete or an error; interrupted and short calls are repeated inside.
//! - Errors name the operation and the path ([`IoError`]).
//!
//! The suite in `conformance` (feature `conformance`) checks these for any backend, except what
//! only a crash could tell.
//!
//! # Features
//!
//! - `sim`: the simulated backend.
//! - `conformance`: the test suite for backends.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
#[cfg(feature = "conformance")]
pub mod conformance;
mod disk;
mod error;
#[doc(hidden)]
pub mod planted;
#[cfg(feature = "sim")]
pub mod sim;

pub use backend::{DirEntry, EntryKind, File, Io, OpenOptions, Runtime};
pub use bytes::{Bytes, BytesMut};
pub use disk::{DiskFile, DiskIo, DiskLock};
pub use error::IoError;
