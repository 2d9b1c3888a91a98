//! [`Setting`]: the options of a store under test, small, so that a few operations reach every path.

use quipu_journal::check::settings;

use crate::{
    CompactionOptions, Compression, LeveledOptions, Options, SimpleLeveledOptions, Strategy,
    TieredOptions, TimeWindowOptions,
};

/// Which tables are merged with which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Leveled, with two tables in level 0 and 3 levels.
    Leveled,
    /// Simple leveled, with two tables in level 0.
    SimpleLeveled,
    /// Tiered, with three runs.
    Tiered,
    /// Windows of a second.
    TimeWindow,
    /// The same, and what is 4 seconds old may go.
    Expiring,
}

const SHAPES: [Shape; 5] = [
    Shape::Leveled,
    Shape::SimpleLeveled,
    Shape::Tiered,
    Shape::TimeWindow,
    Shape::Expiring,
];

/// The options of a store that are tried. Sizes are in bytes.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How tables are kept in shape.
    pub shape: Shape,
    /// Whether there is a log.
    pub wal: bool,
    /// Of a memtable: 1 to freeze it behind every batch.
    pub memtable: u64,
    /// Memtables that stall writes.
    pub frozen: usize,
    /// Of the log that may be needed.
    pub wal_bytes: u64,
    /// Of a block.
    pub block: usize,
    /// Of a table that a compaction writes.
    pub table: u64,
    /// Whether blocks are packed.
    pub packed: bool,
    /// Of the filter, in bits for each key.
    pub filter: u32,
    /// Of the cache.
    pub cache: u64,
    /// At the same time.
    pub compactions: usize,
    /// Of a segment of the log.
    pub segment: u64,
    /// The journal of the manifest; its log is also the store's, but for the segments.
    pub journal: quipu_journal::Options,
}

/// How old an entry has to be to go, in milliseconds.
pub(super) const TTL: u64 = 4000;

/// Bytes before the first frame of a segment of the log.
const HEAD: u64 = 8192;

impl Setting {
    /// The mildest: nothing is flushed or compacted but on demand.
    pub fn plain() -> Setting {
        Setting {
            shape: Shape::Leveled,
            wal: true,
            memtable: 1 << 20,
            frozen: 3,
            wal_bytes: 1 << 20,
            block: 4096,
            table: 1 << 20,
            packed: false,
            filter: 10,
            cache: 1 << 16,
            compactions: 1,
            segment: 1 << 20,
            journal: settings::plain(),
        }
    }

    /// A table for every batch or two, a block for every entry or two, and compactions all the time.
    pub fn busy() -> Setting {
        Setting {
            memtable: 250,
            block: 32,
            table: 400,
            segment: HEAD + 100,
            ..Setting::plain()
        }
    }

    /// Without a log.
    #[must_use]
    pub fn without_log(self) -> Setting {
        Setting { wal: false, ..self }
    }

    /// One of the sampled tier; all zeros give [`plain`](Setting::plain).
    pub fn drawn(choose: &mut dyn FnMut(u32) -> u32) -> Setting {
        let mut pick = |numbers: &[u64]| numbers[choose(numbers.len() as u32) as usize];
        Setting {
            memtable: pick(&[1 << 20, 400, 1, 2000]),
            shape: SHAPES[pick(&[0, 1, 2, 3, 4]) as usize],
            wal: pick(&[1, 1, 1, 0]) == 1,
            frozen: pick(&[3, 1, 2]) as usize,
            wal_bytes: pick(&[1 << 20, 300]),
            block: pick(&[4096, 32, 300]) as usize,
            table: pick(&[1 << 20, 1, 500, 2000]),
            packed: pick(&[0, 1]) == 1,
            filter: pick(&[10, 0, 1]) as u32,
            cache: pick(&[1 << 16, 0, 1000]),
            compactions: pick(&[1, 2, 3]) as usize,
            segment: pick(&[1 << 20, HEAD + 1500, HEAD + 100, HEAD + 1]),
            journal: settings::drawn(choose),
        }
    }

    /// Other ones for the same store: all but how its journals are kept.
    pub(super) fn changed(&self, to: &Setting) -> Setting {
        Setting {
            journal: self.journal.clone(),
            segment: self.segment,
            ..to.clone()
        }
    }

    /// From when on what was written has not expired.
    pub(super) fn ttl(&self) -> Option<u64> {
        (self.shape == Shape::Expiring).then_some(TTL)
    }

    /// As the store takes them.
    pub fn options(&self) -> Options {
        let mut options = Options {
            memtable_bytes: self.memtable,
            frozen_memtables: self.frozen,
            wal: self.wal,
            wal_bytes: self.wal_bytes,
            cache_bytes: self.cache,
            compactions: self.compactions,
            compaction: self.compaction(),
            log: self.journal.log.clone(),
            manifest: self.journal.clone(),
            ..Options::default()
        };
        options.log.segment_bytes = self.segment;
        options.table.block_bytes = self.block;
        options.table.restart_interval = 2;
        options.table.partition_bytes = 2 * self.block;
        options.table.filter_bits_per_key = self.filter;
        options.table.compression = match self.packed {
            true => Compression::Lz4,
            false => Compression::None,
        };
        options
    }

    fn compaction(&self) -> CompactionOptions {
        let tiered = TieredOptions {
            runs: 3,
            ..TieredOptions::default()
        };
        let windows = TimeWindowOptions {
            window: 1000,
            ttl: self.ttl(),
            current: tiered.clone(),
        };
        let mut options = CompactionOptions {
            strategy: match self.shape {
                Shape::Leveled => Strategy::Leveled(LeveledOptions {
                    level0_tables: 2,
                    levels: 4,
                    base_bytes: 1500,
                    multiplier: 2,
                    ..LeveledOptions::default()
                }),
                Shape::SimpleLeveled => Strategy::SimpleLeveled(SimpleLeveledOptions {
                    level0_file_num_compaction_trigger: 2,
                    size_ratio_percent: 150,
                    max_levels: 3,
                }),
                Shape::Tiered => Strategy::Tiered(tiered),
                Shape::TimeWindow | Shape::Expiring => Strategy::TimeWindow(windows),
            },
            table_bytes: self.table,
            max_compaction_bytes: 4 * self.table.max(1000),
            max_overlap_bytes: 3 * self.table.max(1000),
            ..CompactionOptions::default()
        };
        let pressure = &mut options.backpressure;
        (pressure.slow_level0_tables, pressure.stop_level0_tables) = (4, 6);
        (pressure.slow_runs, pressure.stop_runs) = (5, 8);
        options
    }
}
