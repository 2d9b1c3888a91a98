//! What a [`Driver`] does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;
use quipu_io::sim::drop_after;
use quipu_journal::check::{Stage, Verdict};

use super::driver::{Before, Driver, lock, millis};
use super::history::{Space, StoreHistory};
use super::oracles::{ANSWERS, FINISHES, NUMBERS, OPTIONS};
use super::program::{Change, KEYS, SPACES, Span, StoreOp, Write};
use super::setting::Setting;
use super::state::{Commit, Edit};
use crate::manifest::KeyspaceId;
use crate::{Db, Durability, Error, Pressure, Result, WriteBatch};

/// What flushes and compactions may take of virtual time while nothing fails. No operation of the disk
/// takes more than a fifth of a second then.
const IN_TIME: Duration = Duration::from_secs(100);

/// What became of a write.
enum Fate {
    Done,
    /// It is not there and never will be.
    Refused,
    /// The next open decides.
    InDoubt,
}

impl<I: Stage> Driver<I> {
    /// `None` when nothing more can be done.
    pub(super) async fn perform(mut self, op: StoreOp) -> Verdict<Option<Self>> {
        match op {
            StoreOp::Write(writes, durability) => self.write(&writes, durability).await?,
            StoreOp::Abandon(writes, durability, waits) => {
                self.abandon(&writes, durability, waits).await?;
            }
            StoreOp::Together => self.together().await?,
            StoreOp::Hold => self.hold().await?,
            StoreOp::LetGo => self.let_go().await?,
            StoreOp::Flush => self.flush(None).await?,
            StoreOp::Compact(span) => self.flush(Some(span)).await?,
            StoreOp::FlushBeside => self.begin_beside(async |db| db.flush().await),
            StoreOp::CompactBeside => self.begin_beside(async |db| db.compact_range(..).await),
            StoreOp::Create(place, waits) => self.create(place, waits).await?,
            StoreOp::Drop(place, waits) => self.drop_space(place, waits).await?,
            StoreOp::Wait(millis) => self.io.sleep(Duration::from_millis(millis)).await,
            StoreOp::Reopen => return self.reopen(None).await,
            StoreOp::Change(setting) => return self.reopen(Some(*setting)).await,
            StoreOp::Abort => return self.abort().await,
            StoreOp::LeaveClose(waits) => return self.leave_close(waits).await,
            StoreOp::Checkpoint => self.checkpoint().await?,
            StoreOp::Mislay(piece) => return self.mislay(piece).await,
        }
        if self.is_over {
            return self.abort().await;
        }
        self.read_all().await?;
        Ok(Some(self))
    }

    async fn write(&mut self, writes: &[Write], durability: Durability) -> Verdict {
        let (commit, batch) = self.make(writes);
        if batch.is_empty() {
            // Nothing is written, so the answer promises nothing.
            let answer = self.db.write(batch, durability).await;
            return self.of_call(answer).map(drop);
        }
        self.issue(commit);
        let answer = self.db.write(batch, durability).await;
        match self.fate(answer)? {
            Fate::Done => {
                self.see_all();
                self.note_number()?;
                if durability == Durability::Disk && self.setting.wal {
                    self.all_is_durable("acknowledged").await;
                }
            }
            Fate::Refused => {
                self.states.pop_back();
                self.history().line.pop();
            }
            Fate::InDoubt => {
                self.states.pop_back();
            }
        }
        Ok(())
    }

    /// A batch that nobody waits for any more.
    async fn abandon(&mut self, writes: &[Write], durability: Durability, waits: u64) -> Verdict {
        if self.may_fail() {
            // What became of it nobody would know.
            return self.write(writes, durability).await;
        }
        let (commit, batch) = self.make(writes);
        if batch.is_empty() {
            return Ok(());
        }
        let is_held_back = self.db.stats().pressure != Pressure::None;
        let writing = self.db.write(batch, durability);
        if is_held_back {
            // It is taken back.
            drop(writing);
            return Ok(());
        }
        self.issue(commit);
        if waits == 0 {
            drop(writing);
            return Ok(());
        }
        if let Some(answer) = drop_after(writing, waits).await {
            self.fate(answer)?;
            self.see_all();
            if durability == Durability::Disk && self.setting.wal {
                self.all_is_durable("acknowledged").await;
            }
        }
        Ok(())
    }

    /// What is to be written, for the line and for the store.
    fn make(&self, writes: &[Write]) -> (Commit, WriteBatch) {
        make(&self.io, &self.history, writes)
    }
    /// Notes that a batch is about to be written.
    fn issue(&mut self, commit: Commit) {
        let mut next = self.states.back().cloned().unwrap_or_default();
        next.apply(&commit);
        self.states.push_back(next);
        self.history().line.push(Arc::new(commit));
    }

