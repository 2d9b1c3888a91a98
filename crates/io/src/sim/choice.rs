//! The choice tape: every decision of a simulated run is one digit on it.
//!
//! Invariants:
//! - 0 is always the mildest choice, so a tape of zeros is a run in which nothing goes wrong.
//! - A run is a pure function of its program and its tape: the recorded digits replay it.
//! - Past the given digits, each purpose draws from a stream of its own, so that one more decision
//!   of one purpose does not shift those of another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::lanes::Lanes;
use super::mood::{Moods, Survivor};
use super::random::{Random, mix};

/// What a decision is about. Each purpose has its own random stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Which task runs next.
    Schedule,
    /// Whether a fault strikes, and how.
    Fault,
    /// How long an operation takes.
    Latency,
    /// What a crash left of a sector, a size or a name.
    Survival,
    /// The order of a directory listing.
    Listing,
    /// What the program is asked to do: operations, sizes, options.
    Workload,
    /// Whether the machine stops here, and in which way.
    Crash,
    /// Whether the fault strikes that has this place in [`Fault::ALL`](super::Fault::ALL).
    Strike(u8),
}

/// How many random streams there are.
const STREAMS: usize = 7;

impl Purpose {
    /// Its random stream. Whether a fault strikes and how are of one.
    fn stream(self) -> usize {
        match self {
            Purpose::Schedule => 0,
            Purpose::Fault | Purpose::Strike(_) => 1,
            Purpose::Latency => 2,
            Purpose::Survival => 3,
            Purpose::Listing => 4,
            Purpose::Workload => 5,
            Purpose::Crash => 6,
        }
    }
}

/// One decision that was made: `value` of `radix` possible ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// What was chosen, below `radix`.
    pub value: u32,
    /// How many choices there were, at least 2.
    pub radix: u32,
    /// What it was about.
    pub purpose: Purpose,
}

/// Makes the decisions of a run and records them.
///
/// The first decisions come from the given digits. After their end all are 0, or come from a seed.
///
/// Counting a tape up visits every run:
///
/// ```
/// use quipu_io::sim::{Purpose, Tape};
///
/// let mut runs = Vec::new();
/// let mut next = Some(Tape::zeros());
/// while let Some(mut tape) = next {
///     let first = tape.choose(Purpose::Survival, 2);
///     let second = tape.choose(Purpose::Survival, 2 + first);
///     runs.push((first, second));
///     next = tape.successor();
/// }
/// assert_eq!(runs, [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]);
/// ```
#[derive(Clone)]
pub struct Tape {
    given: Given,
    made: Vec<Digit>,
    tail: Option<Box<Tail>>,
}

/// The first decisions.
#[derive(Clone)]
enum Given {
    /// In the order in which they are made, whatever they are about.
    Sequence(Vec<u32>),
    /// Those of each purpose in their order.
    Lanes {
        lanes: Arc<Lanes>,
        taken: BTreeMap<Purpose, usize>,
    },
}

/// Where digits come from after the given ones, unless they are zeros.
#[derive(Clone)]
struct Tail {
    streams: [Random; STREAMS],
    survival: Moods,
}

impl Tape {
    /// The mildest run: every choice is 0.
    pub fn zeros() -> Tape {
        Tape::replay([])
    }

    /// A random run; the same seed gives the same run for ever.
    pub fn seeded(seed: u64) -> Tape {
        let tail = Tail {
            streams: std::array::from_fn(|label| Random::new(seed, label as u64)),
            survival: Moods::new(seed),
        };
        Tape {
            given: Given::Sequence(Vec::new()),
            made: Vec::new(),
            tail: Some(Box::new(tail)),
        }
    }

    /// Repeats a run from the values of its digits, and goes on with zeros after their end.
    ///
    /// A value that is too large for the choice it meets, because the program has changed since,
    /// counts as the largest.
    pub fn replay(values: impl IntoIterator<Item = u32>) -> Tape {
        Tape {
            given: Given::Sequence(values.into_iter().collect()),
            made: Vec::new(),
            tail: None,
        }
    }

    /// Repeats a run from its decisions by purpose, and goes on with zeros after the end of each.
    ///
    /// One decision more or less of one purpose does not shift those of another, so that a run can be
    /// made smaller by and by.
    pub fn repeat(lanes: Lanes) -> Tape {
        Tape {
            given: Given::Lanes {
                lanes: Arc::new(lanes),
                taken: BTreeMap::new(),
            },
            made: Vec::new(),
            tail: None,
        }
    }

    /// Decides for one of `radix` possibilities. With less than two there is nothing to decide, and
    /// nothing is recorded.
    pub fn choose(&mut self, purpose: Purpose, radix: u32) -> u32 {
        self.decide(purpose, radix, |tail| {
            tail.streams[purpose.stream()].below(radix)
        })
    }

    /// Decides what has survived. 0 is the newest of so many possibilities.
    pub(super) fn choose_survival(&mut self, about: Survivor, radix: u32) -> u32 {
        self.decide(Purpose::Survival, radix, |tail| {
            tail.survival.draw(about, radix)
        })
    }

