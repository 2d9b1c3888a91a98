//! Cuts: moments as of which the tables alone are the store.
//!
//! Invariants:
//! - At a cut all keyspaces get fresh memtables at once. What was frozen at one moment is recorded in
//!   one edit, and in the order of moments, so there is a version with all writes up to the cut and
//!   none behind it. Who waits for the cut is given that one.
//! - Meanwhile writers, flushes and compactions go on: a compaction keeps what is visible in the tables.

use std::sync::Arc;

use futures::channel::oneshot;
use quipu_io::{Io, Runtime};

use super::attempts::Job;
use super::core::{Core, lock};
use crate::Result;
use crate::manifest::Version;

/// A moment that somebody waits for.
#[derive(Debug)]
pub(crate) struct Cut {
    /// All writes up to this number belong to it.
    through: u64,
    reached: oneshot::Sender<Arc<Version>>,
}

impl<I: Io + Runtime> Core<I> {
    /// The version that holds all writes up to now, and none that comes later.
    pub(crate) async fn version_at_cut(self: &Arc<Self>) -> Result<Arc<Version>> {
        let since = self.last_attempt(Job::Flush);
        let mut reached = self.cut();
        loop {
            let changed = self.progress.listen();
            if let Ok(Some(version)) = reached.try_recv() {
                return Ok(version);
            }
            self.check_open()?;
            if let Some(error) = self.failure_after(since, Job::Flush) {
                return Err(error);
            }
            self.kick_flush();
            // The bell is never dropped before it rings.
            let _ = changed.await;
        }
    }

    fn cut(&self) -> oneshot::Receiver<Arc<Version>> {
        let (reached, waiting) = oneshot::channel();
        let mut views = self.views_mut();
        let through = self.freeze_in(&mut views, |_| true);
        lock(&self.work).cuts.push(Cut { through, reached });
        drop(views);
        self.reach_cuts();
        waiting
    }

    /// Gives the newest version to those whose cut it is. To be called after each flush, before the
    /// next one is recorded.
    pub(crate) fn reach_cuts(&self) {
        // Nobody makes a cut meanwhile.
        let views = self.views();
        let frozen = views.values().flat_map(|view| &view.frozen);
        let oldest = frozen.map(|frozen| frozen.through).min();
        let mut work = lock(&self.work);
        let is_reached = |cut: &Cut| oldest.is_none_or(|oldest| oldest > cut.through);
        for cut in work.cuts.extract_if(.., |cut| is_reached(cut)) {
            // Nobody may be waiting any more.
            let _ = cut.reached.send(self.manifest.version());
        }
        work.cuts.retain(|cut| !cut.reached.is_canceled());
    }
}
