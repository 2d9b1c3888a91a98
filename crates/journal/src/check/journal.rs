//! [`JournalProgram`]: a journal of any machine, as a program under test.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use arbitrary::Unstructured;
use bytes::Bytes;
use futures::channel::oneshot;
use quipu_io::sim::IoCounts;
use quipu_io::{EntryKind, File, Io, OpenOptions};

use super::answers::Answers;
use super::history::History;
use super::oracles::{self, ANSWERS, FOLD, PREFIX, Shown};
use super::program::{Life, Program, Stage, lock};
use super::settings;
use super::violation::{PROGRESS, Verdict};
use crate::{Error, Journal, Options, Reader, Replayable, Seq, SnapshotPolicy, laws};

/// The directory of what is under test.
pub const DIR: &str = "state/journal";

/// Bytes that an edit is made of: it stays within a sector, crosses one, crosses a page.
pub const SMALL: usize = 5;
/// See [`SMALL`].
pub const SECTOR: usize = 600;
/// See [`SMALL`].
pub const PAGE: usize = 4200;

/// Makes an edit from bytes, which are others for each edit.
pub type MakeEdit<S> = fn(&mut Unstructured<'_>) -> arbitrary::Result<<S as Replayable>::Edit>;

/// What a journal is asked to do. Sizes are bytes that edits are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Append, and wait for the answer.
    Append(usize),
    /// Append so many small edits and one of this size as one batch.
    Batch(usize, usize),
    /// Append so many edits at once, each from a task of its own, and then a small one each.
    Together(usize, usize),
    /// Append and drop the future before it was polled.
    Abandon(usize),
    /// Append, poll once, and drop the future.
    Cancel(usize),
    /// Take a snapshot and wait for it.
    Snapshot,
    /// Begin a snapshot, and go on.
    SnapshotBeside,
    /// Close and open again.
    Reopen,
    /// Begin to close, drop that, and open again as soon as that is possible.
    ReopenImpatiently,
    /// Close, look at everything that is there in every way there is, and open again.
    Audit,
}

/// A journal of the machine `S`.
pub struct JournalProgram<S: Replayable> {
    /// Where it is.
    pub dir: PathBuf,
    /// Makes edits.
    pub edit: MakeEdit<S>,
    /// The journal's options.
    pub options: Options,
}

impl<S: Replayable> JournalProgram<S> {
    /// With the mildest settings.
    pub fn new(edit: MakeEdit<S>) -> JournalProgram<S> {
        JournalProgram {
            dir: DIR.into(),
            edit,
            options: settings::plain(),
        }
    }

    /// With these options instead.
    #[must_use]
    pub fn with(mut self, options: Options) -> JournalProgram<S> {
        self.options = options;
        self
    }
}

impl<S: Replayable> Program for JournalProgram<S> {
    type Op = Op;
    type History = History;

    fn name(&self) -> &'static str {
        "journal"
    }

    fn variants(&self) -> Vec<Self> {
        vec![
            self.clone().with(settings::plain()),
            self.clone().with(settings::tiny_segments()),
            self.clone().with(settings::busy(1)),
            self.clone().with(settings::eager()),
        ]
    }

    fn alphabet(&self, large: usize) -> Vec<Op> {
        vec![
            Op::Append(SMALL),
            Op::Append(large),
            Op::Batch(1, SMALL),
            Op::Together(2, SMALL),
            Op::Abandon(SMALL),
            Op::Snapshot,
            Op::Reopen,
            Op::Audit,
        ]
    }

    fn drawn(&self, choose: &mut dyn FnMut(u32) -> u32) -> Self {
        self.clone().with(settings::drawn(choose))
    }

    fn draw(&self, choose: &mut dyn FnMut(u32) -> u32) -> Op {
        let kind = choose(17);
        let size =
            |choose: &mut dyn FnMut(u32) -> u32| [SMALL, SMALL, SECTOR, PAGE][choose(4) as usize];
        match kind {
            0..6 => Op::Append(size(choose)),
            6 | 7 => Op::Batch(1 + choose(3) as usize, size(choose)),
            8 | 9 => Op::Together(2 + choose(3) as usize, size(choose)),
            10 => Op::Abandon(size(choose)),
            11 => Op::Cancel(size(choose)),
            12 => Op::Snapshot,
            13 => Op::SnapshotBeside,
            14 => Op::Reopen,
            15 => Op::ReopenImpatiently,
            _ => Op::Audit,
        }
    }

    fn damaged(history: &mut History) {
        history.is_damaged = true;
    }

    fn judge_io(&self, counts: &IoCounts, bytes_on_disk: u64) -> Verdict {
        oracles::recovery_is_bounded(counts, bytes_on_disk)
    }

    async fn live<I: Stage>(&self, io: I, mut life: Life<Self>) -> Verdict {
        let Some(mut driver) = Driver::open(self, &io, &life).await? else {
            return Ok(());
        };
        while let Some(op) = life.next_op(self, &io) {
            match driver.perform(op).await? {
                Some(next) => driver = next,
                None => return Ok(()),
            }
        }
        io.promised("the end").await;
        Ok(())
    }
}

