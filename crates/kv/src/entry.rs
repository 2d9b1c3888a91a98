//! [`Entry`]: one version of a key, as it stands in a batch, in a memtable and in a merge.

use std::cmp::Ordering;

use bytes::Bytes;

use crate::key::{Prefix, Sought};
pub(crate) use crate::table::Kind;
use crate::tree::Item;

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

    /// Bytes of key and value.
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// The same entry, with its bytes elsewhere.
    pub(crate) fn kept(self, keep: impl FnOnce(Bytes) -> Bytes) -> Self {
        let data = keep(self.data);
        Entry { data, ..self }
    }

    /// How an entry stands to the newest version of a key that is not above `seq`.
    pub(crate) fn place(key: &Sought<'_>, seq: u64) -> impl Fn(&Entry) -> Ordering {
        move |entry| {
            let by_key = key.compare(entry.prefix, || entry.key());
            by_key.then(seq.cmp(&entry.seq))
        }
    }
}

/// By key, and the newest version of a key first.
impl Item for Entry {
    type Sum = ();

    fn order(&self, other: &Self) -> Ordering {
        let by_key = self.prefix.cmp(&other.prefix);
        by_key
            .then_with(|| self.key().cmp(other.key()))
            .then(other.seq.cmp(&self.seq))
    }

    fn sum(&self) {}

    fn add(_sum: &mut (), _other: &()) {}
}
