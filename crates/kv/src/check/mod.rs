//! The manifest in the crash explorer of [`quipu_journal::check`]: the life of an LSM tree with toy
//! tables, and the rules that hold of it whatever a crash leaves.
//!
//! ```
//! let check = quipu_kv::check::manifest();
//! check.exhaustive(1)?; // all sequences of up to one operation, all legal crash states
//! check.sampled(0..20)?; // long ones, drawn from seeds
//! # Ok::<(), Box<quipu_journal::check::Failure>>(())
//! ```
//!
//! # The nouns
//!
//! - A [`ManifestProgram`] opens a manifest, writes and records tables, compacts, holds versions and
//!   deletes what is obsolete, each in the order that the manifest asks for.
//! - A *toy table* is a file whose bytes follow from what is recorded of it, so that anybody can tell
//!   whether it is whole.
//! - A [`Reference`] is what edits come to, found in the plainest way and with none of the manifest's
//!   code: it says what a version has to hold and which edits are to be refused.
//! - The [`oracles`] M1 to M7 are about files, numbers and levels. Those of the journal below hold as
//!   well: a [`ManifestHistory`] has a journal's history in it.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the disk is in memory, so what is on it can be counted"
)]

mod compaction;
mod driver;
mod files;
mod history;
mod misfit;
mod operations;
pub mod oracles;
#[cfg(quipu_planted)]
pub mod planted;
mod program;
mod reference;
pub mod store;
mod tables;
mod tiers;

use quipu_journal::check::Check;

pub use history::ManifestHistory;
pub use program::{ManifestOp, ManifestProgram, Misfit};
pub use reference::Reference;
pub use tiers::{MANIFEST, STORE};

use store::StoreProgram;

/// Checks the manifest.
pub fn manifest() -> Check<ManifestProgram> {
    Check::of(ManifestProgram::new())
}

/// Checks the store.
pub fn store() -> Check<StoreProgram> {
    Check::of(StoreProgram::new())
}
