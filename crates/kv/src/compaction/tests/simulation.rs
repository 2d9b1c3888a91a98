//! Whole histories of a tree, under every strategy: what is flushed at random, compacted as it is
//! picked, several at a time, and ended in any order.
//!
//! - The manifest takes every compaction, and each is [sound](super::sound).
//! - Reads are those of a plain map, also through a snapshot; what has gone never comes back.
//! - When writes end, picking soon does. The number of runs, and what is written and kept, are
//!   bounded.

use std::collections::BTreeMap;

use crate::compaction::{
    CompactionOptions, LeveledOptions, SimpleLeveledOptions, Strategy, TieredOptions,
    TimeWindowOptions,
};

use super::lsm::{ENTRY_BYTES, Lsm};

/// Entries of one flush.
const BATCH: u64 = 100;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// Keys that were never written, in any order.
    FillRandom,
    /// Keys in their order.
    FillSequential,
    /// Any of the keys.
    Overwrite,
    /// Any of the keys, and two thirds of the entries are tombstones.
    Delete,
    /// Some of the keys, next to each other.
    Clustered,
    /// Any of the keys. Some entries come late, and so do all of some flushes, which may have expired
    /// when they come.
    Late,
}

struct History {
    options: CompactionOptions,
    load: Load,
    keys: u32,
    flushes: u64,
    slots: usize,
    /// Bytes that compactions read for each that is flushed.
    speed: u64,
    /// Whether snapshots are taken, and ranges compacted by hand, beside all else.
    hectic: bool,
    seed: u64,
    check_every: u64,
}

impl History {
    fn new(strategy: Strategy, load: Load) -> History {
        History {
            options: options(strategy),
            load,
            keys: 4_000,
            flushes: 250,
            slots: 3,
            speed: 40,
            hectic: false,
            seed: 1,
            check_every: 10,
        }
    }

    fn run(&self) -> Lsm {
        let mut lsm = Lsm::new(self.options.clone(), self.keys);
        self.go_on(&mut lsm);
        lsm
    }

    /// Runs on a tree that may have been through another.
    fn go_on(&self, lsm: &mut Lsm) {
        let mut random = Random(self.seed);
        let order = shuffled(self.keys, &mut random);
        for step in 0..self.flushes {
            let batch = self.batch(step, &order, &mut random, lsm.now);
            lsm.now += BATCH;
            let parts = if random.below(8) == 0 { 2 } else { 1 };
            lsm.flush(&batch, parts);
            lsm.observe();
            self.turn(lsm, &mut random);
            while lsm.must_wait() {
                lsm.figures.stalls += 1;
                self.turn(lsm, &mut random);
            }
            if self.hectic && random.below(10) == 0 {
                let first = u32::try_from(random.below(self.keys.into())).unwrap();
                lsm.begin_manual(first..=first + self.keys / 8);
            }
            let is_near_end = step + 40 == self.flushes;
            if self.hectic && (is_near_end || random.below(20) == 0 && step + 40 < self.flushes) {
                lsm.drop_snapshot();
                if is_near_end || random.below(2) == 0 {
                    lsm.take_snapshot();
                }
            }
            if step % self.check_every == 0 {
                lsm.check();
                if step * 2 > self.flushes {
                    lsm.figures.most_space = lsm.figures.most_space.max(lsm.space());
                }
            }
        }
        self.settle(lsm, &mut random);
    }

    fn turn(&self, lsm: &mut Lsm, random: &mut Random) {
        lsm.begin(self.slots);
        lsm.work(self.speed * BATCH * ENTRY_BYTES, place(random));
        lsm.begin(self.slots);
    }

    fn settle(&self, lsm: &mut Lsm, random: &mut Random) {
        for _ in 0..2 {
            let most = 20 + 8 * lsm.keyspace().len();
            lsm.settle(self.slots, most, || place(random));
            lsm.check();
            // What the snapshot has held back may now go.
            lsm.drop_snapshot();
        }
    }

    fn batch(
        &self,
        step: u64,
        order: &[u32],
        random: &mut Random,
        now: u64,
    ) -> BTreeMap<u32, (bool, u64)> {
        let keys = u64::from(self.keys);
        let cluster = random.below(keys);
        let is_all_late = self.load == Load::Late && random.below(4) == 0;
        let lateness = if is_all_late {
            random.below(200 * BATCH)
        } else {
            0
        };
        let entries = (0..BATCH).map(|place| {
            let nth = (step * BATCH + place) % keys;
            let any = random.below(keys);
            let key = match self.load {
                Load::FillRandom => u64::from(order[usize::try_from(nth).unwrap()]),
                Load::FillSequential => nth,
                Load::Overwrite | Load::Delete | Load::Late => any,
                Load::Clustered => (cluster + any % 500) % keys,
            };
            let late = if self.load == Load::Late && random.below(10) == 0 {
                random.below(20 * BATCH)
            } else {
                0
            };
            let is_tombstone = match self.load {
                Load::Delete => random.below(3) > 0,
                Load::Clustered => cluster.is_multiple_of(3),
                _ => false,
            };
            let time = (now + place).saturating_sub(late + lateness);
            (u32::try_from(key).unwrap(), (is_tombstone, time))
        });
        entries.collect()
    }
}

