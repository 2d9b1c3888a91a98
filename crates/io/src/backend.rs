//! The traits: [`Io`] is the disk, [`File`] an open inode, [`Runtime`] tasks' time.
//!
//! They are open for implementation outside of this crate; a method that is added later will have
//! a default body. All methods may be called from any number of tasks at once.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

/// A disk: directories, files and locks, and a source of tasks and randomness.
///
/// A clone is a second handle to the same disk.
pub trait Io: Clone + Send + Sync + 'static {
    /// An open file of this disk.
    type File: File;
    /// An exclusive lock, released when dropped.
    type Lock: Send + Sync + 'static;

    /// Opens the file at `path` as [`OpenOptions`] say.
    ///
    /// Fails with `NotFound` where the file or a directory above it is missing, and with
    /// `AlreadyExists` where [`OpenOptions::CreateNew`] finds the name taken.
    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Creates the directory and all directories above it that are missing.
    ///
    /// An existing directory is success. No name that this creates is durable before
    /// [`sync_dir`](Io::sync_dir) of the directory that holds it.
    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Lists a directory, in no particular order, without `.` and `..`.
    ///
    /// Names that come or go while this runs may or may not be in the list.
    fn read_dir(&self, path: &Path) -> impl Future<Output = io::Result<Vec<DirEntry>>> + Send;

    /// Gives the file at `from` the name `to`, replacing a file of that name, in one step.
    ///
    /// After a crash either both names are as before or both as after; it is durable after
    /// [`sync_dir`](Io::sync_dir) of both directories.
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Removes a file's name. Open handles keep the inode alive.
    fn remove_file(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Gives the file at `from` a second name. Fails with `AlreadyExists` where `to` is taken.
    fn hard_link(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Makes the entries of the directory durable, not the directory's own name in its parent.
    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Takes an exclusive lock on the file at `path`, which is created where it is missing.
    ///
    /// Does not wait: fails with `WouldBlock` while somebody else holds it, be it another process
    /// or another handle in this one. The file's content is not touched, and the lock ends with the
    /// process at the latest.
    fn lock(&self, path: &Path) -> impl Future<Output = io::Result<Self::Lock>> + Send;

    /// Bytes that may still be written to the file system that holds `path`, roughly.
    fn available_space(&self, path: &Path) -> impl Future<Output = io::Result<u64>> + Send;

    /// A random number, for names and generations that must not repeat; not for secrets.
    fn random(&self) -> u64;

    /// Runs `work` to its end, whoever polls or drops what.
    ///
    /// On a real backend this is a thread of its own where file operations block in place instead
    /// of changing threads; in the simulator it is a task like any other.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static);

    /// How often a future that waits for work of [`spawn`](Io::spawn) may ask again at once, letting
    /// others run in between, before it goes to sleep.
    ///
    /// Waking a thread that sleeps can take a quarter of the time of a sync. A backend with threads
    /// answers with what is worth that; 0, the default, is never.
    fn busy_polls(&self) -> u32 {
        0
    }
}

/// An open inode.
///
/// Reads and writes name their offset; there is no cursor. Overlapping writes that run at the same
/// time leave an undefined mix.
pub trait File: Send + Sync + 'static {
    /// Reads `len` bytes from `offset`; fewer only where the file ends.
    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = io::Result<Bytes>> + Send;

    /// Writes all of `data` at `offset`, growing the file where needed.
    ///
    /// On an error any part of the range may have been written.
    fn write_at(&self, offset: u64, data: Bytes) -> impl Future<Output = io::Result<()>> + Send;

    /// Makes the data, the size and the allocation durable that were written before this call.
    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// The same, and the file's attributes. The file's name is its directory's affair.
    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// The size in bytes.
    fn size(&self) -> impl Future<Output = io::Result<u64>> + Send;

    /// Cuts the file to `size`, or grows it with zeros.
    fn set_len(&self, size: u64) -> impl Future<Output = io::Result<()>> + Send;

    /// Reserves space for the range and grows the file over it with zeros where it ends earlier.
    ///
    /// Bytes that are there already stay. Later writes into the range cannot fail for lack of
    /// space; this call fails with `StorageFull` if there is not enough.
    fn allocate(&self, offset: u64, len: u64) -> impl Future<Output = io::Result<()>> + Send;
}

/// Tasks' time: what a program needs beyond the disk.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// Runs a closure that blocks or computes for long, away from the caller's executor.
    ///
    /// It runs to its end even if the future is dropped. A panic in it continues in the caller.
    fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static;

    /// Completes when `duration` has passed.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static;

    /// Monotonic time since an arbitrary start.
    fn now(&self) -> Duration;

    /// The calendar's time. It may jump, both ways.
    fn wall_clock(&self) -> SystemTime;
}

/// How [`Io::open`] opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenOptions {
    /// An existing file, for reading only.
    ReadOnly,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// For reading and writing; created empty where it is missing.
    Create,
    /// For reading and writing; the name must be free.
    CreateNew,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the directory's path.
    pub name: OsString,
    /// What the name stands for.
    pub kind: EntryKind,
}

/// What a directory entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: a symbolic link, a socket, a device.
    Other,
}