    /// From now on all of the line is visible.
    pub(super) fn see_all(&mut self) {
        self.states.drain(..self.states.len() - 1);
    }

    /// So many commits of the line are surely visible.
    pub(super) fn visible(&self) -> usize {
        self.history().line.len() - (self.states.len() - 1)
    }

    async fn all_is_durable(&self, what: &str) {
        let all = self.history().line.len();
        self.durable(all);
        self.io.promised(what).await;
    }

    /// Notes the number of the last write, all of which are visible: it is above all others (oracle M4).
    /// Without a log, one that is in no table may be given again.
    fn note_number(&self) -> Verdict {
        if !self.setting.wal {
            return Ok(());
        }
        let seq = self.db.snapshot().seq();
        let mut history = self.history();
        let last = history.seqs.values().next_back().copied();
        if let Some(last) = last.filter(|last| seq <= *last) {
            return NUMBERS.broken(format!("write {seq} comes behind write {last}"));
        }
        let commits = history.line.len();
        history.seqs.insert(commits, seq);
        Ok(())
    }

    /// Notes that so many commits are durable.
    fn durable(&self, commits: usize) {
        let mut history = self.history();
        history.durable = history.durable.max(commits);
    }

    /// What the answer to a write means.
    fn fate<T>(&mut self, answer: Result<T>) -> Verdict<Fate> {
        use quipu_journal::Error as Journal;
        let fate = match &answer {
            Ok(_) if self.is_over => {
                return ANSWERS.broken("a write is done behind one that is in doubt");
            }
            Ok(_) => Fate::Done,
            Err(Error::Wal {
                source: Journal::InDoubt { .. },
            }) => {
                self.is_over = true;
                Fate::InDoubt
            }
            Err(Error::Wal {
                source: Journal::Poisoned { .. },
            }) => {
                self.is_over = true;
                Fate::Refused
            }
            Err(_) => Fate::Refused,
        };
        self.of_call(answer)?;
        Ok(fate)
    }

    /// Flushes, or compacts a part.
    async fn flush(&mut self, compact: Option<Option<Span>>) -> Verdict {
        let visible = self.visible();
        let begun = self.io.now();
        let done = match compact {
            None => self.db.flush().await,
            Some(None) => self.db.compact_range(..).await,
            Some(Some((from, to))) => {
                let (from, to) = (KEYS[from].min(KEYS[to]), KEYS[from].max(KEYS[to]));
                self.db.compact_range(from..=to).await
            }
        };
        let took = self.io.now() - begun;
        if self.of_call(done)?.is_none() {
            return Ok(());
        }
        if !self.may_fail() && took > IN_TIME {
            return FINISHES.broken(format!("it took {took:?}"));
        }
        self.nothing_is_left()?;
        self.durable(visible);
        self.io.promised("flushed").await;
        Ok(())
    }

    /// Oracle K7: behind a flush nothing is in memory, unless somebody writes.
    fn nothing_is_left(&self) -> Verdict {
        let stats = self.db.stats();
        if self.states.len() == 1 && stats.memtable_bytes > 0 {
            let (bytes, frozen) = (stats.memtable_bytes, stats.frozen_memtables);
            return FINISHES.broken(format!(
                "behind a flush {bytes} bytes are in memory, {frozen} memtables frozen"
            ));
        }
        Ok(())
    }

    /// Begins something, and goes on.
    fn begin_beside<W: Future<Output = Result<()>> + Send>(
        &mut self,
        work: impl FnOnce(Db<I>) -> W + Send + 'static,
    ) {
        let (answer, waiting) = oneshot::channel();
        let db = self.db.clone();
        self.io.spawn(async move {
            // Nobody may be waiting any more.
            let _ = answer.send(work(db).await);
        });
        self.beside.push(waiting);
    }

    async fn create(&mut self, place: usize, waits: Option<u64>) -> Verdict {
        let known = self.history().spaces.get(&place).copied();
        if !matches!(known, Some(Space::There(_))) {
            self.history().spaces.insert(place, Space::Creating);
        }
        let db = self.db.clone();
        let creating = async move { db.create_keyspace(SPACES[place]).await };
        let answer = match waits.filter(|_| !self.may_fail()) {
            None => Some(creating.await),
            Some(0) => None,
            Some(waits) => drop_after(creating, waits).await,
        };
        match (answer, known) {
            (None, _) => {}
            // It is there already, or is about to be.
            (Some(Err(Error::Refused { .. })), Some(known)) => {
                self.history().spaces.insert(place, known);
                let is_there = self.db.keyspace(SPACES[place]).is_some();
                let was_dropping = matches!(known, Space::Dropping(_));
                if !is_there && !was_dropping {
                    return ANSWERS.broken("a keyspace is refused as there, and cannot be found");
                }
            }
            (Some(Ok(_)), Some(Space::There(id))) => {
                return ANSWERS.broken(format!("keyspace {id} is created once more"));
            }
            (Some(answer), _) => {
                if let Some(handle) = self.of_call(answer)? {
                    let there = Space::There(handle.id());
                    self.history().spaces.insert(place, there);
                    self.io.promised("created").await;
                }
            }
        }
        Ok(())
    }

