//! [`Program`]: what is crashed and checked, and the stage it runs on.
//!
//! A program is asked for one lifetime at a time: open what is on the disk, hold what is shown
//! against the history, do some operations, and note in the history what was issued and promised.
//! The explorer knows nothing else, so that a manifest or a store is checked by writing another one.

use std::fmt;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quipu_io::sim::{IoCounts, Purpose, SimIo};
use quipu_io::{DiskIo, Io, Runtime};

use super::violation::Verdict;

/// A program under test, with its settings.
pub trait Program: Clone + fmt::Debug + Send + Sync + 'static {
    /// What it can be asked to do.
    type Op: Clone + fmt::Debug + Send + Sync + 'static;

    /// What was issued, promised and shown until now, for the oracles.
    type History: Clone + Default + Send + 'static;

    /// The name of this workload on the command line and in lines that replay a run.
    fn name(&self) -> &'static str;

    /// The settings of the exhaustive tier, each of which it goes through; the mildest first.
    fn variants(&self) -> Vec<Self>;

    /// The operations of the exhaustive tier, of all sequences of which it goes through. Large edits
    /// are made of so many bytes.
    fn alphabet(&self, large: usize) -> Vec<Self::Op>;

    /// Settings of the sampled tier. `choose(n)` gives a number below `n`; 0 is to be the mildest.
    fn drawn(&self, choose: &mut dyn FnMut(u32) -> u32) -> Self;

    /// An operation of the sampled tier; what all zeros give is to be the mildest.
    fn draw(&self, choose: &mut dyn FnMut(u32) -> u32) -> Self::Op;

    /// Notes that the disk itself has done damage: what was promised may be gone, or an open may
    /// say that it is, but nothing wrong may be shown.
    fn damaged(history: &mut Self::History);

    /// Whether a life that did nothing but look has asked no more of the disk than it may, given how
    /// many bytes there are.
    fn judge_io(&self, _counts: &IoCounts, _bytes_on_disk: u64) -> Verdict {
        Ok(())
    }

    /// One lifetime on a disk that holds whatever the last one has left.
    ///
    /// To be deterministic, it takes tasks, time and randomness from `io` only.
    fn live<I: Stage>(&self, io: I, life: Life<Self>) -> impl Future<Output = Verdict> + Send;
}

/// A backend that is told when something was promised, for a crash could matter there.
pub trait Stage: Io + Runtime {
    /// Something has just been promised. Never returns if the machine crashes here.
    fn promised(&self, what: &str) -> impl Future<Output = ()> + Send;

    /// A number below `radix` that decides what the program is asked to do next.
    fn choose(&self, radix: u32) -> u32;
}

impl Stage for SimIo {
    async fn promised(&self, what: &str) {
        self.mark(what);
        if self.has_stopped() {
            pending().await
        }
    }

    fn choose(&self, radix: u32) -> u32 {
        SimIo::choose(self, Purpose::Workload, radix)
    }
}

/// A real disk does not crash on demand: here a program can only be compared with its simulation.
impl Stage for DiskIo {
    async fn promised(&self, _what: &str) {}

    fn choose(&self, _radix: u32) -> u32 {
        0
    }
}

/// One lifetime of a program.
#[derive(Debug)]
pub struct Life<P: Program> {
    /// What has happened until now. It is kept as it is at the moment of the crash.
    pub history: Arc<Mutex<P::History>>,
    /// Whether operations may fail for reasons that are not the program's.
    pub is_faulty: bool,
    /// What it is asked to do.
    pub script: Script<P::Op>,
    /// What it was asked to do, in words.
    pub(crate) told: Option<Arc<Mutex<Vec<String>>>>,
}

/// Where the operations of a life come from.
#[derive(Clone, Debug)]
pub enum Script<O> {
    /// These.
    Given(Vec<O>),
    /// Every sequence over the alphabet of at most so many.
    Counted {
        /// How many are left.
        left: u32,
        /// Bytes that a large edit is made of.
        large: usize,
    },
    /// At most so many, drawn one by one.
    Drawn(u32),
}

impl<P: Program> Life<P> {
    /// A life of these operations that begins with this history.
    pub fn new(history: P::History, ops: &[P::Op]) -> Life<P> {
        Life {
            history: Arc::new(Mutex::new(history)),
            is_faulty: false,
            script: Script::Given(ops.to_vec()),
            told: None,
        }
    }

    /// The next operation, if there is one.
    pub fn next_op(&mut self, program: &P, io: &impl Stage) -> Option<P::Op> {
        let op = match &mut self.script {
            Script::Given(ops) if ops.is_empty() => None,
            Script::Given(ops) => Some(ops.remove(0)),
            Script::Counted { left: 0, .. } | Script::Drawn(0) => None,
            Script::Counted { left, large } => {
                *left -= 1;
                let alphabet = program.alphabet(*large);
                let chosen = io.choose(alphabet.len() as u32 + 1) as usize;
                chosen.checked_sub(1).map(|index| alphabet[index].clone())
            }
            Script::Drawn(left) => {
                *left -= 1;
                // Four more of five, so that a sequence of half the greatest length is common.
                match io.choose(5) {
                    0 => None,
                    _ => Some(program.draw(&mut |radix| io.choose(radix))),
                }
            }
        };
        if op.is_none() {
            self.script = Script::Drawn(0);
        }
        if let (Some(told), Some(op)) = (&self.told, &op) {
            lock(told).push(format!("{op:?}"));
        }
        op
    }

    /// The history, to read or to add to.
    pub fn history(&self) -> MutexGuard<'_, P::History> {
        lock(&self.history)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
