//! What goes on in the background: one flush at a time, and some compactions.
//!
//! Invariants:
//! - Work is looked for whenever something may have made some ([`Core::kick`]), and by each piece of
//!   work that ends. Nothing polls, and an idle store has no task.
//! - A failure is kept for the next one who waits for progress, and is tried again when something
//!   asks for it: a write that is held back, a flush, a compaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use quipu_io::{Io, Runtime};

use super::core::{Core, lock};
use crate::Error;
use crate::manifest::FileNum;

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) is_closed: bool,
    pub(crate) is_flushing: bool,
    pub(crate) compactions: usize,
    /// Inputs of compactions.
    pub(crate) busy: BTreeSet<FileNum>,
    /// The last failure that nobody has heard of.
    pub(crate) failure: Option<Error>,
}

impl<I: Io + Runtime> Core<I> {
    /// Starts what there is to do, if it is not under way.
    pub(crate) fn kick(self: &Arc<Self>) {
        if self.begin_flush() {
            let core = self.clone();
            self.io.spawn(async move {
                let flushed = core.flush_frozen().await;
                core.ended(flushed, |work| work.is_flushing = false);
            });
        }
        self.begin_compactions();
    }

    fn begin_flush(&self) -> bool {
        let has_frozen = self.views().values().any(|view| !view.frozen.is_empty());
        let mut work = lock(&self.work);
        let begins = has_frozen && !work.is_flushing && !work.is_closed;
        work.is_flushing |= begins;
        begins
    }

    /// Notes that a piece of work has ended, and goes on with the next unless it failed.
    pub(crate) fn ended(self: &Arc<Self>, result: crate::Result<()>, note: impl FnOnce(&mut Work)) {
        let mut work = lock(&self.work);
        note(&mut work);
        let has_failed = result.is_err();
        if let Err(error) = result {
            tracing::warn!(%error, "background work failed");
            work.failure = Some(error);
        }
        drop(work);
        if !has_failed {
            self.kick();
        }
        self.progress.ring();
    }

    pub(crate) fn take_failure(&self) -> Option<Error> {
        lock(&self.work).failure.take()
    }

    /// Deletes the files that nothing needs any more. One that cannot be deleted now is tried again
    /// the next time.
    pub(crate) async fn sweep(&self) {
        let mut deleted = Vec::new();
        for filenum in self.manifest.obsolete_files() {
            self.tables.close(filenum);
            let path = self.tables.path(filenum);
            match self.io.remove_file(&path).await {
                Ok(()) => deleted.push(filenum),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => deleted.push(filenum),
                Err(error) => tracing::warn!(%error, "an obsolete table could not be deleted"),
            }
        }
        self.manifest.forget(&deleted);
    }

    /// Waits until nothing is under way.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.progress.listen();
            let is_idle = {
                let work = lock(&self.work);
                !work.is_flushing && work.compactions == 0
            };
            if is_idle {
                return;
            }
            // The bell is never dropped before it rings.
            let _ = changed.await;
        }
    }
}
