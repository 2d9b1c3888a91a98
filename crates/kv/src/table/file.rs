//! [`OpenFiles`]: the files of tables that are open at the same time are bounded.
//!
//! Invariants:
//! - At most so many stay open, and those that are being read. One that is closed is opened again by
//!   the next read; whoever reads a table keeps its file from being deleted.
//! - What the block cache answers does not come here. A read costs a lock that only readers of the same
//!   table share.
//! - The one that is closed has not been read since the hand of the clock was there before.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use quipu_io::{File, Io, OpenOptions};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct OpenFiles<F> {
    limit: usize,
    /// Those that are open, in the order of the clock.
    clock: Mutex<VecDeque<Weak<Slot<F>>>>,
}

/// The file of a table, which is open or will be.
pub(super) struct TableFile<F> {
    slot: Arc<Slot<F>>,
    files: Arc<OpenFiles<F>>,
    open: Box<dyn Fn() -> BoxFuture<'static, io::Result<F>> + Send + Sync>,
}

#[derive(Debug)]
struct Slot<F> {
    file: Mutex<Option<Arc<F>>>,
    /// Whether it was read since the hand was there.
    is_used: AtomicBool,
}

impl<F: File> OpenFiles<F> {
    /// At most so many, and at least one.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(OpenFiles {
            limit: limit.max(1),
            clock: Mutex::default(),
        })
    }

    /// Notes that one was opened, and closes others for it.
    fn note(&self, opened: &Arc<Slot<F>>) {
        let mut closing = Vec::new();
        let mut clock = lock(&self.clock);
        clock.push_back(Arc::downgrade(opened));
        // Each is spared once in a round, so that it ends though others are being read.
        let mut spared = 0;
        while clock.len() > self.limit {
            let Some(oldest) = clock.pop_front() else {
                break;
            };
            // One that is not there any more has closed its file.
            let Some(slot) = oldest.upgrade() else {
                continue;
            };
            if slot.is_used.swap(false, Ordering::Relaxed) && spared < clock.len() {
                spared += 1;
                clock.push_back(oldest);
            } else {
                closing.push(slot);
            }
        }
        drop(clock);
        for slot in closing {
            drop(lock(&slot.file).take());
        }
    }
}

impl<F: File> TableFile<F> {
    pub(super) async fn open<I: Io<File = F>>(
        io: &I,
        path: &Path,
        files: Arc<OpenFiles<F>>,
    ) -> io::Result<Self> {
        let (io, path) = (io.clone(), path.to_owned());
        let open = move || {
            let (io, path) = (io.clone(), path.clone());
            async move { io.open(&path, OpenOptions::ReadOnly).await }.boxed()
        };
        let file = TableFile {
            slot: Arc::new(Slot {
                file: Mutex::default(),
                is_used: AtomicBool::new(true),
            }),
            files,
            open: Box::new(open),
        };
        file.file().await?;
        Ok(file)
    }

    pub(super) async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.file().await?.read_at(offset, len).await
    }

    pub(super) async fn size(&self) -> io::Result<u64> {
        self.file().await?.size().await
    }

    async fn file(&self) -> io::Result<Arc<F>> {
        let found = lock(&self.slot.file).clone();
        if !self.slot.is_used.load(Ordering::Relaxed) {
            self.slot.is_used.store(true, Ordering::Relaxed);
        }
        if let Some(file) = found {
            return Ok(file);
        }
        let file = Arc::new((self.open)().await?);
        let before = lock(&self.slot.file).replace(file.clone());
        // If another has opened it as well, it is noted already.
        if before.is_none() {
            self.files.note(&self.slot);
        }
        Ok(file)
    }
}

impl<F> std::fmt::Debug for TableFile<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_open = lock(&self.slot.file).is_some();
        f.debug_struct("TableFile")
            .field("is_open", &is_open)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
