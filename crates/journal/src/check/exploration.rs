//! [`Exploration`]: run after run, until all are done or one fails.

use std::ops::Range;

use quipu_io::sim::{Digit, Profile, Purpose, Tape};

use super::case::{Case, Checkpoint, Fired};
use super::failure::Finding;
use super::program::Program;
use super::violation::DETERMINISM;

/// One in so many runs is run twice, and has to do the same.
const TWICE: u64 = 64;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Sequences of operations that were run to their end.
    pub traces: u64,
    /// Crashes of which every legal outcome that recovery can tell apart was run.
    pub crashes: u64,
    /// Legal states that the disks could have been in after those crashes.
    pub states: f64,
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
    fired: Fired,
}

enum Source<P: Program> {
    /// Counts a tape up.
    Counting {
        next: Option<Tape>,
        /// Where the run before crashed or could have crashed, in order.
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
            fired: Fired::new(),
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
            fired: Fired::new(),
        }
    }

    /// What was looked at until now.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How often each kind of fault has struck until now.
    pub fn fired(&self) -> &Fired {
        &self.fired
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
        let begun = tape.digits().len();
        let from = crashes.iter().rfind(|crash| crash.digits == begun).cloned();
        // Those behind it are met again.
        crashes.retain(|crash| crash.digits <= begun);
        self.tally.executions += 1;
        let again = self
            .tally
            .executions
            .is_multiple_of(TWICE)
            .then(|| (tape.clone(), from.clone()));
        let mut ended = self.case.resume(tape, from, crashes);
        if let Some((tape, from)) = again {
            let second = self.case.resume(tape, from, &mut Vec::new());
            if second.hash != ended.hash && ended.verdict.is_ok() {
                ended.verdict = DETERMINISM.broken("a run gave another when it was repeated");
            }
        }
        if let Err(violation) = ended.verdict {
            let finding = Finding::new(&self.case, &ended.tape, violation);
            return Some(Err(Box::new(finding)));
        }
        *done = fraction(&ended.tape);
        if !ended.tape.digits().iter().any(is_crash) {
            self.tally.traces += 1;
        }
        let Some(mut tape) = ended.tape.successor() else {
            return Some(Ok(()));
        };
        let made = ended.tape.digits();
        let counts_up = |digit: &Digit| digit.value + 1 < digit.radix;
        let shared = made.iter().rposition(counts_up).map_or(0, |last| last + 1);
        let mut digits = made[..shared].to_vec();
        if let Some(changed) = digits.last_mut() {
            changed.value += 1;
        }
        crashes.retain(|crash| crash.digits <= shared);
        if let (Some(changed), Some(crash)) = (digits.last(), crashes.last())
            && is_crash(changed)
        {
            self.tally.crashes += 1;
            self.tally.states += crash.image.legal_states(Profile::Posix);
        }
        let last = crashes
            .iter()
            .rfind(|crash| is_crash(&digits[crash.digits - 1]));
        if let Some(last) = last {
            tape.skip(&digits[..last.digits]);
        }
        *next = Some(tape);
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
        for (fault, count) in &ended.fired {
            *self.fired.entry(*fault).or_insert(0) += count;
        }
        let verdict = ended.verdict.and_then(|()| {
            if seed.is_multiple_of(TWICE) && self.case.run(Tape::seeded(seed)).hash != ended.hash {
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

fn is_crash(digit: &Digit) -> bool {
    digit.purpose == Purpose::Crash && digit.value > 0
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::{Bounds, JournalProgram, Notes, Plan};

    /// Taking runs up at crashes leaves none out and adds none.
    #[test]
    fn taken_up_or_from_the_start_the_runs_are_the_same() {
        let bounds = Bounds {
            ops: 1,
            crashes: 2,
            after: 1,
            ..Bounds::default()
        };
        let case = Case {
            program: JournalProgram::<Notes>::new(Notes::edit),
            plan: Plan::Counted(bounds),
        };
        let mut from_start = BTreeSet::new();
        let mut next = Some(Tape::zeros());
        while let Some(tape) = next {
            let ended = case.run(tape);
            next = ended.tape.successor();
            from_start.insert(format!("{:?}", ended.tape));
        }
        let mut runs = Exploration::counting(case);
        for run in runs.by_ref() {
            run.unwrap();
        }
        assert_eq!(runs.tally().executions, from_start.len() as u64);
    }
}
