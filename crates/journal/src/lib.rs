//! A durable journal for any state machine.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod append;
mod codec;
mod directory;
mod error;
mod format;
mod journal;
pub mod log;
mod options;
mod recovery;
mod replayable;
mod seq;
mod snapshot;
mod snapshots;
mod state;

pub use append::{Append, AppendBatch};
pub use error::{Error, Result};
pub use journal::{Journal, Status};
pub use options::{LogOptions, Options, Retention};
pub use recovery::{Discarded, Left, LoadedSnapshot, Recovered};
pub use replayable::Replayable;
pub use seq::Seq;
pub use snapshot::SnapshotPolicy;
