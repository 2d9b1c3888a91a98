//! [`LogProgram`]: the log layer as a program under test: payloads, `Os` appends, rotation,
//! truncation.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use quipu_io::sim::IoCounts;

use super::answers::Answers;
use super::history::History;
use super::journal::{DIR, PAGE, SECTOR, SMALL};
use super::notes::Notes;
use super::oracles::{self, Shown};
use super::program::{Life, Program, Stage, lock};
use super::settings;
use super::violation::Verdict;
use crate::log::{Durability, Log};
use crate::{Options, Result, Seq};

/// What a log is asked to do. Sizes are bytes of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOp {
    /// Append, and wait for the answer.
    Append(usize, Durability),
    /// Append and drop the future.
    Abandon(usize, Durability),
    /// Make everything durable.
    Sync,
    /// Begin a new segment.
    Rotate,
    /// Truncate what is older than so many of the durable edits.
    Truncate(u64),
    /// Begin a new segment and truncate all before it, as a store does that has flushed.
    Checkpoint,
    /// Close and open again.
    Reopen,
}

/// A log.
#[derive(Clone, Debug)]
pub struct LogProgram {
    /// Where it is.
    pub dir: PathBuf,
    /// The log's options.
    pub options: Options,
}

impl LogProgram {
    /// With the mildest settings.
    pub fn new() -> LogProgram {
        LogProgram {
            dir: DIR.into(),
            options: settings::plain(),
        }
    }

    /// With these options instead.
    #[must_use]
    pub fn with(mut self, options: Options) -> LogProgram {
        self.options = options;
        self
    }
}

impl Default for LogProgram {
    fn default() -> Self {
        LogProgram::new()
    }
}

impl Program for LogProgram {
    type Op = LogOp;
    type History = History;