    async fn drop_space(&mut self, place: usize, waits: Option<u64>) -> Verdict {
        let Some(Space::There(id)) = self.history().spaces.get(&place).copied() else {
            return Ok(());
        };
        self.history().spaces.insert(place, Space::Dropping(id));
        let db = self.db.clone();
        let dropping = async move { db.drop_keyspace(id).await };
        let answer = match waits.filter(|_| !self.may_fail()) {
            None => Some(dropping.await),
            Some(0) => None,
            Some(waits) => drop_after(dropping, waits).await,
        };
        if let Some(answer) = answer
            && self.of_call(answer)?.is_some()
        {
            self.history().spaces.remove(&place);
            self.io.promised("dropped").await;
        }
        Ok(())
    }

    /// Waits for what goes on beside.
    pub(super) async fn settle(&mut self) -> Verdict {
        for waiting in std::mem::take(&mut self.beside) {
            match waiting.await {
                Ok(done) => drop(self.of_call(done)?),
                Err(_) => return ANSWERS.broken("a task is gone"),
            }
        }
        Ok(())
    }

    /// Closes. Whether that was clean.
    pub(super) async fn close(&mut self) -> Verdict<bool> {
        self.settle().await?;
        self.held.clear();
        let closed = self.db.close().await;
        if self.of_call(closed)?.is_none() {
            return Ok(false);
        }
        self.is_closed().await;
        Ok(true)
    }

    /// Notes that a close has answered.
    pub(super) async fn is_closed(&self) {
        let all = self.history().line.len();
        self.durable(all);
        self.io.promised("closed").await;
    }

    async fn reopen(mut self, setting: Option<Setting>) -> Verdict<Option<Self>> {
        if !self.close().await? {
            return self.abort().await;
        }
        let before = Before {
            at_least: self.history().durable,
            may_be_locked: false,
            oracle: setting.is_some().then_some(OPTIONS),
        };
        let setting = match setting {
            Some(setting) => self.setting.changed(&setting),
            None => self.setting.clone(),
        };
        self.begin_again(setting, before).await
    }

    /// Lets go of everything, and opens again.
    pub(super) async fn abort(self) -> Verdict<Option<Self>> {
        let at_least = match self.may_fail() || !self.setting.wal {
            true => 0,
            false => self.visible(),
        };
        let before = Before {
            at_least,
            may_be_locked: true,
            oracle: None,
        };
        let setting = self.setting.clone();
        self.begin_again(setting, before).await
    }

    pub(super) async fn begin_again(
        self,
        setting: Setting,
        before: Before,
    ) -> Verdict<Option<Self>> {
        let Driver {
            io,
            program,
            history,
            is_faulty,
            db,
            held,
            beside,
            ..
        } = self;
        drop((db, held, beside));
        Driver::begin(program, setting, io, history, is_faulty, before).await
    }
}

/// What is to be written, for the line and for the store.
pub(super) fn make(
    io: &impl Stage,
    history: &Mutex<StoreHistory>,
    writes: &[Write],
) -> (Commit, WriteBatch) {
    let mut history = lock(history);
    let mut commit = Commit {
        time: millis(io),
        ..Commit::default()
    };
    let mut batch = WriteBatch::new();
    for (place, change) in writes {
        let id = match history.spaces.get(place) {
            Some(Space::There(id)) => *id,
            _ => KeyspaceId::DEFAULT,
        };
        let key = |place: usize| KEYS[place].to_vec();
        let edit = match *change {
            Change::Put(at, bytes) => {
                let value = history.value(bytes);
                batch.put_in(id, KEYS[at], &value);
                Edit::Put(key(at), value)
            }
            Change::Delete(at) => {
                batch.delete_in(id, KEYS[at]);
                Edit::Delete(key(at))
            }
            Change::DeleteRange((from, to)) => {
                batch.delete_range_in(id, KEYS[from], KEYS[to]);
                Edit::DeleteRange(key(from), key(to))
            }
        };
        commit.writes.push((id, edit));
    }
    (commit, batch)
}
