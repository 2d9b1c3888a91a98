//! An exclusive lock: `flock` on an open file of its own.

use std::fs;
use std::io;
use std::path::Path;

use crate::planted::planted;

/// An exclusive lock on a file. Dropping it releases it.
#[derive(Debug)]
pub struct DiskLock {
    /// Closing the file ends the lock, so the kernel does that for a process that dies, too.
    file: fs::File,
}

impl DiskLock {
    /// May block, but not until the lock is free.
    pub(super) fn take(path: &Path) -> io::Result<DiskLock> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(planted("a lock empties its file"))
            .open(path)?;
        match planted("a lock is shared") {
            true => file.try_lock_shared()?,
            false => file.try_lock()?,
        }
        Ok(DiskLock { file })
    }
}

impl Drop for DiskLock {
    fn drop(&mut self) {
        // Closing alone is not enough: a child process that is being started at this moment holds a
        // copy of the descriptor for a while. If unlocking fails, the last copy's end unlocks.
        let _ = self.file.unlock();
    }
}
