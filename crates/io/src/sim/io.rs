//! [`SimIo`]: the traits of this crate on a simulated world.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::choice::Purpose;
use super::inode::InodeId;
use super::operation::Operation;
use super::world::{CrashKind, State, World};
use crate::{DirEntry, File, Io, OpenOptions, Runtime};

/// The calendar's time when a world starts: some day in 2023.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// The disk, the tasks and the time of a [`Sim`](super::Sim), as programs see them.
///
/// After the world has ended its operations never complete.
#[derive(Clone, Debug)]
pub struct SimIo {
    pub(super) world: Arc<World>,
}

/// An open file of a simulated disk.
#[derive(Debug)]
pub struct SimFile {
    world: Arc<World>,
    inode: InodeId,
    path: Arc<Path>,
    writable: bool,
}

/// An exclusive lock on a file of a simulated disk. It ends with the world at the latest.
#[derive(Debug)]
pub struct SimLock {
    world: Arc<World>,
    inode: InodeId,
}

impl SimIo {
    /// Says that the program has just promised something: an acknowledgement, or its end. A crash
    /// may come here.
    pub fn mark(&self, promise: impl Into<String>) {
        self.world.crash_point(|| CrashKind::Mark(promise.into()));
    }

    /// A number below `radix` that the tape decides, for a program that lets its run depend on it.
    pub fn choose(&self, purpose: Purpose, radix: u32) -> u32 {
        self.world.state().tape.choose(purpose, radix)
    }

    /// Whether the machine has stopped: whatever the program still does is no part of the run.
    pub fn has_stopped(&self) -> bool {
        self.world.state().stopped
    }

    async fn operate<T: Send>(
        &self,
        operation: Operation,
        path: &Path,
        effect: impl FnOnce(&mut State) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        self.world.operate(operation, path, effect).await
    }
}

impl Io for SimIo {
    type File = SimFile;
    type Lock = SimLock;

    async fn open(&self, path: &Path, options: OpenOptions) -> io::Result<SimFile> {
        self.operate(Operation::Open, path, |state| {
            let inode = state.disk.open(path, options, &mut state.tape)?;
            Ok(SimFile {
                world: Arc::clone(&self.world),
                inode,
                path: path.into(),
                writable: options != OpenOptions::ReadOnly,
            })
        })
        .await
    }

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.operate(Operation::CreateDirAll, path, |state| {
            state.disk.create_dir_all(path, &mut state.tape)
        })
        .await
    }

    async fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.operate(Operation::ReadDir, path, |state| {
            state.stray(path);
            let found = state.disk.read_dir(path, &mut state.tape)?;
            Ok(state.listing(found))
        })
        .await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(Operation::Rename, from, |state| {
            state.disk.rename(from, to, &mut state.tape)
        })
        .await
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.operate(Operation::RemoveFile, path, |state| {
            state.disk.remove_file(path, &mut state.tape)
        })
        .await
    }

    async fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(Operation::HardLink, from, |state| {
            state.disk.hard_link(from, to, &mut state.tape)
        })
        .await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let find = |state: &mut State| state.disk.directory(path, &mut state.tape);
        self.world.sync(Operation::SyncDir, path, find).await
    }

    async fn lock(&self, path: &Path) -> io::Result<SimLock> {
        self.operate(Operation::Lock, path, |state| {
            let inode = state
                .disk
                .open(path, OpenOptions::Create, &mut state.tape)?;
            if !state.locks.insert(inode) {
                state.disk.close_handle(inode);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(SimLock {
                world: Arc::clone(&self.world),
                inode,
            })
        })
        .await
    }

    async fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.operate(Operation::AvailableSpace, path, |state| {
            state.disk.walk(path, &mut state.tape)?;
            Ok(state.disk.available())
        })
        .await
    }

    fn random(&self) -> u64 {
        self.world.state().random.next()
    }

    #[track_caller]
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.world.executor.spawn(Location::caller(), work);
    }
}

impl File for SimFile {
    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.operate(Operation::ReadAt, |state| {
            let read = state.read(self.inode, offset, len)?;
            state.counts.read(len, read.len());
            // What it read follows from what was written and what was chosen.
            state.trace.add(offset);
            state.trace.add(read.len() as u64);
            Ok(read)
        })
        .await
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> io::Result<()> {
        self.change(Operation::WriteAt, |state| {
            state.trace.add(offset);
            state.trace.add_bytes(&data);
            let bytes = data.len();
            state.write(self.inode, offset, data)?;
            state.counts.write(bytes);
            Ok(())
        })
        .await
    }

    async fn sync_data(&self) -> io::Result<()> {
        self.sync(Operation::SyncData).await
    }

    async fn sync_all(&self) -> io::Result<()> {
        self.sync(Operation::SyncAll).await
    }

    async fn size(&self) -> io::Result<u64> {
        self.operate(Operation::Size, |state| {
            Ok(state.disk.size(self.inode, &mut state.tape))
        })
        .await
    }

    async fn set_len(&self, size: u64) -> io::Result<()> {
        self.change(Operation::SetLen, |state| {
            state.trace.add(size);
            state.disk.set_len(self.inode, size, &mut state.tape)
        })
        .await
    }

    async fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change(Operation::Allocate, |state| {
            state.trace.add(offset);
            state.trace.add(len);
            state
                .disk
                .allocate(self.inode, offset, len, &mut state.tape)
        })
        .await
    }
}

impl SimFile {
    async fn operate<T: Send>(
        &self,
        operation: Operation,
        effect: impl FnOnce(&mut State) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        self.world.operate(operation, &self.path, effect).await
    }

    async fn change<T: Send>(
        &self,
        operation: Operation,
        effect: impl FnOnce(&mut State) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        self.operate(operation, |state| match self.writable {
            true => effect(state),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        })
        .await
    }

    async fn sync(&self, operation: Operation) -> io::Result<()> {
        let find = |_: &mut State| Ok(self.inode);
        self.world.sync(operation, &self.path, find).await
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.world.state().disk.close_handle(self.inode);
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.world.state();
        state.locks.remove(&self.inode);
        state.disk.close_handle(self.inode);
    }
}

impl Runtime for SimIo {
    fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        self.world.executor.spawn_blocking(work)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.world.executor.sleep(duration)
    }

    fn now(&self) -> Duration {
        self.world.executor.now()
    }

    fn wall_clock(&self) -> SystemTime {
        let error = self.world.state().clock_error();
        let right = SystemTime::UNIX_EPOCH + EPOCH + self.world.age();
        let by = Duration::from_secs(error.unsigned_abs());
        match error < 0 {
            true => right - by,
            false => right + by,
        }
    }
}
