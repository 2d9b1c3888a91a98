//! An embedded LSM key-value store whose manifest and write-ahead log are Quipu journals.
//!
//! The [`manifest`] is here, for people who bring tables of their own; the store on top of it is
//! being built.
//!
//! - The manifest is one [`Replayable`](quipu_journal::Replayable): versioned edits that add tables,
//!   replace them by compaction, and carry a snapshot; file numbers are allocated by it.
//! - It runs on any [`Io`](quipu_io::Io), and so in the simulator.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg_attr(
    not(test),
    expect(
        dead_code,
        unused_imports,
        reason = "the store that runs compactions is being built"
    )
)]
pub mod compaction;
mod error;
pub mod manifest;

pub use error::{Error, Result};