impl<S: Replayable> Clone for JournalProgram<S> {
    fn clone(&self) -> Self {
        JournalProgram {
            dir: self.dir.clone(),
            edit: self.edit,
            options: self.options.clone(),
        }
    }
}

impl<S: Replayable> fmt::Debug for JournalProgram<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalProgram")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// An open journal and its history.
struct Driver<S: Replayable, I: Stage> {
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
    async fn open(
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
    async fn perform(self, op: Op) -> Verdict<Option<Self>> {
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

    async fn reopen(self) -> Verdict<Option<Self>> {
        if !self.close().await? {
            return Ok(None);
        }
        let Driver {
            io,
            program,
            answers,
            ..
        } = self;
        Driver::open_with(program, io, answers).await
    }

    /// Drops a `close` and an `open` that have only begun: neither may be in the way of the next.
    async fn reopen_impatiently(self) -> Verdict<Option<Self>> {
        let _ = futures::poll!(Box::pin(self.journal.close()));
        let Driver {
            io,
            program,
            answers,
            ..
        } = self;
        drop(self.journal);
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
        let Driver {
            io,
            program,
            answers,
            ..
        } = self;
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

/// What this journal showed when it was opened.
pub fn shown<S: Replayable, I: Io>(journal: &Journal<S, I>) -> Verdict<Shown> {
    let recovered = journal.recovered();
    Ok(Shown {
        last: recovered.last_seq.get(),
        state: Some(journal.read(oracles::state::<S>)?),
        snapshot: recovered.snapshot.map(|snapshot| snapshot.seq.get()),
        ..Shown::default()
    })
}

/// Reads every edit of a closed journal, and goes back in time.
async fn read_all<S: Replayable, I: Io>(io: &I, dir: &Path, history: &History) -> Verdict {
    let opened = Reader::<S, I>::open(io.clone(), dir).await;
    let mut reader = opened.or_else(unread)?;
    let mut edits = Vec::new();
    let mut first = None;
    while let Some((seq, edit)) = reader.next().await.or_else(unread)? {
        first.get_or_insert(seq.get());
        let bytes = laws::encode::<S>(&edit);
        edits.push(bytes.or_else(|error| PREFIX.broken(error.to_string()))?);
    }
    let last = history.line.len() as u64;
    let floor = first.map_or(last, |first| first - 1);
    let shown = Shown {
        last,
        floor,
        edits: Some(edits),
        ..Shown::default()
    };
    oracles::recovered_edits_are_a_prefix(history, &shown)?;
    for seq in [last, (floor + last).div_ceil(2)] {
        let opened = Reader::<S, I>::open(io.clone(), dir).await;
        let machine = match opened.or_else(unread)?.replay_to(Seq::new(seq)).await {
            Err(Error::NotRetained { .. }) if seq < last => continue,
            other => other.or_else(unread)?,
        };
        let expected = oracles::encoded_fold::<S>(history, seq)?;
        oracles::replays_are_equal(&expected, &oracles::state(&machine)?)?;
    }
    Ok(())
}

/// Oracle 14: what a life has left unfinished is gone once the next has opened.
async fn nothing_temporary_is_left<I: Io>(io: &I, dir: &Path) -> Verdict {
    let entries = io.read_dir(dir).await.or_else(unread)?;
    let mut names = entries.iter().map(|entry| entry.name.to_string_lossy());
    match names.find(|name| name.ends_with(".tmp")) {
        Some(name) => oracles::BOUNDED.broken(format!("{name} is still there")),
        None => Ok(()),
    }
}

fn unread<T>(error: impl fmt::Display) -> Verdict<T> {
    oracles::OPENS.broken(format!("a reader: {error}"))
}

/// All files of a directory, with their bytes.
pub async fn files<I: Io>(io: &I, dir: &Path) -> std::io::Result<BTreeMap<String, Bytes>> {
    let mut files = BTreeMap::new();
    for entry in io.read_dir(dir).await? {
        if entry.kind == EntryKind::File {
            let path = dir.join(&entry.name);
            let file = io.open(&path, OpenOptions::ReadOnly).await?;
            let size = usize::try_from(file.size().await?).unwrap_or(usize::MAX);
            let content = file.read_at(0, size).await?;
            files.insert(entry.name.to_string_lossy().into_owned(), content);
        }
    }
    Ok(files)
}
