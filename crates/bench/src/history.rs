//! What happens to the manifests: the tables and the edits, the same for all subjects.
//!
//! The history of `manifest-open` is that of a store which merges whatever it flushed: of three
//! edits, two flush a table each, and the third is a compaction that takes both away and adds one
//! in their place. So 3,000,000 edits lead to 1,000,000 live tables. Each three edits have a range
//! of keys of their own, and no two live tables overlap. Nine of ten tables end on level 6, nine of
//! ten of the others on level 5, and so on; the last few stay on level 0.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::{Result, load::Load, measurement::Measurement};

/// What a manifest knows of a table. Keys have 16 bytes, all of them digits, which suits JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Table {
    pub number: u64,
    pub keyspace: u64,
    pub level: u8,
    pub bytes: u64,
    pub entries: u64,
    pub tombstones: u64,
    pub smallest: String,
    pub largest: String,
    pub sequences: (u64, u64),
    pub timestamps: (u64, u64),
    pub checksum: u32,
    pub created: u64,
}

/// A flush, which removes nothing, or a compaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Edit {
    pub added: Vec<Table>,
    pub removed: Vec<u64>,
}

impl Edit {
    /// The flush of this table.
    pub fn flush(table: Table) -> Self {
        Self {
            added: vec![table],
            removed: Vec::new(),
        }
    }
}

/// Edits for each table that stays.
pub const EDITS_PER_TABLE: u64 = 3;

/// The last tables stay on level 0.
const UNSORTED_TABLES: u64 = 4;

/// How many keys lie between the ranges of two live tables.
const KEYS_PER_TABLE: u64 = 100;

/// The edits that lead to `tables` live tables: [`EDITS_PER_TABLE`] for each.
pub fn edits(tables: u64) -> impl Iterator<Item = Edit> {
    live_tables(tables).flat_map(|merged| {
        let flushed = [merged.number - 2, merged.number - 1];
        let flush = |number| {
            Edit::flush(Table {
                number,
                level: 0,
                ..merged.clone()
            })
        };
        let [first, second] = flushed.map(flush);
        let compaction = Edit {
            added: vec![merged],
            removed: flushed.into(),
        };
        [first, second, compaction]
    })
}

/// The tables that are left after [`edits`], in the order of their numbers and of their keys.
pub fn live_tables(tables: u64) -> impl Iterator<Item = Table> {
    (0..tables).map(move |place| live_table(tables, place))
}

fn live_table(tables: u64, place: u64) -> Table {
    let number = (place + 1) * EDITS_PER_TABLE;
    let level = if tables - place <= UNSORTED_TABLES {
        0
    } else {
        deep_level(place)
    };
    table(number, level, place)
}

/// The table in the `place`th range of keys.
pub fn table(number: u64, level: u8, place: u64) -> Table {
    let key = place * KEYS_PER_TABLE;
    let created = 1_700_000_000_000 + place;
    #[expect(clippy::cast_possible_truncation, reason = "any 32 bits will do")]
    let checksum = number.wrapping_mul(0x9e37_79b1) as u32;
    Table {
        number,
        keyspace: 0,
        level,
        bytes: 64 << 20,
        entries: 500_000,
        tombstones: 1_000,
        smallest: format!("{key:016}"),
        largest: format!("{:016}", key + KEYS_PER_TABLE - 1),
        sequences: (key, key + KEYS_PER_TABLE - 1),
        timestamps: (created - 1_000, created),
        checksum,
        created,
    }
}

/// 6 for nine of ten places, 5 for nine of ten of the others, and so on down to 1.
fn deep_level(place: u64) -> u8 {
    let (mut level, mut place) = (6, place);
    while place % 10 == 9 && level > 1 {
        (level, place) = (level - 1, place / 10);
    }
    level
}

/// Fails unless there are `tables` live ones, and `find` gives the right one for its level and key.
/// It costs one lookup, and belongs within the clock: until then a manifest is not open.
pub fn check_opened(
    tables: u64,
    found: u64,
    find: impl FnOnce(u8, &str) -> Option<u64>,
) -> Result<()> {
    let expected = live_table(tables, tables / 2);
    let number = find(expected.level, &expected.largest);
    if found != tables || number != Some(expected.number) {
        let expected = expected.number;
        let what = format!("{found} tables instead of {tables}, {number:?} for {expected}");
        return Err(format!("the manifest opened with {what}").into());
    }
    Ok(())
}

/// A manifest in which flushes are recorded.
pub trait Flushing {
    /// Records durably the flush of one table, under a number that is not taken.
    fn flush(&mut self, table: Table) -> Result<()>;

    /// Records that the tables of all flushes until now are gone, as a compaction would.
    fn remove_flushed(&mut self) -> Result<()>;
}

/// Flushes between two compactions.
const FLUSHES: u64 = 10;

/// Times each flush of `load`. After every tenth its tables are taken away, which is not timed, so
/// the number of live tables stays within ten of what it was.
pub fn record_flushes(load: Load, manifest: &mut impl Flushing) -> Result<Measurement> {
    let (warm_up, timed) = load.indices(0);
    let mut latencies = Vec::with_capacity(usize::try_from(load.appends)?);
    for index in warm_up.start..timed.end {
        let table = table(0, 0, load.tables + index);
        let begun = Instant::now();
        manifest.flush(table)?;
        if timed.contains(&index) {
            latencies.push(begun.elapsed());
        }
        if (index + 1) % FLUSHES == 0 || index + 1 == timed.end {
            manifest.remove_flushed()?;
        }
    }
    let elapsed = latencies.iter().sum();
    Ok(Measurement::new(load.appends, elapsed).with_latencies(latencies))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Invariant: the edits add what is new and remove what is there, and leave the live tables.
    #[test]
    fn the_edits_lead_to_the_live_tables() {
        let tables = 12_345;
        let mut live = BTreeMap::new();
        let mut count = 0;
        for edit in edits(tables) {
            count += 1;
            for number in edit.removed {
                assert!(live.remove(&number).is_some(), "{number} is removed");
            }
            for table in edit.added {
                assert!(live.insert(table.number, table).is_none());
            }
        }
        assert_eq!(count, tables * EDITS_PER_TABLE);
        assert!(live.into_values().eq(live_tables(tables)));
    }

    /// Invariant: live tables do not overlap, and each of the seven levels has some.
    #[test]
    fn the_live_tables_fill_seven_levels_without_overlap() {
        let tables: Vec<_> = live_tables(1_000_000).collect();
        for pair in tables.windows(2) {
            assert!(pair[0].smallest <= pair[0].largest);
            assert!(pair[0].largest < pair[1].smallest);
        }
        let on = |level| tables.iter().filter(|table| table.level == level).count();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6].map(on),
            [4, 9, 90, 900, 9_000, 90_000, 899_997]
        );
    }
}
