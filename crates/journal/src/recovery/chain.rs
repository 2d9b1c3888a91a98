//! The chain of segments, judged by headers and seals alone. Pure.
//!
//! Invariants that every legal crash state satisfies:
//! - Each segment names its predecessor by number and generation, and a seal that names a successor
//!   names the one that is there.
//! - Gaps are at or below the oldest snapshot, for only what a snapshot stands for is pruned.
//! - The last segment's seal names no successor.

use std::borrow::Cow;
use std::ops::Range;

use quipu_io::planted::planted;

use crate::Seq;
use crate::format::header::{Predecessor, SEAL_OFFSET, SegmentHeader};
use crate::format::seal::Seal;

/// A segment as its first two blocks describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) seal: Option<Seal>,
}

impl Segment {
    pub(crate) fn number(&self) -> u64 {
        self.header.number
    }
}

/// What is wrong with a segment, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) number: u64,
    pub(crate) offset: u64,
    pub(crate) reason: Cow<'static, str>,
}

/// The segments that hold the log: the longest run without a gap up to the last one.
///
/// `segments` are in ascending order and not empty. `oldest` is the oldest snapshot that is there:
/// the log must reach down to it, or to the first edit.
pub(crate) fn judge(segments: &[Segment], oldest: Option<Seq>) -> Result<Range<usize>, Finding> {
    let last = segments.len() - 1;
    if let Some(successor) = segments[last].seal.and_then(|seal| seal.successor)
        && !planted("the last segment may be missing")
    {
        let number = segments[last].number();
        return Err(Finding {
            number: successor.number,
            offset: 0,
            reason: format!("it is missing, and the seal of segment {number} names it").into(),
        });
    }
    let mut first = last;
    while first > 0 && segments[first - 1].number() + 1 == segments[first].number() {
        check_link(&segments[first - 1], &segments[first])?;
        first -= 1;
    }
    let header = &segments[first].header;
    let reached = oldest.unwrap_or(Seq::ZERO);
    if let Some(predecessor) = header.predecessor.filter(|before| before.last > reached)
        && !planted("a segment in the middle may be missing")
    {
        return Err(Finding {
            number: predecessor.number,
            offset: 0,
            reason: format!(
                "it is missing, and no snapshot stands for its edits up to {}",
                predecessor.last
            )
            .into(),
        });
    }
    Ok(first..segments.len())
}

fn check_link(before: &Segment, after: &Segment) -> Result<(), Finding> {
    let stated = after.header.predecessor;
    let Some(stated) = stated.filter(|stated| stated.generation == before.header.generation) else {
        return Err(Finding {
            number: before.number(),
            offset: 0,
            reason: format!("it is not the file that segment {} follows", after.number()).into(),
        });
    };
    if before.header.first > stated.last.next() {
        return Err(Finding {
            number: after.number(),
            offset: 0,
            reason: "its predecessor would end before it begins".into(),
        });
    }
    match before.seal {
        Some(seal) => check_seal(&seal, before, &stated, after),
        None => Ok(()),
    }
}

/// A seal may be old, but it may not contradict what came later.
fn check_seal(
    seal: &Seal,
    before: &Segment,
    stated: &Predecessor,
    after: &Segment,
) -> Result<(), Finding> {
    let finding = |number: u64, offset: u64, reason: Cow<'static, str>| {
        Err(Finding {
            number,
            offset,
            reason,
        })
    };
    if seal.last > stated.last || seal.end > stated.end {
        let reason = format!(
            "segment {} says that it ends before its seal",
            after.number()
        );
        return finding(before.number(), SEAL_OFFSET, reason.into());
    }
    let header = &after.header;
    match seal.successor {
        Some(named)
            if (named.number, named.generation) != (header.number, header.generation)
                && !planted("a successor is told by its number alone") =>
        {
            let reason = format!(
                "it is not the file that the seal of {} names",
                before.number()
            );
            finding(after.number(), 0, reason.into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::seal::Successor;

    /// Segment `n` of generation `10 n` with ten edits, after segment `n - 1`.
    fn segment(n: u64) -> Segment {
        let predecessor = (n > 1).then(|| Predecessor {
            number: n - 1,
            generation: (n - 1) * 10,
            end: 9000,
            last: Seq::new((n - 1) * 10),
            fingerprint: 1,
        });
        let first = Seq::new((n - 1) * 10 + 1);
        let whole = Seq::new((n - 1) * 10);
        let header = SegmentHeader {
            codec: crate::codec::Codec::Plain,
            number: n,
            generation: n * 10,
            first,
            predecessor,
            whole,
        };
        Segment { header, seal: None }
    }

    fn sealed(n: u64, number: u64, generation: u64) -> Segment {
        let successor = Some(Successor { number, generation });
        let seal = Some(Seal {
            last: Seq::new(n * 10),
            end: 9000,
            successor,
        });
        Segment { seal, ..segment(n) }
    }

    fn wrong(segments: &[Segment], oldest: Option<u64>) -> (u64, u64) {
        let finding = judge(segments, oldest.map(Seq::new)).unwrap_err();
        (finding.number, finding.offset)
    }

    #[test]
    fn whole_chains_pass_with_and_without_seals() {
        assert_eq!(judge(&[segment(1)], None), Ok(0..1));
        assert_eq!(
            judge(&[segment(1), sealed(2, 3, 30), segment(3)], None),
            Ok(0..3)
        );
        let lower = Seal {
            last: Seq::new(15),
            end: 8500,
            successor: None,
        };
        let stale = Segment {
            seal: Some(lower),
            ..segment(2)
        };
        assert_eq!(judge(&[segment(1), stale, segment(3)], None), Ok(0..3));
    }

    #[test]
    fn gaps_are_legal_only_below_the_oldest_snapshot() {
        assert_eq!(
            judge(&[segment(1), segment(3), segment(4)], Some(Seq::new(20))),
            Ok(1..3)
        );
        assert_eq!(wrong(&[segment(1), segment(3)], Some(19)), (2, 0));
        assert_eq!(wrong(&[segment(2)], None), (1, 0));
    }

    #[test]
    fn a_missing_successor_is_corrupt() {
        assert_eq!(wrong(&[segment(1), sealed(2, 3, 30)], Some(20)), (3, 0));
    }

    #[test]
    fn a_number_used_twice_is_told_by_its_generation() {
        assert_eq!(wrong(&[sealed(1, 2, 21), segment(2)], None), (2, 0));
        let mut other = segment(1);
        other.header.generation = 11;
        assert_eq!(wrong(&[other, segment(2)], Some(10)), (1, 0));
    }

    #[test]
    fn a_seal_beyond_what_the_successor_says_is_corrupt() {
        let seal = Some(Seal {
            last: Seq::new(11),
            end: 9000,
            successor: None,
        });
        assert_eq!(
            wrong(&[Segment { seal, ..segment(1) }, segment(2)], None),
            (1, SEAL_OFFSET)
        );
    }
}
