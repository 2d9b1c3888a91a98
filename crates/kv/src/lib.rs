//! An embedded LSM key-value store whose manifest and write-ahead log are Quipu journals.
//!
//! This crate is a front page so far: it says what the store is to be, and holds nothing yet.
//!
//! - Its manifest will be one [`Replayable`](quipu_journal::Replayable): versioned edits that add
//!   files, replace them by compaction, and carry a snapshot; file numbers are allocated by it.
//! - Its write-ahead log will be a [`Log`](quipu_journal::log::Log): no second framing, and no
//!   second recovery.
//! - It will run on any [`Io`](quipu_io::Io), and so in the simulator.
#![cfg_attr(docsrs, feature(doc_cfg))]
