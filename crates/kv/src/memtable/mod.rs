//! [`MemTable`]: the newest entries of a keyspace, in memory.
//!
//! Invariants:
//! - Entries come in the order of their numbers, under a lock that is held for one batch; a table
//!   that is *frozen* gets no more.
//! - Who reads by a number sees nothing above it, so entries may be here before they are durable.
//! - A walk over it stands on the tree as it was when it began, and holds up nobody.

mod arena;
#[cfg(test)]
mod tests;

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use self::arena::Arena;
use crate::batch::Write;
use crate::entry::Entry;
use crate::key::Sought;
use crate::table::{Found, RangeTombstone};
use crate::tombstone::RangeTombstones;
use crate::tree::{Finger, Tree};

/// What an entry takes in memory beside its key and value: its place in the tree, and its share of
/// the nodes.
const ENTRY_BYTES: u64 = 96;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct MemTable {
    growing: RwLock<Growing>,
}

#[derive(Debug, Default)]
struct Growing {
    content: Content,
    arena: Arena,
}

/// What is in it. A clone costs nothing and stays as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) entries: Tree<Entry>,
    pub(crate) ranges: RangeTombstones,
    bytes: u64,
    /// The first and the last number of a write in it.
    seqs: Option<(u64, u64)>,
    /// When the first and the last of them came, in milliseconds since 1970.
    pub(crate) times: (u64, u64),
}

impl MemTable {
    /// Adds writes of one batch, which came at this time. Gives about how many bytes it takes then.
    pub(crate) fn insert<'a>(&self, time: u64, writes: impl IntoIterator<Item = Write<'a>>) -> u64 {
        let mut growing = self.growing.write().unwrap_or_else(PoisonError::into_inner);
        let Growing { content, arena } = &mut *growing;
        content.times = match content.seqs {
            Some(_) => (content.times.0.min(time), content.times.1.max(time)),
            None => (time, time),
        };
        for write in writes {
            content.insert(write, arena);
        }
        content.bytes
    }

    /// The newest version of the key that is not above `seq`, and the newest range tombstone that
    /// covers it and is not above `seq`; 0 if there is none.
    pub(crate) fn get(&self, key: &[u8], seq: u64) -> (Option<Found>, u64) {
        let content = &self.growing().content;
        let sought = Sought::new(key);
        let entry = content.entries.at_or_after(Entry::place(&sought, seq));
        let entry = entry.filter(|entry| entry.key() == key);
        let found = entry.map(|entry| Found {
            kind: entry.kind,
            seq: entry.seq,
            value: entry.value(),
        });
        (found, content.ranges.covering(key, seq))
    }

    /// All that is in it now.
    pub(crate) fn snapshot(&self) -> Content {
        self.growing().content.clone()
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.growing().content.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.growing().content.seqs.is_none()
    }

    fn growing(&self) -> RwLockReadGuard<'_, Growing> {
        self.growing.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn insert(&mut self, write: Write<'_>, arena: &mut Arena) {
        let seq = match write {
            Write::Entry {
                data,
                key_len,
                kind,
                seq,
            } => {
                self.bytes += data.len() as u64 + ENTRY_BYTES;
                let entry = Entry::new(arena.keep(&data), key_len, kind, seq);
                self.entries.insert(entry);
                seq
            }
            Write::Range { start, end, seq } => {
                let len = start.len() + end.len();
                self.bytes += len as u64 + ENTRY_BYTES;
                self.ranges.insert(RangeTombstone {
                    start: arena.keep(&start),
                    end: arena.keep(&end),
                    seq,
                });
                seq
            }
        };
        let (first, last) = self.seqs.unwrap_or((seq, seq));
        self.seqs = Some((first.min(seq), last.max(seq)));
    }

    /// A walk over its entries.
    pub(crate) fn walk(&self) -> Finger<Entry> {
        Finger::new(&self.entries)
    }
}
