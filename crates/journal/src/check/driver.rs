//! [`Driver`]: one life of a journal, operation by operation, with every answer judged.

use std::sync::{Arc, Mutex, MutexGuard};

use arbitrary::Unstructured;
use futures::channel::oneshot;

use super::answers::Answers;
use super::history::History;
use super::journal::{JournalProgram, Op};
use super::oracles::{self, ANSWERS, FOLD, Shown};
use super::program::{Life, Stage, lock};
use super::view::{files, nothing_temporary_is_left, read_all, shown, unread};
use super::violation::{PROGRESS, Verdict};
use crate::{Journal, Replayable, SnapshotPolicy, laws};

/// An open journal and its history.
pub(super) struct Driver<S: Replayable, I: Stage> {
    io: I,
    program: JournalProgram<S>,
    history: Arc<Mutex<History>>,
    answers: Answers,
    /// The machine after the edits that were visible last.
    reference: Arc<Mutex<(S, u64)>>,
    journal: Journal<S, I>,
}

impl<S: Replayable, I: Stage> Clone for Driver<S, I> {
    fn clone(&self) -> Self {
        Driver {
            io: self.io.clone(),
            program: self.program.clone(),
            history: self.history.clone(),
            answers: self.answers.clone(),
            reference: self.reference.clone(),
            journal: self.journal.clone(),
        }
    }
}

impl<S: Replayable, I: Stage> Driver<S, I> {
    /// Opens the journal and holds what it shows against the history. `None` if it does not open,
    /// for a reason that is the disk's.
    pub(super) async fn open(
        program: &JournalProgram<S>,
        io: &I,
        life: &Life<JournalProgram<S>>,
    ) -> Verdict<Option<Self>> {
        let answers = Answers::new(life.is_faulty, life.history.clone());
        Driver::open_with(program.clone(), io.clone(), answers).await
    }

    async fn open_with(
        program: JournalProgram<S>,
        io: I,
        answers: Answers,
    ) -> Verdict<Option<Self>> {
        let open = || Journal::<S, I>::open(io.clone(), &program.dir, program.options.clone());
        let opened = answers.when_unlocked(&io, open).await;
        match answers.of_open(opened)? {
            Some(journal) => Driver::begin(program, io, answers, journal).await.map(Some),
            None => Ok(None),
        }
    }

    /// Holds what the journal shows against the history, and goes on with it.
    async fn begin(
        program: JournalProgram<S>,
        io: I,
        answers: Answers,
        journal: Journal<S, I>,
    ) -> Verdict<Self> {
        let history = answers.history.clone();
        let last = journal.recovered().last_seq.get();
        let reference = {
            let mut history = lock(&history);
            history.reopen::<S>(&shown(&journal)?)?;
            oracles::fold::<S>(&history, last)?
        };
        if program.options.snapshots == SnapshotPolicy::never() && !answers.is_faulty() {
            nothing_temporary_is_left(&io, &program.dir).await?;
        }
        io.promised("opened").await;
        Ok(Driver {
            io,
            program,
            history,
            answers,
            reference: Arc::new(Mutex::new((reference, last))),
            journal,
        })
    }

    /// `None` when the journal has stopped.
    pub(super) async fn perform(self, op: Op) -> Verdict<Option<Self>> {
        match op {
            Op::Append(size) => self.append(&[size]).await?,
            Op::Batch(small, size) => {
                let mut sizes = vec![3; small];
                sizes.push(size);
                self.append(&sizes).await?;
            }
            Op::Together(several, size) if self.answers.is_faulty() => {
                self.one_behind_the_other(several, size).await?;
            }
            Op::Together(several, size) => self.together(several, size).await?,
            // Where an edit may be refused, somebody has to hear of it.
            Op::Abandon(size) | Op::Cancel(size) if self.answers.is_faulty() => {
                self.append(&[size]).await?;
            }
            Op::Abandon(size) => {
                let (_, edits) = self.issue(&[size])?;
                for edit in edits {
                    drop(self.journal.append(edit));
                }
            }
            Op::Cancel(size) => {
                let (_, edits) = self.issue(&[size])?;
                for edit in edits {
                    let mut append = self.journal.append(edit);
                    let _ = futures::poll!(&mut append);
                }
            }
            Op::Snapshot => {
                let applied = self.journal.status().applied;
                let taken = self.journal.snapshot().await;
                if self.answers.of_snapshot(taken, applied)? {
                    self.io.promised("snapshot").await;
                }
            }
            Op::SnapshotBeside => drop(self.journal.snapshot()),
            Op::Reopen => return self.reopen().await,
            Op::ReopenImpatiently => return self.reopen_impatiently().await,
            Op::Audit => return self.audit().await,
        }
        Ok((!self.answers.has_stopped()).then_some(self))
    }

    fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// Edits of these sizes, noted as issued together.
    fn issue(&self, sizes: &[usize]) -> Verdict<(u64, Vec<S::Edit>)> {
        let mut history = self.history();
        let (mut edits, mut encoded) = (Vec::new(), Vec::new());
        for size in sizes {
            let bytes = raw(history.next_id(), *size);
            let made = (self.program.edit)(&mut Unstructured::new(&bytes));
            let edit = made.or_else(|error| ANSWERS.broken(format!("no edit: {error}")))?;
            let bytes = laws::encode::<S>(&edit);
            encoded.push(bytes.or_else(|error| ANSWERS.broken(error.to_string()))?);
            edits.push(edit);
        }
        Ok((history.issue(encoded), edits))
    }

