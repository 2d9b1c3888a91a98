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
    /// Any of the keys, and a third of the entries are tombstones.
    Delete,
    /// Some of the keys, next to each other.
    Clustered,
    /// Any of the keys; some entries come late.
    Late,
}

struct History {
    strategy: Strategy,
    load: Load,
    keys: u32,
    flushes: u64,
    slots: usize,
    /// Bytes that compactions read for each that is flushed.
    speed: u64,
    snapshots: bool,
    seed: u64,
    check_every: u64,
}

impl History {
    fn new(strategy: Strategy, load: Load) -> History {
        History {
            strategy,
            load,
            keys: 20_000,
            flushes: 2_000,
            slots: 3,
            speed: 40,
            snapshots: false,
            seed: 1,
            check_every: 50,
        }
    }

    fn run(&self) -> Lsm {
        let mut random = Random(self.seed);
        let mut lsm = Lsm::new(options(self.strategy.clone()), self.keys);
        let order = shuffled(self.keys, &mut random);
        for step in 0..self.flushes {
            let batch = self.batch(step, &order, &mut random, lsm.now);
            lsm.now += BATCH;
            let parts = if random.below(8) == 0 { 2 } else { 1 };
            lsm.flush(&batch, parts);
            lsm.observe();
            self.turn(&mut lsm, &mut random);
            while lsm.must_wait() {
                lsm.figures.stalls += 1;
                self.turn(&mut lsm, &mut random);
            }
            if self.snapshots && random.below(20) == 0 {
                lsm.drop_snapshot();
                if random.below(2) == 0 {
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
        lsm.drop_snapshot();
        self.settle(&mut lsm, &mut random);
        lsm
    }

    fn turn(&self, lsm: &mut Lsm, random: &mut Random) {
        lsm.begin(self.slots);
        lsm.work(self.speed * BATCH * ENTRY_BYTES, place(random));
        lsm.begin(self.slots);
    }

    fn settle(&self, lsm: &mut Lsm, random: &mut Random) {
        let before = lsm.keyspace().len();
        let picks = lsm.settle(self.slots, &mut || place(random));
        lsm.check();
        assert!(
            picks <= 20 + 8 * before,
            "{picks} compactions after the end of {before} tables"
        );
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
                Load::Delete => random.below(3) == 0,
                Load::Clustered => cluster.is_multiple_of(3),
                _ => false,
            };
            let time = (now + place).saturating_sub(late);
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
        window: 40 * BATCH,
        ttl,
        ..TimeWindowOptions::default()
    })
}

fn strategies() -> [(&'static str, Strategy); 5] {
    [
        ("leveled", leveled()),
        ("simple", simple()),
        ("tiered", tiered()),
        ("windows", windows(None)),
        ("windows, ttl", windows(Some(400 * BATCH))),
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
                let history = History {
                    flushes: 250,
                    keys: 4_000,
                    snapshots: true,
                    seed,
                    check_every: 10,
                    speed: [40, 6][usize::try_from(seed).unwrap()],
                    ..History::new(strategy.clone(), load)
                };
                let mut lsm = history.run();
                lsm.compact_all();
                lsm.check();
                assert!(lsm.runs() <= 1, "{}", lsm.shape());
            }
        }
    }
}

/// `cargo test -p quipu-kv amplification -- --nocapture` prints the figures.
#[test]
fn amplification_is_bounded() {
    let mut report = String::new();
    for (name, strategy) in strategies() {
        for load in [Load::FillRandom, Load::FillSequential, Load::Overwrite] {
            let fills = load != Load::Overwrite;
            let history = History {
                keys: if fills { 50_000 } else { 12_000 },
                flushes: 500,
                check_every: 100,
                ..History::new(strategy.clone(), load)
            };
            let lsm = history.run();
            let figures = lsm.figures;
            let written = figures.flushed_bytes + figures.compacted_bytes;
            let written = written as f64 / figures.flushed_bytes as f64;
            report += &format!(
                "{name:13} {:14} written {written:5.2} space {:4} at most {:4} level0 {:2} runs {:3} at most {:3} merges {:5} moves {:5} stalls {} {}\n",
                format!("{load:?}"),
                lsm.space(),
                figures.most_space,
                figures.most_level0,
                lsm.runs(),
                figures.most_runs,
                figures.merges,
                figures.moves,
                figures.stalls,
                lsm.shape()
            );
        }
    }
    std::io::Write::write_all(&mut std::io::stdout(), report.as_bytes()).unwrap();
}
