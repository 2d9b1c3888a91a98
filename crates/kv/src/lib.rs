//! An embedded LSM key-value store whose manifest and write-ahead log are Quipu journals.
//!
//! The [`manifest`] is here, for people who bring tables of their own; the store on top of it is
//! being built.
//!
//! - The manifest is one [`Replayable`](quipu_journal::Replayable): versioned edits that add tables,
//!   replace them by compaction, and carry a snapshot; file numbers are allocated by it.
//! - It runs on any [`Io`](quipu_io::Io), and so in the simulator: the feature `check` has it crashed
//!   wherever a crash can matter.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "check")]
pub mod check;
mod error;
mod key;
pub mod manifest;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "memtables will go through it")
)]
mod tree;

pub use error::{Error, Result};
