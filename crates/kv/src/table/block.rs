//! A data block: entries in order, each as what it adds to the one before.
//!
//! ```text
//! | entries ... | restarts: u32 each | base seq: u64 | number of restarts: u32 |
//!
//! entry: | shared | unshared | tag | seq | the key's unshared bytes | value |      four varints first
//! ```
//!
//! *shared* is how many bytes the key has in common with the one before, and 0 at a restart. *tag* is 0
//! for a deletion, and the value's length plus 1 otherwise. *seq* is the distance to the base, which
//! is the first entry's, in zigzag.
//!
//! Invariants: the first restart is at 0, and restarts ascend. A block holds at least one entry.

use std::cmp::Ordering;
use std::ops::Range;

use bytes::Bytes;

use super::entry::{Kind, compare};
use super::layout::{
    Malformed, common_prefix, put_varint, u32_at, u32_of, u64_at, unzigzag, usize_of, varint,
    varint_len, zigzag,
};

const FOOTER_BYTES: usize = 12;

const DAMAGED: Malformed = Malformed("an entry of the block is malformed");

/// Builds the payload of a block.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    payload: Vec<u8>,
    restarts: Vec<u32>,
    restart_interval: usize,
    entries: usize,
    base: u64,
}

impl BlockBuilder {
    pub(crate) fn new(restart_interval: usize) -> Self {
        BlockBuilder {
            payload: Vec::new(),
            restarts: Vec::new(),
            restart_interval: restart_interval.max(1),
            entries: 0,
            base: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes of the payload if it ended here.
    pub(crate) fn len(&self) -> usize {
        self.payload.len() + self.restarts.len() * 4 + FOOTER_BYTES
    }

    /// Adds an entry whose key has `shared` bytes in common with the one before.
    ///
    /// The order is the caller's affair.
    #[inline]
    pub(crate) fn add(&mut self, shared: usize, key: &[u8], seq: u64, kind: Kind, value: &[u8]) {
        let mut shared = shared;
        if self.entries.is_multiple_of(self.restart_interval) {
            if self.entries == 0 {
                self.base = seq;
            }
            self.restarts.push(u32_of(self.payload.len()));
            shared = 0;
        }
        self.entries += 1;
        let tag = match kind {
            Kind::Put => value.len() as u64 + 1,
            Kind::Delete => 0,
        };
        put_varint(&mut self.payload, shared as u64);
        put_varint(&mut self.payload, (key.len() - shared) as u64);
        put_varint(&mut self.payload, tag);
        put_varint(&mut self.payload, zigzag(seq, self.base));
        self.payload.extend_from_slice(&key[shared..]);
        if kind == Kind::Put {
            self.payload.extend_from_slice(value);
        }
    }

    /// Completes the payload. [`clear`](BlockBuilder::clear) begins the next one.
    pub(crate) fn finish(&mut self) -> &[u8] {
        for restart in &self.restarts {
            self.payload.extend_from_slice(&restart.to_le_bytes());
        }
        self.payload.extend_from_slice(&self.base.to_le_bytes());
        let count = u32_of(self.restarts.len());
        self.payload.extend_from_slice(&count.to_le_bytes());
        &self.payload
    }

    pub(crate) fn clear(&mut self) {
        self.payload.clear();
        self.restarts.clear();
        self.entries = 0;
    }
}

/// The payload of a block, whose restarts have been looked at.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    payload: Bytes,
    /// Where the entries end and the restarts begin.
    entries_end: usize,
    restarts: usize,
    base: u64,
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
    pub(super) fn end(&self) -> usize {
        self.value.end
    }
}

impl Block {
    pub(crate) fn decode(payload: Bytes) -> Result<Block, Malformed> {
        let malformed = Malformed("the block's restarts are malformed");
        let footer = payload.len().checked_sub(FOOTER_BYTES).ok_or(malformed)?;
        let base = u64_at(&payload, footer).ok_or(malformed)?;
        let restarts = u32_at(&payload, footer + 8).ok_or(malformed)?;
        let restarts = usize_of(u64::from(restarts));
        let table = restarts.checked_mul(4).ok_or(malformed)?;
        let entries_end = footer.checked_sub(table).ok_or(malformed)?;
        let (places, _) = payload[entries_end..footer].as_chunks::<4>();
        let mut places = places.iter().map(|place| u32::from_le_bytes(*place));
        if places.next() != Some(0) {
            return Err(malformed);
        }
        let mut last = 0;
        for place in places {
            if place <= last || usize_of(u64::from(place)) >= entries_end {
                return Err(malformed);
            }
            last = place;
        }
        Ok(Block {
            payload,
            entries_end,
            restarts,
            base,
        })
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

    pub(super) fn payload(&self) -> &Bytes {
        &self.payload
    }

    pub(super) fn entries_end(&self) -> usize {
        self.entries_end
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.payload.get(range).unwrap_or_default()
    }

    /// The entry that begins at `at`.
    #[inline]
    pub(super) fn entry(&self, at: usize) -> Result<Entry, Malformed> {
        let bytes = &self.payload[..self.entries_end];
        self.parse(bytes, at).ok_or(DAMAGED)
    }

    #[inline]
    fn parse(&self, bytes: &[u8], at: usize) -> Option<Entry> {
        // Nearly always, each of the first three numbers is one byte.
        let (shared, unshared, tag, mut next) = match bytes.get(at..)?.first_chunk::<3>()? {
            [shared, unshared, tag] if (shared | unshared | tag) < 0x80 => (
                usize::from(*shared),
                usize::from(*unshared),
                usize::from(*tag),
                at + 3,
            ),
            _ => {
                let mut next = at;
                let shared = varint_len(bytes, &mut next)?;
                let unshared = varint_len(bytes, &mut next)?;
                (shared, unshared, varint_len(bytes, &mut next)?, next)
            }
        };
        let seq = unzigzag(varint(bytes, &mut next)?, self.base);
        let key_end = next.checked_add(unshared)?;
        let (kind, value_len) = match tag.checked_sub(1) {
            Some(len) => (Kind::Put, len),
            None => (Kind::Delete, 0),
        };
        let end = key_end.checked_add(value_len)?;
        (end <= bytes.len()).then_some(Entry {
            at,
            shared,
            unshared: next..key_end,
            value: key_end..end,
            kind,
            seq,
        })
    }

    /// Where the restart with this index is.
    fn restart(&self, index: usize) -> Result<usize, Malformed> {
        let at = u32_at(&self.payload, self.entries_end + index * 4).ok_or(DAMAGED)?;
        Ok(usize_of(u64::from(at)))
    }

    /// The last restart for which `before` holds, which it does for the first ones only; the first
    /// of all if it holds for none.
    pub(super) fn last_restart(
        &self,
        before: impl Fn(usize) -> Result<bool, Malformed>,
    ) -> Result<usize, Malformed> {
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
        let mut at = self.last_restart(|at| {
            let entry = self.entry(at)?;
            let first = self.bytes(entry.unshared);
            Ok(compare((first, entry.seq), (key, seq)).is_lt())
        })?;
        // What the entry before, which is before the sought version, has in common with its key.
        let mut matched = 0;
        while at < self.entries_end {
            let entry = self.entry(at)?;
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
            at = entry.end();
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
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
        let payload = block.payload().to_vec();
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
