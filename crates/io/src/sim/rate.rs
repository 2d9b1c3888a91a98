//! [`FaultRates`]: how often each kind of fault strikes by chance.

use std::collections::BTreeMap;

use super::choice::{Purpose, Tape};
use super::fault::{Fault, FaultClass};

/// Chances are in so many opportunities.
const OF: u32 = 10_000;

/// The least rate that [`FaultRates::swarm`] draws; each further one is twice the one before.
const LEAST: u32 = 10;

/// How many rates it draws from.
const STEPS: u32 = 10;

/// The chances of each kind of fault, each in 10,000 opportunities. By default there are none.
///
/// Every strike is a digit on the tape, and 0 is that it does not strike: on a tape of zeros there is
/// no fault.
///
/// ```
/// use quipu_io::sim::{Fault, FaultClass, FaultRates, Operation, Tape};
///
/// let rates = FaultRates::default()
///     .with(Fault::FailedSync, 100)
///     .with(Fault::Error(Operation::WriteAt), 10);
/// assert_eq!(rates.of(Fault::FailedSync), 100);
///
/// let mut tape = Tape::seeded(1);
/// let legal = FaultRates::swarm(&mut tape, FaultClass::Crash);
/// assert_eq!(legal.of(Fault::FailedSync), 0);
/// let mildest = FaultRates::swarm(&mut Tape::zeros(), FaultClass::Device);
/// assert_eq!(mildest, FaultRates::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// Those that are not 0.
    chances: BTreeMap<Fault, u32>,
}

impl FaultRates {
    /// Draws which kinds of the class this run has, and how often: each with probability ½, its rate
    /// from a thousandth to a half, every order of magnitude as likely as the others.
    ///
    /// A run that has some kinds and not others gets further than one that has all of them: a disk on
    /// which everything fails shows only what the first failure does.
    pub fn swarm(tape: &mut Tape, class: FaultClass) -> FaultRates {
        let mut rates = FaultRates::default();
        let kinds = Fault::ALL.iter().filter(|fault| fault.class() == class);
        for fault in kinds.filter(|fault| fault.is_drawn()) {
            // Off as often as on; a digit of its own for each kind, so that one can go by itself.
            let step = tape.choose(Purpose::Fault, 2 * STEPS);
            if let Some(step) = step.checked_sub(STEPS) {
                rates.chances.insert(*fault, LEAST << step);
            }
        }
        rates
    }

    /// The same, with this kind at so many chances in 10,000.
    ///
    /// # Panics
    ///
    /// If the kind is one that never strikes by itself: see [`Fault::is_drawn`].
    #[must_use]
    pub fn with(mut self, fault: Fault, chances: u32) -> FaultRates {
        assert!(fault.is_drawn(), "{fault} follows from other faults");
        match chances {
            0 => self.chances.remove(&fault),
            _ => self.chances.insert(fault, chances.min(OF)),
        };
        self
    }

    /// Both: of each kind the higher rate.
    #[must_use]
    pub fn and(mut self, other: &FaultRates) -> FaultRates {
        for (fault, chances) in &other.chances {
            let own = self.chances.entry(*fault).or_insert(0);
            *own = (*own).max(*chances);
        }
        self
    }

    /// The chances of this kind.
    pub fn of(&self, fault: Fault) -> u32 {
        self.chances.get(&fault).copied().unwrap_or(0)
    }

    /// Whether nothing can strike.
    pub fn is_empty(&self) -> bool {
        self.chances.is_empty()
    }

    pub(super) fn strikes(&self, fault: Fault, tape: &mut Tape) -> bool {
        let chances = self.of(fault);
        let place = || Fault::ALL.iter().position(|kind| *kind == fault);
        match (chances > 0).then(place).flatten() {
            Some(place) => tape.strikes(Purpose::Strike(place as u8), chances, OF),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind is on in about half of all runs, and reaches its least and its highest rate.
    #[test]
    fn a_swarm_has_every_kind_now_and_then() {
        let runs = 400;
        let highest = LEAST << (STEPS - 1);
        for class in [FaultClass::Crash, FaultClass::Device] {
            let swarms: Vec<FaultRates> = (0..runs)
                .map(|seed| FaultRates::swarm(&mut Tape::seeded(seed), class))
                .collect();
            for fault in Fault::ALL {
                let rates = || swarms.iter().map(|rates| rates.of(*fault));
                let on = rates().filter(|rate| *rate > 0).count();
                if fault.class() != class || !fault.is_drawn() {
                    assert_eq!(on, 0, "{fault}");
                    continue;
                }
                assert!((150..250).contains(&on), "{fault}: on in {on} of {runs}");
                assert!(rates().any(|rate| rate == LEAST), "{fault}");
                assert!(rates().any(|rate| rate == highest), "{fault}");
            }
        }
    }
}
