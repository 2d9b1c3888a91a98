//! The test suite that every backend must pass.
//!
//! It holds what [`Io`], [`File`] and [`Runtime`] say against a backend, except durability, which
//! only a crash can test. It is a test suite and behaves like one: **it panics** at the first rule
//! that does not hold, and the message begins with that rule.
//!
//! A backend's own test is short:
//!
//! ```
//! use quipu_io::{DiskIo, conformance};
//!
//! # fn main() -> std::io::Result<()> {
//! let dir = tempfile::tempdir()?;
//! futures::executor::block_on(conformance::check(&DiskIo::new()?, dir.path()));
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here depends on how long anything takes. What must happen some time is given a minute of
//! the backend's own time, so that a failure is a message and not a hang.

mod content;
mod names;
mod tasks;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};

use crate::backend::{File, Io, OpenOptions, Runtime};
use crate::error::IoError;

pub use content::content;
pub use names::names;
pub use tasks::tasks;

/// How long a backend may take for what must happen some time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Checks everything in `dir`, an empty directory, and leaves files behind in it.
///
/// # Panics
///
/// Where the backend breaks a rule.
pub async fn check<I: Io + Runtime>(io: &I, dir: &Path) {
    names(io, &subdirectory(io, dir, "names").await).await;
    content(io, &subdirectory(io, dir, "content").await).await;
    tasks(io, &subdirectory(io, dir, "tasks").await).await;
}

async fn subdirectory<I: Io>(io: &I, dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    io.create_dir_all(&path).await.must("create_dir_all works");
    path
}

/// Results that a rule demands to be `Ok`.
trait Must<T> {
    #[track_caller]
    fn must(self, rule: &str) -> T;
}

impl<T> Must<T> for io::Result<T> {
    #[track_caller]
    fn must(self, rule: &str) -> T {
        self.unwrap_or_else(|error| panic!("{rule}: {error}"))
    }
}

/// A failure that a rule demands, and what it must say.
struct Failure<'a> {
    operation: &'static str,
    path: &'a Path,
}

fn failure<'a>(operation: &'static str, path: &'a Path) -> Failure<'a> {
    Failure { operation, path }
}

impl Failure<'_> {
    /// Checks kind and detail of the failure.
    #[track_caller]
    fn of_kind<T>(&self, kind: io::ErrorKind, result: io::Result<T>, rule: &str) {
        let error = self.of_any_kind(result, rule);
        assert_eq!(error.kind(), kind, "{rule}: {error}");
    }

    /// Checks the detail only.
    #[track_caller]
    fn of_any_kind<T>(&self, result: io::Result<T>, rule: &str) -> io::Error {
        let Err(error) = result else {
            panic!("{rule}: it succeeded");
        };
        let Some(detail) = IoError::of(&error) else {
            panic!("errors carry an IoError: {error:?}");
        };
        assert_eq!(
            (detail.operation(), detail.path()),
            (self.operation, self.path),
            "errors name the operation and the path: {error}"
        );
        assert_eq!(
            detail.cause().kind(),
            error.kind(),
            "an error is of its cause's kind: {error}"
        );
        error
    }
}

/// Awaits what must happen.
async fn within<I: Runtime, T>(io: &I, rule: &str, event: impl Future<Output = T>) -> T {
    match select(pin!(event), pin!(io.sleep(PATIENCE))).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("{rule}: it has not happened after {PATIENCE:?}"),
    }
}

async fn create<I: Io>(io: &I, path: &Path, data: &[u8]) -> I::File {
    let file = io.open(path, OpenOptions::CreateNew).await;
    let file = file.must("CreateNew creates what is missing");
    let data = Bytes::copy_from_slice(data);
    file.write_at(0, data).await.must("write_at works");
    file
}

/// The whole file, whose size and bytes must agree.
async fn read<F: File>(file: &F) -> Bytes {
    let size = file.size().await.must("size works");
    let data = file.read_at(0, usize::MAX).await;
    let data = data.must("read_at of more than there is gives what is there");
    assert_equal(
        &(data.len() as u64),
        &size,
        "a read from 0 to the end gives `size` bytes",
    );
    data
}

async fn read_path<I: Io>(io: &I, path: &Path) -> Bytes {
    let file = io.open(path, OpenOptions::ReadOnly).await;
    read(&file.must("ReadOnly opens what is there")).await
}

/// Like `assert_eq!`, without a megabyte in the message.
#[track_caller]
fn assert_bytes(found: &[u8], expected: &[u8], rule: &str) {
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        found == expected,
        "{rule}: found {} bytes, expected {}, first difference at {differs:?}",
        found.len(),
        expected.len(),
    );
}

#[track_caller]
fn assert_equal<T: PartialEq + Debug>(found: &T, expected: &T, rule: &str) {
    assert!(
        found == expected,
        "{rule}: found {found:?}, expected {expected:?}"
    );
}

/// Bytes that differ from their neighbours and, for other seeds, from each other.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let next = || {
        // A linear congruential generator; its high bits are good enough to tell places apart.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}
