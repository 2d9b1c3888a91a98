//! What a table holds: versions of keys, and ranges that are deleted.
//!
//! Invariant: entries are in the order of their keys, bytewise, and those of one key from the newest
//! to the oldest. No two have the same key and number.

use std::cmp::Ordering;

use bytes::Bytes;

/// What a version says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// It has this value.
    Put,
    /// It is deleted.
    Delete,
}

/// A version of a key, as a point query finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    /// Empty for a deletion.
    pub(crate) value: Bytes,
}

/// All versions of the keys from `start` up to, and without, `end` that are older than `seq` are
/// deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RangeTombstone {
    pub(crate) start: Bytes,
    pub(crate) end: Bytes,
    pub(crate) seq: u64,
}

impl RangeTombstone {
    /// The order in which a table lists them: by start, and the newest first.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let by_start = self.start.cmp(&other.start);
        let by_seq = || other.seq.cmp(&self.seq);
        by_start
            .then_with(by_seq)
            .then_with(|| self.end.cmp(&other.end))
    }

    /// The last key that it deletes, or its end where there is no last: before `ab` there is no
    /// last key, but before `ab\0` there is `ab`.
    pub(crate) fn last_key(&self) -> &[u8] {
        match self.end.split_last() {
            Some((0, before)) => before,
            _ => &self.end,
        }
    }
}

/// How two versions stand to each other.
#[inline]
pub(crate) fn compare(left: (&[u8], u64), right: (&[u8], u64)) -> Ordering {
    left.0.cmp(right.0).then_with(|| right.1.cmp(&left.1))
}
