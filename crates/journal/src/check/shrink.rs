//! [`Shrinking`]: from a run that fails to a small one that fails in the same way.
//!
//! 0 is the mildest choice everywhere, so less is simpler: chunks are deleted, zeroed and made
//! smaller, while the same oracle fails. What is kept is what the run really decided. (The idea is
//! that of Hypothesis: shrink the choices, not what was made of them.) The choices of each purpose
//! are a lane of their own, so that a fault can go without another operation taking its place.

use quipu_io::sim::{Lanes, Purpose, Tape};

use super::case::Case;
use super::program::Program;
use super::violation::Oracle;

pub(super) struct Shrinking<'a, P: Program> {
    case: &'a Case<P>,
    oracle: Oracle,
    /// The simplest choices that fail, as far as is known.
    pub(super) choices: Lanes,
    /// Runs until now.
    pub(super) executions: u64,
    most: u64,
}

impl<'a, P: Program> Shrinking<'a, P> {
    pub(super) fn new(
        case: &'a Case<P>,
        choices: Lanes,
        oracle: Oracle,
        most: u64,
    ) -> Shrinking<'a, P> {
        Shrinking {
            case,
            oracle,
            choices,
            executions: 0,
            most,
        }
    }

    /// Shrinks until nothing helps any more, or the runs are used up.
    pub(super) fn run(&mut self) {
        while self.executions < self.most {
            let before = self.choices.clone();
            for purpose in before.purposes() {
                // Mostly one purpose is not needed at all.
                self.attempt(self.choices.with(purpose, Vec::new()));
            }
            for purpose in before.purposes() {
                self.delete_chunks(purpose);
                self.zero_chunks(purpose);
                self.lower(purpose);
                self.lower_and_delete(purpose);
            }
            self.delete_lives();
            if self.choices == before {
                return;
            }
        }
    }

    /// Whole operations go, and whole lives.
    fn delete_chunks(&mut self, purpose: Purpose) {
        let mut len = self.lane(purpose).len().div_ceil(2);
        while len > 0 {
            let mut end = self.lane(purpose).len();
            while end >= len && end > 0 {
                let mut lane = self.lane(purpose);
                lane.drain(end - len..end);
                if self.attempt_lane(purpose, lane) {
                    end = end.min(self.lane(purpose).len());
                } else {
                    end -= 1;
                }
            }
            len = match len {
                0..=8 => len - 1,
                _ => len / 2,
            };
        }
    }

    fn zero_chunks(&mut self, purpose: Purpose) {
        let mut len = 8;
        while len > 0 {
            let mut start = 0;
            while start < self.lane(purpose).len() {
                let mut lane = self.lane(purpose);
                let end = (start + len).min(lane.len());
                lane[start..end].fill(0);
                self.attempt_lane(purpose, lane);
                start += len;
            }
            len /= 2;
        }
    }

    /// Each choice by itself, as low as it goes.
    fn lower(&mut self, purpose: Purpose) {
        let mut at = 0;
        while at < self.lane(purpose).len() {
            let mut low = 0;
            while let Some(high) = self.lane(purpose).get(at).copied().filter(|h| low < *h) {
                let middle = low + (high - low) / 2;
                let mut lane = self.lane(purpose);
                lane[at] = middle;
                if !self.attempt_lane(purpose, lane) {
                    low = middle + 1;
                }
            }
            at += 1;
        }
    }

    /// A choice goes together with those behind it that it has called for.
    fn lower_and_delete(&mut self, purpose: Purpose) {
        const REACH: usize = 12;
        let mut at = 0;
        while at < self.lane(purpose).len() {
            let lane = self.lane(purpose);
            if lane[at] > 0 {
                for reach in 1..=REACH.min(lane.len() - at - 1) {
                    let mut shorter = lane.clone();
                    shorter[at] = 0;
                    shorter.drain(at + 1..=at + reach);
                    if self.attempt_lane(purpose, shorter) {
                        break;
                    }
                }
            }
            at += 1;
        }
    }

    /// A crash goes together with what has survived it, and with what the life before it did.
    fn delete_lives(&mut self) {
        let crashes = self.lane(Purpose::Crash);
        for at in (0..crashes.len()).filter(|at| crashes[*at] > 0).rev() {
            for from in (0..=at).rev() {
                let mut fewer = self.lane(Purpose::Crash);
                if at >= fewer.len() {
                    break;
                }
                fewer.drain(from..=at);
                let fewer = self.choices.with(Purpose::Crash, fewer);
                self.attempt_without_some(&fewer, Purpose::Survival);
                self.attempt_without_some(&fewer, Purpose::Workload);
            }
        }
    }

    /// Tries these choices without a few in a row of one purpose, wherever they are.
    fn attempt_without_some(&mut self, choices: &Lanes, purpose: Purpose) {
        const MOST: usize = 4;
        let lane = choices.lane(purpose);
        for len in 0..=MOST.min(lane.len()) {
            for start in 0..=lane.len() - len {
                let mut shorter = lane.to_vec();
                shorter.drain(start..start + len);
                if self.attempt(choices.with(purpose, shorter)) {
                    return;
                }
                if len == 0 {
                    break;
                }
            }
        }
    }

    fn lane(&self, purpose: Purpose) -> Vec<u32> {
        self.choices.lane(purpose).to_vec()
    }

    fn attempt_lane(&mut self, purpose: Purpose, lane: Vec<u32>) -> bool {
        self.attempt(self.choices.with(purpose, lane))
    }

    /// Keeps these choices if they are simpler and fail in the same way.
    fn attempt(&mut self, choices: Lanes) -> bool {
        if self.executions >= self.most || !is_simpler(&choices, &self.choices) {
            return false;
        }
        self.executions += 1;
        let ended = self.case.run(Tape::repeat(choices));
        let made = ended.tape.lanes();
        let fails = ended.verdict.is_err_and(|v| v.oracle == self.oracle);
        let is_simpler = is_simpler(&made, &self.choices);
        if fails && is_simpler {
            self.choices = made;
        }
        fails && is_simpler
    }
}

/// Fewer choices, or as many and smaller at the first difference.
fn is_simpler(left: &Lanes, right: &Lanes) -> bool {
    (left.len(), left) < (right.len(), right)
}
