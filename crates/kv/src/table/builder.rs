//! Makes a data block: the other side of [`block`](super::block), which describes the bytes.

use super::block::{FOOTER_BYTES, RESTART_BYTES};
use super::entry::Kind;
use super::layout::{put_varint, u32_of, zigzag};

/// Builds the payload of a block.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    /// The entries; all of the payload when it is finished.
    keys: Vec<u8>,
    values: Vec<u8>,
    restarts: Vec<[u32; 2]>,
    restart_interval: usize,
    entries: usize,
    base: u64,
}

impl BlockBuilder {
    pub(crate) fn new(restart_interval: usize) -> Self {
        BlockBuilder {
            keys: Vec::new(),
            values: Vec::new(),
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
        let entries = self.keys.len() + self.values.len();
        entries + self.restarts.len() * RESTART_BYTES + FOOTER_BYTES
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
            let place = [&self.keys, &self.values].map(|bytes| u32_of(bytes.len()));
            self.restarts.push(place);
            shared = 0;
        }
        self.entries += 1;
        let tag = match kind {
            Kind::Put => value.len() as u64 + 1,
            Kind::Delete => 0,
        };
        put_varint(&mut self.keys, shared as u64);
        put_varint(&mut self.keys, (key.len() - shared) as u64);
        put_varint(&mut self.keys, tag);
        put_varint(&mut self.keys, zigzag(seq, self.base));
        self.keys.extend_from_slice(&key[shared..]);
        if kind == Kind::Put {
            self.values.extend_from_slice(value);
        }
    }

    /// Completes the payload. [`clear`](BlockBuilder::clear) begins the next one.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let values_at = u32_of(self.keys.len());
        let count = u32_of(self.restarts.len());
        self.keys.extend_from_slice(&self.values);
        for place in self.restarts.as_flattened() {
            self.keys.extend_from_slice(&place.to_le_bytes());
        }
        self.keys.extend_from_slice(&values_at.to_le_bytes());
        self.keys.extend_from_slice(&count.to_le_bytes());
        self.keys.extend_from_slice(&self.base.to_le_bytes());
        &self.keys
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
        self.restarts.clear();
        self.entries = 0;
    }
}
