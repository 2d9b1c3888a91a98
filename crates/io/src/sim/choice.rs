//! The choice tape: every decision of a simulated run is one digit on it.
//!
//! Invariants:
//! - 0 is always the mildest choice, so a tape of zeros is a run in which nothing goes wrong.
//! - A run is a pure function of its program and its tape: the recorded digits replay it.
//! - Past the given digits, each purpose draws from a stream of its own, so that one more decision
//!   of one purpose does not shift those of another.

use std::fmt;

use super::random::{Random, mix};

/// What a decision is about. Each purpose has its own random stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

const PURPOSES: usize = 7;

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
    given: Vec<u32>,
    made: Vec<Digit>,
    tail: Option<Box<Tail>>,
}

/// Where digits come from after the given ones, unless they are zeros.
#[derive(Clone)]
struct Tail {
    streams: [Random; PURPOSES],
    survival: Mood,
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
            survival: Mood::Even,
        };
        Tape {
            given: Vec::new(),
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
            given: values.into_iter().collect(),
            made: Vec::new(),
            tail: None,
        }
    }

    /// Decides for one of `radix` possibilities. With less than two there is nothing to decide, and
    /// nothing is recorded.
    pub fn choose(&mut self, purpose: Purpose, radix: u32) -> u32 {
        if radix < 2 {
            return 0;
        }
        let drawn = self.given_digit(radix);
        let value = drawn.unwrap_or_else(|| match &mut self.tail {
            None => 0,
            Some(tail) => tail.draw(purpose, radix),
        });
        self.made.push(Digit {
            value,
            radix,
            purpose,
        });
        value
    }

    /// Decides whether something happens that has `chances` in `of`. Impossible things are not
    /// recorded.
    pub fn strikes(&mut self, purpose: Purpose, chances: u32, of: u32) -> bool {
        if chances == 0 {
            return false;
        }
        let drawn = self.given_digit(2);
        let value = drawn.unwrap_or_else(|| match &mut self.tail {
            None => 0,
            Some(tail) => u32::from(tail.streams[purpose as usize].below(of) < chances),
        });
        self.made.push(Digit {
            value,
            radix: 2,
            purpose,
        });
        value == 1
    }

    /// The decisions made so far, in order.
    pub fn digits(&self) -> &[Digit] {
        &self.made
    }

    /// Takes the first decisions as made already, so that a run can be taken up where an earlier one
    /// had made just these: they must be the first of the given ones.
    pub fn skip(&mut self, digits: &[Digit]) {
        debug_assert!(self.made.is_empty() && digits.len() <= self.given.len());
        self.made.extend_from_slice(digits);
    }

    /// The tape of the next run when counting up the digits of this one, the last digit fastest;
    /// `None` when all runs have been visited.
    pub fn successor(&self) -> Option<Tape> {
        let last = self.made.iter().rposition(|d| d.value + 1 < d.radix)?;
        let mut given: Vec<u32> = self.made[..=last].iter().map(|d| d.value).collect();
        given[last] += 1;
        Some(Tape {
            given,
            made: Vec::with_capacity(self.made.len()),
            tail: None,
        })
    }

    fn given_digit(&self, radix: u32) -> Option<u32> {
        let value = *self.given.get(self.made.len())?;
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

/// How kind the crash is for a while. Were every draw even and independent, a crash would never
/// lose exactly one of a hundred sectors, or keep exactly one.
#[derive(Clone, Copy)]
enum Mood {
    /// Everything survives, or all but one in 50.
    Kind { slips: bool },
    /// Nothing survives, or one in 50.
    Cruel { slips: bool },
    /// Each possibility as likely as the others.
    Even,
}

impl Tail {
    fn draw(&mut self, purpose: Purpose, radix: u32) -> u32 {
        let random = &mut self.streams[purpose as usize];
        if purpose != Purpose::Survival {
            return random.below(radix);
        }
        if random.below(16) == 0 {
            self.survival = Mood::draw(random);
        }
        match self.survival {
            Mood::Kind { slips } if !(slips && random.below(50) == 0) => 0,
            Mood::Cruel { slips } if !(slips && random.below(50) == 0) => radix - 1,
            _ => random.below(radix),
        }
    }
}

impl Mood {
    fn draw(random: &mut Random) -> Mood {
        match random.below(6) {
            0 => Mood::Kind { slips: false },
            1 => Mood::Kind { slips: true },
            2 => Mood::Cruel { slips: false },
            3 => Mood::Cruel { slips: true },
            _ => Mood::Even,
        }
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
        for byte in rest {
            lanes[0] = step(lanes[0], u64::from(*byte));
        }
        self.add(bytes.len() as u64);
        for lane in lanes {
            self.add(lane);
        }
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
