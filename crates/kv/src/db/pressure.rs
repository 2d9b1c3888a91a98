//! Backpressure: how writers are held back while flushes and compactions lag behind.

use std::sync::Arc;
use std::time::Duration;

use quipu_io::{Io, Runtime};

use super::attempts::Job;
use super::core::{Core, Views, lock};
use super::view::View;
use crate::compaction::{Backpressure, Cause, backpressure};
use crate::{Error, Result};

/// How much writers are held back, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, derive_more::Display)]
#[non_exhaustive]
pub enum Pressure {
    /// Not at all.
    #[default]
    #[display("none")]
    None,
    /// Each write waits a moment first.
    #[display("slow: {_0}")]
    Slow(Backlog),
    /// Writes wait until there is less of it.
    #[display("stalled: {_0}")]
    Stalled(Backlog),
}

/// What is to be done before writers go on as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, derive_more::Display)]
#[non_exhaustive]
pub enum Backlog {
    /// Memtables that wait to be flushed.
    #[display("{_0} memtables wait to be flushed")]
    Memtables(usize),
    /// What waits to be compacted.
    #[display("{_0} wait to be compacted")]
    Compaction(Cause),
}

/// How long a write waits that is slowed down.
const SLOW: Duration = Duration::from_millis(1);

impl<I: Io + Runtime> Core<I> {
    /// How much writers are held back now.
    pub(crate) fn pressure(&self) -> Pressure {
        *lock(&self.pressure)
    }

    /// Looks at the views again. Called when they have changed.
    pub(crate) fn feel_pressure(&self, views: &Views<I>) {
        let all = views.values().map(|view| self.pressure_of(view));
        let strongest = all.max_by_key(|pressure| match pressure {
            Pressure::None => 0,
            Pressure::Slow(_) => 1,
            Pressure::Stalled(_) => 2,
        });
        *lock(&self.pressure) = strongest.unwrap_or_default();
    }

    fn pressure_of(&self, view: &View<I>) -> Pressure {
        if view.frozen.len() >= self.options.frozen_memtables {
            return Pressure::Stalled(Backlog::Memtables(view.frozen.len()));
        }
        let Some(keyspace) = view.tables.version.keyspace(view.id) else {
            return Pressure::None;
        };
        match backpressure(keyspace, &self.options.compaction) {
            Backpressure::None => Pressure::None,
            Backpressure::Slow(cause) => Pressure::Slow(Backlog::Compaction(cause)),
            Backpressure::Stop(cause) => Pressure::Stalled(Backlog::Compaction(cause)),
        }
    }

    /// Waits for as long as a write has to be held back.
    pub(crate) async fn admit(self: &Arc<Self>) -> Result<()> {
        let mut slowed = false;
        let since_flush = self.last_attempt(Job::Flush);
        let since_compaction = self.last_attempt(Job::Compaction);
        loop {
            let changed = self.progress.listen();
            self.check_open()?;
            match self.pressure() {
                Pressure::None => return Ok(()),
                Pressure::Slow(..) if slowed => return Ok(()),
                Pressure::Slow(backlog) => {
                    slowed = true;
                    self.stats.note_slowed(backlog);
                    self.io.sleep(SLOW).await;
                }
                Pressure::Stalled(backlog) => {
                    self.stats.note_stalled(backlog);
                    // What keeps the work from being done is the writer's answer, too.
                    let failed = match backlog {
                        Backlog::Memtables(_) => self.failure_after(since_flush, Job::Flush),
                        Backlog::Compaction(_) => {
                            self.failure_after(since_compaction, Job::Compaction)
                        }
                    };
                    if let Some(error) = failed {
                        return Err(error);
                    }
                    match backlog {
                        Backlog::Memtables(_) => self.kick_flush(),
                        Backlog::Compaction(_) => self.begin_compactions(),
                    }
                    if let Some(reason) = self.stuck() {
                        return Err(Error::OverBudget { reason });
                    }
                    // The bell is never dropped before it rings.
                    let _ = changed.await;
                }
            }
        }
    }
}
