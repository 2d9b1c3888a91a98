//! [`Keyspace`]: the tables of one keyspace, by level; and [`Level`].

use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::table::{ByKey, Span, SstMetadata};
use crate::key::Sought;
use crate::tree::{Item, Tree};

/// The number of a keyspace. It is never given to another, even after the keyspace is dropped.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
pub struct KeyspaceId(u32);

impl KeyspaceId {
    /// The first keyspace that is created: that of a store's own, unnamed operations.
    pub const DEFAULT: KeyspaceId = KeyspaceId(0);

    /// The number as a type.
    pub const fn new(number: u32) -> Self {
        KeyspaceId(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What a keyspace is created with.
///
/// ```
/// use quipu_kv::manifest::KeyspaceOptions;
///
/// let mut options = KeyspaceOptions::default();
/// options.sorted_from = None; // tables of any level may overlap
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyspaceOptions {
    /// The first level whose tables must not overlap; `None` if those of every level may.
    ///
    /// By default 1: level 0 holds what was flushed, and each level below it is one sorted run.
    pub sorted_from: Option<u32>,
    /// The last sequence number in the write-ahead log when it is created: no entry of the keyspace
    /// is at or below it. Must not lie below the floor of the log.
    pub flushed_through: u64,
}

impl Default for KeyspaceOptions {
    fn default() -> Self {
        KeyspaceOptions {
            sorted_from: Some(1),
            flushed_through: 0,
        }
    }
}

/// One keyspace of a [`Version`](super::Version): its tables, by level.
#[derive(Clone, Debug)]
pub struct Keyspace {
    pub(super) id: KeyspaceId,
    pub(super) name: Arc<str>,
    pub(super) options: KeyspaceOptions,
    pub(super) levels: Tree<ByLevel>,
}

impl Keyspace {
    /// Its number.
    pub fn id(&self) -> KeyspaceId {
        self.id
    }

    /// Its name, which no other keyspace of this version has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first level whose tables do not overlap, if there is one.
    pub fn sorted_from(&self) -> Option<u32> {
        self.options.sorted_from
    }

    /// Whether the tables of this level must not overlap.
    pub fn is_sorted(&self, level: u32) -> bool {
        self.options.sorted_from.is_some_and(|first| level >= first)
    }

    /// Entries of the write-ahead log up to this sequence number are in tables: recovery passes over
    /// them.
    pub fn flushed_through(&self) -> u64 {
        self.options.flushed_through
    }

    /// The levels that hold tables, from 0 down.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = &Level> {
        self.levels.iter().map(|level| &*level.0)
    }

    /// A level, if it holds tables.
    pub fn level(&self, number: u32) -> Option<&Level> {
        let level = self
            .levels
            .get(|level: &ByLevel| level.0.number.cmp(&number))?;
        Some(&level.0)
    }

    /// All tables, level by level, each in the order of smallest keys.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<SstMetadata>> {
        self.levels().flat_map(Level::tables)
    }

    /// The tables that may hold a key of this range, level by level.
    ///
    /// ```
    /// # use quipu_kv::manifest::Keyspace;
    /// # fn example(keyspace: &Keyspace) {
    /// let holding = keyspace.overlapping(b"apple".as_slice()..=b"pear");
    /// let all = keyspace.overlapping(..);
    /// # }
    /// ```
    pub fn overlapping<'a>(
        &'a self,
        keys: impl RangeBounds<&'a [u8]>,
    ) -> impl Iterator<Item = &'a Arc<SstMetadata>> {
        let (start, end) = bounds(&keys);
        self.levels()
            .flat_map(move |level| level.overlapping((start, end)))
    }

    /// The tables that may hold an entry of this time, level by level.
    pub fn in_time(
        &self,
        timestamps: impl RangeBounds<u64>,
    ) -> impl Iterator<Item = &Arc<SstMetadata>> {
        let (start, end) = (
            timestamps.start_bound().cloned(),
            timestamps.end_bound().cloned(),
        );
        self.levels()
            .flat_map(move |level| level.in_time((start, end)))
    }

    /// How many tables it has.
    pub fn len(&self) -> usize {
        self.levels.sum().map_or(0, |sum| sum.tables)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// The bytes of all its tables.
    pub fn bytes(&self) -> u64 {
        self.levels.sum().map_or(0, |sum| sum.bytes)
    }

    /// Adds tables: those of one level, next to each other, cost the least.
    pub(super) fn insert(&mut self, tables: &[Arc<SstMetadata>]) {
        for run in tables.chunk_by(|a, b| a.level == b.level) {
            let mut level = self.take_level(run[0].level);
            let held = &mut Arc::make_mut(&mut level).tables;
            for table in run {
                held.insert(ByKey::new(table.clone()));
            }
            self.levels.insert(ByLevel(level));
        }
    }

    pub(super) fn remove(&mut self, table: &SstMetadata) {
        let mut level = self.take_level(table.level);
        let held = &mut Arc::make_mut(&mut level).tables;
        held.remove(ByKey::place(&table.smallest, table.filenum));
        if !held.is_empty() {
            self.levels.insert(ByLevel(level));
        }
    }

    /// All tables, as [`tables`](Keyspace::tables) gives them.
    pub(super) fn into_tables(self) -> impl Iterator<Item = Arc<SstMetadata>> + Send {
        let levels = self.levels.into_iter();
        let tables = levels.flat_map(|level| level.0.tables.clone().into_iter());
        tables.map(|table| table.table)
    }

    /// The level, taken out so that it is not copied when nobody shares it.
    fn take_level(&mut self, number: u32) -> Arc<Level> {
        let taken = self
            .levels
            .remove(|level: &ByLevel| level.0.number.cmp(&number));
        taken.map_or_else(|| Arc::new(Level::new(number)), |level| level.0)
    }
}

