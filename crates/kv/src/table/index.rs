//! An index: for each of a run of blocks, a bound that no version in it passes, and where it is.
//!
//! ```text
//! | records: 20 bytes each | prefix | ends of the bounds ... | number of records: u32 | prefix's length: u32 |
//!
//!          0       4             8               16       20
//! record:  | head  | end: u32    | offset: u64   | len u32|
//! ```
//!
//! All bounds begin with the *prefix*. What follows it stands in one row, in which *end* says where
//! each one ends; its first four bytes are also the *head*, with zeros where it is shorter. If the highest bit
//! of *end* is set, its last eight bytes are not of the key: they are the bound's seq.
//!
//! A bound is a version: a key, shortened as far as the next block allows, and 0, behind all versions
//! of that key. Only where versions of one key lie on both sides is it the exact last version of its block.
//! So the first bound at or behind a version names the only block that can answer a query for it.

use std::cmp::Ordering;

use bytes::Bytes;

use super::layout::{Handle, Malformed, array_at, common_prefix, u32_at, u32_of, u64_at, usize_of};

const RECORD_BYTES: usize = 20;
const FOOTER_BYTES: usize = 8;
const HAS_SEQ: u32 = 1 << 31;

/// Builds the payload of an index.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    bounds: Vec<u8>,
    /// For each block: where its bound ends in `bounds`, its seq, and where it is.
    blocks: Vec<(usize, u64, Handle)>,
}

impl IndexBuilder {
    /// Bytes of the payload, if the bounds had nothing in common.
    pub(crate) fn len(&self) -> usize {
        self.bounds.len() + self.blocks.len() * RECORD_BYTES + FOOTER_BYTES
    }

    /// Adds a block. Bounds and offsets ascend.
    pub(crate) fn add(&mut self, bound: &[u8], seq: u64, handle: Handle) {
        self.bounds.extend_from_slice(bound);
        self.blocks.push((self.bounds.len(), seq, handle));
    }

    /// Appends the payload to `out`, and begins anew.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let prefix = self.common_prefix();
        let count = u32_of(self.blocks.len());
        let mut rests = Vec::with_capacity(self.bounds.len());
        let mut start = 0;
        for (end, seq, handle) in self.blocks.drain(..) {
            let rest = &self.bounds[start + prefix..end];
            start = end;
            rests.extend_from_slice(rest);
            let mut mark = 0;
            if seq != 0 {
                rests.extend_from_slice(&seq.to_le_bytes());
                mark = HAS_SEQ;
            }
            out.extend_from_slice(&head(rest).to_be_bytes());
            out.extend_from_slice(&(u32_of(rests.len()) | mark).to_le_bytes());
            out.extend_from_slice(&handle.offset.to_le_bytes());
            out.extend_from_slice(&handle.len.to_le_bytes());
        }
        out.extend_from_slice(&self.bounds[..prefix]);
        out.extend_from_slice(&rests);
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&u32_of(prefix).to_le_bytes());
        self.bounds.clear();
    }

    /// How many bytes all bounds have in common.
    fn common_prefix(&self) -> usize {
        let Some((first, ..)) = self.blocks.first() else {
            return 0;
        };
        let last = match self.blocks.len() {
            1 => 0,
            len => self.blocks[len - 2].0,
        };
        common_prefix(&self.bounds[..*first], &self.bounds[last..])
    }
}

/// The bound between two blocks: at or behind the last version of the one, before the first key of
/// the next, and short.
pub(crate) fn bound<'a>(
    last: (&'a [u8], u64),
    next: &'a [u8],
    room: &'a mut Vec<u8>,
) -> (&'a [u8], u64) {
    let (key, seq) = last;
    let shared = common_prefix(key, next);
    if shared == key.len() {
        // The next key begins with this one, or is the same.
        return (key, if shared == next.len() { seq } else { 0 });
    }
    if next.len() > shared + 1 {
        return (&next[..=shared], 0);
    }
    // Between `abc` and `b` there is nothing shorter than `ac`: raise the first byte that can be.
    let raised = (shared + 1..key.len()).find(|at| key[*at] < u8::MAX);
    let Some(at) = raised.filter(|at| at + 1 < key.len()) else {
        return (key, 0);
    };
    room.clear();
    room.extend_from_slice(&key[..at]);
    room.push(key[at] + 1);
    (room, 0)
}

