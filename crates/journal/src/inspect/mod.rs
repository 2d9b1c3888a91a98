//! Looking into a journal's files: [`dump`] shows what is there, [`verify`] judges it.
//!
//! Neither takes a lock, changes anything, or needs to know the edits' type.

mod dump;
mod verify;

use std::path::Path;

use quipu_io::Io;

pub use dump::{Dump, Frame, Item, Predecessor, Sealed, Segment, Snapshot, Successor, dump};
pub use verify::{Progress, Verified, verify};

use crate::{Result, directory};

/// The file name prefixes of the journals and logs in a directory, sorted.
///
/// A journal of which nothing but its marked lock file is left is among them: it is lost, not absent.
pub async fn prefixes<I: Io>(io: &I, dir: impl AsRef<Path>) -> Result<Vec<String>> {
    directory::prefixes(io, dir.as_ref()).await
}
