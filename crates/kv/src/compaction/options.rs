//! [`CompactionOptions`]: which tables are merged when, and when writers have to wait for it.
//!
//! Plain data: start from `default()` and change fields. Sizes are bytes of table files, times are in
//! the unit of the tables' timestamps.

/// How the tables of a keyspace are kept in shape.
///
/// ```
/// use quipu_kv::{CompactionOptions, Strategy, TieredOptions};
///
/// let mut options = CompactionOptions::default(); // leveled
/// options.strategy = Strategy::Tiered(TieredOptions::default()); // write less, keep more
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionOptions {
    /// Which tables are merged with which. By default [`Strategy::Leveled`].
    pub strategy: Strategy,
    /// Bytes at which a compaction ends a table and begins the next. By default 64 MiB.
    ///
    /// Smaller tables make compactions smaller and their number larger; each open table costs memory
    /// for its index and filter.
    pub table_bytes: u64,
    /// Bytes that one compaction reads at most, where its strategy leaves a choice. By default
    /// 1.6 GiB, 25 tables.
    ///
    /// It bounds how much disk a compaction needs while its inputs are still there. What has to go
    /// together goes together, so whole runs and levels may be more.
    pub max_compaction_bytes: u64,
    /// Bytes of the level below that one table may overlap, in the leveled strategy. By default
    /// 640 MiB, 10 tables.
    ///
    /// An output is cut, and a table is rewritten instead of moved, so that its own compaction will
    /// not be larger. Lower values make more and smaller tables.
    pub max_overlap_bytes: u64,
    /// When writers have to wait for compactions.
    pub backpressure: BackpressureOptions,
}

impl Default for CompactionOptions {
    fn default() -> Self {
        CompactionOptions {
            strategy: Strategy::Leveled(LeveledOptions::default()),
            table_bytes: 64 * MIB,
            max_compaction_bytes: 25 * 64 * MIB,
            max_overlap_bytes: 10 * 64 * MIB,
            backpressure: BackpressureOptions::default(),
        }
    }
}

/// Which tables are merged with which.
///
/// It may be another one each time a store is opened: each goes on from any shape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Levels of growing size, merged table by table: the fewest places to read and the least space,
    /// at the price of writing each entry some ten times per level.
    Leveled(LeveledOptions),
    /// Levels of growing size, merged whole: the textbook's. Simple, and short of disk for a while
    /// when the last level is merged.
    SimpleLeveled(SimpleLeveledOptions),
    /// Sorted runs of similar size, merged when there are too many: each entry is written a few
    /// times only, and reads look into more places. For loads that write more than they read.
    Tiered(TieredOptions),
    /// One sorted run for each stretch of time, dropped whole when it is old. For time series and
    /// logs.
    TimeWindow(TimeWindowOptions),
}

/// Options of [`Strategy::Leveled`].
///
/// The sizes of levels follow from that of the last one, so that all others together are about a
/// tenth of it; flushes go to the first level that this leaves in use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeveledOptions {
    /// Tables of level 0 that are worth a compaction. By default 4.
    ///
    /// Each is one more place to read. More of them make a compaction into the next level take more
    /// along, so that less is written in all.
    pub level0_tables: usize,
    /// Levels, with level 0. By default 7.
    pub levels: u32,
    /// Bytes of the first level below level 0. By default 256 MiB.
    ///
    /// About as many as `level0_tables` flushes bring is best.
    pub base_bytes: u64,
    /// How many times larger each level is than the one above. By default 10; at least 2.
    ///
    /// Lower means more levels, of which each costs less writing, and more space.
    pub multiplier: u64,
    /// The share of tombstones from which a table is compacted without any other reason. By default
    /// 50, in percent of its entries; more than 100 to leave such tables alone.
    pub tombstone_percent: u64,
}

impl Default for LeveledOptions {
    fn default() -> Self {
        LeveledOptions {
            level0_tables: 4,
            levels: 7,
            base_bytes: 256 * MIB,
            multiplier: 10,
            tombstone_percent: 50,
        }
    }
}