fn place(random: &mut Random) -> usize {
    usize::try_from(random.below(16)).unwrap()
}

fn shuffled(keys: u32, random: &mut Random) -> Vec<u32> {
    let mut order: Vec<u32> = (0..keys).collect();
    for end in (1..order.len()).rev() {
        let other = usize::try_from(random.below(end as u64 + 1)).unwrap();
        order.swap(end, other);
    }
    order
}

/// Sizes in the proportions of the defaults, with flushes of 10 kB instead of 64 MB.
fn options(strategy: Strategy) -> CompactionOptions {
    let table = BATCH * ENTRY_BYTES;
    let mut options = CompactionOptions {
        strategy,
        table_bytes: table,
        max_compaction_bytes: 25 * table,
        max_overlap_bytes: 10 * table,
        ..CompactionOptions::default()
    };
    options.backpressure.slow_pending_bytes = 1000 * table;
    options.backpressure.stop_pending_bytes = 4000 * table;
    options
}

fn leveled() -> Strategy {
    Strategy::Leveled(LeveledOptions {
        base_bytes: 4 * BATCH * ENTRY_BYTES,
        ..LeveledOptions::default()
    })
}

fn simple() -> Strategy {
    Strategy::SimpleLeveled(SimpleLeveledOptions::default())
}

fn tiered() -> Strategy {
    Strategy::Tiered(TieredOptions::default())
}

fn windows(ttl: Option<u64>) -> Strategy {
    Strategy::TimeWindow(TimeWindowOptions {
        window: 20 * BATCH,
        ttl,
        ..TimeWindowOptions::default()
    })
}

fn strategies() -> Vec<(&'static str, Strategy)> {
    vec![
        ("leveled", leveled()),
        ("simple", simple()),
        ("tiered", tiered()),
        ("windows", windows(None)),
        ("windows, ttl", windows(Some(100 * BATCH))),
    ]
}

const LOADS: [Load; 6] = [
    Load::FillRandom,
    Load::FillSequential,
    Load::Overwrite,
    Load::Delete,
    Load::Clustered,
    Load::Late,
];

#[test]
fn every_history_reads_as_a_map_and_comes_to_rest() {
    for (_, strategy) in strategies() {
        for load in LOADS {
            for seed in 0..2 {
                let mut history = History::new(strategy.clone(), load);
                history.hectic = true;
                history.seed = seed;
                history.speed = [40, 6][usize::try_from(seed).unwrap()];
                let mut lsm = history.run();
                lsm.compact_all();
                lsm.check();
                assert!(lsm.runs() <= 1, "{}", lsm.shape());
                assert_eq!(lsm.tombstones(), 0);
            }
        }
    }
}

#[test]
fn no_option_leads_astray() {
    let mut random = Random(7);
    for seed in 0..60 {
        let (_, strategy) = strategies().swap_remove(usize::try_from(seed % 5).unwrap());
        let load = LOADS[usize::try_from(random.below(6)).unwrap()];
        let mut history = History::new(strategy, load);
        history.seed = seed;
        history.flushes = 60;
        history.keys = 1_500;
        history.hectic = true;
        history.slots = usize::try_from(1 + random.below(6)).unwrap();
        history.speed = 2 + random.below(60);
        distort(&mut history.options, &mut random);
        history.run().compact_all();
    }
}

/// Options at the edges of sense.
fn distort(options: &mut CompactionOptions, random: &mut Random) {
    let table = BATCH * ENTRY_BYTES;
    options.table_bytes = 1 + random.below(3 * table);
    options.max_compaction_bytes = random.below(30 * table);
    options.max_overlap_bytes = random.below(20 * table);
    let mut count = |end| usize::try_from(random.below(end)).unwrap();
    match &mut options.strategy {
        Strategy::Leveled(options) => {
            options.level0_tables = count(6);
            options.levels = u32::try_from(count(9)).unwrap();
            options.base_bytes = count(100_000) as u64;
            options.multiplier = count(12) as u64;
            options.tombstone_percent = count(110) as u64;
        }
        Strategy::SimpleLeveled(options) => {
            options.level0_file_num_compaction_trigger = count(6);
            options.size_ratio_percent = count(2000) as u64;
            options.max_levels = u32::try_from(count(7)).unwrap();
        }
        Strategy::Tiered(options) => tier(options, &mut count),
        Strategy::TimeWindow(options) => {
            options.window = count(10_000) as u64;
            options.ttl = Some(count(20_000) as u64);
            tier(&mut options.current, &mut count);
        }
    }
}

