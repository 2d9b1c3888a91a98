//! [`SstMetadata`]: what the manifest knows of a table.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::filenum::FileNum;
use super::keyspace::KeyspaceId;
use crate::key::{Prefix, Sought};
use crate::tree::Item;

/// What the manifest knows of one table, that is of one file of sorted entries.
///
/// The manifest reads no file: all of this is the caller's word, and comes back as it was given.
/// Keys compare bytewise, and both ends of each range belong to it.
///
/// ```
/// use quipu_kv::manifest::{FileNum, KeyspaceId, SstMetadata};
///
/// let mut table = SstMetadata::new(FileNum::new(7), KeyspaceId::new(1), 0, *b"apple", *b"pear");
/// table.size = 4096;
/// table.max_seq = 12;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SstMetadata {
    /// The file.
    pub filenum: FileNum,
    /// Whose entries they are.
    pub keyspace: KeyspaceId,
    /// The level, from 0 on. From the keyspace's
    /// [`sorted_from`](crate::manifest::KeyspaceOptions::sorted_from) on, tables of one level do not
    /// overlap.
    pub level: u32,
    /// Bytes of the file.
    pub size: u64,
    /// Entries, of which some are tombstones.
    pub entries: u64,
    /// Entries that say that something is deleted.
    pub tombstones: u64,
    /// The smallest key.
    #[serde(with = "serde_bytes")]
    pub smallest: Box<[u8]>,
    /// The largest key.
    #[serde(with = "serde_bytes")]
    pub largest: Box<[u8]>,
    /// The smallest sequence number of an entry.
    pub min_seq: u64,
    /// The largest sequence number of an entry.
    pub max_seq: u64,
    /// The earliest timestamp of an entry, in the caller's unit.
    pub min_timestamp: u64,
    /// The latest timestamp of an entry, in the caller's unit.
    pub max_timestamp: u64,
    /// A checksum of the file, of the caller's choice.
    pub checksum: u64,
    /// When the file was made, in the caller's unit.
    pub created: u64,
}

impl SstMetadata {
    /// A table with these keys; every number that is not given is 0.
    pub fn new(
        filenum: FileNum,
        keyspace: KeyspaceId,
        level: u32,
        smallest: impl Into<Box<[u8]>>,
        largest: impl Into<Box<[u8]>>,
    ) -> Self {
        SstMetadata {
            filenum,
            keyspace,
            level,
            size: 0,
            entries: 0,
            tombstones: 0,
            smallest: smallest.into(),
            largest: largest.into(),
            min_seq: 0,
            max_seq: 0,
            min_timestamp: 0,
            max_timestamp: 0,
            checksum: 0,
            created: 0,
        }
    }

    /// Whether the two have a key in common, as far as their ranges tell.
    pub fn overlaps(&self, other: &SstMetadata) -> bool {
        self.smallest <= other.largest && other.smallest <= self.largest
    }

    /// Whether this is the same file, wherever it stands.
    pub(super) fn is_moved_from(&self, other: &SstMetadata) -> bool {
        let moved = SstMetadata {
            level: other.level,
            ..self.clone()
        };
        moved == *other
    }
}

/// A table in the order of file numbers.
///
/// The number stands beside the pointer, so that a search does not go to each table in memory.
#[derive(Clone, Debug)]
pub(super) struct ByNumber {
    filenum: FileNum,
    pub(super) table: Arc<SstMetadata>,
}

impl ByNumber {
    pub(super) fn new(table: Arc<SstMetadata>) -> Self {
        let filenum = table.filenum;
        ByNumber { filenum, table }
    }

    /// How a table stands to a number.
    pub(super) fn place(filenum: FileNum) -> impl Fn(&ByNumber) -> Ordering {
        move |other| other.filenum.cmp(&filenum)
    }
}

impl Item for ByNumber {
    type Sum = Totals;
    type Head = ();

    fn head(&self) {}

    fn order(&self, other: &Self) -> Ordering {
        self.filenum.cmp(&other.filenum)
    }

    fn sum(&self) -> Totals {
        Totals {
            bytes: self.table.size,
        }
    }

    fn add(sum: &mut Totals, other: &Totals) {
        sum.bytes = sum.bytes.saturating_add(other.bytes);
    }
}

/// What tables come to.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    pub(super) bytes: u64,
}

/// A table in the order of smallest keys, and of numbers where they are the same.
///
/// The beginnings of the keys stand beside the pointer, so that a search goes to few tables in memory.
#[derive(Clone, Debug)]
pub(super) struct ByKey {
    smallest: Prefix,
    largest: Prefix,
    pub(super) table: Arc<SstMetadata>,
}

impl ByKey {
    pub(super) fn new(table: Arc<SstMetadata>) -> Self {
        ByKey {
            smallest: Prefix::of(&table.smallest),
            largest: Prefix::of(&table.largest),
            table,
        }
    }

    /// How a table stands to one with that smallest key and number.
    pub(super) fn place(smallest: &[u8], filenum: FileNum) -> impl Fn(&ByKey) -> Ordering {
        let smallest = Sought::new(smallest);
        move |other| {
            let by_key = other.smallest_to(&smallest);
            by_key.then_with(|| other.table.filenum.cmp(&filenum))
        }
    }

    /// How the smallest key stands to that one.
    pub(super) fn smallest_to(&self, key: &Sought<'_>) -> Ordering {
        key.compare(self.smallest, || &self.table.smallest)
    }

    /// How the largest key stands to that one.
    pub(super) fn largest_to(&self, key: &Sought<'_>) -> Ordering {
        key.compare(self.largest, || &self.table.largest)
    }
}

impl Item for ByKey {
    type Sum = Span;
    type Head = ();

    fn head(&self) {}

    fn order(&self, other: &Self) -> Ordering {
        let by_prefix = self.smallest.cmp(&other.smallest);
        by_prefix.then_with(|| {
            let (this, other) = (&self.table, &other.table);
            let by_key = this.smallest.cmp(&other.smallest);
            by_key.then(this.filenum.cmp(&other.filenum))
        })
    }

    fn sum(&self) -> Span {
        Span {
            bytes: self.table.size,
            first: self.clone(),
            furthest: self.clone(),
            min_timestamp: self.table.min_timestamp,
            max_timestamp: self.table.max_timestamp,
        }
    }

    fn add(sum: &mut Span, other: &Span) {
        sum.bytes = sum.bytes.saturating_add(other.bytes);
        let (held, furthest) = (&sum.furthest, &other.furthest);
        let further = held.largest.cmp(&furthest.largest);
        let further = further.then_with(|| held.table.largest.cmp(&furthest.table.largest));
        if further.is_lt() {
            sum.furthest = furthest.clone();
        }
        sum.min_timestamp = sum.min_timestamp.min(other.min_timestamp);
        sum.max_timestamp = sum.max_timestamp.max(other.max_timestamp);
    }
}

/// What tables in the order of keys span: by this, a query passes over those that cannot match.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) bytes: u64,
    /// The one with the smallest key of all.
    pub(super) first: ByKey,
    /// One with the largest key of all.
    pub(super) furthest: ByKey,
    pub(super) min_timestamp: u64,
    pub(super) max_timestamp: u64,
}