/// An index in memory.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    payload: Bytes,
    records: usize,
    prefix_end: usize,
    bounds_end: usize,
}

impl Index {
    /// Takes the index that `payload` is, for blocks below `limit`.
    pub(crate) fn decode(payload: Bytes, limit: u64) -> Result<Index, Malformed> {
        let malformed = Malformed("the index is malformed");
        let footer = payload.len().checked_sub(FOOTER_BYTES).ok_or(malformed)?;
        let records = usize_of(u64::from(u32_at(&payload, footer).ok_or(malformed)?));
        let prefix = usize_of(u64::from(u32_at(&payload, footer + 4).ok_or(malformed)?));
        let records_end = records.checked_mul(RECORD_BYTES).ok_or(malformed)?;
        let prefix_end = records_end.checked_add(prefix).ok_or(malformed)?;
        let bounds = footer.checked_sub(prefix_end).ok_or(malformed)?;
        let index = Index {
            payload,
            records,
            prefix_end,
            bounds_end: footer,
        };
        index.check(bounds, limit).ok_or(malformed)?;
        Ok(index)
    }

    /// That all records point into the bounds and into the file, in order.
    fn check(&self, bounds: usize, limit: u64) -> Option<()> {
        let (mut start, mut offset) = (0, 0);
        for at in 0..self.records {
            let mark = self.mark(at)?;
            let end = usize_of(u64::from(mark & !HAS_SEQ));
            let least = if mark & HAS_SEQ == 0 { 0 } else { 8 };
            let handle = self.handle(at)?;
            let fits = end.checked_sub(start)? >= least && handle.offset >= offset;
            if !fits || handle.end() > limit {
                return None;
            }
            (start, offset) = (end, handle.end());
        }
        (start == bounds && self.bounds_end <= self.payload.len()).then_some(())
    }

    /// How many blocks there are.
    pub(crate) fn len(&self) -> usize {
        self.records
    }

    /// Bytes that this keeps in memory.
    pub(crate) fn weight(&self) -> usize {
        self.payload.len() + size_of::<Index>()
    }

    /// Where the block with this place is.
    #[inline]
    pub(crate) fn handle(&self, at: usize) -> Option<Handle> {
        let record = self.record(at)?;
        Some(Handle {
            offset: u64_at(record, 8)?,
            len: u32_at(record, 16)?,
        })
    }

    /// The place of the first block whose bound is at or behind a version: the only one that can
    /// hold the first version there. `None` if all are before it.
    #[inline]
    pub(crate) fn find(&self, key: &[u8], seq: u64) -> Option<usize> {
        let prefix = self
            .payload
            .get(self.records * RECORD_BYTES..self.prefix_end)?;
        let Some(rest) = key.strip_prefix(prefix) else {
            return (self.records > 0 && key < prefix).then_some(0);
        };
        let head = head(rest);
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let middle = low + (high - low) / 2;
            let order = self.head(middle)?.cmp(&head);
            let order = order.then_with(|| self.compare(middle, rest, seq));
            if order.is_lt() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low < self.records).then_some(low)
    }

    /// How a bound stands to a version, whose key is given without the prefix.
    fn compare(&self, at: usize, rest: &[u8], seq: u64) -> Ordering {
        let (bound, bound_seq) = self.bound(at).unwrap_or_default();
        bound.cmp(rest).then_with(|| seq.cmp(&bound_seq))
    }

    /// A bound, without the prefix.
    fn bound(&self, at: usize) -> Option<(&[u8], u64)> {
        let start = match at.checked_sub(1) {
            Some(before) => self.mark(before)? & !HAS_SEQ,
            None => 0,
        };
        let mark = self.mark(at)?;
        let bounds = self.payload.get(self.prefix_end..self.bounds_end)?;
        let (start, end) = (u64::from(start), u64::from(mark & !HAS_SEQ));
        let bound = bounds.get(usize_of(start)..usize_of(end))?;
        if mark & HAS_SEQ == 0 {
            return Some((bound, 0));
        }
        let (bound, seq) = bound.split_last_chunk()?;
        Some((bound, u64::from_le_bytes(*seq)))
    }

    #[inline]
    fn record(&self, at: usize) -> Option<&[u8; RECORD_BYTES]> {
        let (records, _) = self.payload.as_chunks();
        records[..self.records].get(at)
    }

    #[inline]
    fn head(&self, at: usize) -> Option<u32> {
        Some(u32::from_be_bytes(array_at(self.record(at)?, 0)?))
    }

    fn mark(&self, at: usize) -> Option<u32> {
        u32_at(self.record(at)?, 4)
    }
}

