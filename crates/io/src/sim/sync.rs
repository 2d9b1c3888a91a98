//! A sync from its submission to its completion: how it fails, lies, or makes things durable.

use std::io;
use std::path::Path;

use super::chain::Stamp;
use super::fault::Fault;
use super::inode::InodeId;
use super::operation::Operation;
use super::world::{CrashKind, State, World};

/// A sync that was submitted.
pub(super) struct PendingSync<'a> {
    pub(super) world: &'a World,
    pub(super) operation: Operation,
    pub(super) inode: InodeId,
    pub(super) path: &'a Path,
    /// What had been issued when it was submitted.
    pub(super) until: Stamp,
    pub(super) is_complete: bool,
}

impl PendingSync<'_> {
    pub(super) fn complete(&mut self) -> io::Result<()> {
        self.is_complete = true;
        {
            let mut state = self.world.state();
            if state.stopped {
                return Ok(());
            }
            if let Some(result) = state.fail_sync(self) {
                return result;
            }
        }
        let path = || CrashKind::BeforeSync(self.path.to_path_buf());
        self.world.crash_point(path);
        let mut state = self.world.state();
        if !state.stopped {
            state.finish_sync(self);
        }
        Ok(())
    }
}

impl Drop for PendingSync<'_> {
    /// An operation whose future is dropped still completes.
    fn drop(&mut self) {
        if !self.is_complete {
            // Nobody is there to be told of an error.
            let _ = self.complete();
        }
    }
}

impl State {
    /// What a completed sync does to the disk.
    fn finish_sync(&mut self, sync: &PendingSync<'_>) {
        self.trace.add(sync.until);
        if self.lies() {
            self.faults.count(Fault::LyingSync);
        } else if sync.operation == Operation::SyncDir {
            self.disk.sync_dir(sync.inode, sync.until);
        } else {
            self.faults.late.remove(&sync.inode);
            self.disk.sync_file(sync.inode, sync.until);
        }
    }

    fn lies(&mut self) -> bool {
        let may_lie = !self.faults.is_calm();
        self.faults.lying_sync || may_lie && self.faults.strikes(Fault::LyingSync, &mut self.tape)
    }

    /// The failure of a sync, if it fails.
    fn fail_sync(&mut self, sync: &PendingSync<'_>) -> Option<io::Result<()>> {
        let (inode, until) = (sync.inode, sync.until);
        let failure = self.faults.fail_sync(sync.operation, inode, &mut self.tape);
        let (how, kind) = failure?;
        self.trace.add(until);
        if sync.operation != Operation::SyncDir {
            self.disk
                .fail_sync(inode, until, how.forget, how.evict, &mut self.tape);
        }
        Some(match how.told {
            true => Err(io::Error::new(kind, "injected sync failure")),
            false => Ok(()),
        })
    }
}
