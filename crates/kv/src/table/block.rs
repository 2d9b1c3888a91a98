//! A data block: entries in order, each as what it adds to the one before.
//!
//! ```text
//! | keys: entries ... | values ... | restarts: 8 bytes each | values' place: u32 | restarts: u32 | base seq: u64 |
//!
//! entry:   | shared | unshared | tag | seq | the key's unshared bytes |                  four varints first
//! restart: | its place among the keys: u32 | its value's place among the values: u32 |
//! ```
//!
//! *shared* is how many bytes the key has in common with the one before, and 0 at a restart. *tag* is 0
//! for a deletion, and the value's length plus 1 otherwise. *seq* is the distance to the base, which
//! is the first entry's, in zigzag. Values stand in the order of their entries, without anything
//! between them. They are apart from the keys because a search looks at many keys and one value: so
//! it walks over a few lines of the processor's cache, and not over one or two for each key.
//!
//! Invariants: the first restart is at the beginning, and restarts ascend. A block holds at least one
//! entry.

use std::cmp::Ordering;
use std::ops::Range;

use bytes::{Buf, Bytes};

use super::entry::{Kind, compare};
use super::layout::{
    Malformed, common_prefix, u32_at, u64_at, unzigzag, usize_of, varint, varint_len,
};

pub(super) const FOOTER_BYTES: usize = 16;
pub(super) const RESTART_BYTES: usize = 8;

const DAMAGED: Malformed = Malformed("an entry of the block is malformed");

/// The payload of a block, whose restarts have been looked at.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    payload: Bytes,
    /// Where the keys end and the values begin.
    keys_end: usize,
    /// Where the values end and the restarts begin.
    values_end: usize,
    restarts: usize,
    base: u64,
}

/// Where an entry and its value begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) key: usize,
    pub(super) value: usize,
}

/// An entry as it stands in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it begins.
    pub(super) at: usize,
    pub(super) shared: usize,
    /// The key's own bytes.
    pub(super) unshared: Range<usize>,
    pub(super) value: Range<usize>,
    pub(super) kind: Kind,
    pub(super) seq: u64,
}

impl Entry {
    /// Where the next one begins.
    pub(super) fn end(&self) -> Start {
        Start {
            key: self.unshared.end,
            value: self.value.end,
        }
    }
}

impl Block {
    pub(crate) fn decode(payload: Bytes) -> Result<Block, Malformed> {
        let malformed = Malformed("the block's restarts are malformed");
        let footer = payload.len().checked_sub(FOOTER_BYTES).ok_or(malformed)?;
        let keys_end = usize_of(u64::from(u32_at(&payload, footer).ok_or(malformed)?));
        let restarts = usize_of(u64::from(u32_at(&payload, footer + 4).ok_or(malformed)?));
        let base = u64_at(&payload, footer + 8).ok_or(malformed)?;
        let table = restarts.checked_mul(RESTART_BYTES).ok_or(malformed)?;
        let values_end = footer.checked_sub(table).ok_or(malformed)?;
        if restarts == 0 || keys_end > values_end {
            return Err(malformed);
        }
        let block = Block {
            payload,
            keys_end,
            values_end,
            restarts,
            base,
        };
        let mut last = block.restart(0)?;
        if last != block.first() {
            return Err(malformed);
        }
        for index in 1..restarts {
            let start = block.restart(index)?;
            if start.key <= last.key || start.value < last.value {
                return Err(malformed);
            }
            last = start;
        }
        if last.key >= keys_end || last.value > values_end {
            return Err(malformed);
        }
        Ok(block)
    }

    /// Bytes that this keeps in memory.
    pub(crate) fn weight(&self) -> usize {
        self.payload.len() + size_of::<Block>()
    }

    /// A copy of its own memory, for a block that is part of something larger.
    pub(crate) fn detached(&self) -> Block {
        Block {
            payload: Bytes::copy_from_slice(&self.payload),
            ..*self
        }
    }

    pub(super) fn value(&self, range: Range<usize>) -> Bytes {
        self.payload.slice(range)
    }

    /// The value there, for whom needs nothing else of the block.
    pub(super) fn into_value(self, range: Range<usize>) -> Bytes {
        let mut value = self.payload;
        value.truncate(range.end);
        value.advance(range.start);
        value
    }

    /// Where the first entry begins.
    pub(super) fn first(&self) -> Start {
        Start {
            key: 0,
            value: self.keys_end,
        }
    }

    /// Where the keys end.
    pub(super) fn keys_end(&self) -> usize {
        self.keys_end
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.payload.get(range).unwrap_or_default()
    }

    /// The entry that begins there.
    #[inline]
    pub(super) fn entry(&self, start: Start) -> Result<Entry, Malformed> {
        self.parse(start).ok_or(DAMAGED)
    }

    #[inline]
    fn parse(&self, start: Start) -> Option<Entry> {
        let keys = self.payload.get(..self.keys_end)?;
        // Nearly always, each of the first three numbers is one byte.
        let (shared, unshared, tag, mut next) = match keys.get(start.key..)?.first_chunk::<3>()? {
            [shared, unshared, tag] if (shared | unshared | tag) < 0x80 => (
                usize::from(*shared),
                usize::from(*unshared),
                usize::from(*tag),
                start.key + 3,
            ),
            _ => {
                let mut next = start.key;
                let shared = varint_len(keys, &mut next)?;
                let unshared = varint_len(keys, &mut next)?;
                (shared, unshared, varint_len(keys, &mut next)?, next)
            }
        };
        let seq = unzigzag(varint(keys, &mut next)?, self.base);
        let key_end = next.checked_add(unshared)?;
        let (kind, value_len) = match tag.checked_sub(1) {
            Some(len) => (Kind::Put, len),
            None => (Kind::Delete, 0),
        };
        let value_end = start.value.checked_add(value_len)?;
        (key_end <= self.keys_end && value_end <= self.values_end).then_some(Entry {
            at: start.key,
            shared,
            unshared: next..key_end,
            value: start.value..value_end,
            kind,
            seq,
        })
    }

