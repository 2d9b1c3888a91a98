//! The write path: from a batch to what readers see.
//!
//! Invariants:
//! - Numbers are given, and batches queued in the log, under one lock: the order of the log is the
//!   order of the numbers.
//! - A batch gets into the memtables when the log has it as durably as was asked, in the order of the
//!   log, and becomes visible as a whole. One that failed never gets there.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::Either;
use quipu_io::planted::planted;
use quipu_io::{Io, Runtime};
use quipu_journal::Seq;
use quipu_journal::log::Durability;

use super::core::{Core, Views, lock};
use super::pressure::Pressure;
use super::view::{Frozen, View};
use crate::batch::{WriteBatch, Writes};
use crate::manifest::Keyspace;
use crate::{Error, Result};

/// What is decided under the lock of commits.
#[derive(Debug)]
pub(crate) struct Commits {
    /// The number of the next write.
    pub(crate) next_seq: u64,
}

impl<I: Io + Runtime> Core<I> {
    /// Queues a batch, at once unless the store has to slow writers down.
    pub(crate) fn write(
        self: &Arc<Self>,
        batch: WriteBatch,
        durability: Durability,
    ) -> impl Future<Output = Result<()>> + Send + 'static {
        let core = self.clone();
        let begun = match core.pressure() {
            Pressure::None => Ok(core.submit(batch, durability)),
            _ => Err(batch),
        };
        async move {
            match begun {
                Ok(submitted) => submitted?.await,
                Err(batch) => {
                    core.admit().await?;
                    core.submit(batch, durability)?.await
                }
            }
        }
    }

    /// Gives numbers to a batch and hands it to the log.
    fn submit(
        self: &Arc<Self>,
        batch: WriteBatch,
        durability: Durability,
    ) -> Result<impl Future<Output = Result<()>> + Send + use<I>> {
        self.check_keyspaces(&batch)?;
        batch.check()?;
        let mut commits = self.commits();
        // Under the lock under which the store is closed: what is answered, close has flushed.
        self.check_open()?;
        if batch.is_empty() {
            // What was written before becomes as durable as was asked, as with any other batch.
            let is_synced = self.options.wal && durability == Durability::Disk;
            let synced = is_synced.then(|| self.wal.sync().boxed());
            return Ok(Either::Left(async {
                match synced {
                    Some(synced) => synced.await.map(drop).map_err(Error::wal),
                    None => Ok(()),
                }
            }));
        }
        let first = match planted("writers at the same time get the same number") {
            true => commits.next_seq.min(self.visible() + 1),
            false => commits.next_seq,
        };
        commits.next_seq = first.saturating_add(batch.len() as u64);
        let payload = batch.seal(first);
        let appended = self.options.wal.then(|| {
            let (core, writes) = (self.clone(), payload.clone());
            let then = move |log| core.apply(writes, Some(log));
            self.wal.append_then(&payload, durability, then)
        });
        if appended.is_none() {
            self.apply(payload, None);
        }
        drop(commits);
        Ok(Either::Right(async {
            match appended {
                Some(appended) => appended.await.map(drop).map_err(Error::wal),
                None => Ok(()),
            }
        }))
    }

    /// Puts a batch into the memtables and makes it visible. Called in the order of numbers.
    fn apply(self: &Arc<Self>, payload: Bytes, log: Option<Seq>) {
        let bytes = payload.len();
        let mut writes = Writes::new(&payload).expect("the store has encoded it");
        let time = self.now();
        let mut full = false;
        let views = self.views();
        while let Some((keyspace, write)) = writes.next().expect("the store has encoded it") {
            // A keyspace that was dropped meanwhile has no use for it.
            if let Some(view) = views.get(&keyspace) {
                let bytes = view.active.insert(time, [write]);
                full |= bytes >= self.options.memtable_bytes;
            }
        }
        let last = writes.next_seq() - 1;
        self.visible.store(last, Ordering::Release);
        // Not before: who changes the views relies on all that is applied being visible.
        drop(views);
        let is_log_full = log.is_some_and(|log| {
            let mut marks = lock(&self.marks);
            marks.push(log, last, bytes);
            marks.kept() > self.options.wal_bytes
        });
        if is_log_full {
            self.freeze_oldest();
            self.kick();
        } else if full {
            self.freeze(|view| view.active.bytes() >= self.options.memtable_bytes);
            self.kick();
        }
    }

    /// Gives fresh memtables to the keyspaces that keep the log's oldest part, so that it can go: those
    /// which are flushed no further than the floor. One that is being flushed keeps its memtable.
    fn freeze_oldest(&self) {
        let floor = self.manifest.version().wal_floor();
        self.freeze(|view| {
            let keyspace = view.tables.version.keyspace(view.id);
            let flushed = keyspace.map_or(0, Keyspace::flushed_through);
            view.frozen.is_empty() && flushed <= floor
        });
    }

    /// Gives fresh memtables to the keyspaces that are chosen and have something in theirs.
    pub(crate) fn freeze(&self, choose: impl Fn(&View<I>) -> bool) {
        self.freeze_in(&mut self.views_mut(), choose);
    }

    /// The same, and answers with the last write that is in a frozen memtable then, or in a table.
    ///
    /// Without a log all keyspaces get fresh ones if any does: what is frozen together is recorded
    /// together, so that a crash leaves the store as it was at one moment.
    pub(crate) fn freeze_in(&self, views: &mut Views<I>, choose: impl Fn(&View<I>) -> bool) -> u64 {
        // Nothing is being applied while the views are changed.
        let through = self.visible();
        let is_chosen = |view: &View<I>| !view.active.is_empty() && choose(view);
        let all = !self.options.wal && views.values().any(|view| is_chosen(view));
        for view in views.values_mut() {
            if is_chosen(view) || all && !view.active.is_empty() {
                let mut next = View::clone(view);
                let memtable = std::mem::take(&mut next.active);
                next.frozen.insert(0, Frozen { memtable, through });
                *view = Arc::new(next);
            }
        }
        self.feel_pressure(views);
        through
    }
}