fn tier(options: &mut TieredOptions, count: &mut impl FnMut(u64) -> usize) {
    options.runs = count(10);
    options.max_space_amplification_percent = count(400) as u64;
    options.size_ratio_percent = count(100) as u64;
    options.min_merge_width = count(6);
    options.max_merge_width = count(12);
}

#[test]
fn each_strategy_goes_on_from_the_shape_of_another() {
    let mut random = Random(11);
    for load in LOADS {
        let mut lsm = Lsm::new(options(leveled()), 4_000);
        for seed in 0..12 {
            let (_, strategy) = strategies().swap_remove(usize::try_from(random.below(5)).unwrap());
            // What has expired is gone for good, whatever the strategy is later.
            let strategy = match strategy {
                Strategy::TimeWindow(_) => windows(None),
                other => other,
            };
            let mut history = History::new(strategy, load);
            history.seed = seed;
            history.flushes = 40;
            history.hectic = true;
            lsm.options = history.options.clone();
            history.go_on(&mut lsm);
        }
    }
}

/// What a strategy may cost: bytes written for each that was flushed, and bytes kept for each that is
/// live, in percent; and how many places there are to read.
struct Bounds {
    written: u64,
    space: u64,
    runs: usize,
}

/// `QUIPU_FLUSHES=2000 cargo test --release -p quipu-kv amplification -- --nocapture` prints the
/// figures of a longer history, to which the bounds do not apply.
#[test]
fn amplification_is_bounded() {
    let asked = std::env::var("QUIPU_FLUSHES").ok();
    let flushes = asked
        .as_ref()
        .map_or(500, |flushes| flushes.parse().unwrap());
    let keys = u32::try_from(flushes * BATCH).unwrap();
    let mut report = String::new();
    for (name, strategy) in strategies() {
        for load in [Load::FillRandom, Load::FillSequential, Load::Overwrite] {
            let is_fill = load != Load::Overwrite;
            let mut history = History::new(strategy.clone(), load);
            history.keys = if is_fill { keys } else { keys / 4 };
            history.flushes = flushes;
            history.check_every = flushes.div_ceil(5);
            let lsm = history.run();
            let figures = lsm.figures;
            let written =
                (figures.flushed_bytes + figures.compacted_bytes) * 100 / figures.flushed_bytes;
            let space = figures.most_space.max(lsm.space());
            report += &format!(
                "{name:13} {:15} written {}.{:02} space {}.{:02} runs {:3}, at most {:3}, of level 0 {:2}; {:4} merges {:4} moves {:2} drops\n",
                format!("{load:?}"),
                written / 100,
                written % 100,
                space / 100,
                space % 100,
                lsm.runs(),
                figures.most_runs,
                figures.most_level0,
                figures.merges,
                figures.moves,
                figures.drops,
            );
            let bounds = bounds(name, load);
            let holds = written <= bounds.written
                && space <= bounds.space
                && figures.most_runs <= bounds.runs;
            assert!(holds || asked.is_some(), "{report}");
        }
    }
    if asked.is_some() {
        std::io::Write::write_all(&mut std::io::stdout(), report.as_bytes()).unwrap();
    }
}

/// For 500 flushes: three levels below level 0 are full. Windows keep what is overwritten.
fn bounds(name: &str, load: Load) -> Bounds {
    let (written, space, runs) = match (name, load) {
        ("leveled", Load::FillSequential) => (100, 100, 12),
        ("leveled", Load::Overwrite) => (1000, 120, 12),
        ("leveled", _) => (1200, 100, 14),
        ("simple", Load::FillSequential) => (100, 100, 12),
        ("simple", _) => (1500, 125, 12),
        ("tiered", Load::FillSequential) => (100, 100, 12),
        ("tiered", _) => (700, 225, 18),
        (_, Load::FillSequential) => (100, 125, 30),
        ("windows", Load::Overwrite) => (500, 400, 30),
        (_, Load::Overwrite) => (500, 200, 12),
        _ => (500, 125, 30),
    };
    Bounds {
        written,
        space,
        runs,
    }
}