    /// Where the restart with this index is.
    #[inline]
    fn restart(&self, index: usize) -> Result<Start, Malformed> {
        let at = self.values_end + index * RESTART_BYTES;
        let place = u64_at(&self.payload, at).ok_or(DAMAGED)?;
        Ok(Start {
            key: usize_of(place & u64::from(u32::MAX)),
            value: self.keys_end + usize_of(place >> 32),
        })
    }

    /// The last restart for which `before` holds, which it does for the first ones only; the first
    /// of all if it holds for none.
    #[inline]
    pub(super) fn last_restart(
        &self,
        before: impl Fn(Start) -> Result<bool, Malformed>,
    ) -> Result<Start, Malformed> {
        let (mut low, mut high) = (0, self.restarts);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if before(self.restart(middle)?)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.restart(low)
    }

    /// The first entry at or behind a version; `None` if all are before it.
    ///
    /// The entry's key is then the sought key's first `shared` bytes and its own: whatever it shares
    /// with the entry before it, it shares with the sought key, which stands between them.
    #[inline]
    pub(super) fn find(&self, key: &[u8], seq: u64) -> Result<Option<Entry>, Malformed> {
        let mut start = self.last_restart(|start| {
            let entry = self.entry(start)?;
            let first = self.bytes(entry.unshared);
            Ok(compare((first, entry.seq), (key, seq)).is_lt())
        })?;
        // What the entry before, which is before the sought version, has in common with its key.
        let mut matched = 0;
        while start.key < self.keys_end {
            let entry = self.entry(start)?;
            match entry.shared.cmp(&matched) {
                // It differs from the sought key where the entry before does.
                Ordering::Greater => {}
                // It passes the entry before where that one agrees with the sought key.
                Ordering::Less => return Ok(Some(entry)),
                Ordering::Equal => {
                    let own = self.bytes(entry.unshared.clone());
                    let rest = &key[matched..];
                    let common = common_prefix(own, rest);
                    let order = own.get(common).cmp(&rest.get(common));
                    if order.then_with(|| seq.cmp(&entry.seq)).is_ge() {
                        return Ok(Some(entry));
                    }
                    matched += common;
                }
            }
            start = entry.end();
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::builder::BlockBuilder;
    use super::*;

    type Version = (Vec<u8>, u64);

    fn block(entries: &[Version], interval: usize) -> Block {
        let mut builder = BlockBuilder::new(interval);
        let mut last: &[u8] = &[];
        for (key, seq) in entries {
            let shared = common_prefix(last, key);
            builder.add(shared, key, *seq, Kind::Put, b"value");
            last = key;
        }
        let len = builder.len();
        let payload = Bytes::copy_from_slice(builder.finish());
        assert_eq!(payload.len(), len);
        Block::decode(payload).unwrap()
    }

    /// All keys of up to three letters, in two versions each.
    fn entries() -> Vec<Version> {
        let mut keys: Vec<Vec<u8>> = vec![Vec::new()];
        for len in 0..3 {
            let longer: Vec<_> = keys
                .iter()
                .filter(|key| key.len() == len)
                .cloned()
                .collect();
            for key in longer {
                keys.extend(b"acd".iter().map(|letter| [&key[..], &[*letter]].concat()));
            }
        }
        keys.sort();
        let versions = |key: Vec<u8>| [9, 4].map(|seq| (key.clone(), seq));
        keys.into_iter().flat_map(versions).collect()
    }

    #[test]
    fn find_answers_as_a_list_does() {
        let entries = entries();
        let mut sought = entries.clone();
        sought
            .extend([&b"b"[..], b"ab", b"acb", b"acda", b"e", b"\0"].map(|key| (key.to_vec(), 5)));
        sought.extend(
            entries
                .iter()
                .flat_map(|(key, _)| [0, 5, 20].map(|seq| (key.clone(), seq))),
        );
        for interval in [1, 2, 3, 16, 1000] {
            let block = block(&entries, interval);
            for (key, seq) in &sought {
                let before = |entry: &&Version| compare((&entry.0, entry.1), (key, *seq)).is_lt();
                let expected = entries.iter().find(|entry| !before(entry));
                let found = block.find(key, *seq).unwrap().map(|entry| {
                    let own = block.bytes(entry.unshared);
                    ([&key[..entry.shared], own].concat(), entry.seq)
                });
                assert_eq!(found.as_ref(), expected, "{key:?} {seq} every {interval}");
            }
        }
    }

    #[test]
    fn no_bytes_make_a_block_panic() {
        let block = block(&entries(), 4);
        let payload = block.payload.to_vec();
        for at in 0..payload.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = payload.clone();
                damaged[at] = value;
                let Ok(block) = Block::decode(Bytes::from(damaged)) else {
                    continue;
                };
                for (key, seq) in entries() {
                    let _ = block.find(&key, seq);
                }
            }
        }
        for len in 0..payload.len() {
            let _ = Block::decode(Bytes::copy_from_slice(&payload[..len]));
        }
    }
}
