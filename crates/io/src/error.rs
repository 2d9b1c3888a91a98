//! The one error that backends put inside `std::io::Error`: what was tried, and where.

use std::io;
use std::path::{Path, PathBuf};

/// The operation and the path of a failed call.
///
/// Backends return it inside a [`std::io::Error`] of the same kind:
///
/// ```
/// use std::path::Path;
///
/// use quipu_io::{DiskIo, Io, IoError, OpenOptions};
///
/// # fn main() -> std::io::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let io = DiskIo::new()?;
/// let path = dir.join("missing");
/// let opened = futures::executor::block_on(io.open(&path, OpenOptions::ReadOnly));
/// let error = opened.err().expect("nobody has created it");
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
///
/// let detail = IoError::of(&error).expect("every backend says what it tried");
/// assert_eq!(detail.operation(), "open");
/// assert_eq!(detail.path(), path);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, derive_more::Display, derive_more::Error)]
#[display("{operation} {}: {source}", path.display())]
pub struct IoError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl IoError {
    /// Wraps `source` so that it names the operation and the path. The kind stays.
    pub fn wrap(operation: &'static str, path: &Path, source: io::Error) -> io::Error {
        let kind = source.kind();
        io::Error::new(
            kind,
            IoError {
                operation,
                path: path.to_owned(),
                source,
            },
        )
    }

    /// The same error about another path: for a handle whose file was renamed since it was opened.
    pub fn moved(error: io::Error, path: &Path) -> io::Error {
        let kind = error.kind();
        match error.downcast::<IoError>() {
            Ok(detail) => io::Error::new(
                kind,
                IoError {
                    path: path.to_owned(),
                    ..detail
                },
            ),
            Err(error) => error,
        }
    }

    /// The detail inside an error that a backend returned.
    pub fn of(error: &io::Error) -> Option<&IoError> {
        error.get_ref()?.downcast_ref()
    }

    /// What was tried: the name of the trait's method.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// What it was tried on: of two paths the first, and for a file the path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the operating system, or the simulator, said.
    pub fn cause(&self) -> &io::Error {
        &self.source
    }
}
