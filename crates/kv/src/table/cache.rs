//! The block cache: unpacked blocks in memory, shared by all tables, bounded in bytes.
//!
//! Invariants:
//! - What is in here was verified when it was read.
//! - A table opened twice, or a later one with the same number, never meets the other's blocks: each
//!   open takes a number of its own.
//! - What stays and what goes depends on the calls alone: neither the hash nor the number of parts is
//!   taken from the machine, so that a simulated run repeats.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::block::Block;
use super::layout::usize_of;
use super::partition::Partition;

/// Parts with a lock each.
const SHARDS: usize = 16;

/// What a block takes beside its own bytes, roughly.
const OVERHEAD_BYTES: usize = 64;

type Blocks = Cache<Place, Cached, Weight, BuildHasherDefault<PlaceHasher>>;

/// Blocks in memory.
#[derive(Debug)]
pub(crate) struct BlockCache {
    blocks: Blocks,
    capacity: u64,
    next_table: AtomicU64,
    lanes: [Lane; SHARDS],
}

/// What the block cache has done so far, and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Blocks that were there when asked for.
    pub hits: u64,
    /// Blocks that had to be read.
    pub misses: u64,
    /// Blocks in memory.
    pub blocks: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// The most that they may take.
    pub capacity: u64,
}

/// A block's place: the table's number in this cache, and the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) table: u64,
    pub(crate) offset: u64,
}

/// A block in memory.
#[derive(Clone, Debug)]
pub(crate) enum Cached {
    Data(Block),
    Partition(Arc<Partition>),
}

impl BlockCache {
    /// A cache of at most so many bytes.
    pub(crate) fn new(capacity: u64) -> Arc<Self> {
        let mut options = OptionsBuilder::new();
        options
            .shards(SHARDS)
            .estimated_items_capacity(usize_of(capacity / 4096).max(1))
            .weight_capacity(capacity);
        let blocks = match options.build() {
            Ok(options) => Cache::with_options(
                options,
                Weight,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
            // Both capacities are set, which is all that is asked.
            Err(_) => Cache::with(
                1,
                capacity,
                Weight,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
        };
        Arc::new(BlockCache {
            blocks,
            capacity,
            next_table: AtomicU64::new(0),
            lanes: Default::default(),
        })
    }

    /// A number for a table that is being opened.
    pub(super) fn register(&self) -> u64 {
        self.next_table.fetch_add(1, Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn get(&self, place: Place) -> Option<Cached> {
        let found = self.blocks.get(&place);
        let lane = &self.lanes[usize_of(place.offset >> 12) % SHARDS];
        let counter = if found.is_some() {
            &lane.hits
        } else {
            &lane.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Whether a block is here; it does not count as a use.
    pub(super) fn contains(&self, place: Place) -> bool {
        self.blocks.contains_key(&place)
    }

    pub(super) fn insert(&self, place: Place, block: Cached) {
        self.blocks.insert(place, block);
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let sum = |count: fn(&Lane) -> &AtomicU64| {
            let counts = self.lanes.iter().map(count);
            counts.map(|count| count.load(Ordering::Relaxed)).sum()
        };
        CacheStats {
            hits: sum(|lane| &lane.hits),
            misses: sum(|lane| &lane.misses),
            blocks: self.blocks.len() as u64,
            bytes: self.blocks.weight(),
            capacity: self.capacity,
        }
    }
}

/// Counters on a line of the processor's cache of their own, so that threads do not meet there.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Lane {
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Weight;

impl Weighter<Place, Cached> for Weight {
    fn weight(&self, _place: &Place, block: &Cached) -> u64 {
        let bytes = match block {
            Cached::Data(block) => block.weight(),
            Cached::Partition(partition) => partition.weight(),
        };
        (bytes + OVERHEAD_BYTES) as u64
    }
}

/// A fixed hash of two numbers.
#[derive(Debug, Default)]
pub(crate) struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0.rotate_left(32) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }

    #[inline]
    fn finish(&self) -> u64 {
        let mixed = self.0.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 32
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::builder::BlockBuilder;
    use super::super::entry::Kind;
    use super::*;

    fn block(bytes: usize) -> Cached {
        let mut builder = BlockBuilder::new(16);
        builder.add(0, b"key", 1, Kind::Put, &vec![7; bytes]);
        let payload = Bytes::copy_from_slice(builder.finish());
        Cached::Data(Block::decode(payload).unwrap())
    }

    #[test]
    fn bytes_stay_within_the_bound_and_uses_are_counted() {
        let cache = BlockCache::new(1 << 20);
        let table = cache.register();
        for offset in (0..4_000).map(|block| block * 4096) {
            let place = Place { table, offset };
            assert!(cache.get(place).is_none());
            cache.insert(place, block(4000));
            assert!(cache.stats().bytes <= 1 << 20);
        }
        let stats = cache.stats();
        assert!(stats.blocks > 200, "{stats:?}");
        assert_eq!((stats.hits, stats.misses), (0, 4_000));
    }

    #[test]
    fn tables_do_not_meet() {
        let cache = BlockCache::new(1 << 20);
        let (first, second) = (cache.register(), cache.register());
        let place = |table| Place { table, offset: 0 };
        cache.insert(place(first), block(10));
        assert!(cache.get(place(first)).is_some());
        assert!(cache.get(place(second)).is_none());
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.blocks), (1, 1, 1));
    }

    #[test]
    fn a_cache_without_room_holds_nothing() {
        let cache = BlockCache::new(0);
        let place = Place {
            table: cache.register(),
            offset: 0,
        };
        cache.insert(place, block(10));
        assert!(cache.get(place).is_none());
    }
}
