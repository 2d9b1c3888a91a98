//! Checkpoints of the store under test, opened as the stores that they are (oracle K9), and closes that
//! are left.

use std::path::PathBuf;

use quipu_io::sim::drop_after;
use quipu_journal::check::{Stage, Verdict};

use super::driver::Driver;
use super::oracles::CHECKPOINTS;
use super::state::{Found, State, told};
use crate::manifest::KeyspaceId;
use crate::{Db, Error, Result};

/// A checkpoint that was made, and what it has to show from then on.
#[derive(Clone, Debug)]
pub(super) struct Made {
    path: PathBuf,
    keyspaces: Vec<KeyspaceId>,
    /// One of these: nobody knows when a commit counts that nobody waits for.
    states: Vec<State>,
}

impl<I: Stage> Driver<I> {
    /// Makes a checkpoint under a new name, and opens it.
    pub(super) async fn checkpoint(&mut self) -> Verdict {
        let path = {
            let mut history = self.history();
            history.checkpoints += 1;
            PathBuf::from(format!("state/checkpoint-{}", history.checkpoints))
        };
        let made = self.db.checkpoint(&path).await;
        if self.is_faulty && matches!(made, Err(Error::Checkpoint { .. })) {
            // A stray file lies where it would be made.
            return Ok(());
        }
        if self.of_call(made)?.is_none() {
            return Ok(());
        }
        let made = Made {
            path,
            keyspaces: self.history().keyspaces(),
            states: self.states.iter().cloned().collect(),
        };
        self.history().checkpoint = Some(made);
        self.io.promised("a checkpoint").await;
        self.judge_checkpoint().await
    }

    /// Opens the checkpoint that was made last, if there is one.
    pub(super) async fn judge_checkpoint(&self) -> Verdict {
        let made = {
            let history = self.history();
            match history.is_damaged {
                true => None,
                false => history.checkpoint.clone(),
            }
        };
        let Some(made) = made else {
            return Ok(());
        };
        let opened = Db::open(self.io.clone(), &made.path, self.setting.options()).await;
        if let (Err(error), false) = (&opened, self.may_fail()) {
            return CHECKPOINTS.broken(format!("it does not open: {error}"));
        }
        let Some(db) = self.of_call(opened)? else {
            return Ok(());
        };
        let found: Result<Found> = self.found(&db.snapshot(), &made.keyspaces).await;
        let closed = db.close().await;
        let (Some(found), Some(())) = (self.of_call(found)?, self.of_call(closed)?) else {
            return Ok(());
        };
        self.note_expiry();
        let expired = self.history().expired;
        let mut states = made.states.iter();
        if states.any(|state| state.fits(&found, expired)) {
            return Ok(());
        }
        let found: Vec<_> = found.values().map(told).collect();
        CHECKPOINTS.broken(format!("it shows {}", found.join(", ")))
    }

    /// Begins to close, drops the future at its so-manyth wait, and opens again.
    pub(super) async fn leave_close(mut self, waits: u64) -> Verdict<Option<Self>> {
        self.settle().await?;
        if self.may_fail() {
            return self.abort().await;
        }
        let db = self.db.clone();
        let closing = async move { db.close().await };
        let closed = match waits {
            // Dropped here: it has a handle.
            0 => {
                drop(closing);
                None
            }
            waits => drop_after(closing, waits).await,
        };
        if let Some(closed) = closed
            && self.of_call(closed)?.is_some()
        {
            self.is_closed().await;
        }
        self.abort().await
    }
}
