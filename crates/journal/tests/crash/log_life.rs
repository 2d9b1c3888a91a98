//! The same for a log: payloads, `Os` appends, rotation and truncation.

use std::path::Path;
use std::sync::{Arc, Mutex};

use quipu_io::sim::Random;
use quipu_journal::log::{Durability, Log};
use quipu_journal::{Options, Seq};

use crate::history::History;
use crate::life::lock;
use crate::notes::Notes;
use crate::oracles::{self, Shown, Violation, violation};
use crate::workload::{LogOp, Program, Stage, random_log_op};

/// A log.
pub(crate) struct LogProgram;

impl Program for LogProgram {
    type Op = LogOp;

    async fn run<I: Stage>(
        io: I,
        dir: Arc<Path>,
        history: Arc<Mutex<History>>,
        ops: Vec<LogOp>,
        options: Options,
    ) -> Result<(), Violation> {
        let mut driver = LogDriver::open(io, dir, history, options).await?;
        for op in ops {
            driver = driver.perform(op).await?;
        }
        Ok(())
    }

    fn random_op(random: &mut Random) -> LogOp {
        random_log_op(random)
    }
}

struct LogDriver<I: Stage> {
    io: I,
    dir: Arc<Path>,
    history: Arc<Mutex<History>>,
    options: Options,
    log: Log<I>,
}

impl<I: Stage> LogDriver<I> {
    async fn open(
        io: I,
        dir: Arc<Path>,
        history: Arc<Mutex<History>>,
        options: Options,
    ) -> Result<Self, Violation> {
        let opened = Log::open(io.clone(), &dir, "log", options.log.clone()).await;
        let mut opening = oracles::crash_never_keeps_it_from_opening(opened)?;
        let mut edits = Vec::new();
        let mut first = None;
        while let Some((seq, payload)) =
            oracles::crash_never_keeps_it_from_opening(opening.next().await)?
        {
            first.get_or_insert(seq.get());
            edits.push(payload.to_vec());
        }
        let log = oracles::crash_never_keeps_it_from_opening(opening.finish().await)?;
        let last = log.recovered().last_seq.get();
        let shown = Shown {
            last,
            floor: first.map_or(last, |first| first - 1),
            edits: Some(edits),
            ..Shown::default()
        };
        {
            let mut history = lock(&history);
            // An empty log does not say where its floor is: only the edits count.
            let before = history.floor;
            history.reopen::<Notes>(&shown)?;
            if first.is_none() {
                history.floor = before;
            }
        }
        io.promised("opened");
        Ok(LogDriver {
            io,
            dir,
            history,
            options,
            log,
        })
    }

    async fn perform(self, op: LogOp) -> Result<Self, Violation> {
        match op {
            LogOp::Append(size, durability) => {
                let (group, payload) = self.issue(size);
                let seq = answer(self.log.append(payload, durability).await)?;
                let durable = durability == Durability::Disk;
                lock(&self.history).acknowledge(group, seq.get(), durable)?;
                self.io.promised("acknowledged");
            }
            LogOp::Abandon(size, durability) => {
                let (_, payload) = self.issue(size);
                drop(self.log.append(payload, durability));
            }
            LogOp::Sync => {
                answer(self.log.sync().await)?;
                self.all_is_durable("synced");
            }
            LogOp::Rotate => {
                answer(self.log.rotate().await)?;
                self.all_is_durable("rotated");
            }
            LogOp::Truncate(back) => {
                let synced = self.log.positions().synced.get();
                let floor = Seq::new(synced.saturating_sub(back));
                answer(self.log.truncate_front(floor).await)?;
                self.io.promised("truncated");
            }
            LogOp::Reopen => {
                answer(self.log.close().await)?;
                self.all_is_durable("closed");
                return LogDriver::open(self.io, self.dir, self.history, self.options).await;
            }
        }
        Ok(self)
    }

    fn issue(&self, size: usize) -> (u64, Vec<u8>) {
        let mut history = lock(&self.history);
        let mut payload = history.next_id().to_le_bytes().to_vec();
        payload.resize(payload.len() + size, payload[0] | 1);
        (history.issue([payload.clone()]), payload)
    }

    /// Nobody appends beside this task, so what was promised holds for all that was issued.
    fn all_is_durable(&self, what: &str) {
        lock(&self.history).acknowledge_all();
        self.io.promised(what);
    }
}

fn answer<T>(answer: quipu_journal::Result<T>) -> Result<T, Violation> {
    answer.or_else(|error| violation(13, format!("nothing was wrong, and a log: {error}")))
}
