//! Invariant: over any history of writes, flushes, compactions, closes and losses of power, the store
//! is a plain map; and a snapshot goes on showing what it showed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use quipu_io::sim::{Profile, Sim, SimIo, SimOptions};
use quipu_io::{File, Io, OpenOptions};
use quipu_kv::{Db, Durability, Options, Scan, Snapshot, WriteBatch};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Write {
    Put(u8, u16),
    Delete(u8),
    DeleteRange(u8, u8),
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Write>, bool),
    Flush,
    Compact(u8, u8),
    Hold,
    LetGo(usize),
    Scan(u8, u8),
    Close,
    Stop,
    LosePower(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let write = prop_oneof![
        6 => (0..60u8, 1..900u16).prop_map(|(key, len)| Write::Put(key, len)),
        2 => (0..60u8).prop_map(Write::Delete),
        1 => (0..60u8, 0..20u8).prop_map(|(from, len)| Write::DeleteRange(from, from + len)),
    ];
    prop_oneof![
        12 => (prop::collection::vec(write, 1..6), any::<bool>())
            .prop_map(|(writes, durable)| Step::Write(writes, durable)),
        2 => Just(Step::Flush),
        1 => (0..60u8, 0..60u8).prop_map(|(from, len)| Step::Compact(from, from + len)),
        1 => Just(Step::Hold),
        1 => (0..3usize).prop_map(Step::LetGo),
        2 => (0..60u8, 0..30u8).prop_map(|(from, len)| Step::Scan(from, from + len)),
        1 => Just(Step::Close),
        1 => Just(Step::Stop),
        1 => any::<u64>().prop_map(Step::LosePower),
    ]
}

fn key(number: u8) -> Vec<u8> {
    format!("key {number:03}").into_bytes()
}

struct World {
    sim: Sim,
    db: Option<Db<SimIo>>,
    map: Map,
    /// The maps before the writes that are not durable, oldest first.
    doubtful: Vec<Map>,
    held: Vec<(Snapshot<SimIo>, Map)>,
}

fn options() -> Options {
    let mut options = Options::default();
    options.memtable_bytes = 4000;
    options.log.zero_ahead_bytes = 0;
    options.log.allocation_bytes = 4096;
    options.log.segment_bytes = 16 << 10;
    options.manifest.log.zero_ahead_bytes = 0;
    options.manifest.log.allocation_bytes = 4096;
    options.compaction.table_bytes = 6000;
    options
}

async fn collect(mut scan: Scan<SimIo>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    while let Some((key, value)) = scan.next().await.unwrap() {
        pairs.push((key.to_vec(), value.to_vec()));
    }
    pairs
}

