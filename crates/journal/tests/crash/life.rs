//! One lifetime of a machine with a journal on it, from its boot to the end of its operations.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;
use quipu_io::sim::{CrashKind, DiskImage, Random, Sim, SimOptions, Tape};
use quipu_io::{EntryKind, File, Io, OpenOptions};
use quipu_journal::{Error, Journal, Options, Reader, Seq, laws};

use crate::history::History;
use crate::notes::Subject;
use crate::oracles::{self, Shown, Violation, violation};
use crate::workload::{Op, Program, Stage, random_journal_op};

pub(crate) const DIR: &str = "state/journal";

/// A moment at which a crash could matter, and what had happened until then.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) kind: CrashKind,
    pub(crate) image: DiskImage,
    pub(crate) history: History,
}

/// A life that is over.
#[derive(Debug)]
pub(crate) struct Life {
    /// Where it could have ended earlier, and the end.
    pub(crate) points: Vec<Point>,
    pub(crate) tape: Tape,
    pub(crate) result: Result<(), Violation>,
}

/// How a life is led.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    pub(crate) sim: SimOptions,
    pub(crate) options: Options,
    /// Whether crash points are wanted.
    pub(crate) collect: bool,
    /// Whether syncs lie.
    pub(crate) lie: bool,
}

/// Boots from the image and runs the program until its operations are done.
pub(crate) fn live<P: Program>(
    image: DiskImage,
    history: History,
    ops: &[P::Op],
    conditions: &Conditions,
) -> Life {
    let sim = Sim::boot(image, conditions.sim.clone());
    sim.faults().lie_about_syncs(conditions.lie);
    let history = Arc::new(Mutex::new(history));
    let points = Arc::new(Mutex::new(Vec::new()));
    if conditions.collect {
        let (seen, collected) = (history.clone(), points.clone());
        sim.on_crash_point(move |point| {
            let history = lock(&seen).clone();
            let (kind, image) = (point.kind, point.image);
            lock(&collected).push(Point {
                kind,
                image,
                history,
            });
        });
    }
    let options = conditions.options.clone();
    let run = P::run(
        sim.io(),
        Path::new(DIR).into(),
        history.clone(),
        ops.to_vec(),
        options,
    );
    let result = match sim.block_on(run) {
        Ok(result) => result,
        Err(stopped) => violation(0, stopped.to_string()),
    };
    let tape = sim.tape();
    let image = sim.image();
    let mut points = std::mem::take(&mut *lock(&points));
    if conditions.collect {
        let history = lock(&history).clone();
        points.push(Point {
            kind: CrashKind::Mark("the end".into()),
            image,
            history,
        });
    }
    Life {
        points,
        tape,
        result,
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A journal of this machine.
pub(crate) struct JournalProgram<S>(PhantomData<S>);

impl<S: Subject> Program for JournalProgram<S> {
    type Op = Op;

    async fn run<I: Stage>(
        io: I,
        dir: Arc<Path>,
        history: Arc<Mutex<History>>,
        ops: Vec<Op>,
        options: Options,
    ) -> Result<(), Violation> {
        let mut driver = Driver::<S, I>::open(io, dir, history, options).await?;
        for op in ops {
            driver = driver.perform(op).await?;
        }
        Ok(())
    }

    fn random_op(random: &mut Random) -> Op {
        random_journal_op(random)
    }
}

/// An open journal and its history.
pub(crate) struct Driver<S: Subject, I: Stage> {
    pub(crate) io: I,
    dir: Arc<Path>,
    history: Arc<Mutex<History>>,
    options: Options,
    pub(crate) journal: Journal<S, I>,
}

impl<S: Subject, I: Stage> Clone for Driver<S, I> {
    fn clone(&self) -> Self {
        Driver {
            io: self.io.clone(),
            dir: self.dir.clone(),
            history: self.history.clone(),
            options: self.options.clone(),
            journal: self.journal.clone(),
        }
    }
}

impl<S: Subject, I: Stage> Driver<S, I> {
    pub(crate) async fn open(
        io: I,
        dir: Arc<Path>,
        history: Arc<Mutex<History>>,
        options: Options,
    ) -> Result<Self, Violation> {
        let opened = Journal::<S, I>::open(io.clone(), &dir, options.clone()).await;
        let journal = oracles::crash_never_keeps_it_from_opening(opened)?;
        let shown = shown(&journal);
        lock(&history).reopen::<S>(&shown)?;
        io.promised("opened");
        Ok(Driver {
            io,
            dir,
            history,
            options,
            journal,
        })
    }

    async fn perform(self, op: Op) -> Result<Self, Violation> {
        match op {
            Op::Append(size) => self.append(vec![size]).await?,
            Op::Batch(small, size) => {
                let mut sizes = vec![3; small];
                sizes.push(size);
                self.append(sizes).await?;
            }
            Op::Together(several, size) => self.together(several, size).await?,
            Op::Abandon(size) => {
                let (_, edits) = self.issue(&[size]);
                for edit in edits {
                    drop(self.journal.append(edit));
                }
            }
            Op::Cancel(size) => {
                let (_, edits) = self.issue(&[size]);
                for edit in edits {
                    let mut append = self.journal.append(edit);
                    let _ = futures::poll!(&mut append);
                }
            }
            Op::Snapshot => {
                let applied = self.journal.status().applied;
                match self.journal.snapshot().await {
                    Ok(seq) if seq >= applied => self.io.promised("snapshot"),
                    other => return violation(13, format!("a snapshot of {applied}: {other:?}")),
                }
            }
            Op::SnapshotBeside => drop(self.journal.snapshot()),
            Op::Reopen => return self.reopen().await,
            Op::Audit => return self.audit().await,
        }
        Ok(self)
    }

    /// Edits of these sizes, noted as issued together.
    fn issue(&self, sizes: &[usize]) -> (u64, Vec<S::Edit>) {
        let mut history = lock(&self.history);
        let edits: Vec<S::Edit> = sizes
            .iter()
            .map(|size| S::edit(history.next_id(), *size))
            .collect();
        let encoded: Vec<_> = edits
            .iter()
            .map(|e| laws::encode::<S>(e).unwrap())
            .collect();
        (history.issue(encoded), edits)
    }

    /// Appends one edit, or several as a batch, and waits.
    async fn append(&self, sizes: Vec<usize>) -> Result<(), Violation> {
        let (group, mut edits) = self.issue(&sizes);
        let (first, outputs) = match edits.len() {
            1 => {
                let edit = edits.remove(0);
                let answer = self.journal.append(edit).with_seq().await;
                answer.map(|(seq, output)| (seq, vec![output]))
            }
            _ => self.journal.append_batch(edits).with_seq().await,
        }
        .or_else(|error| violation(13, format!("nothing was wrong, and an append: {error}")))?;
        lock(&self.history).acknowledge(group, first.get(), true)?;
        self.io.promised("acknowledged");
        let expected: Vec<u64> = (first.get()..).take(outputs.len()).collect();
        if outputs != expected {
            return violation(
                5,
                format!("apply answered {outputs:?} to edits {expected:?}"),
            );
        }
        Ok(())
    }

    async fn together(&self, several: usize, size: usize) -> Result<(), Violation> {
        let tasks: Vec<_> = (0..several)
            .map(|_| {
                let (done, waiting) = oneshot::channel();
                let task = self.clone();
                self.io.spawn(async move {
                    let result = async {
                        task.append(vec![size]).await?;
                        task.append(vec![3]).await
                    };
                    let _ = done.send(result.await);
                });
                waiting
            })
            .collect();
        for answer in futures::future::join_all(tasks).await {
            answer.unwrap_or_else(|_| violation(0, "a task was lost"))?;
        }
        Ok(())
    }

    pub(crate) async fn close(&self) -> Result<(), Violation> {
        let closed = self.journal.close().await;
        closed.or_else(|error| violation(13, format!("nothing was wrong, and close: {error}")))?;
        let mut history = lock(&self.history);
        history.acknowledge_all();
        history.closed = true;
        drop(history);
        self.io.promised("closed");
        Ok(())
    }

    async fn reopen(self) -> Result<Self, Violation> {
        self.close().await?;
        Driver::open(self.io, self.dir, self.history, self.options).await
    }

    /// Oracles 1, 7 and 8, for which everything has to be read once more.
    async fn audit(self) -> Result<Self, Violation> {
        self.close().await?;
        let (io, dir) = (self.io.clone(), self.dir.clone());
        let before = files(&io, &dir).await;
        let history = lock(&self.history).clone();
        read_all::<S, I>(&io, &dir, &history).await?;
        let mut options = self.options.clone();
        options.snapshots = quipu_journal::SnapshotPolicy::never();
        let again = Driver::<S, I>::open(io.clone(), dir.clone(), self.history.clone(), options);
        again.await?.close().await?;
        oracles::open_and_close_change_nothing(&before, &files(&io, &dir).await)?;
        Driver::open(self.io, self.dir, self.history, self.options).await
    }
}

/// What this journal showed when it was opened.
pub(crate) fn shown<S: Subject, I: Io>(journal: &Journal<S, I>) -> Shown {
    let recovered = journal.recovered();
    Shown {
        last: recovered.last_seq.get(),
        state: Some(journal.read(oracles::state::<S>)),
        snapshot: recovered.snapshot.map(|snapshot| snapshot.seq.get()),
        ..Shown::default()
    }
}

/// Reads every edit of a closed journal, and goes back in time.
async fn read_all<S: Subject, I: Io>(
    io: &I,
    dir: &Path,
    history: &History,
) -> Result<(), Violation> {
    let mut reader = Reader::<S, I>::open(io.clone(), dir).await.or_else(wrong)?;
    let mut edits = Vec::new();
    let mut first = None;
    while let Some((seq, edit)) = reader.next().await.or_else(wrong)? {
        first.get_or_insert(seq.get());
        edits.push(laws::encode::<S>(&edit).unwrap());
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
        let mut reader = Reader::<S, I>::open(io.clone(), dir).await.or_else(wrong)?;
        let machine = match reader.replay_to(Seq::new(seq)).await {
            Err(Error::NotRetained { .. }) if seq < last => continue,
            other => other.or_else(wrong)?,
        };
        oracles::replays_are_equal(&oracles::fold::<S>(history, seq), &oracles::state(&machine))?;
    }
    Ok(())
}

fn wrong<T>(error: Error) -> Result<T, Violation> {
    violation(12, format!("a reader: {error}"))
}

/// All files of a directory, with their bytes.
pub(crate) async fn files<I: Io>(io: &I, dir: &Path) -> BTreeMap<String, bytes::Bytes> {
    let mut files = BTreeMap::new();
    for entry in io.read_dir(dir).await.unwrap() {
        if entry.kind == EntryKind::File {
            let path = dir.join(&entry.name);
            let file = io.open(&path, OpenOptions::ReadOnly).await.unwrap();
            let size = file.size().await.unwrap() as usize;
            let content = file.read_at(0, size).await.unwrap();
            files.insert(entry.name.to_string_lossy().into_owned(), content);
        }
    }
    files
}
