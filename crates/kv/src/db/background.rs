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
use super::cut::Cut;
use crate::Error;
use crate::manifest::FileNum;

/// How far a store is on its way to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Open,
    /// Takes no writes any more, and flushes what it has.
    Closing,
    /// Begins nothing any more.
    Closed,
}

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) stage: Stage,
    pub(crate) is_flushing: bool,
    pub(crate) compactions: usize,
    pub(crate) is_sweeping: bool,
    /// Something became obsolete since the sweep that runs has begun.
    pub(crate) sweep_again: bool,
    pub(crate) checkpoints: usize,
    /// Moments that somebody waits for.
    pub(crate) cuts: Vec<Cut>,
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
        let begins = has_frozen && !work.is_flushing && work.stage != Stage::Closed;
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

    /// Has the files deleted that nothing needs any more. Not in the caller's own time: no close is
    /// done before it has ended, since a file that goes later may be another's by then.
    pub(crate) fn begin_sweep(self: &Arc<Self>) {
        let mut work = lock(&self.work);
        if work.stage == Stage::Closed {
            return;
        }
        if std::mem::replace(&mut work.is_sweeping, true) {
            work.sweep_again = true;
            return;
        }
        drop(work);
        let core = self.clone();
        self.io.spawn(async move {
            loop {
                core.sweep().await;
                let mut work = lock(&core.work);
                if !std::mem::take(&mut work.sweep_again) {
                    work.is_sweeping = false;
                    break;
                }
            }
            core.progress.ring();
        });
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
                let is_working = work.is_flushing || work.is_sweeping;
                !is_working && work.compactions + work.checkpoints == 0
            };
            if is_idle {
                return;
            }
            // The bell is never dropped before it rings.
            let _ = changed.await;
        }
    }
}
