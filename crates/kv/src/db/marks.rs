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
    /// Bytes of all payloads up to there, since open.
    pub(crate) bytes: u64,
}

/// Some places of the log, ascending, and what it holds behind those that are gone.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    places: Vec<Mark>,
    bytes: u64,
    gone: u64,
    /// What `bytes` was when the log's segment was ended for being of no use.
    ended: u64,
}

impl Marks {
    /// Notes a place behind all others, and the bytes of its payload.
    pub(crate) fn push(&mut self, log: Seq, seq: u64, payload: usize) {
        self.bytes += payload as u64;
        let bytes = self.bytes;
        let mark = Mark { log, seq, bytes };
        match self.places.as_mut_slice() {
            [.., before, last] if log.get() - before.log.get() < STEP => *last = mark,
            _ => self.places.push(mark),
        }
    }

    /// Notes that the log goes on to here with something that nobody needs.
    pub(crate) fn note(&mut self, log: Seq) {
        let seq = self.places.last().map_or(0, |last| last.seq);
        self.push(log, seq, 0);
    }

    /// Bytes of all payloads.
    pub(crate) fn given(&self) -> u64 {
        self.bytes
    }

    /// Bytes of payloads that are still needed.
    pub(crate) fn kept(&self) -> u64 {
        self.bytes - self.gone
    }

    /// If nothing is needed any more, and there are at least so many bytes for which the log's last
    /// segment is worth ending, so that it can go, too: up to where it can. Who asks does that.
    pub(crate) fn ends_segment(&mut self, least: u64) -> Option<Seq> {
        let last = self.places.last()?.log;
        let ends = self.kept() == 0 && self.bytes - self.ended >= least;
        ends.then(|| {
            self.ended = self.bytes;
            last
        })
    }

    /// The furthest place that is noted up to which all writes are at or below `floor`, if it is further
    /// than before. Forgets those before it.
    pub(crate) fn reach(&mut self, floor: u64) -> Option<Mark> {
        let reached = self.places.partition_point(|mark| mark.seq <= floor);
        let mark = *self.places.get(reached.checked_sub(1)?)?;
        self.places.drain(..reached - 1);
        if self.gone == mark.bytes {
            return None;
        }
        self.gone = mark.bytes;
        Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_ended_when_much_is_in_it_and_nothing_is_needed() {
        let mut marks = Marks::default();
        marks.note(Seq::new(1));
        assert_eq!(marks.ends_segment(1 << 20), None);
        marks.push(Seq::new(2), 1, 600 << 10);
        marks.push(Seq::new(3), 2, 600 << 10);
        assert_eq!(marks.ends_segment(1 << 20), None);
        marks.reach(1);
        assert_eq!(marks.ends_segment(1 << 20), None);
        marks.reach(2);
        marks.note(Seq::new(4));
        assert_eq!(marks.ends_segment(1 << 20), Some(Seq::new(4)));
        assert_eq!(marks.ends_segment(1 << 20), None);
        marks.push(Seq::new(5), 3, 10);
        marks.reach(3);
        assert_eq!(marks.ends_segment(1 << 20), None);
    }

    #[test]
    fn a_mark_is_never_further_than_the_floor() {
        let mut marks = Marks::default();
        let at = |log: u64| Mark {
            log: Seq::new(log),
            seq: 3 * log,
            bytes: 10 * log,
        };
        assert_eq!(marks.reach(u64::MAX), None);
        let mut reached = 0;
        for log in 1..=10_000 {
            marks.push(Seq::new(log), 3 * log, 10);
            if log % 700 == 0 {
                let floor = 3 * (log - 300) + 1;
                let mark = marks.reach(floor).unwrap();
                assert!(mark.seq <= floor && mark == at(mark.log.get()));
                assert!(mark.log.get() >= reached && mark.log.get() + 2 * STEP > log - 300);
                reached = mark.log.get();
                assert_eq!(marks.kept(), 10 * (log - reached));
            }
        }
        assert!(marks.places.len() < 10);
        assert_eq!(marks.reach(u64::MAX), Some(at(10_000)));
        assert_eq!(marks.reach(u64::MAX), None);
    }
}
