//! What is in a directory: the journals or the store that can be looked into, or why there are none.

use std::io::ErrorKind;
use std::path::Path;

use quipu_io::{DiskIo, Io};
use quipu_journal::{Replayable, prefixes};
use quipu_kv::manifest::ManifestState;

use crate::failure::Failure;

/// The prefixes of the journals in the directory, perhaps none. `what` is what was looked for.
pub(crate) async fn journals(
    io: &DiskIo,
    dir: &Path,
    what: &'static str,
) -> Result<Vec<String>, Failure> {
    let found = prefixes(io, dir).await;
    found.map_err(|error| unlisted(dir, what, error.io_kind(), &error))
}

/// Fails unless there is a store in the directory.
pub(crate) async fn holds_store(io: &DiskIo, dir: &Path) -> Result<(), Failure> {
    match content(io, dir).await? {
        Content::Store => Ok(()),
        Content::Nothing => Err(missing(dir, "store")),
        Content::Empty | Content::Others => Err(Failure::Text(format!(
            "{} holds no store: name the directory that a program or \"quipu load\" has filled",
            dir.display()
        ))),
    }
}

/// Fails unless there is a store in the directory, or one can begin there without a mess.
pub(crate) async fn may_hold_store(io: &DiskIo, dir: &Path) -> Result<(), Failure> {
    match content(io, dir).await? {
        Content::Store | Content::Nothing | Content::Empty => Ok(()),
        Content::Others => Err(Failure::Text(format!(
            "{} holds other files and no store: name a store, or a new directory",
            dir.display()
        ))),
    }
}

/// What a directory holds.
enum Content {
    /// A store, or what is left of the first open of one.
    Store,
    /// Nothing.
    Empty,
    /// Something else.
    Others,
    /// It does not exist.
    Nothing,
}

async fn content(io: &DiskIo, dir: &Path) -> Result<Content, Failure> {
    let entries = match io.read_dir(dir).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Content::Nothing),
        Err(error) => return Err(unlisted(dir, "store", Some(error.kind()), &error)),
    };
    // A store begins with the lock of its manifest.
    let prefix = ManifestState::filename_prefix();
    let is_of_manifest = |name: &str| name.strip_prefix(prefix)?.chars().next();
    let mut names = entries.iter().filter_map(|entry| entry.name.to_str());
    Ok(
        match names.any(|name| matches!(is_of_manifest(name), Some('.' | '-'))) {
            true => Content::Store,
            false if entries.is_empty() => Content::Empty,
            false => Content::Others,
        },
    )
}

/// Why the directory cannot be listed: mostly a slip of the pen.
fn unlisted(
    dir: &Path,
    what: &'static str,
    kind: Option<ErrorKind>,
    error: &dyn std::fmt::Display,
) -> Failure {
    let shown = dir.display();
    Failure::Text(match kind {
        Some(ErrorKind::NotFound) => return missing(dir, what),
        Some(ErrorKind::NotADirectory) => {
            format!("{shown} is not a directory: name the directory that holds the {what}")
        }
        Some(ErrorKind::PermissionDenied) => {
            format!("{shown} may not be read: run this as a user who may, or allow it")
        }
        _ => error.to_string(),
    })
}

fn missing(dir: &Path, what: &'static str) -> Failure {
    let dir = dir.display();
    Failure::Text(format!(
        "{dir} does not exist: name the directory that holds the {what}"
    ))
}
