//! The history of a manifest for people: what each edit did, and what the levels held after it.
//!
//! Whoever has a [`Reader`](quipu_journal::Reader) of a manifest's journal makes a [`Step`] of each
//! edit, and of the steps a [`Chart`]:
//!
//! ```
//! use quipu_kv::manifest::history::{Chart, Row, Step};
//! use quipu_kv::manifest::{KeyspaceOptions, Manifest, ManifestState};
//! use quipu_journal::{DiskIo, Options, Reader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! # smol::block_on(async {
//! # let manifest = Manifest::open(DiskIo::new()?, dir, Options::default(), std::future::ready(Ok([]))).await?;
//! # manifest.create_keyspace("users", KeyspaceOptions::default()).await?;
//! # manifest.close().await?;
//! let mut reader = Reader::<ManifestState>::open(DiskIo::new()?, dir).await?;
//! let (_, mut state) = reader.replay_oldest().await?;
//! let mut rows = Vec::new();
//! while let Some((seq, edit)) = reader.next().await? {
//!     let step = Step::apply(&mut state, seq, edit);
//!     rows.extend(Row::sum(&[step]));
//! }
//! println!("{}", Chart(&rows));
//! # assert!(rows[0].text().contains("create keyspace k0 \"users\""));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! Invariant: nothing here reads or prints, and an edit is applied by the manifest's own rules: what
//! is told to have been refused was refused.

mod chart;
mod step;

pub use chart::{Chart, Row};
pub use step::{Change, Kind, LevelSize, Step};
