//! [`RangeTombstones`]: which versions of which keys are gone with a range of them.

use std::cmp::Ordering;

use bytes::Bytes;

use crate::table::RangeTombstone;
use crate::tree::{Item, Tree};

/// Range tombstones, searched by what they cover.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeTombstones(Tree<RangeTombstone>);

impl RangeTombstones {
    pub(crate) fn insert(&mut self, tombstone: RangeTombstone) {
        self.0.insert(tombstone);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RangeTombstone> {
        self.0.iter()
    }

    /// The newest that covers the key, of those not above `seq`; 0 if none does.
    pub(crate) fn covering(&self, key: &[u8], seq: u64) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        let may_cover = |hull: &Hull| *hull.start <= *key && *hull.end > *key && hull.oldest <= seq;
        let covers = |tombstone: &RangeTombstone| {
            *tombstone.start <= *key && *tombstone.end > *key && tombstone.seq <= seq
        };
        let found = self.0.select(may_cover, covers);
        found.map(|tombstone| tombstone.seq).max().unwrap_or(0)
    }
}

/// What some of them span.
#[derive(Clone, Debug)]
pub(crate) struct Hull {
    start: Bytes,
    end: Bytes,
    oldest: u64,
}

impl Item for RangeTombstone {
    type Sum = Hull;
    type Head = ();

    fn head(&self) {}

    fn order(&self, other: &Self) -> Ordering {
        RangeTombstone::order(self, other)
    }

    fn sum(&self) -> Hull {
        Hull {
            start: self.start.clone(),
            end: self.end.clone(),
            oldest: self.seq,
        }
    }

    fn add(sum: &mut Hull, other: &Hull) {
        if other.end > sum.end {
            sum.end = other.end.clone();
        }
        sum.oldest = sum.oldest.min(other.oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn covering_finds_what_a_loop_finds(
            ranges in prop::collection::vec((0..40u8, 0..10u8, 1..30u64), 0..60),
        ) {
            let mut tombstones = RangeTombstones::default();
            for (start, len, seq) in &ranges {
                tombstones.insert(RangeTombstone {
                    start: vec![*start].into(),
                    end: vec![start + len].into(),
                    seq: *seq,
                });
            }
            for key in 0..50u8 {
                for at in [0, 5, 15, 29, u64::MAX] {
                    let covering = ranges.iter().filter(|(start, len, seq)| {
                        (*start..start + len).contains(&key) && *seq <= at
                    });
                    let newest = covering.map(|(_, _, seq)| *seq).max().unwrap_or(0);
                    prop_assert_eq!(tombstones.covering(&[key], at), newest);
                }
            }
        }
    }
}
