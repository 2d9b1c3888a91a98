//! [`Marks`]: which part of the log holds which writes.

use quipu_journal::Seq;

/// Payloads between two marks: the log goes in whole segments, so that a mark now and then is
/// enough.
const STEP: u64 = 256;

/// When the log is applied up to `log`, all writes up to `seq` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) log: Seq,
    pub(crate) seq: u64,
}

/// Some places of the log, ascending.
#[derive(Debug, Default)]
pub(crate) struct Marks(Vec<Mark>);

impl Marks {
    /// Notes a place behind all others.
    pub(crate) fn push(&mut self, mark: Mark) {
        match self.0.as_mut_slice() {
            [.., before, last] if mark.log.get() - before.log.get() < STEP => *last = mark,
            _ => self.0.push(mark),
        }
    }

    /// The furthest place that is noted up to which all writes are at or below `floor`. Forgets those
    /// before it.
    pub(crate) fn reach(&mut self, floor: u64) -> Option<Mark> {
        let reached = self.0.partition_point(|mark| mark.seq <= floor);
        let mark = *self.0.get(reached.checked_sub(1)?)?;
        self.0.drain(..reached - 1);
        Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_never_further_than_the_floor() {
        let mut marks = Marks::default();
        let at = |log: u64| Mark {
            log: Seq::new(log),
            seq: 3 * log,
        };
        assert_eq!(marks.reach(u64::MAX), None);
        let mut reached = 0;
        for log in 1..=10_000 {
            marks.push(at(log));
            if log % 700 == 0 {
                let floor = 3 * (log - 300) + 1;
                let mark = marks.reach(floor).unwrap();
                assert!(mark.seq <= floor && mark == at(mark.log.get()));
                assert!(mark.log.get() >= reached && mark.log.get() + 2 * STEP > log - 300);
                reached = mark.log.get();
            }
        }
        assert!(marks.0.len() < 10);
        assert_eq!(marks.reach(u64::MAX), Some(at(10_000)));
    }
}