impl World {
    fn new() -> World {
        let mut world = World {
            sim: Sim::new(SimOptions::default()),
            db: None,
            map: Map::new(),
            doubtful: Vec::new(),
            held: Vec::new(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let opening = Db::open(self.sim.io(), "dir", options());
        self.db = Some(self.sim.block_on(opening).unwrap().unwrap());
        let found = self.all();
        let states = self.doubtful.iter().chain([&self.map]);
        let state = states.rev().find(|map| pairs(map) == found);
        self.map = state
            .expect("a state that was acknowledged, or a later one")
            .clone();
        self.doubtful.clear();
    }

    fn db(&self) -> &Db<SimIo> {
        self.db.as_ref().unwrap()
    }

    fn all(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let db = self.db();
        self.sim
            .block_on(async { collect(db.scan(..).unwrap()).await })
            .unwrap()
    }

    fn check(&self) {
        let db = self.db().clone();
        assert_eq!(self.all(), pairs(&self.map));
        self.sim
            .block_on(async {
                let mut reverse = collect(db.scan_reverse(..).unwrap()).await;
                reverse.reverse();
                assert_eq!(reverse, pairs(&self.map));
                let keys: Vec<_> = (0..65).map(key).collect();
                let many = db.multi_get(&keys).await.unwrap();
                for (key, found) in keys.iter().zip(many) {
                    let value = self.map.get(key).map(|value| &value[..]);
                    assert_eq!(found.as_deref(), value, "{key:?}");
                    assert_eq!(db.get(key).await.unwrap().as_deref(), value);
                }
            })
            .unwrap();
    }

    fn end(&mut self) {
        self.held.clear();
        self.db = None;
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write(writes, durable) => {
                let before = self.map.clone();
                let mut batch = WriteBatch::new();
                for write in writes {
                    match write {
                        Write::Put(number, len) => {
                            let value = vec![number ^ (len % 251) as u8; usize::from(len)];
                            batch.put(key(number), &value);
                            self.map.insert(key(number), value);
                        }
                        Write::Delete(number) => {
                            batch.delete(key(number));
                            self.map.remove(&key(number));
                        }
                        Write::DeleteRange(from, to) => {
                            let (from, to) = (key(from), key(to));
                            batch.delete_range(&from, &to);
                            self.map.retain(|key, _| *key < from || *key >= to);
                        }
                    }
                }
                let durability = match durable {
                    true => Durability::Disk,
                    false => Durability::Os,
                };
                let writing = self.db().write(batch, durability);
                self.sim.block_on(writing).unwrap().unwrap();
                match durable {
                    true => self.doubtful.clear(),
                    false => self.doubtful.push(before),
                }
            }
            Step::Flush => {
                let db = self.db().clone();
                self.sim
                    .block_on(async { db.flush().await })
                    .unwrap()
                    .unwrap();
                self.doubtful.clear();
            }
            Step::Compact(from, to) => {
                let (from, to) = (key(from), key(to));
                let db = self.db().clone();
                let compacting = async { db.compact_range(&from[..]..=&to[..]).await };
                self.sim.block_on(compacting).unwrap().unwrap();
                self.doubtful.clear();
            }
            Step::Hold => self.held.push((self.db().snapshot(), self.map.clone())),
            Step::LetGo(pick) if pick < self.held.len() => {
                let (snapshot, map) = self.held.swap_remove(pick);
                self.sim
                    .block_on(async {
                        assert_eq!(collect(snapshot.scan(..).unwrap()).await, pairs(&map));
                        for number in 0..65 {
                            let found = snapshot.get(key(number)).await.unwrap();
                            let value = map.get(&key(number)).map(|value| &value[..]);
                            assert_eq!(found.as_deref(), value);
                        }
                    })
                    .unwrap();
            }
            Step::LetGo(_) => {}
            Step::Scan(from, to) => {
                let (from, to) = (key(from), key(to));
                let db = self.db().clone();
                self.sim
                    .block_on(async {
                        let range = (Bound::Excluded(&from[..]), Bound::Included(&to[..]));
                        let inside = self.map.range::<[u8], _>((
                            Bound::Excluded(&from[..]),
                            Bound::Included(&to[..]),
                        ));
                        let inside: Vec<_> = inside
                            .map(|(key, value)| (key.clone(), value.clone()))
                            .collect();
                        assert_eq!(collect(db.scan(range).unwrap()).await, inside);
                        let mut reverse = collect(db.scan_reverse(range).unwrap()).await;
                        reverse.reverse();
                        assert_eq!(reverse, inside);
                    })
                    .unwrap();
            }
            Step::Close => {
                let db = self.db().clone();
                self.sim
                    .block_on(async { db.close().await })
                    .unwrap()
                    .unwrap();
                drop(db);
                self.doubtful.clear();
                self.end();
                self.open();
            }
            Step::Stop => {
                self.end();
                self.sim.run_until_idle().unwrap();
                self.doubtful.clear();
                self.open();
            }
            Step::LosePower(seed) => {
                self.end();
                let options = SimOptions {
                    profile: [Profile::Posix, Profile::Ext4Ordered][usize::from(seed % 2 == 0)],
                    ..SimOptions::seeded(seed)
                };
                let world = std::mem::replace(&mut self.sim, Sim::new(SimOptions::default()));
                self.sim = Sim::boot(world.crash(), options);
                self.open();
            }
        }
        self.check();
    }
}

fn pairs(map: &Map) -> Vec<(Vec<u8>, Vec<u8>)> {
    map.iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_is_a_plain_map_that_lasts(steps in prop::collection::vec(step(), 1..100)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
    }
}

/// A keyspace with one small write would keep the whole log, if nobody made it flush.
#[test]
fn an_idle_keyspace_does_not_keep_the_log_for_ever() {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let mut options = options();
    options.wal_bytes = 64 << 10;
    let log_bytes = async || {
        let mut bytes = 0;
        for entry in io.read_dir(Path::new("dir/wal")).await.unwrap() {
            let path = Path::new("dir/wal").join(entry.name);
            let file = io.open(&path, OpenOptions::ReadOnly).await.unwrap();
            bytes += file.size().await.unwrap();
        }
        bytes
    };
    let written = async {
        let db = Db::open(io.clone(), "dir", options.clone()).await.unwrap();
        let idle = db.create_keyspace("idle").await.unwrap();
        idle.put(b"one", b"write").await.unwrap();
        for number in 0..4000u32 {
            db.put(number.to_be_bytes(), [7; 100]).await.unwrap();
        }
        log_bytes().await
    };
    let log_bytes = sim.block_on(written).unwrap();
    assert!(log_bytes < 200_000, "{log_bytes} bytes");
    // Without a close: what is in no table is in the log.
    sim.run_until_idle().unwrap();
    let read = async {
        let db = Db::open(io.clone(), "dir", options.clone()).await.unwrap();
        let idle = db.keyspace("idle").unwrap();
        let found = idle.get(b"one").await.unwrap();
        assert_eq!(found.as_deref(), Some(&b"write"[..]));
        assert_eq!(collect(db.scan(..).unwrap()).await.len(), 4000);
    };
    sim.block_on(read).unwrap();
}

#[test]
fn a_durable_batch_without_writes_makes_durable_what_was_written_before() {
    let write = |writes: &[Write], durable| Step::Write(writes.to_vec(), durable);
    for seed in 0..20 {
        let mut world = World::new();
        world.take(write(&[Write::Put(0, 2)], false));
        world.take(write(&[], true));
        world.take(Step::LosePower(seed));
        assert_eq!(world.all(), pairs(&world.map));
        assert_eq!(world.map.len(), 1);
    }
}

/// When the log is read into several memtables, the first of them stands for no more than what was
/// read until then, also where another keyspace is flushed further. Wherever a kill comes between their
/// flushes, the next open finds all.
#[test]
fn memtables_of_a_replay_are_flushed_one_by_one() {
    let sim = Sim::new(SimOptions::default());
    let mut options = options();
    let written = async {
        let db = Db::open(sim.io(), "dir", options.clone()).await.unwrap();
        let slow = db.create_keyspace("slow").await.unwrap();
        for number in 0..20u32 {
            slow.put(number.to_be_bytes(), [1; 50]).await.unwrap();
            db.put(number.to_be_bytes(), [2; 150]).await.unwrap();
        }
    };
    sim.run(written).unwrap();
    options.memtable_bytes = 500;
    let reopen = |image, check: bool| {
        let kill = SimOptions {
            profile: Profile::KillOnly,
            ..SimOptions::default()
        };
        let sim = Sim::boot(image, kill);
        let images = Arc::new(Mutex::new(Vec::new()));
        let taken = images.clone();
        sim.on_crash_point(move |point| taken.lock().unwrap().push(point.image));
        let found = async {
            let db = Db::open(sim.io(), "dir", options.clone()).await.unwrap();
            let slow = db.keyspace("slow").unwrap();
            let found = collect(slow.scan(..).unwrap()).await.len();
            if !check {
                db.flush().await.unwrap();
            }
            found
        };
        assert_eq!(sim.run(found).unwrap(), 20);
        std::mem::take(&mut *images.lock().unwrap())
    };
    let images = reopen(sim.image(), false);
    assert!(images.len() > 20);
    for image in images {
        reopen(image, true);
    }
}
