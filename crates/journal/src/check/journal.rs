//! [`JournalProgram`]: a journal of any machine, as a program under test.

use std::fmt;
use std::path::PathBuf;

use arbitrary::Unstructured;
use quipu_io::sim::IoCounts;

use super::driver::Driver;
use super::history::History;
use super::oracles;
use super::program::{Life, Program, Stage};
use super::settings;
use super::violation::Verdict;
use crate::{Options, Replayable};

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
