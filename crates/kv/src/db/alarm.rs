//! Alarms: looking for work because time has passed, without anything having happened.
//!
//! Invariants:
//! - An alarm holds the store weakly: it keeps none that is closed or dropped.
//! - Only what failed for lack of room is tried again by itself. A sync that failed never is.
//! - One alarm is set at a time, but for those that were too late.

use std::sync::Arc;
use std::time::Duration;

use quipu_io::{Io, Runtime};

use super::background::Stage;
use super::core::{Core, lock};
use crate::compaction::Strategy;

/// How long after a failure it is tried again; twice as long after each further one, up to a limit.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// So many failures in a row are tried again: for about a day. Then somebody has to ask.
const MOST_RETRIES: u32 = 1500;

/// No alarm is set for later: what it is for is looked at again then.
const LONGEST: Duration = Duration::from_secs(600);

impl<I: Io + Runtime> Core<I> {
    /// Has work that has failed so often in a row for lack of room looked for again.
    pub(crate) fn retry_later(self: &Arc<Self>, failures: u32) {
        if failures <= MOST_RETRIES {
            let doubled = 1_u32 << failures.saturating_sub(1).min(16);
            self.set_alarm(FIRST_RETRY.saturating_mul(doubled).min(LAST_RETRY));
        }
    }

    /// Has the tables dropped that expire next, when they do.
    pub(crate) fn await_expiry(self: &Arc<Self>) {
        let Strategy::TimeWindow(options) = &self.options.compaction.strategy else {
            return;
        };
        let Some(ttl) = options.ttl else {
            return;
        };
        let now = self.now();
        let version = self.manifest.version();
        let expiries = version
            .tables()
            .map(|table| table.max_timestamp.saturating_add(ttl));
        // Those that have expired and are still there wait for something else.
        if let Some(next) = expiries.filter(|expiry| *expiry > now).min() {
            self.set_alarm(Duration::from_millis(next - now));
        }
    }

    fn set_alarm(self: &Arc<Self>, delay: Duration) {
        let delay = delay.min(LONGEST);
        let at = self.io.now().saturating_add(delay);
        {
            let mut work = lock(&self.work);
            if work.stage != Stage::Open || work.alarm.is_some_and(|set| set <= at) {
                return;
            }
            work.alarm = Some(at);
        }
        let (core, slept) = (Arc::downgrade(self), self.io.sleep(delay));
        self.io.spawn(async move {
            slept.await;
            let Some(core) = core.upgrade() else {
                return;
            };
            {
                let mut work = lock(&core.work);
                work.alarm = work.alarm.filter(|set| *set != at);
            }
            core.kick();
        });
    }
}
