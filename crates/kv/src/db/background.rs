//! What goes on in the background: one flush at a time, and some compactions.
//!
//! Invariants:
//! - Work is looked for whenever something may have made some ([`Core::kick`]), and by each piece of
//!   work that ends. Nothing polls; an idle store has at most an [alarm](super::alarm).
//! - What has failed is tried again when something asks for it: a write that is held back, a flush, a
//!   compaction; and they hear how that [attempt](super::attempts) went. For lack of room, it is also tried
//!   again after a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quipu_io::{Io, Runtime};

use super::attempts::{Attempt, Attempts, Job};
use super::core::{Core, lock};
use super::cut::Cut;
use super::room::HeldBack;
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
    /// Why the last compaction that was picked has not begun.
    pub(crate) held_back: Option<HeldBack>,
    /// Inputs of compactions.
    pub(crate) busy: BTreeSet<FileNum>,
    flushes: Attempts,
    merges: Attempts,
    /// How many failures there were, and what the last one said.
    pub(crate) failures: u64,
    pub(crate) last_failure: Option<String>,
    /// When work is looked for next without anybody asking, in the runtime's time.
    pub(crate) alarm: Option<Duration>,
}

impl Work {
    pub(crate) fn attempts(&mut self, job: Job) -> &mut Attempts {
        match job {
            Job::Flush => &mut self.flushes,
            Job::Compaction => &mut self.merges,
        }
    }
}

impl<I: Io + Runtime> Core<I> {
    /// Starts what there is to do, if it is not under way.
    pub(crate) fn kick(self: &Arc<Self>) {
        self.kick_flush();
        self.begin_compactions();
        self.await_expiry();
    }

    /// Starts a flush if there is something to flush and none is under way. Who waits for one asks for no
    /// more than that: a compaction that fails at once would be begun again and again meanwhile.
    pub(crate) fn kick_flush(self: &Arc<Self>) {
        if let Some(attempt) = self.begin_flush() {
            let core = self.clone();
            self.io.spawn(async move {
                let flushed = core.flush_frozen().await;
                core.ended(Job::Flush, attempt, flushed, |work| {
                    work.is_flushing = false
                });
            });
        }
    }

    fn begin_flush(&self) -> Option<Attempt> {
        let has_frozen = self.views().values().any(|view| !view.frozen.is_empty());
        let mut work = lock(&self.work);
        let begins = has_frozen && !work.is_flushing && work.stage != Stage::Closed;
        begins.then(|| {
            work.is_flushing = true;
            work.flushes.begin()
        })
    }

    /// Notes that a piece of work has ended, and goes on with the next unless it failed.
    pub(crate) fn ended(
        self: &Arc<Self>,
        job: Job,
        attempt: Attempt,
        result: crate::Result<()>,
        note: impl FnOnce(&mut Work),
    ) {
        let mut work = lock(&self.work);
        note(&mut work);
        let mut retry = None;
        match &result {
            Ok(()) => work.attempts(job).succeeded(),
            Err(error) => {
                tracing::warn!(%error, ?job, "background work failed");
                work.failures += 1;
                work.last_failure = Some(error.to_string());
                let in_a_row = work.attempts(job).failed(attempt, error.clone());
                retry = error.is_passing().then_some(in_a_row);
            }
        }
        drop(work);
        match (result, retry) {
            (Ok(()), _) => self.kick(),
            (Err(_), Some(failures)) => self.retry_later(failures),
            (Err(_), None) => {}
        }
        self.progress.ring();
    }

    /// Why there is nothing under way that could make room for writers.
    pub(crate) fn stuck(&self) -> Option<HeldBack> {
        let work = lock(&self.work);
        let is_idle = !work.is_flushing && work.compactions == 0;
        work.held_back.filter(|_| is_idle)
    }

    /// The last attempt at such work that has begun: who waits from now on hears of those behind it.
    pub(crate) fn last_attempt(&self, job: Job) -> Attempt {
        lock(&self.work).attempts(job).last()
    }

    /// Why such work has failed that began after that.
    pub(crate) fn failure_after(&self, attempt: Attempt, job: Job) -> Option<Error> {
        lock(&self.work).attempts(job).failure_after(attempt)
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

    /// Has the files deleted that only a scan still had, when it lets go of them. That is done in the
    /// background: a drop does no I/O.
    pub(crate) fn sweep_behind_readers(self: &Arc<Self>) {
        let core = Arc::downgrade(self);
        self.snapshots.when_released(move || {
            if let Some(core) = core.upgrade()
                && core.manifest.has_held_files()
            {
                core.begin_sweep();
            }
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
