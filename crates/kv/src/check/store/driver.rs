//! [`Driver`]: one life of a store. Everything that it shows and answers is judged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use futures::channel::oneshot;
use quipu_journal::check::{Oracle, Stage, Verdict};

use super::history::{Space, StoreHistory};
use super::oracles::{ANSWERS, OPENS, Shown};
use super::program::{SPACES, StoreProgram, furniture};
use super::setting::{Setting, TTL};
use super::state::{Pairs, State};
use crate::{Db, Error, Result, Scan, Snapshot};

/// An open store, and what is known of it.
pub(super) struct Driver<I: Stage> {
    pub(super) io: I,
    pub(super) program: StoreProgram,
    pub(super) setting: Setting,
    pub(super) history: Arc<Mutex<StoreHistory>>,
    pub(super) is_faulty: bool,
    pub(super) db: Db<I>,
    /// What may be visible now: the line without and with the commits that nobody waits for.
    pub(super) states: VecDeque<State>,
    /// Snapshots and scans that are held.
    pub(super) held: VecDeque<Held<I>>,
    /// What goes on beside.
    pub(super) beside: Vec<oneshot::Receiver<Result<()>>>,
    /// Whether the disk has failed so that only opening again can help.
    pub(super) is_over: bool,
    /// Checks until now: each looks at another part.
    pub(super) checks: usize,
}

/// A snapshot and a scan, and what they have to show.
pub(super) struct Held<I: Stage> {
    pub(super) snapshot: Snapshot<I>,
    pub(super) state: State,
    pub(super) scan: Scan<I>,
    /// What the scan has given already, and in which order of keys it goes on.
    pub(super) scanned: Pairs,
}

/// How the life before an open has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    /// So many commits have to be there.
    pub(super) at_least: usize,
    /// Somebody may hold the lock for a while.
    pub(super) may_be_locked: bool,
    /// What says that something is wrong with the content, if it is.
    pub(super) oracle: Option<Oracle>,
}

/// How often an open that finds the lock held is tried again, after twice as long each time.
const PATIENCE: u32 = 28;

