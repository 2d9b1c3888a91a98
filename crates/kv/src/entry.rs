//! [`Entry`]: one version of a key, as it stands in a batch, in a memtable and in a merge.

use std::cmp::Ordering;

use bytes::Bytes;

use crate::key::{Prefix, Sought};
pub(crate) use crate::table::Kind;
use crate::tree::{Item, Place};

/// A version of a key. Key and value stand next to each other in one buffer, which entries of the
/// same batch share.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    prefix: Prefix,
    /// The key, and then the value.
    data: Bytes,
    key_len: u32,
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
}

impl Entry {
    /// `data` is the key, of this length, and then the value.
    pub(crate) fn new(data: Bytes, key_len: u32, kind: Kind, seq: u64) -> Self {
        let len = (key_len as usize).min(data.len());
        Entry {
            prefix: Prefix::of(&data[..len]),
            data,
            key_len,
            kind,
            seq,
        }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.data[..self.key_len as usize]
    }

    pub(crate) fn value(&self) -> Bytes {
        self.data.slice(self.key_len as usize..)
    }

    /// How an entry stands to the newest version of a key that is not above `seq`.
    pub(crate) fn place(key: &Sought<'_>, seq: u64) -> impl Place<Entry> {
        Version { key: *key, seq }
    }
}

/// The newest version of a key that is not above a number.
struct Version<'a> {
    key: Sought<'a>,
    seq: u64,
}

impl Place<Entry> for Version<'_> {
    fn head(&self) -> Prefix {
        self.key.prefix()
    }

    fn compare(&self, entry: &Entry) -> Ordering {
        let by_key = self.key.compare(entry.prefix, || entry.key());
        by_key.then(self.seq.cmp(&entry.seq))
    }
}

/// By key, and the newest version of a key first.
impl Item for Entry {
    type Sum = ();
    type Head = Prefix;

    fn head(&self) -> Prefix {
        self.prefix
    }

    fn order(&self, other: &Self) -> Ordering {
        let by_key = self.prefix.cmp(&other.prefix);
        by_key
            .then_with(|| self.key().cmp(other.key()))
            .then(other.seq.cmp(&self.seq))
    }

    fn sum(&self) {}

    fn add(_sum: &mut (), _other: &()) {}
}
