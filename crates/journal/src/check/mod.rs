//! Complete crash coverage for a state machine, in a test of a few lines.
//!
//! Every legal crash state of every short sequence of operations is explored, and long sequences are
//! sampled under random schedules and faults. A failure is shrunk and told, and one line replays it.
//!
//! ```
//! use quipu_journal::check;
//! # use quipu_journal::Replayable;
//! # #[derive(Default)]
//! # struct Counter(u64);
//! # impl Replayable for Counter {
//! #     type Edit = u64;
//! #     type Output = u64;
//! #     fn filename_prefix() -> &'static str { "counter" }
//! #     fn initial() -> Self { Counter(0) }
//! #     fn apply(&mut self, edit: u64) -> u64 { self.0 = self.0.wrapping_add(edit); self.0 }
//! #     fn snapshot(&self) -> u64 { self.0 }
//! # }
//!
//! // How an edit is made from arbitrary bytes.
//! let check = check::journal::<Counter>(|bytes| bytes.arbitrary());
//! check.exhaustive(2)?; // all sequences of up to 2 operations, all legal crash states
//! check.sampled(0..20)?; // long ones, drawn from seeds
//! # Ok::<(), Box<quipu_journal::check::Failure>>(())
//! ```
//!
//! # The nouns
//!
//! - A [`Program`] is what is crashed: here a journal ([`JournalProgram`]) or a log
//!   ([`LogProgram`]); whoever builds something larger on a journal writes another one.
//! - A *run* is some lives of it, one after the other, each ended by a crash. A [`Plan`] says what is
//!   given; all the rest (settings, operations, schedule, where it crashes, what survives) is decided
//!   by the digits of one tape, on which 0 is always the mildest choice.
//! - An [`Oracle`] is a rule that holds of every run. Those of the journal ([`oracles`]) compare what
//!   an open shows with the [`History`]: the fold of the issued edits is the reference, so that
//!   nobody has to write a checker.
//! - [`Answers`] holds what calls answer against it.
//! - An [`Exploration`] goes through runs. A [`Finding`] is one that broke an oracle; shrunk, it is a
//!   [`Failure`], whose [`Line`] replays it.
//!
//! # What is explored
//!
//! [`Check::exhaustive`] counts the tape up: each combination of choices is run that recovery can
//! tell apart. Nothing of a crash is decided before somebody looks, so what recovery does not read
//! costs nothing, and stays open for the next crash. [`Check::sampled`] draws the digits from seeds.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the disk is in memory, so what is on it can be counted; choices are few"
)]

mod answers;
mod case;
mod driver;
mod exploration;
mod failure;
mod hardship;
mod history;
#[cfg(quipu_planted)]
mod hunt;
mod journal;
mod log;
mod notes;
pub mod oracles;
mod plan;
#[cfg(quipu_planted)]
pub mod planted;
mod program;
pub mod settings;
mod shrink;
mod story;
pub mod tiers;
mod view;
mod violation;

use std::ops::Range;

use quipu_io::sim::Tape;

use case::Case;

pub use answers::Answers;
pub use case::Fired;
pub use exploration::{Exploration, Tally};
pub use failure::{Failure, Finding, Line};
pub use history::{Encoded, History, Issued};
#[cfg(quipu_planted)]
pub use hunt::Hunt;
pub use journal::{DIR, JournalProgram, MakeEdit, Op, PAGE, SECTOR, SMALL};
pub use log::{LogOp, LogProgram};
pub use notes::{Edit, Notes};
pub use plan::{Bounds, Drawn, Plan, Scene};
pub use program::{Life, Program, Script, Stage};
pub use story::{LifeStory, Story};
pub use view::{files, shown};
pub use violation::{DETERMINISM, NO_PANIC, Oracle, PROGRESS, Verdict, Violation};

use crate::Replayable;

/// Runs that [`Check`] spends on shrinking a failure.
pub const SHRINKING: u64 = 20_000;

/// A check of one program.
#[derive(Clone, Debug)]
pub struct Check<P> {
    program: P,
}

/// Checks a journal of this machine, given how to make an edit from bytes.
pub fn journal<S: Replayable>(edit: MakeEdit<S>) -> Check<JournalProgram<S>> {
    Check::of(JournalProgram::new(edit))
}

/// Checks a log.
pub fn log() -> Check<LogProgram> {
    Check::of(LogProgram::new())
}

impl<P: Program> Check<P> {
    /// Checks any program.
    pub fn of(program: P) -> Self {
        Check { program }
    }

    /// What is checked.
    pub fn program(&self) -> &P {
        &self.program
    }

    /// Goes through all sequences of at most so many operations and all legal crash states of each.
    pub fn exhaustive(&self, ops: u32) -> Result<Tally, Box<Failure>> {
        self.finish(Plan::Counted(Bounds {
            ops,
            ..Bounds::default()
        }))
    }

    /// Draws a run from each of the seeds.
    pub fn sampled(&self, seeds: Range<u64>) -> Result<Tally, Box<Failure>> {
        shrunk(self.sample(Drawn::default(), seeds).finish())
    }

    /// Goes through all runs of a plan that counts; a drawn plan gives its mildest run.
    pub fn finish(&self, plan: Plan<P::Op>) -> Result<Tally, Box<Failure>> {
        shrunk(self.explore(plan).finish())
    }

    /// All runs of a plan, one by one.
    pub fn explore(&self, plan: Plan<P::Op>) -> Exploration<P> {
        Exploration::counting(self.case(plan))
    }

    /// Runs drawn from seeds, one by one.
    pub fn sample(&self, drawn: Drawn, seeds: Range<u64>) -> Exploration<P> {
        Exploration::sampling(self.case(Plan::Drawn(drawn)), seeds)
    }

    /// Repeats one run. Fails with text if the line is not one of this program.
    pub fn replay(&self, line: &Line) -> Result<Result<Story, Box<Failure>>, String> {
        if line.workload != self.program.name() {
            let name = self.program.name();
            return Err(format!("{:?} is not the workload {name:?}", line.workload));
        }
        let case = self.case(line.plan.parse()?);
        let (ended, story) = case.tell(Tape::repeat(line.choices.clone()));
        Ok(match ended.verdict {
            Ok(()) => Ok(story),
            Err(violation) => {
                let finding = Finding::new(&case, &ended.tape, violation);
                Err(Box::new(finding.shrink(0)))
            }
        })
    }

    fn case(&self, plan: Plan<P::Op>) -> Case<P> {
        Case {
            program: self.program.clone(),
            plan,
        }
    }
}

fn shrunk<P: Program>(result: Result<Tally, Box<Finding<P>>>) -> Result<Tally, Box<Failure>> {
    result.map_err(|finding| Box::new(finding.shrink(SHRINKING)))
}
