//! [`Shrinking`]: from a tape that fails to a small one that fails in the same way.
//!
//! 0 is the mildest choice everywhere, so less is simpler: chunks are deleted, zeroed and made
//! smaller, while the same oracle fails. What is kept is what the run really decided. (The idea is
//! that of Hypothesis: shrink the choices, not what was made of them.)

use quipu_io::sim::Tape;

use super::case::Case;
use super::failure::values;
use super::program::Program;
use super::violation::Oracle;

pub(super) struct Shrinking<'a, P: Program> {
    case: &'a Case<P>,
    oracle: Oracle,
    /// The smallest tape that fails, as far as is known.
    pub(super) digits: Vec<u32>,
    /// Runs until now.
    pub(super) executions: u64,
    most: u64,
}

impl<'a, P: Program> Shrinking<'a, P> {
    pub(super) fn new(
        case: &'a Case<P>,
        digits: Vec<u32>,
        oracle: Oracle,
        most: u64,
    ) -> Shrinking<'a, P> {
        Shrinking {
            case,
            oracle,
            digits,
            executions: 0,
            most,
        }
    }

    /// Shrinks until nothing helps any more, or the runs are used up.
    pub(super) fn run(&mut self) {
        while self.executions < self.most {
            let before = self.digits.clone();
            self.delete_chunks();
            self.zero_chunks();
            self.lower_digits();
            self.lower_and_delete();
            if self.digits == before {
                return;
            }
        }
    }

    /// Whole operations and whole lives go.
    fn delete_chunks(&mut self) {
        let mut len = self.digits.len().div_ceil(2);
        while len > 0 {
            let mut end = self.digits.len();
            while end >= len && end > 0 {
                let mut shorter = self.digits.clone();
                shorter.drain(end - len..end);
                if self.try_digits(shorter) {
                    end = end.min(self.digits.len());
                } else {
                    end -= 1;
                }
            }
            len /= 2;
        }
    }

    fn zero_chunks(&mut self) {
        let mut len = 8;
        while len > 0 {
            for start in (0..self.digits.len()).step_by(len) {
                let end = (start + len).min(self.digits.len());
                let Some(chunk) = self.digits.get(start..end) else {
                    break;
                };
                if chunk.iter().any(|digit| *digit != 0) {
                    let mut milder = self.digits.clone();
                    milder[start..end].fill(0);
                    self.try_digits(milder);
                }
            }
            len /= 2;
        }
    }

    /// Each digit by itself, as low as it goes.
    fn lower_digits(&mut self) {
        let mut at = 0;
        while at < self.digits.len() {
            let (mut low, mut high) = (0, self.digits[at]);
            while low < high {
                let middle = low + (high - low) / 2;
                let mut lower = self.digits.clone();
                lower[at] = middle;
                if self.try_digits(lower) && self.digits.get(at).is_some_and(|d| *d <= middle) {
                    high = self.digits[at];
                } else {
                    low = middle + 1;
                }
                if at >= self.digits.len() {
                    return;
                }
            }
            at += 1;
        }
    }

    /// A decision goes together with those behind it that it has called for: a crash with its kind
    /// and with what survives it.
    fn lower_and_delete(&mut self) {
        const REACH: usize = 16;
        let mut at = 0;
        while at < self.digits.len() {
            if self.digits[at] > 0 {
                for reach in 1..=REACH.min(self.digits.len() - at - 1) {
                    let mut shorter = self.digits.clone();
                    shorter[at] = 0;
                    shorter.drain(at + 1..=at + reach);
                    if self.try_digits(shorter) {
                        break;
                    }
                }
            }
            at += 1;
        }
    }

    /// Keeps these digits if they are simpler and fail in the same way.
    fn try_digits(&mut self, digits: Vec<u32>) -> bool {
        if self.executions >= self.most || !is_simpler(&digits, &self.digits) {
            return false;
        }
        self.executions += 1;
        let ended = self.case.run(Tape::replay(digits));
        let made = values(&ended.tape);
        let fails = ended.verdict.is_err_and(|v| v.oracle == self.oracle);
        let is_simpler = is_simpler(&made, &self.digits);
        if fails && is_simpler {
            self.digits = made;
        }
        fails && is_simpler
    }
}

/// Shorter, or as long and smaller at the first difference.
fn is_simpler(left: &[u32], right: &[u32]) -> bool {
    (left.len(), left) < (right.len(), right)
}
