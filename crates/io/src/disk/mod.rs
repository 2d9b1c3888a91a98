//! The real backend: files of the operating system, threads of smol's blocking pool.
//!
//! - `file` holds an open inode and decides what runs in place.
//! - `transfer` moves bytes and reserves space: plain functions that may block.
//! - `pool` runs them away from the caller's executor, and `worker` runs spawned futures there.
//!
//! Invariants:
//!
//! - A thread outside of the pool never enters a call that may wait for the disk. The one
//!   exception is a small write, and [`DiskFile`] says when it waits.
//! - A thread of the pool never hands a file operation to another thread.
//! - What was handed to the pool runs to its end.
//! - An error leaves this module with its operation and path.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the one place that is the operating system"
)]

mod file;
mod lock;
mod pool;
mod transfer;
mod worker;

use std::fs;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Mode, OFlags};

use crate::backend::{DirEntry, EntryKind, Io, OpenOptions, Runtime};
use crate::error::IoError;
use crate::planted::planted;

pub use file::DiskFile;
pub use lock::DiskLock;

/// The file system of the operating system.
///
/// It needs no particular executor: smol, tokio and a bare `block_on` all do, and it behaves the
/// same under each. What may wait for the disk runs on a pool of threads that grows on demand and
/// that all `DiskIo` of a process share; the pool's limit is 500 threads, or
/// `BLOCKING_MAX_THREADS` in the environment.
///
/// [`Io::spawn`] gives its future one of these threads until it ends, so no more than the limit
/// run at once, and the others wait for their turn.
///
/// A relative path means what it means to the process, and an empty one, as
/// [`Path::parent`] gives it for a bare file name, the working directory.
#[derive(Clone, Debug)]
pub struct DiskIo {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    /// Keyed by the operating system's randomness, so no two processes count alike.
    seed: RandomState,
    draws: AtomicU64,
    busy_polls: u32,
}

/// About the time that a fast disk takes for a sync, or that waking a thread takes a few times.
const BUSY_POLLS: u32 = 4096;

impl DiskIo {
    /// The backend for this process. Its [`Runtime::now`] begins here.
    ///
    /// No error is known today; the signature leaves room for what needs resources of its own.
    pub fn new() -> io::Result<DiskIo> {
        // With one processor, asking again takes it from whoever could give the answer.
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        Ok(DiskIo {
            shared: Arc::new(Shared {
                started: Instant::now(),
                seed: RandomState::new(),
                draws: AtomicU64::new(0),
                busy_polls: if processors > 1 { BUSY_POLLS } else { 0 },
            }),
        })
    }
}

impl Io for DiskIo {
    type File = DiskFile;
    type Lock = DiskLock;

    async fn open(&self, path: &Path, options: OpenOptions) -> io::Result<DiskFile> {
        on_disk("open", path, move |path| DiskFile::open(path, options)).await
    }

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        on_disk("create_dir_all", path, |path| fs::create_dir_all(path)).await
    }

    async fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        on_disk("read_dir", path, |path| list(directory(path))).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let to = to.to_owned();
        on_disk("rename", from, move |from| {
            if planted("rename does not replace") && to.exists() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        })
        .await
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        on_disk("remove_file", path, |path| fs::remove_file(path)).await
    }

    async fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let to = to.to_owned();
        on_disk("hard_link", from, move |from| fs::hard_link(from, to)).await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        on_disk("sync_dir", path, |path| sync_directory(directory(path))).await
    }

    async fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        on_disk("lock", path, DiskLock::take).await
    }

    async fn available_space(&self, path: &Path) -> io::Result<u64> {
        on_disk("available_space", path, |path| {
            let status = rustix::fs::statvfs(directory(path))?;
            Ok(status.f_bavail.saturating_mul(status.f_frsize))
        })
        .await
    }

    fn random(&self) -> u64 {
        let step = u64::from(!planted("random numbers repeat"));
        let draw = self.shared.draws.fetch_add(step, Ordering::Relaxed);
        self.shared.seed.hash_one(draw)
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        pool::spawn(work);
    }

    fn busy_polls(&self) -> u32 {
        self.shared.busy_polls
    }
}

impl Runtime for DiskIo {
    fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        pool::run(work)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        // The time counts from the call on, not from the first poll.
        let timer = smol::Timer::after(duration);
        async move {
            timer.await;
        }
    }

    fn now(&self) -> Duration {
        self.shared.started.elapsed()
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Runs `work`, which may block, where blocking is allowed, and completes its error.
async fn on_disk<T: Send + 'static>(
    operation: &'static str,
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = path.to_owned();
    pool::blocking(move || work(&path).map_err(|source| IoError::wrap(operation, &path, source)))
        .await
}

/// The empty path is what `Path::parent` says of a bare file name.
fn directory(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

fn list(path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = match entry.file_type() {
            Ok(kind) if kind.is_file() => EntryKind::File,
            Ok(kind) if kind.is_dir() => EntryKind::Directory,
            Ok(_) => EntryKind::Other,
            // Some file systems tell the kind only by a second call, and the name may be gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let name = entry.file_name();
        entries.push(DirEntry { name, kind });
    }
    Ok(entries)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    // Without the flag a regular file would be synced, and its name would be taken for durable.
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    flags.set(OFlags::DIRECTORY, !planted("sync_dir syncs a file"));
    let directory = rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
    fs::File::from(directory).sync_all()
}
