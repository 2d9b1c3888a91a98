//! [`FileNum`], and [`Numbers`]: which numbers were ever given to a table.
//!
//! Invariant: a number that an edit has named is never free again, whatever became of its table.
//! Numbers that were handed out and not named (a flush that was given up) stay free as ranges below
//! the next one, so what is remembered does not grow with the numbers in use.

use std::collections::BTreeMap;

use quipu_io::planted::planted;
use serde::{Deserialize, Serialize};

/// The number of a table's file. No two tables ever have the same.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
#[display("{_0:06}")]
pub struct FileNum(u64);

impl FileNum {
    /// The number as a type.
    pub const fn new(number: u64) -> Self {
        FileNum(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// At most so many ranges of free numbers are remembered; the lowest go first.
const MOST_RANGES: usize = 1024;

/// The numbers that edits have named: all below `next`, but for some ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    next: u64,
    /// Ranges below `next` that no edit has named: first number to the one behind the last.
    free: BTreeMap<u64, u64>,
}

impl Numbers {
    /// The lowest number above all that were named.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Whether no edit has ever named this number.
    pub(super) fn is_free(&self, number: FileNum) -> bool {
        number.0 >= self.next || self.range_of(number).is_some()
    }

    /// Notes that an edit names this number.
    pub(super) fn name(&mut self, number: FileNum) {
        let number = number.0;
        if number >= self.next {
            if number > self.next {
                self.free.insert(self.next, number);
            }
            if !planted("the newest number is forgotten") {
                self.next = number.saturating_add(1);
            }
        } else if let Some((start, end)) = self.range_of(FileNum(number)) {
            self.free.remove(&start);
            if start < number {
                self.free.insert(start, number);
            }
            if number + 1 < end {
                self.free.insert(number + 1, end);
            }
        }
        while self.free.len() > MOST_RANGES {
            self.free.pop_first();
        }
    }

    /// The next number, and the free ranges below it, as they stand in a snapshot.
    pub(super) fn to_parts(&self) -> (u64, Vec<(u64, u64)>) {
        let free = self.free.iter().map(|(start, end)| (*start, *end));
        (self.next, free.collect())
    }

    pub(super) fn from_parts(next: u64, free: Vec<(u64, u64)>) -> Self {
        let free = free.into_iter().filter(|(start, end)| start < end);
        Numbers {
            next,
            free: free.collect(),
        }
    }

    fn range_of(&self, number: FileNum) -> Option<(u64, u64)> {
        let (start, end) = self.free.range(..=number.0).next_back()?;
        (number.0 < *end).then_some((*start, *end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_free_until_it_is_named_and_never_again() {
        let mut numbers = Numbers::default();
        let mut named = std::collections::BTreeSet::new();
        for number in [5, 3, 9, 4, 0, 8, 9, 3, 20, 6, 7] {
            numbers.name(FileNum(number));
            named.insert(number);
            for other in 0..30 {
                let free = numbers.is_free(FileNum(other));
                assert_eq!(free, !named.contains(&other), "{other} in {numbers:?}");
            }
            let (next, free) = numbers.to_parts();
            assert_eq!(Numbers::from_parts(next, free), numbers);
        }
        assert_eq!(numbers.next(), 21);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut numbers = Numbers::default();
        for number in 0..10_000 {
            numbers.name(FileNum(2 * number + 1));
        }
        assert_eq!(numbers.free.len(), MOST_RANGES);
        assert!(!numbers.is_free(FileNum(0)), "forgotten is never free");
        assert!(numbers.is_free(FileNum(2 * 9_999)));
    }

    #[test]
    fn the_greatest_number_is_one_of_them() {
        let mut numbers = Numbers::default();
        numbers.name(FileNum(u64::MAX));
        assert!(numbers.is_free(FileNum(7)));
        assert_eq!(numbers.next(), u64::MAX);
    }
}