/// Options of [`Strategy::SimpleLeveled`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimpleLeveledOptions {
    /// Tables of level 0 from which they are merged with level 1. By default 4.
    pub level0_file_num_compaction_trigger: usize,
    /// The least size of a level, in percent of the one above it. By default 1000. One that is
    /// smaller takes the one above it in.
    pub size_ratio_percent: u64,
    /// Levels below level 0. By default 4.
    pub max_levels: u32,
}

impl Default for SimpleLeveledOptions {
    fn default() -> Self {
        SimpleLeveledOptions {
            level0_file_num_compaction_trigger: 4,
            size_ratio_percent: 1000,
            max_levels: 4,
        }
    }
}

/// Options of [`Strategy::Tiered`].
///
/// A run is one table of level 0 or one level below it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TieredOptions {
    /// Runs from which some are merged. By default 8; at least 2.
    ///
    /// A read looks into that many places; the more, the less is written.
    pub runs: usize,
    /// The most that may be kept beside the oldest run, in percent of its size, when there are that
    /// many runs. By default 200. Beyond it all runs are merged into one.
    ///
    /// Lower bounds space and costs writing.
    pub max_space_amplification_percent: u64,
    /// How much larger the next older run may be than those that are merged already, in percent, to
    /// be merged with them. By default 1.
    pub size_ratio_percent: u64,
    /// Runs that are merged at least, when their sizes are the reason. By default 2.
    pub min_merge_width: usize,
    /// Runs that are merged at most, unless all are. By default no limit; at least 2.
    pub max_merge_width: usize,
}

impl Default for TieredOptions {
    fn default() -> Self {
        TieredOptions {
            runs: 8,
            max_space_amplification_percent: 200,
            size_ratio_percent: 1,
            min_merge_width: 2,
            max_merge_width: usize::MAX,
        }
    }
}

/// Options of [`Strategy::TimeWindow`].
///
/// A table belongs to the window of its latest timestamp, or to that of an older table if that is
/// later: windows are in the order of writes. Entries that come late join the window in which they
/// were written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeWindowOptions {
    /// How long a window is, in the unit of the tables' timestamps. By default 86,400,000: a day of
    /// milliseconds; at least 1.
    ///
    /// There is one run for each window, and a table is dropped when its latest entry has expired:
    /// some thirty windows within `ttl` are a good number.
    pub window: u64,
    /// How long after its timestamp an entry may go, in the same unit. By default `None`: never.
    ///
    /// Tables whose entries have all expired are dropped unread, as soon as that brings no older
    /// entry back.
    pub ttl: Option<u64>,
    /// How tables within the current window are merged. By default 4 runs, else as
    /// [`TieredOptions`] has it.
    pub current: TieredOptions,
}

impl Default for TimeWindowOptions {
    fn default() -> Self {
        TimeWindowOptions {
            window: 24 * 60 * 60 * 1000,
            ttl: None,
            current: TieredOptions {
                runs: 4,
                ..TieredOptions::default()
            },
        }
    }
}

/// When writers have to wait for compactions: from the first number of each pair on they are slowed
/// down, from the second on they wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackpressureOptions {
    /// Tables of level 0 that slow writers down. By default 20.
    pub slow_level0_tables: usize,
    /// Tables of level 0 that stop writers. By default 36.
    pub stop_level0_tables: usize,
    /// Sorted runs, tables of level 0 among them, that slow writers down. Counted in the tiered
    /// strategy. By default 30.
    pub slow_runs: usize,
    /// Sorted runs that stop writers. By default 60.
    pub stop_runs: usize,
    /// Bytes that wait to be compacted, by an estimate, that slow writers down. Counted in the
    /// leveled strategy. By default 64 GiB.
    pub slow_pending_bytes: u64,
    /// Bytes that wait to be compacted that stop writers. By default 256 GiB.
    pub stop_pending_bytes: u64,
}

impl Default for BackpressureOptions {
    fn default() -> Self {
        BackpressureOptions {
            slow_level0_tables: 20,
            stop_level0_tables: 36,
            slow_runs: 30,
            stop_runs: 60,
            slow_pending_bytes: 64 * 1024 * MIB,
            stop_pending_bytes: 256 * 1024 * MIB,
        }
    }
}

const MIB: u64 = 1024 * 1024;