    fn name(&self) -> &'static str {
        "log"
    }

    fn variants(&self) -> Vec<Self> {
        vec![self.clone(), self.clone().with(settings::syncing_behind())]
    }

    fn alphabet(&self, large: usize) -> Vec<LogOp> {
        vec![
            LogOp::Append(SMALL, Durability::Disk),
            LogOp::Append(SMALL, Durability::Os),
            LogOp::Append(large, Durability::Disk),
            LogOp::Append(large, Durability::Os),
            LogOp::Abandon(SMALL, Durability::Disk),
            LogOp::Sync,
            LogOp::Rotate,
            LogOp::Checkpoint,
            LogOp::Truncate(1),
            LogOp::Reopen,
        ]
    }

    fn drawn(&self, choose: &mut dyn FnMut(u32) -> u32) -> Self {
        self.clone().with(settings::drawn(choose))
    }

    fn draw(&self, choose: &mut dyn FnMut(u32) -> u32) -> LogOp {
        let kind = choose(12);
        let payload = |choose: &mut dyn FnMut(u32) -> u32| {
            let size = [SMALL, SMALL, SECTOR, PAGE][choose(4) as usize];
            (size, [Durability::Disk, Durability::Os][choose(2) as usize])
        };
        match kind {
            0..5 => {
                let (size, durability) = payload(choose);
                LogOp::Append(size, durability)
            }
            5 => {
                let (size, durability) = payload(choose);
                LogOp::Abandon(size, durability)
            }
            6 => LogOp::Sync,
            7 | 8 => LogOp::Rotate,
            9 | 10 => LogOp::Truncate(u64::from(choose(4))),
            _ => LogOp::Reopen,
        }
    }

    fn damaged(history: &mut History) {
        history.is_damaged = true;
    }

    fn judge_io(&self, counts: &IoCounts, bytes_on_disk: u64) -> Verdict {
        oracles::recovery_is_bounded(counts, bytes_on_disk)
    }

    async fn live<I: Stage>(&self, io: I, mut life: Life<Self>) -> Verdict {
        let answers = Answers::new(life.is_faulty, life.history.clone());
        let opened = Driver::open(io.clone(), answers, self.clone()).await?;
        let Some(mut driver) = opened else {
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

/// An open log and its history.
struct Driver<I: Stage> {
    io: I,
    history: Arc<Mutex<History>>,
    answers: Answers,
    program: LogProgram,
    log: Log<I>,
}

impl<I: Stage> Driver<I> {
    /// `None` if it does not open, for a reason that is the disk's.
    async fn open(io: I, answers: Answers, program: LogProgram) -> Verdict<Option<Self>> {
        let Some((log, shown)) = answers.of_open(open(&io, &program).await)? else {
            return Ok(None);
        };
        let history = answers.history.clone();
        {
            let mut history = lock(&history);
            // A log without edits does not say where its floor is.
            let before = history.floor;
            history.reopen::<Notes>(&shown)?;
            if shown.floor == shown.last {
                history.floor = before;
            }
        }
        io.promised("opened").await;
        Ok(Some(Driver {
            io,
            history,
            answers,
            program,
            log,
        }))
    }

    /// `None` when the log has stopped.
    async fn perform(self, op: LogOp) -> Verdict<Option<Self>> {
        match op {
            LogOp::Abandon(size, durability) if !self.answers.is_faulty() => {
                let (_, payload) = self.issue(size);
                drop(self.log.append(payload, durability));
            }
            LogOp::Append(size, durability) | LogOp::Abandon(size, durability) => {
                let (group, payload) = self.issue(size);
                let answer = self.log.append(payload, durability).await;
                let durable = durability == Durability::Disk;
                if self.answers.of_append(group, answer, durable)? && durable {
                    self.io.promised("acknowledged").await;
                }
            }
            LogOp::Sync => self.all_is_durable("synced", self.log.sync().await).await?,
            LogOp::Rotate => {
                self.all_is_durable("rotated", self.log.rotate().await)
                    .await?;
            }
            LogOp::Truncate(back) => self.truncate(back).await?,
            LogOp::Checkpoint => {
                let rotated = self.log.rotate().await;
                self.all_is_durable("rotated", rotated).await?;
                self.truncate(0).await?;
            }
            LogOp::Reopen => {
                let closed = self.log.close().await;
                if !self.answers.of_close(closed)? {
                    return Ok(None);
                }
                self.all_is_durable("closed", Ok(())).await?;
                return Driver::open(self.io, self.answers, self.program).await;
            }
        }
        Ok((!self.answers.has_stopped()).then_some(self))
    }

    fn issue(&self, size: usize) -> (u64, Vec<u8>) {
        let mut history = lock(&self.history);
        let mut payload = history.next_id().to_le_bytes().to_vec();
        payload.resize(payload.len() + size, payload[0] | 1);
        (history.issue([payload.clone()]), payload)
    }

    async fn truncate(&self, back: u64) -> Verdict {
        let synced = self.log.positions().synced.get();
        let floor = Seq::new(synced.saturating_sub(back));
        let truncated = self.log.truncate_front(floor).await;
        if self.answers.of_call(truncated)? {
            self.io.promised("truncated").await;
        }
        Ok(())
    }

    /// Nobody appends beside this task, so what is promised holds for all that was issued.
    async fn all_is_durable<T>(&self, what: &str, answer: Result<T>) -> Verdict {
        if self.answers.of_call(answer)? {
            lock(&self.history).acknowledge_all();
            self.io.promised(what).await;
        }
        Ok(())
    }
}

/// Opens the log and reads all of it.
async fn open<I: Stage>(io: &I, program: &LogProgram) -> Result<(Log<I>, Shown)> {
    let options = program.options.log.clone();
    let mut opening = Log::open(io.clone(), &program.dir, "log", options).await?;
    let mut edits = Vec::new();
    let mut first = None;
    while let Some((seq, payload)) = opening.next().await? {
        first.get_or_insert(seq.get());
        edits.push(payload.to_vec());
    }
    let log = opening.finish().await?;
    let last = log.recovered().last_seq.get();
    let shown = Shown {
        last,
        floor: first.map_or(last, |first| first - 1),
        edits: Some(edits),
        ..Shown::default()
    };
    Ok((log, shown))
}