impl<I: Stage> Driver<I> {
    /// Opens the store behind a crash, and furnishes it if it is new. `None` if it does not open, for
    /// a reason that is the disk's.
    pub(super) async fn open(
        program: StoreProgram,
        io: I,
        history: Arc<Mutex<StoreHistory>>,
        is_faulty: bool,
    ) -> Verdict<Option<Self>> {
        let before = Before {
            at_least: 0,
            may_be_locked: false,
            oracle: None,
        };
        let is_new = lock(&history).opens == 0;
        let setting = program.setting.clone();
        let opened = Driver::begin(program, setting, io, history, is_faulty, before).await?;
        let Some(mut driver) = opened else {
            return Ok(None);
        };
        if driver.program.is_furnished && is_new {
            for op in furniture() {
                match driver.perform(op).await? {
                    Some(next) => driver = next,
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(driver))
    }

    /// Opens the store and holds what it shows against the history.
    pub(super) async fn begin(
        program: StoreProgram,
        setting: Setting,
        io: I,
        history: Arc<Mutex<StoreHistory>>,
        is_faulty: bool,
        before: Before,
    ) -> Verdict<Option<Self>> {
        {
            let mut history = lock(&history);
            // The one before may have dropped what has expired until now, and nobody has seen it.
            if let Some(is_wrong) = history.expiring {
                let until = expired_until(&io, is_wrong || is_faulty);
                history.expired = history.expired.max(Some(until));
            }
            history.expiring = setting.ttl().map(|_| is_faulty);
        }
        let mut attempt = 0;
        let opened = loop {
            match Db::open(io.clone(), &program.dir, setting.options()).await {
                Err(error) if is_locked(&error) && before.may_be_locked && attempt < PATIENCE => {
                    io.sleep(Duration::from_millis(1 << attempt)).await;
                    attempt += 1;
                }
                opened => break opened,
            }
        };
        let db = match opened {
            Ok(db) => db,
            Err(_) if lock(&history).is_damaged => return Ok(None),
            Err(error) if is_faulty && is_of_disk(&error) => return Ok(None),
            Err(error) => return OPENS.broken(format!("it does not open: {error}")),
        };
        let mut driver = Driver {
            io,
            program,
            setting,
            history,
            is_faulty,
            db,
            states: VecDeque::new(),
            held: VecDeque::new(),
            beside: Vec::new(),
            is_over: false,
            checks: 0,
        };
        if !driver.judge_open(before).await? {
            return Ok(None);
        }
        driver.io.promised("opened").await;
        driver.read_all().await?;
        driver.judge_checkpoint().await?;
        Ok(Some(driver))
    }

    /// Whether it could be read.
    async fn judge_open(&mut self, before: Before) -> Verdict<bool> {
        let mut spaces = BTreeMap::new();
        for (place, name) in SPACES.iter().enumerate().skip(1) {
            if let Some(keyspace) = self.db.keyspace(name) {
                spaces.insert(place, keyspace.id());
            }
        }
        let snapshot = self.db.snapshot();
        let last_seq = snapshot.seq();
        let ids = [crate::manifest::KeyspaceId::DEFAULT];
        let ids: Vec<_> = ids.into_iter().chain(spaces.values().copied()).collect();
        let Some(found) = self.of_read(self.found(&snapshot, &ids).await)? else {
            return Ok(false);
        };
        self.note_expiry();
        let shown = Shown {
            found,
            spaces,
            last_seq,
            at_least: before.at_least,
            oracle: before.oracle,
        };
        let mut history = lock(&self.history);
        history.reopen(&shown)?;
        let there = shown.spaces.into_iter();
        history.spaces = there.map(|(place, id)| (place, Space::There(id))).collect();
        self.states = VecDeque::from([history.state()]);
        Ok(true)
    }

    /// Says that the life is over.
    pub(super) async fn end(self) -> Verdict {
        self.io.promised("the end").await;
        Ok(())
    }

    pub(super) fn history(&self) -> MutexGuard<'_, StoreHistory> {
        lock(&self.history)
    }

    /// Whether calls may fail for reasons that are the disk's.
    pub(super) fn may_fail(&self) -> bool {
        self.is_faulty || self.history().is_damaged
    }

    /// What a call has answered; `None` if the disk is in the way.
    pub(super) fn of_call<T>(&self, answer: Result<T>) -> Verdict<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(_) if self.history().is_damaged => Ok(None),
            Err(error) if self.is_faulty && is_of_disk(&error) => Ok(None),
            Err(error) if self.is_faulty => {
                ANSWERS.broken(format!("the disk only fails, and a call: {error}"))
            }
            Err(error) => ANSWERS.broken(format!("nothing was wrong, and a call: {error}")),
        }
    }

    /// The same of a read, which fails only where the disk does.
    pub(super) fn of_read<T>(&self, answer: Result<T>) -> Verdict<Option<T>> {
        self.of_call(answer)
    }

    /// Notes up to when what was written may be gone by now.
    pub(super) fn note_expiry(&self) {
        let mut history = lock(&self.history);
        let is_expiring = self.setting.ttl().is_some();
        let until = is_expiring.then(|| expired_until(&self.io, self.is_faulty));
        history.expired = history.expired.max(until);
    }
}

/// What was written up to then has expired; everything may have if the clock may be wrong.
fn expired_until(io: &impl Stage, is_wrong: bool) -> u64 {
    match is_wrong {
        true => u64::MAX,
        false => millis(io).saturating_sub(TTL),
    }
}

/// Now, in milliseconds since 1970.
pub(super) fn millis(io: &impl Stage) -> u64 {
    let since = io.wall_clock().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

pub(super) fn lock(history: &Mutex<StoreHistory>) -> MutexGuard<'_, StoreHistory> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_locked(error: &Error) -> bool {
    use quipu_journal::Error as Journal;
    match error {
        Error::Journal { source } | Error::Wal { source } => {
            matches!(source, Journal::Locked { .. })
        }
        _ => false,
    }
}

/// Whether an error may come from a disk that fails and does no damage.
fn is_of_disk(error: &Error) -> bool {
    use quipu_journal::Error as Journal;
    match error {
        Error::Io { .. } | Error::NoSpace { .. } => true,
        Error::Journal { source } | Error::Wal { source } => matches!(
            source,
            Journal::Io { .. }
                | Journal::NoSpace { .. }
                | Journal::NotCommitted { .. }
                | Journal::InDoubt { .. }
                | Journal::Poisoned { .. }
                | Journal::Snapshot { .. }
        ),
        _ => false,
    }
}
