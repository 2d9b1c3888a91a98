//! A walk over the entries of one block, both ways, without waiting and without allocating.
//!
//! Forwards, each key is put together in a buffer that is used again. Backwards, all entries of a
//! restart are decoded at once and handed out from the last on, so that a step back costs about what
//! a step forward does.
//!
//! Invariant: after a failure the cursor stands nowhere.

use std::ops::Range;

use bytes::Bytes;

use super::block::{Block, Entry, Start};
use super::entry::Kind;
use super::layout::Malformed;

const BACKWARDS: Malformed = Malformed("an entry shares more than the one before has");

/// Where a walk over a block stands.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    block: Option<Block>,
    current: Option<Current>,
    /// The current key; on the way back, the keys of all entries of the restart.
    keys: Vec<u8>,
    /// On the way back, the entries before the current one, up to the restart.
    earlier: Vec<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    at: usize,
    /// Where the next entry begins.
    end: Start,
    /// The key's place in `keys`.
    key: Range<usize>,
    value: Range<usize>,
    kind: Kind,
    seq: u64,
}

impl Cursor {
    /// Goes to this block, and stands nowhere in it.
    pub(crate) fn enter(&mut self, block: Block) {
        self.clear();
        self.block = Some(block);
    }

    /// Stands nowhere, in no block.
    pub(crate) fn clear(&mut self) {
        self.block = None;
        self.leave();
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.current.is_some()
    }

    /// The current key; empty where there is none.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        let current = self.current.as_ref();
        current.map_or(&[], |current| &self.keys[current.key.clone()])
    }

    #[inline]
    pub(crate) fn seq(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.seq)
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        let current = self.current.as_ref();
        current.map_or(Kind::Delete, |current| current.kind)
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        match (&self.block, &self.current) {
            (Some(block), Some(current)) => block.bytes(current.value.clone()),
            _ => &[],
        }
    }

    /// The value, which keeps its block in memory.
    pub(crate) fn value_bytes(&self) -> Bytes {
        match (&self.block, &self.current) {
            (Some(block), Some(current)) => block.value(current.value.clone()),
            _ => Bytes::new(),
        }
    }

    pub(crate) fn seek_to_first(&mut self) -> Result<bool, Malformed> {
        self.leave();
        match self.block.as_ref().map(|block| block.first()) {
            Some(first) => self.go_forward(first),
            None => Ok(false),
        }
    }

    pub(crate) fn seek_to_last(&mut self) -> Result<bool, Malformed> {
        self.leave();
        let end = self.block.as_ref().map_or(0, |block| block.keys_end());
        self.go_back_from(end)
    }

    /// Goes to the first entry at or behind a version.
    pub(crate) fn seek(&mut self, key: &[u8], seq: u64) -> Result<bool, Malformed> {
        self.leave();
        let Some(block) = &self.block else {
            return Ok(false);
        };
        let Some(entry) = block.find(key, seq)? else {
            return Ok(false);
        };
        self.keys
            .extend_from_slice(key.get(..entry.shared).ok_or(BACKWARDS)?);
        self.keys
            .extend_from_slice(block.bytes(entry.unshared.clone()));
        self.current = Some(Current::new(&entry, 0..self.keys.len()));
        Ok(true)
    }

    /// Goes to the next entry; `false` behind the last of the block.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<bool, Malformed> {
        let Some(current) = self.current.take() else {
            return Ok(false);
        };
        if current.key.len() != self.keys.len() || !self.earlier.is_empty() {
            self.turn(current.key);
        }
        self.go_forward(current.end)
    }

    /// Goes to the entry before; `false` before the first of the block.
    #[inline]
    pub(crate) fn prev(&mut self) -> Result<bool, Malformed> {
        let Some(current) = self.current.take() else {
            return Ok(false);
        };
        if let Some(earlier) = self.earlier.pop() {
            self.current = Some(earlier);
            return Ok(true);
        }
        self.go_back_from(current.at)
    }

    /// Goes to the entry that begins there; `keys` holds the key before it, and nothing else.
    #[inline]
    fn go_forward(&mut self, start: Start) -> Result<bool, Malformed> {
        let Some(block) = &self.block else {
            return Ok(false);
        };
        if start.key >= block.keys_end() {
            return Ok(false);
        }
        let entry = block.entry(start)?;
        if entry.shared > self.keys.len() {
            return Err(BACKWARDS);
        }
        self.keys.truncate(entry.shared);
        self.keys
            .extend_from_slice(block.bytes(entry.unshared.clone()));
        self.current = Some(Current::new(&entry, 0..self.keys.len()));
        Ok(true)
    }

    /// Goes to the entry that ends at `end`, by way of the restart before it.
    fn go_back_from(&mut self, end: usize) -> Result<bool, Malformed> {
        self.leave();
        let Some(block) = &self.block else {
            return Ok(false);
        };
        if end == 0 {
            return Ok(false);
        }
        let mut start = block.last_restart(|restart| Ok(restart.key < end))?;
        let mut before = 0..0;
        while start.key < end {
            let entry = block.entry(start)?;
            if entry.shared > before.len() {
                self.leave();
                return Err(BACKWARDS);
            }
            let key = self.keys.len();
            let shared = before.start..before.start + entry.shared;
            self.keys.extend_from_within(shared);
            self.keys
                .extend_from_slice(block.bytes(entry.unshared.clone()));
            before = key..self.keys.len();
            self.earlier.push(Current::new(&entry, before.clone()));
            start = entry.end();
        }
        self.current = self.earlier.pop();
        Ok(self.current.is_some())
    }

    /// Turns from the way back to the way forward: of the keys, only the current one stays.
    fn turn(&mut self, key: Range<usize>) {
        self.keys.truncate(key.end);
        self.keys.drain(..key.start);
        self.earlier.clear();
    }

    fn leave(&mut self) {
        self.current = None;
        self.earlier.clear();
        self.keys.clear();
    }
}

impl Current {
    #[inline]
    fn new(entry: &Entry, key: Range<usize>) -> Self {
        Current {
            at: entry.at,
            end: entry.end(),
            key,
            value: entry.value.clone(),
            kind: entry.kind,
            seq: entry.seq,
        }
    }
}