    /// Decides whether something happens that has `chances` in `of`. Impossible things are not
    /// recorded.
    pub fn strikes(&mut self, purpose: Purpose, chances: u32, of: u32) -> bool {
        let radix = if chances == 0 { 1 } else { 2 };
        let digit = self.decide(purpose, radix, |tail| {
            u32::from(tail.streams[purpose.stream()].below(of) < chances)
        });
        digit == 1
    }

    /// Whether a seed decides where no digit is given.
    pub(super) fn is_seeded(&self) -> bool {
        self.tail.is_some()
    }

    fn decide(&mut self, purpose: Purpose, radix: u32, draw: impl FnOnce(&mut Tail) -> u32) -> u32 {
        if radix < 2 {
            return 0;
        }
        let value = match (self.given_digit(purpose, radix), &mut self.tail) {
            (Some(value), _) => value,
            (None, Some(tail)) => draw(tail),
            (None, None) => 0,
        };
        self.made.push(Digit {
            value,
            radix,
            purpose,
        });
        value
    }

    /// The decisions made so far, in order.
    pub fn digits(&self) -> &[Digit] {
        &self.made
    }

    /// The decisions made so far, by purpose.
    pub fn lanes(&self) -> Lanes {
        Lanes::of(&self.made)
    }

    /// Takes the first decisions as made already, so that a run can be taken up where an earlier one
    /// had made just these: they must be the first of a tape that was counted up.
    pub fn skip(&mut self, digits: &[Digit]) {
        debug_assert!(self.made.is_empty() && matches!(self.given, Given::Sequence(_)));
        self.made.extend_from_slice(digits);
    }

    /// The tape of the next run when counting up the digits of this one, the last digit fastest;
    /// `None` when all runs have been visited.
    pub fn successor(&self) -> Option<Tape> {
        let last = self.made.iter().rposition(|d| d.value + 1 < d.radix)?;
        let mut given: Vec<u32> = self.made[..=last].iter().map(|d| d.value).collect();
        given[last] += 1;
        Some(Tape {
            given: Given::Sequence(given),
            made: Vec::with_capacity(self.made.len()),
            tail: None,
        })
    }

    fn given_digit(&mut self, purpose: Purpose, radix: u32) -> Option<u32> {
        let value = match &mut self.given {
            Given::Sequence(values) => *values.get(self.made.len())?,
            Given::Lanes { lanes, taken } => {
                let lane = lanes.lane(purpose);
                let taken = taken.entry(purpose).or_insert(0);
                let value = *lane.get(*taken)?;
                *taken += 1;
                value
            }
        };
        Some(value.min(radix - 1))
    }
}

impl fmt::Debug for Tape {
    /// Shows the values that [`Tape::replay`] takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.made.iter().map(|d| d.value))
            .finish()
    }
}

/// A rolling hash of everything that a run decided and did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trace {
    hash: u64,
}

impl Trace {
    pub(super) fn add(&mut self, word: u64) {
        self.hash = mix(self.hash.rotate_left(5) ^ word.wrapping_add(0x9e37_79b9_7f4a_7c15));
    }

    /// Four lanes, because one multiplication a word after the other would be most of the cost of
    /// a simulated write.
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        let mut lanes = [1, 2, 3, 4];
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane = step(*lane, u64::from_le_bytes(*word));
            }
        }
        let (words, rest) = rest.as_chunks::<8>();
        for word in words {
            lanes[0] = step(lanes[0], u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        lanes[0] = step(lanes[0], u64::from_le_bytes(last));
        let sum = lanes.into_iter().fold(bytes.len() as u64, step);
        self.add(sum);
    }

    pub(super) fn hash(self) -> u64 {
        self.hash
    }
}

fn step(lane: u64, word: u64) -> u64 {
    (lane ^ word)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_of_a_seeded_run_replay_it() {
        let run = |mut tape: Tape| {
            let chosen: Vec<u32> = (2..40)
                .map(|radix| tape.choose(Purpose::Survival, radix))
                .collect();
            (chosen, tape)
        };
        let (first, tape) = run(Tape::seeded(3));
        let (second, _) = run(Tape::replay(tape.digits().iter().map(|d| d.value)));
        assert_eq!(first, second);
    }

    #[test]
    fn a_run_is_taken_up_behind_the_decisions_it_shares() {
        let mut tape = Tape::zeros();
        for _ in 0..3 {
            tape.choose(Purpose::Survival, 2);
        }
        let mut next = tape.successor().unwrap();
        next.skip(&tape.digits()[..2]);
        assert_eq!(next.choose(Purpose::Survival, 2), 1);
        let values: Vec<u32> = next.digits().iter().map(|digit| digit.value).collect();
        assert_eq!(values, [0, 0, 1]);
    }

    /// One more decision of one purpose does not shift those of another.
    #[test]
    fn purposes_are_independent() {
        let mut plain = Tape::seeded(9);
        let mut busy = Tape::seeded(9);
        for _ in 0..50 {
            busy.choose(Purpose::Schedule, 100);
            assert_eq!(
                plain.choose(Purpose::Fault, 1000),
                busy.choose(Purpose::Fault, 1000)
            );
        }
    }
}
