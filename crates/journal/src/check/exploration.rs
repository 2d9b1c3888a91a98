//! [`Exploration`]: run after run, until all are done or one fails.

use std::ops::Range;

use quipu_io::sim::Tape;

use super::case::{Case, Checkpoint};
use super::failure::Finding;
use super::program::Program;
use super::violation::DETERMINISM;

/// One in so many sampled runs is run twice, and has to do the same.
const TWICE: u64 = 64;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Sequences of operations that were run to their end.
    pub traces: u64,
    /// Crashes of which every legal outcome that recovery can tell apart was run.
    pub crashes: u64,
    /// Runs: from a crash, or from the start, to the end.
    pub executions: u64,
}

/// Runs of a program, one at a time.
///
/// It is an iterator, so the caller decides how long it goes on, and what is shown meanwhile. Each
/// item is one run; the first failure is the last item.
#[derive(Debug)]
pub struct Exploration<P: Program> {
    case: Case<P>,
    source: Source<P>,
    tally: Tally,
}

enum Source<P: Program> {
    /// Counts a tape up.
    Counting {
        next: Option<Tape>,
        crashes: Vec<Checkpoint<P>>,
        /// How much is done, of 1.
        done: f64,
    },
    /// Goes through seeds.
    Seeds {
        all: Range<u64>,
        next: u64,
    },
    Over,
}

impl<P: Program> Exploration<P> {
    pub(super) fn counting(case: Case<P>) -> Exploration<P> {
        Exploration {
            case,
            source: Source::Counting {
                next: Some(Tape::zeros()),
                crashes: Vec::new(),
                done: 0.0,
            },
            tally: Tally::default(),
        }
    }

    pub(super) fn sampling(case: Case<P>, seeds: Range<u64>) -> Exploration<P> {
        Exploration {
            case,
            source: Source::Seeds {
                next: seeds.start,
                all: seeds,
            },
            tally: Tally::default(),
        }
    }

    /// What was looked at until now.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How much is done, of 1.
    pub fn progress(&self) -> f64 {
        match &self.source {
            Source::Counting { done, .. } => *done,
            Source::Seeds { all, next } => {
                (next - all.start) as f64 / (all.end - all.start).max(1) as f64
            }
            Source::Over => 1.0,
        }
    }

    /// Runs all that is left.
    pub fn finish(mut self) -> Result<Tally, Box<Finding<P>>> {
        for run in &mut self {
            run?;
        }
        Ok(self.tally)
    }

    fn count(&mut self) -> Option<Result<(), Box<Finding<P>>>> {
        let Source::Counting {
            next,
            crashes,
            done,
        } = &mut self.source
        else {
            return None;
        };
        let Some(tape) = next.take() else {
            self.source = Source::Over;
            return None;
        };
        let known = crashes.len();
        let ended = self.case.resume(tape, crashes);
        self.tally.executions += 1;
        self.tally.traces += u64::from(crashes.is_empty());
        self.tally.crashes += (crashes.len() - known) as u64;
        if let Err(violation) = ended.verdict {
            let finding = Finding::new(&self.case, &ended.tape, violation);
            return Some(Err(Box::new(finding)));
        }
        *done = fraction(&ended.tape);
        let digits = ended.tape.digits();
        if let (Some(mut tape), Some(changed)) = (
            ended.tape.successor(),
            digits.iter().rposition(|d| d.value + 1 < d.radix),
        ) {
            while crashes.last().is_some_and(|crash| crash.digits > changed) {
                crashes.pop();
            }
            if let Some(crash) = crashes.last() {
                tape.skip(&digits[..crash.digits]);
            }
            *next = Some(tape);
        }
        Some(Ok(()))
    }

    fn sample(&mut self) -> Option<Result<(), Box<Finding<P>>>> {
        let Source::Seeds { all, next } = &mut self.source else {
            return None;
        };
        if *next >= all.end {
            self.source = Source::Over;
            return None;
        }
        let seed = *next;
        *next += 1;
        let ended = self.case.run(Tape::seeded(seed));
        self.tally.executions += 1;
        self.tally.traces += 1;
        let verdict = ended.verdict.and_then(|()| {
            if seed % TWICE == 0 && self.case.run(Tape::seeded(seed)).hash != ended.hash {
                return DETERMINISM.broken(format!("seed {seed} gave two different runs"));
            }
            Ok(())
        });
        Some(verdict.map_err(|violation| {
            let mut finding = Finding::new(&self.case, &ended.tape, violation);
            finding.seed = Some(seed);
            Box::new(finding)
        }))
    }
}

impl<P: Program> Iterator for Exploration<P> {
    type Item = Result<(), Box<Finding<P>>>;

    fn next(&mut self) -> Option<Self::Item> {
        let run = match &self.source {
            Source::Counting { .. } => self.count(),
            Source::Seeds { .. } => self.sample(),
            Source::Over => None,
        };
        if let Some(Err(_)) = run {
            self.source = Source::Over;
        }
        run
    }
}

/// Where a run stands among all that counting visits.
fn fraction(tape: &Tape) -> f64 {
    let (mut done, mut share) = (0.0, 1.0);
    for digit in tape.digits() {
        share /= f64::from(digit.radix);
        done += f64::from(digit.value) * share;
    }
    done
}

impl<P: Program> std::fmt::Debug for Source<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Counting { .. } => "counting",
            Source::Seeds { .. } => "seeds",
            Source::Over => "over",
        })
    }
}