    /// Appends one edit, or several as a batch, and waits.
    async fn append(&self, sizes: &[usize]) -> Verdict {
        let (group, mut edits) = self.issue(sizes)?;
        let count = edits.len();
        let answer = match edits.pop() {
            Some(edit) if count == 1 => {
                let answer = self.journal.append(edit).with_seq().await;
                answer.map(|(seq, _)| seq)
            }
            last => {
                edits.extend(last);
                let answer = self.journal.append_batch(edits).with_seq().await;
                answer.map(|(first, _)| first)
            }
        };
        if self.answers.of_append(group, answer, true)? {
            self.look()?;
            self.io.promised("acknowledged").await;
        }
        Ok(())
    }

    /// What is visible is the fold of a prefix that holds all that was acknowledged, and it stays.
    fn look(&self) -> Verdict {
        let applied = self.journal.status().applied.get();
        let visible = self.journal.read(oracles::state::<S>)?;
        let mut history = self.history();
        if applied < history.acknowledged as u64 && !history.is_damaged {
            let acknowledged = history.acknowledged;
            return ANSWERS.broken(format!(
                "{acknowledged} edits are acknowledged, {applied} are visible"
            ));
        }
        oracles::never_from_the_future(
            &history,
            &Shown {
                last: applied,
                ..Shown::default()
            },
        )?;
        let mut reference = lock(&self.reference);
        let (machine, edits) = &mut *reference;
        for issued in &history.line[*edits as usize..applied as usize] {
            oracles::apply(machine, &issued.edit)?;
        }
        *edits = applied;
        if visible != oracles::state(machine)? {
            return FOLD.broken(format!(
                "what is visible is not the fold of {applied} edits"
            ));
        }
        history.show(applied);
        Ok(())
    }

    async fn together(&self, several: usize, size: usize) -> Verdict {
        let tasks: Vec<_> = (0..several)
            .map(|_| {
                let (done, waiting) = oneshot::channel();
                let task = self.clone();
                self.io.spawn(async move {
                    let result = async {
                        task.append(&[size]).await?;
                        task.append(&[3]).await
                    };
                    let _ = done.send(result.await);
                });
                waiting
            })
            .collect();
        for answer in futures::future::join_all(tasks).await {
            answer.unwrap_or_else(|_| PROGRESS.broken("a task was lost"))?;
        }
        Ok(())
    }

    /// Appends all and then hears the answers in the same order: who was refused has to be known
    /// before the number of the next can be judged.
    async fn one_behind_the_other(&self, several: usize, size: usize) -> Verdict {
        let mut waiting = Vec::new();
        for _ in 0..several {
            let (group, edits) = self.issue(&[size])?;
            for edit in edits {
                waiting.push((group, self.journal.append(edit).with_seq()));
            }
        }
        for (group, append) in waiting {
            let answer = append.await.map(|(seq, _)| seq);
            if self.answers.of_append(group, answer, true)? {
                self.io.promised("acknowledged").await;
            }
        }
        self.look()
    }

    /// Whether it closed cleanly.
    async fn close(&self) -> Verdict<bool> {
        let closed = self.journal.close().await;
        if !self.answers.of_close(closed)? {
            return Ok(false);
        }
        self.history().acknowledge_all();
        self.io.promised("closed").await;
        Ok(true)
    }

    /// Lets go of the journal, and keeps what the next one needs.
    fn into_parts(self) -> (I, JournalProgram<S>, Answers) {
        (self.io, self.program, self.answers)
    }

    async fn reopen(self) -> Verdict<Option<Self>> {
        if !self.close().await? {
            return Ok(None);
        }
        // Somebody may hold on to what is closed: it is not in the way of the next.
        let closed = self.journal.clone();
        let (io, program, answers) = self.into_parts();
        let opened = Driver::open_with(program, io, answers).await;
        drop(closed);
        opened
    }

    /// Drops a `close` and an `open` that have only begun: neither may be in the way of the next.
    async fn reopen_impatiently(self) -> Verdict<Option<Self>> {
        let _ = futures::poll!(Box::pin(self.journal.close()));
        let (io, program, answers) = self.into_parts();
        let open = || Journal::<S, I>::open(io.clone(), &program.dir, program.options.clone());
        let _ = futures::poll!(Box::pin(open()));
        answers.lock_may_be_held();
        Driver::open_with(program, io, answers).await
    }

    /// Oracles 1, 7 and 8, for which everything has to be read once more.
    async fn audit(self) -> Verdict<Option<Self>> {
        if !self.close().await? {
            return Ok(None);
        }
        let (io, program, answers) = self.into_parts();
        if answers.is_faulty() {
            return Driver::open_with(program, io, answers).await;
        }
        let dir = program.dir.clone();
        let before = files(&io, &dir).await.or_else(unread)?;
        let history = lock(&answers.history).clone();
        read_all::<S, I>(&io, &dir, &history).await?;
        let mut quiet = program.clone();
        quiet.options.snapshots = SnapshotPolicy::never();
        let again = Driver::open_with(quiet, io.clone(), answers.clone()).await?;
        if let Some(again) = again {
            again.close().await?;
        }
        let after = files(&io, &dir).await.or_else(unread)?;
        oracles::open_and_close_change_nothing(&before, &after)?;
        Driver::open_with(program, io, answers).await
    }
}

/// Bytes for the edit of this number: no two edits have the same, and none is zero, for a lost
/// sector must not look like one that has survived.
fn raw(id: u64, size: usize) -> Vec<u8> {
    let rest = (0..size as u64).map(|at| (id.wrapping_mul(31) + at * 7) as u8 | 1);
    id.to_le_bytes().into_iter().chain(rest).collect()
}
