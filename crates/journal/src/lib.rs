//! A durable journal for any state machine.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod append;
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
    Dump, Frame, Item, Progress, Segment, Snapshot, Verified, dump, prefixes, verify,
};
pub use journal::{Journal, Status};
pub use options::{LogOptions, Options, Retention};
pub use reader::Reader;
pub use recovery::{Discarded, Left, LoadedSnapshot, Recovered};
pub use replayable::Replayable;
pub use seq::Seq;
pub use snapshot::SnapshotPolicy;
