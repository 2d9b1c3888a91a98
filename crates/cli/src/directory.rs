//! What is in a directory: the journals that can be looked into, or why there are none.

use std::io::ErrorKind;
use std::path::Path;

use quipu_io::DiskIo;
use quipu_journal::prefixes;

use crate::failure::Failure;

/// The prefixes of the journals in the directory, perhaps none. `what` is what was looked for.
pub(crate) async fn journals(
    io: &DiskIo,
    dir: &Path,
    what: &'static str,
) -> Result<Vec<String>, Failure> {
    let found = prefixes(io, dir).await;
    found.map_err(|error| unlisted(dir, what, &error))
}

/// Why the directory cannot be listed: mostly a slip of the pen.
fn unlisted(dir: &Path, what: &'static str, error: &quipu_journal::Error) -> Failure {
    let dir = dir.display();
    Failure::Text(match error.io_kind() {
        Some(ErrorKind::NotFound) => {
            format!("{dir} does not exist: name the directory that holds the {what}")
        }
        Some(ErrorKind::NotADirectory) => {
            format!("{dir} is not a directory: name the directory that holds the {what}")
        }
        Some(ErrorKind::PermissionDenied) => {
            format!("{dir} may not be read: run this as a user who may, or allow it")
        }
        _ => error.to_string(),
    })
}
