//! Writers at the same time, and a reader (oracle K8).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::channel::oneshot;
use quipu_journal::check::{SMALL, Stage, Verdict};

use super::driver::{Driver, lock};
use super::history::{Line, StoreHistory, Writer};
use super::operations::make;
use super::oracles::ORDER;
use super::program::Change;
use super::state::{Commit, Found, State, told};
use crate::{Db, Durability, Pressure, Result};

/// How often each of the two writes.
const BATCHES: usize = 2;

/// How often the reader looks.
const LOOKS: usize = 3;

/// Who writes batch after batch.
struct Turns<I: Stage> {
    io: I,
    db: Db<I>,
    history: Arc<Mutex<StoreHistory>>,
    writer: usize,
    is_logged: bool,
    /// The order of the calls, unless the store holds writers back.
    calls: Arc<Mutex<Option<Line>>>,
}

impl<I: Stage> Turns<I> {
    async fn write(self) -> Result<()> {
        for batch in 0..BATCHES {
            self.write_one(batch).await?;
        }
        Ok(())
    }

    async fn write_one(&self, batch: usize) -> Result<()> {
        // All of them meet in one key.
        let writes = match self.writer {
            0 => [
                (0, Change::Put(0, SMALL)),
                (1, Change::Put(1 + batch, SMALL)),
            ],
            _ => [(0, Change::DeleteRange((1, 3))), (0, Change::Put(0, SMALL))],
        };
        let (commit, batch) = make(&self.io, &self.history, &writes);
        let commit = Arc::new(commit);
        self.note_call(&commit);
        lock(&self.history).writers[self.writer]
            .commits
            .push(commit);
        self.db.write(batch, Durability::Disk).await?;
        if self.is_logged {
            lock(&self.history).writers[self.writer].answered += 1;
            self.io.promised("acknowledged").await;
        }
        Ok(())
    }

    fn note_call(&self, commit: &Arc<Commit>) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        match self.db.stats().pressure {
            Pressure::None => calls
                .iter_mut()
                .for_each(|calls| calls.push(commit.clone())),
            _ => *calls = None,
        }
    }
}

impl<I: Stage> Driver<I> {
    /// Two writers, whose batches meet in one key, and a reader.
    pub(super) async fn together(&mut self) -> Verdict {
        // Those who are still under way would be among them.
        if self.states.len() > 1 {
            return Ok(());
        }
        self.history().writers = vec![Writer::default(); 2];
        let calls = Arc::new(Mutex::new(Some(Line::new())));
        let mut waiting = Vec::new();
        for writer in 0..2 {
            let turns = Turns {
                io: self.io.clone(),
                db: self.db.clone(),
                history: self.history.clone(),
                writer,
                is_logged: self.setting.wal,
                calls: calls.clone(),
            };
            let (answer, answered) = oneshot::channel();
            self.io.spawn(async move {
                // Somebody always waits.
                let _ = answer.send(turns.write().await);
            });
            waiting.push(answered);
        }
        let keyspaces = self.history().keyspaces();
        let mut looks: Vec<Found> = Vec::new();
        for _ in 0..LOOKS {
            let found = self.found(&self.db.snapshot(), &keyspaces).await;
            looks.extend(self.of_read(found)?);
            self.io.sleep(Duration::from_micros(100)).await;
        }
        let mut is_known = true;
        for answered in waiting {
            match answered.await {
                Ok(answer) => is_known &= self.of_call(answer)?.is_some(),
                Err(_) => return ORDER.broken("a writer is gone"),
            }
        }
        let calls = calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        match is_known {
            true => self.judge_order(calls, looks).await,
            false => {
                // The next open decides.
                self.is_over = true;
                Ok(())
            }
        }
    }

    /// Finds an order that explains all that was seen.
    async fn judge_order(&mut self, order: Option<Line>, looks: Vec<Found>) -> Verdict {
        let keyspaces = self.history().keyspaces();
        let found = self.found(&self.db.snapshot(), &keyspaces).await;
        let Some(found) = self.of_read(found)? else {
            self.is_over = true;
            return Ok(());
        };
        if !self.setting.wal {
            let flushed = self.db.flush().await;
            if self.of_call(flushed)?.is_none() {
                self.is_over = true;
                return Ok(());
            }
        }
        self.note_expiry();
        let mut history = lock(&self.history);
        let begun = history.line.len();
        let all = begun + 2 * BATCHES;
        for writer in &mut history.writers {
            writer.answered = writer.commits.len();
        }
        let orders = match order {
            Some(order) => vec![[&history.line[..], &order].concat()],
            None => history.legal(all),
        };
        let explains = |line: &Line| {
            let after = |commits: usize| State::of(line[..commits].iter().map(|commit| &**commit));
            let mut at = begun;
            let mut seen = looks.iter();
            let all = seen.all(|found| {
                while at < line.len() && !after(at).fits(found, history.expired) {
                    at += 1;
                }
                after(at).fits(found, history.expired)
            });
            all && after(line.len()).fits(&found, history.expired)
        };
        let Some(line) = orders.into_iter().find(explains) else {
            let seen: Vec<_> = looks
                .iter()
                .chain([&found])
                .flat_map(|found| found.values())
                .map(told)
                .collect();
            return ORDER.broken(format!("no order of the writes shows {}", seen.join(", ")));
        };
        history.line = line;
        history.durable = history.line.len();
        history.writers.clear();
        let state = history.state();
        drop(history);
        self.states = VecDeque::from([state]);
        Ok(())
    }
}
