//! An open inode, and which of its calls stay on the caller's thread.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::{pool, transfer};
use crate::backend::{File, OpenOptions};
use crate::error::IoError;
use crate::planted::planted;

/// The largest write that is done in place.
///
/// Copying this much into the page cache takes some 10 µs, about what a change of threads costs.
const MAX_WRITE_IN_PLACE: usize = 64 << 10;

/// The largest buffer that is allocated without asking first whether the file has as much.
const MAX_BUFFER_UNASKED: usize = 64 << 10;

/// An open file of the operating system.
///
/// What the page cache can answer does not leave the caller's thread:
///
/// - a read whose bytes are all cached (on Linux, where `preadv2` with `RWF_NOWAIT` tells);
/// - a write of up to 64 KiB, which is a copy into the page cache. It waits for the disk only when
///   it covers a part of a page that is not cached, or when the kernel throttles a program that
///   has been writing faster than the disk;
/// - the size.
///
/// All else runs on the pool's threads, and so do reads where the file system cannot tell what is
/// cached. Inside [`Io::spawn`](crate::Io::spawn) everything runs in place.
///
/// Dropping it closes it in place. Errors name the path by which the file was opened.
#[derive(Debug)]
pub struct DiskFile {
    inode: Arc<Inode>,
}

#[derive(Debug)]
struct Inode {
    file: fs::File,
    path: PathBuf,
    /// The file system has refused to say what is cached, and would do so again.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only Linux is asked")
    )]
    refuses_nowait: AtomicBool,
}

impl DiskFile {
    /// May block.
    pub(super) fn open(path: &Path, options: OpenOptions) -> io::Result<DiskFile> {
        let mut open = fs::OpenOptions::new();
        open.read(true).write(options != OpenOptions::ReadOnly);
        match options {
            OpenOptions::ReadOnly | OpenOptions::ReadWrite => {}
            OpenOptions::Create => {
                open.create(true);
            }
            OpenOptions::CreateNew => {
                open.create(true)
                    .create_new(!planted("CreateNew takes a taken name"));
            }
        }
        let file = open.open(path)?;
        // The operating system says so by itself only to those who want to write.
        if file.metadata()?.is_dir() && !planted("a directory opens as a file") {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let inode = Inode {
            file,
            path: path.to_owned(),
            refuses_nowait: AtomicBool::new(false),
        };
        Ok(DiskFile {
            inode: Arc::new(inode),
        })
    }

    /// Runs `work`, which may block, where blocking is allowed, and completes its error.
    async fn on_disk<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Inode) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let inode = Arc::clone(&self.inode);
        pool::blocking(move || inode.explain(operation, work(&inode))).await
    }
}

impl File for DiskFile {
    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let len = self
            .inode
            .explain("read_at", self.inode.limit(offset, len))?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        let mut buffer = vec![0; len];
        if !pool::may_block()
            && let Some(count) = self.inode.read_cached(offset, &mut buffer)
        {
            buffer.truncate(count);
            return Ok(Bytes::from(buffer));
        }
        let read = move |inode: &Inode| {
            let count = transfer::read(&inode.file, offset, &mut buffer)?;
            buffer.truncate(count);
            Ok(Bytes::from(buffer))
        };
        // Boxed: the future of a read in place is to stay small.
        Box::pin(self.on_disk("read_at", read)).await
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> io::Result<()> {
        if data.len() <= MAX_WRITE_IN_PLACE {
            let written = transfer::write(&self.inode.file, offset, &data);
            return self.inode.explain("write_at", written);
        }
        let write = move |inode: &Inode| transfer::write(&inode.file, offset, &data);
        // Boxed: the future of a write in place is to stay small.
        Box::pin(self.on_disk("write_at", write)).await
    }

    async fn sync_data(&self) -> io::Result<()> {
        self.on_disk("sync_data", |inode| inode.file.sync_data())
            .await
    }

    async fn sync_all(&self) -> io::Result<()> {
        self.on_disk("sync_all", |inode| inode.file.sync_all())
            .await
    }

    async fn size(&self) -> io::Result<u64> {
        self.inode.explain("size", self.inode.size())
    }

    async fn set_len(&self, size: u64) -> io::Result<()> {
        let set_len = move |inode: &Inode| {
            if planted("set_len never cuts") && size < inode.size()? {
                return Ok(());
            }
            inode.file.set_len(size)
        };
        self.on_disk("set_len", set_len).await
    }

    async fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let allocate = move |inode: &Inode| transfer::allocate(&inode.file, offset, len);
        self.on_disk("allocate", allocate).await
    }
}

impl Inode {
    fn explain<T>(&self, operation: &'static str, result: io::Result<T>) -> io::Result<T> {
        if planted("an error does not name its file") {
            return result;
        }
        result.map_err(|source| IoError::wrap(operation, &self.path, source))
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The part of a read that the file may have: a wrong length must not be allocated.
    fn limit(&self, offset: u64, len: usize) -> io::Result<usize> {
        if i64::try_from(offset).is_err() {
            // No file reaches there, and to `preadv2` the last offset is the cursor.
            return Ok(0);
        }
        if len <= MAX_BUFFER_UNASKED || planted("a read allocates whatever is asked for") {
            return Ok(len);
        }
        let there = self.size()?.saturating_sub(offset);
        Ok(usize::try_from(there).map_or(len, |there| there.min(len)))
    }

    /// The whole answer to a read, if it is to be had without waiting.
    ///
    /// An error is left to the call that may block, which will meet it again.
    #[cfg(target_os = "linux")]
    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> Option<usize> {
        use std::sync::atomic::Ordering;

        use rustix::io::{Errno, ReadWriteFlags};

        if self.refuses_nowait.load(Ordering::Relaxed) {
            return None;
        }
        let mut buffers = [io::IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.file, &mut buffers, offset, ReadWriteFlags::NOWAIT) {
            Ok(count) if count == buffer.len() => Some(count),
            // Short because the rest is not cached, or because the file ends here.
            Ok(count) => {
                let end = offset.saturating_add(count as u64);
                self.size().is_ok_and(|size| size <= end).then_some(count)
            }
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.refuses_nowait.store(true, Ordering::Relaxed);
                None
            }
            Err(_) => None,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read_cached(&self, _offset: u64, _buffer: &mut [u8]) -> Option<usize> {
        None
    }
}
