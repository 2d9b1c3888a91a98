//! A durable journal for any state machine: append a typed edit, and when the call returns it is
//! on disk; open again, and replay has rebuilt the state.
//!
//! ```
//! use quipu_journal::{DiskIo, Journal, Options, Replayable};
//! use serde::{Deserialize, Serialize};
//! use std::collections::BTreeMap;
//!
//! /// A state machine: its state, its edits, and what applying one answers.
//! #[derive(Default)]
//! struct Stock(BTreeMap<String, u64>);
//!
//! #[derive(Serialize, Deserialize)]
//! enum Edit {
//!     Receive { item: String, count: u64 },
//!     Ship { item: String, count: u64 },
//!     Snapshot(BTreeMap<String, u64>),
//! }
//!
//! #[derive(Debug, PartialEq)]
//! struct OutOfStock;
//!
//! impl Replayable for Stock {
//!     type Edit = Edit;
//!     type Output = Result<u64, OutOfStock>;
//!     fn filename_prefix() -> &'static str {
//!         "stock"
//!     }
//!     fn initial() -> Self {
//!         Stock::default()
//!     }
//!     fn apply(&mut self, edit: Edit) -> Self::Output {
//!         match edit {
//!             Edit::Receive { item, count } => {
//!                 let held = self.0.entry(item).or_default();
//!                 *held = held.saturating_add(count);
//!                 Ok(*held)
//!             }
//!             Edit::Ship { item, count } => match self.0.get_mut(&item) {
//!                 Some(held) if *held >= count => {
//!                     *held -= count;
//!                     Ok(*held)
//!                 }
//!                 _ => Err(OutOfStock), // refused: an answer, now and in every replay
//!             },
//!             Edit::Snapshot(stock) => {
//!                 self.0 = stock;
//!                 Ok(0)
//!             }
//!         }
//!     }
//!     fn snapshot(&self) -> Edit {
//!         Edit::Snapshot(self.0.clone())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! smol::block_on(async {
//!     let journal = Journal::<Stock>::open(DiskIo::new()?, dir, Options::default()).await?;
//!     let receive = Edit::Receive { item: "rope".into(), count: 5 };
//!     assert_eq!(journal.append(receive).await?, Ok(5)); // durable, applied, answered
//!     let ship = Edit::Ship { item: "rope".into(), count: 6 };
//!     assert_eq!(journal.append(ship).await?, Err(OutOfStock));
//!     journal.close().await?;
//!
//!     let journal = Journal::<Stock>::open(DiskIo::new()?, dir, Options::default()).await?;
//!     println!("{}", journal.recovered()); // clean at edit 2, 2 edits replayed
//!     assert_eq!(journal.read(|stock| stock.0["rope"]), 5);
//! #   assert_eq!(journal.recovered().to_string(), "clean at edit 2, 2 edits replayed");
//! #   Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! #   Ok(())
//! # }
//! ```
//!
//! # The nouns
//!
//! - A [`Replayable`] is your state machine. An *edit* is one typed change of it; `apply` answers
//!   with an *output*, which may be a refusal.
//! - A [`Journal`] keeps one on disk. Each edit has a *sequence number* ([`Seq`]): 1, 2, 3 ...
//! - One round of *group commit* writes everything that is queued as one *frame*, with one sync.
//! - Frames stand in *segments*; a *snapshot* holds edits that rebuild the state as of a number, so
//!   that older segments can go.
//! - A *proof* is something intact on disk that says that a number was durable: the watermark of a
//!   later frame, a segment's seal, the header of the segment after it, a snapshot.
//! - [`Reader`] reads edits, and the state as of any of them, without a lock. [`verify`] and
//!   [`dump`] look into the files. [`log::Log`] is the layer below, for payloads instead of edits.
//!
//! The positions of a journal always stand in this order ([`Journal::status`]):
//!
//! ```text
//! snapshot ≤ applied ≤ synced ≤ written ≤ queued          acknowledged ⇔ seq ≤ synced
//!    │          │         │         │         └ append was called
//!    │          │         │         └ in the operating system's hands
//!    │          │         └ on disk
//!    │          └ in the state that `read` shows
//!    └ in the newest snapshot
//! ```
//!
//! # What is guaranteed
//!
//! - **An append that was answered is on disk**, and stays there through any crash of the program
//!   or the machine.
//! - **State is visible only when it is durable.** [`Journal::read`] never shows an edit that a
//!   crash could take back, nor does [`Reader`].
//! - **What open has shown, no later crash takes back**, also where it was never acknowledged.
//! - **Torn ends and damage are told apart by proof.** An end that nothing proves is dropped, and
//!   [`Recovered`] says so; damage below a proof is [`Error::Corrupt`] with file and offset, and
//!   nothing on disk is changed.
//! - **A failed write or sync stops the journal.** No sync is retried: what it should have saved may
//!   be gone although a second one says that all is well. Whatever was under way is
//!   [`InDoubt`](Error::InDoubt), and the next open decides.
//! - **No executor is asked for.** It works under smol, tokio, or a bare `block_on`. A future that
//!   is dropped or never polled holds up nobody.
//!
//! # What is not
//!
//! - Damage to frames behind which nothing intact is left looks like a torn end: the result is a
//!   prefix, and the report says how many bytes were dropped. Two damaged files may look like less.
//! - The disk must write a sector whole or not at all, and must not harm the earlier bytes of a
//!   sector that it rewrites. Where it does, the damage is detected, not survived.
//! - One process writes at a time, guarded by a lock file. There is no replication.
//! - All of the state is in memory. (A store on top is what `quipu-kv` is for.)
//!
//! # Testing your machine
//!
//! With the feature `check`, two lines crash a machine of yours wherever a crash can matter and open it
//! again on everything that could be left: `check::journal::<Stock>(|bytes| ...)`, and then
//! `exhaustive(3)` or `sampled(0..1000)`. `docs/simulation.md` tells how; [`laws`] checks the machine
//! alone.
//!
//! `docs/journal-format.md` in the repository describes the bytes, `docs/journal-crash.md` why each
//! operation is safe. Everything here runs unchanged in the simulator of [`quipu_io`].
#![cfg_attr(docsrs, feature(doc_cfg))]

mod append;
#[cfg(feature = "check")]
pub mod check;
mod codec;
mod directory;
mod error;
mod format;
mod inspect;
mod journal;
pub mod laws;
pub mod log;
mod options;
mod reader;
mod recovery;
mod replayable;
mod seq;
mod snapshot;
mod snapshots;
mod state;

pub use append::{Append, AppendBatch};
pub use error::{Error, Result};
pub use inspect::{
    Dump, Frame, Item, Predecessor, Progress, Sealed, Segment, Snapshot, Successor, Verified, dump,
    prefixes, verify,
};
pub use journal::{Journal, Status};
/// The real backend, so that a program that needs nothing else of `quipu-io` need not name it.
pub use quipu_io::DiskIo;

pub use options::{LogOptions, Options, Retention};
pub use reader::Reader;
pub use recovery::{Discarded, Left, LoadedSnapshot, Recovered};
pub use replayable::Replayable;
pub use seq::Seq;
pub use snapshot::SnapshotPolicy;
