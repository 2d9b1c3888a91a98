//! Which of two tables holds the older entries, and what follows for tombstones.
//!
//! Invariant of the tree: where two tables have a key in common, all entries of one are older than
//! all of the other: those of the lower level number are newer, and within level 0 those of the table
//! with the larger `max_seq`. Reads stop at the first entry that they find because of it, and every
//! compaction keeps it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::manifest::{Keyspace, SstMetadata};

/// Whether, by their places, the entries of this table are older than those of the other, for each
/// key that they have in common.
pub(super) fn is_older(table: &SstMetadata, other: &SstMetadata) -> bool {
    age(table) < age(other)
}

/// Tables in the order of this are in the order of their ages, the oldest first.
pub(super) fn age(table: &SstMetadata) -> impl Ord + use<> {
    (Reverse(table.level), table.max_seq, table.filenum)
}

/// Whether entries of `newer` may be what hides entries of `older`: if so, they must not go first.
///
/// Besides the places, the sequence numbers tell: a table that begins after the other ends holds
/// nothing older.
pub(super) fn may_hide(newer: &SstMetadata, older: &SstMetadata) -> bool {
    newer.overlaps(older) && is_older(older, newer) && older.min_seq <= newer.max_seq
}

/// Whether no table but the inputs themselves may hold an older entry of any of their keys: a
/// tombstone in them that no snapshot needs hides nothing that stays.
///
/// True for as long as the inputs are being compacted, whatever other compactions do: entries get
/// into older places only from places that are newer than the inputs, or that are older already.
pub(super) fn nothing_older(keyspace: &Keyspace, inputs: &[Arc<SstMetadata>]) -> bool {
    let going: BTreeSet<_> = inputs.iter().map(|input| input.filenum).collect();
    inputs.iter().all(|input| {
        let mut beside = keyspace.overlapping(keys(input));
        beside.all(|table| going.contains(&table.filenum) || !may_hide(input, table))
    })
}

/// The tables of level 0, the newest first.
pub(super) fn flushed(keyspace: &Keyspace) -> Vec<&Arc<SstMetadata>> {
    let level = keyspace.level(0);
    let mut tables: Vec<_> = level.iter().flat_map(|level| level.tables()).collect();
    tables.sort_by_key(|table| Reverse((table.max_seq, table.filenum)));
    tables
}

/// The range of a table's keys.
pub(super) fn keys(table: &SstMetadata) -> RangeInclusive<&[u8]> {
    &*table.smallest..=&*table.largest
}

/// The smallest range that holds the keys of all these tables; `None` for no tables.
pub(super) fn hull<'a>(
    tables: impl IntoIterator<Item = &'a Arc<SstMetadata>>,
) -> Option<RangeInclusive<&'a [u8]>> {
    let ranges = tables.into_iter().map(|table| keys(table));
    ranges.reduce(|a, b| *a.start().min(b.start())..=*a.end().max(b.end()))
}

/// The bytes of these tables.
pub(super) fn bytes<'a>(tables: impl IntoIterator<Item = &'a Arc<SstMetadata>>) -> u64 {
    let sizes = tables.into_iter().map(|table| table.size);
    sizes.fold(0, u64::saturating_add)
}