/// The tables of one level, in the order of smallest keys.
#[derive(Clone, Debug)]
pub struct Level {
    number: u32,
    tables: Tree<ByKey>,
}

impl Level {
    fn new(number: u32) -> Self {
        Level {
            number,
            tables: Tree::default(),
        }
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its tables, in the order of smallest keys.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<SstMetadata>> {
        self.tables.iter().map(|table| &table.table)
    }

    /// The tables that may hold a key of this range, in the order of smallest keys.
    ///
    /// Costs `O((found + 1) log tables)` also where tables overlap.
    pub fn overlapping<'a>(
        &'a self,
        keys: impl RangeBounds<&'a [u8]>,
    ) -> impl Iterator<Item = &'a Arc<SstMetadata>> {
        let start = keys.start_bound().map(|key| Sought::new(key));
        let end = keys.end_bound().map(|key| Sought::new(key));
        let may_hold = move |first: &ByKey, furthest: &ByKey| {
            (match &start {
                Bound::Included(start) => furthest.largest_to(start).is_ge(),
                Bound::Excluded(start) => furthest.largest_to(start).is_gt(),
                Bound::Unbounded => true,
            }) && (match &end {
                Bound::Included(end) => first.smallest_to(end).is_le(),
                Bound::Excluded(end) => first.smallest_to(end).is_lt(),
                Bound::Unbounded => true,
            })
        };
        let spans = move |span: &Span| may_hold(&span.first, &span.furthest);
        let found = self
            .tables
            .select(spans, move |table| may_hold(table, table));
        found.map(|table| &table.table)
    }

    /// The tables that may hold an entry of this time, in the order of smallest keys.
    ///
    /// Groups of neighbours that have no such table are passed over; where time and keys are not
    /// related, all tables are looked at.
    pub fn in_time<'a>(
        &'a self,
        timestamps: impl RangeBounds<u64> + 'a,
    ) -> impl Iterator<Item = &'a Arc<SstMetadata>> {
        let start = timestamps.start_bound().cloned();
        let end = timestamps.end_bound().cloned();
        let may_hold = move |earliest: u64, latest: u64| {
            (match start {
                Bound::Included(start) => latest >= start,
                Bound::Excluded(start) => latest > start,
                Bound::Unbounded => true,
            }) && (match end {
                Bound::Included(end) => earliest <= end,
                Bound::Excluded(end) => earliest < end,
                Bound::Unbounded => true,
            })
        };
        let spans = move |span: &Span| may_hold(span.min_timestamp, span.max_timestamp);
        let found = self.tables.select(spans, move |table| {
            may_hold(table.table.min_timestamp, table.table.max_timestamp)
        });
        found.map(|table| &table.table)
    }

    /// How many tables it has.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether it has none: no level of a version has.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The bytes of all its tables.
    pub fn bytes(&self) -> u64 {
        self.tables.sum().map_or(0, |span| span.bytes)
    }
}

fn bounds<'a>(keys: &impl RangeBounds<&'a [u8]>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (keys.start_bound().cloned(), keys.end_bound().cloned())
}

/// A level in the order of their numbers.
#[derive(Clone, Debug)]
pub(super) struct ByLevel(Arc<Level>);

impl Item for ByLevel {
    type Sum = LevelSum;
    type Head = ();

    fn head(&self) {}

    fn order(&self, other: &Self) -> Ordering {
        self.0.number.cmp(&other.0.number)
    }

    fn sum(&self) -> LevelSum {
        LevelSum {
            tables: self.0.len(),
            bytes: self.0.bytes(),
        }
    }

    fn add(sum: &mut LevelSum, other: &LevelSum) {
        sum.tables += other.tables;
        sum.bytes = sum.bytes.saturating_add(other.bytes);
    }
}

#[derive(Clone, Debug)]
pub(super) struct LevelSum {
    tables: usize,
    bytes: u64,
}

/// A keyspace in the order of their numbers.
#[derive(Clone, Debug)]
pub(super) struct ById(pub(super) Arc<Keyspace>);

impl Item for ById {
    /// The lowest `flushed_through`.
    type Sum = u64;
    type Head = ();

    fn head(&self) {}

    fn order(&self, other: &Self) -> Ordering {
        self.0.id.cmp(&other.0.id)
    }

    fn sum(&self) -> u64 {
        self.0.options.flushed_through
    }

    fn add(sum: &mut u64, other: &u64) {
        *sum = (*sum).min(*other);
    }
}

/// The number of a keyspace, in the order of names.
#[derive(Clone, Debug)]
pub(super) struct ByName(pub(super) Arc<str>, pub(super) KeyspaceId);

impl Item for ByName {
    type Sum = ();
    type Head = ();

    fn head(&self) {}

    fn order(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }

    fn sum(&self) {}

    fn add(_sum: &mut (), _other: &()) {}
}