/// The first four bytes of a bound or key, in order with others.
#[inline]
fn head(rest: &[u8]) -> u32 {
    if let Some(head) = rest.first_chunk() {
        return u32::from_be_bytes(*head);
    }
    let mut head = [0; 4];
    head[..rest.len()].copy_from_slice(rest);
    u32::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::table::entry::compare;

    proptest! {
        #[test]
        fn a_bound_stands_between_its_neighbours(
            key in proptest::collection::vec(0u8..3, 0..6),
            next in proptest::collection::vec(0u8..3, 0..6),
            raise: bool,
        ) {
            let lift = |key: Vec<u8>| -> Vec<u8> {
                key.into_iter().map(|byte| if raise && byte == 2 { 255 } else { byte }).collect()
            };
            let (mut key, mut next) = (lift(key), lift(next));
            if key > next {
                std::mem::swap(&mut key, &mut next);
            }
            let mut room = Vec::new();
            let found = bound((&key, 7), &next, &mut room);
            prop_assert!(compare((&key, 7), found).is_le());
            prop_assert!(found.0.len() <= key.len().max(next.len()));
            if key == next {
                prop_assert_eq!(found, (&key[..], 7));
            } else {
                prop_assert!(found.0 < &next[..], "{:?} {:?} {:?}", found, key, next);
                prop_assert_eq!(found.1, 0);
            }
        }

        #[test]
        fn find_answers_as_a_list_does(
            prefix in proptest::collection::vec(0u8..3, 0..3),
            keys in proptest::collection::btree_set(
                (proptest::collection::vec(0u8..3, 0..7), 0u64..3), 1..40),
            sought in proptest::collection::vec(
                (proptest::collection::vec(0u8..3, 0..9), 0u64..4), 1..40),
        ) {
            let mut bounds: Vec<(Vec<u8>, u64)> = keys.into_iter()
                .map(|(key, seq)| ([&prefix[..], &key].concat(), seq)).collect();
            bounds.sort_by(|a, b| compare((&a.0, a.1), (&b.0, b.1)));
            let mut builder = IndexBuilder::default();
            for (at, (key, seq)) in bounds.iter().enumerate() {
                builder.add(key, *seq, Handle { offset: at as u64 * 10, len: 10 });
            }
            let mut payload = Vec::new();
            builder.finish(&mut payload);
            let limit = bounds.len() as u64 * 10;
            prop_assert!(Index::decode(payload.clone().into(), limit - 1).is_err());
            let index = Index::decode(payload.into(), limit).unwrap();
            for (key, seq) in sought.iter().chain(&bounds) {
                let expected = bounds.iter()
                    .position(|bound| compare((&bound.0, bound.1), (key, *seq)).is_ge());
                prop_assert_eq!(index.find(key, *seq), expected);
                if let Some(at) = expected {
                    prop_assert_eq!(index.handle(at).unwrap().offset, at as u64 * 10);
                }
            }
        }

        #[test]
        fn no_bytes_make_an_index_panic(bytes: Vec<u8>, records in 0u32..4, prefix in 0u32..20) {
            let mut bytes = bytes;
            bytes.extend(records.to_le_bytes());
            bytes.extend(prefix.to_le_bytes());
            if let Ok(index) = Index::decode(bytes.into(), u64::MAX) {
                let _ = index.find(b"key", 1);
            }
        }
    }
}
