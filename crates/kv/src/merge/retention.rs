//! [`Retention`]: which versions a compaction keeps.
//!
//! Invariant: at each number that somebody may read at, what is kept shows the same as all did. The
//! numbers cut time into stripes: of one key, only the newest version of a stripe can be seen.

use quipu_io::planted::planted;

use crate::entry::Kind;
use crate::table::RangeTombstone;
use crate::tombstone::RangeTombstones;

/// Decides about the entries of a merge, in their order.
#[derive(Debug)]
pub(crate) struct Retention {
    /// The numbers that are read at, ascending, the last of which is that of now.
    seqs: Vec<u64>,
    /// The range tombstones of all inputs.
    deleted: RangeTombstones,
    /// Whether nothing but the inputs can hold what a tombstone hides.
    drop_tombstones: bool,
    /// The last key, and the stripe of its last version.
    key: Vec<u8>,
    stripe: Option<usize>,
}

impl Retention {
    pub(crate) fn new(seqs: Vec<u64>, deleted: RangeTombstones, drop_tombstones: bool) -> Self {
        Retention {
            seqs,
            deleted,
            drop_tombstones,
            key: Vec::new(),
            stripe: None,
        }
    }

    /// Whether the entry is kept. Versions of a key must come from the newest to the oldest.
    pub(crate) fn keeps(&mut self, key: &[u8], seq: u64, kind: Kind) -> bool {
        let stripe = self.stripe_of(seq);
        let is_same_key = self.stripe.is_some() && *key == *self.key;
        let is_shadowed = is_same_key && self.stripe == Some(stripe);
        if !is_same_key {
            self.key.clear();
            self.key.extend_from_slice(key);
        }
        self.stripe = Some(stripe);
        if is_shadowed {
            return false;
        }
        // The newest tombstone that the readers of the stripe see.
        let upper = self.seqs.get(stripe).copied().unwrap_or(u64::MAX);
        if self.deleted.covering(key, upper) > seq {
            return false;
        }
        !(kind == Kind::Delete && self.can_go(seq))
    }

    /// Whether a range tombstone is kept.
    pub(crate) fn keeps_range(&self, tombstone: &RangeTombstone) -> bool {
        !self.can_go(tombstone.seq)
    }

    /// The range tombstones of all inputs.
    pub(crate) fn deleted(&self) -> &RangeTombstones {
        &self.deleted
    }

    /// A tombstone that everybody sees, and below which there is nothing.
    fn can_go(&self, seq: u64) -> bool {
        (self.drop_tombstones || planted("tombstones go above older versions"))
            && (self.stripe_of(seq) == 0 || planted("tombstones go that a snapshot needs"))
    }

    /// The place of the first number that sees this one.
    fn stripe_of(&self, seq: u64) -> usize {
        self.seqs.partition_point(|at| *at < seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Versions = BTreeMap<(u8, std::cmp::Reverse<u64>), Kind>;

    /// Whether the key has a value, and which.
    fn visible(versions: &Versions, ranges: &RangeTombstones, key: u8, seq: u64) -> Option<u64> {
        let from = (key, std::cmp::Reverse(seq));
        let ((_, found), kind) = versions
            .range(from..)
            .next()
            .filter(|((found, _), _)| *found == key)?;
        let covering = ranges.covering(&[key], seq);
        (*kind == Kind::Put && found.0 > covering).then_some(found.0)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            cases: 1000,
            ..ProptestConfig::default()
        })]

        #[test]
        fn readers_see_the_same_and_nothing_useless_stays(
            writes in prop::collection::vec((0..4u8, 0..5u8, 1..4u8), 1..40),
            mut seqs in prop::collection::btree_set(0..40u64, 0..4),
            below in prop::collection::vec(0..4u8, 0..4),
        ) {
            let (mut versions, mut ranges) = (Versions::new(), RangeTombstones::default());
            // Older versions, in tables that are no inputs.
            let mut older = Versions::new();
            for key in &below {
                older.insert((*key, std::cmp::Reverse(1)), Kind::Put);
            }
            for (index, (key, what, len)) in writes.iter().enumerate() {
                let seq = index as u64 + 2;
                match what {
                    0 => ranges.insert(RangeTombstone {
                        start: vec![*key].into(),
                        end: vec![key + len].into(),
                        seq,
                    }),
                    1 => drop(versions.insert((*key, std::cmp::Reverse(seq)), Kind::Delete)),
                    _ => drop(versions.insert((*key, std::cmp::Reverse(seq)), Kind::Put)),
                }
            }
            seqs.insert(writes.len() as u64 + 1);
            let seqs: Vec<u64> = seqs.into_iter().collect();
            let nothing_below = below.is_empty();
            let mut retention = Retention::new(seqs.clone(), ranges.clone(), nothing_below);
            let kept: Versions = versions
                .iter()
                .filter(|((key, seq), kind)| retention.keeps(&[*key], seq.0, **kind))
                .map(|(version, kind)| (*version, *kind))
                .collect();
            let mut kept_ranges = RangeTombstones::default();
            for range in ranges.iter().filter(|range| retention.keeps_range(range)) {
                kept_ranges.insert(range.clone());
            }
            let with_older = |versions: &Versions| {
                let mut all = versions.clone();
                all.extend(older.iter().map(|(version, kind)| (*version, *kind)));
                all
            };
            for seq in &seqs {
                for key in 0..8 {
                    prop_assert_eq!(
                        visible(&with_older(&kept), &kept_ranges, key, *seq),
                        visible(&with_older(&versions), &ranges, key, *seq)
                    );
                }
            }
            // At most one version in a stripe, and at the bottom no tombstone below all readers.
            for ((key, seq), kind) in &kept {
                let stripe = |seq: u64| seqs.partition_point(|at| *at < seq);
                let twins = kept.keys().filter(|(other, _)| other == key);
                let twins = twins.filter(|(_, other)| stripe(other.0) == stripe(seq.0));
                prop_assert_eq!(twins.count(), 1);
                prop_assert!(!nothing_below || *kind == Kind::Put || seq.0 > seqs[0]);
            }
        }
    }
}
