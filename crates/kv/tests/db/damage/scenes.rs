//! Stores with known histories, and what their files held at earlier moments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quipu_io::Bytes;
use quipu_io::sim::{DiskImage, Sim, SimIo, SimOptions};
use quipu_journal::SnapshotPolicy;
use quipu_kv::{Compression, Db, Durability, Options, Strategy, WriteBatch};

use super::DIR;

/// What a keyspace holds.
pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a store holds, by the names of its keyspaces.
pub(crate) type State = BTreeMap<&'static str, Map>;

/// The keyspace that every store has.
pub(crate) const DEFAULT: &str = "default";

/// The files of a store by their paths within its directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Bytes>);

impl Files {
    pub(crate) fn of_image(image: &mut DiskImage) -> Files {
        let mut files = BTreeMap::new();
        for part in ["", "wal", "tables"] {
            let dir = Path::new(DIR).join(part);
            for name in image.list(&dir).unwrap_or_default() {
                // A directory cannot be read.
                if let Ok(content) = image.read(dir.join(&name)) {
                    let path = Path::new(part).join(&name);
                    files.insert(path.to_str().unwrap().to_owned(), content);
                }
            }
        }
        Files(files)
    }

    /// The same disk with these files instead.
    pub(crate) fn put_into(&self, image: &mut DiskImage) {
        let before = Files::of_image(image);
        for path in before.0.keys().filter(|path| !self.0.contains_key(*path)) {
            image.remove(at(path)).unwrap();
        }
        for (path, content) in &self.0 {
            if before.0.get(path) != Some(content) {
                image.write(at(path), content.clone()).unwrap();
            }
        }
    }

    /// The files whose paths begin and end so, in the order of their numbers.
    pub(crate) fn like(&self, start: &str, end: &str) -> Vec<String> {
        let paths = self.0.keys();
        let like = paths.filter(|path| path.starts_with(start) && path.ends_with(end));
        like.cloned().collect()
    }
}

/// Where a file of the store is.
pub(crate) fn at(path: &str) -> PathBuf {
    Path::new(DIR).join(path)
}

/// A store with a known history.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) options: Options,
    /// What it held after each batch.
    pub(crate) states: Vec<State>,
    /// How many of them were in tables when it ended.
    pub(crate) flushed: usize,
    pub(crate) is_closed: bool,
    pub(crate) files: Files,
    pub(crate) image: DiskImage,
    /// What each file held at earlier moments.
    pub(crate) older: BTreeMap<String, BTreeSet<Bytes>>,
}

impl Scene {
    pub(crate) fn last(&self) -> &State {
        self.states.last().unwrap()
    }

    /// Every key that was ever there.
    pub(crate) fn keys(&self) -> BTreeSet<&[u8]> {
        let maps = self.states.iter().flat_map(BTreeMap::values);
        maps.flat_map(|map| map.keys().map(Vec::as_slice)).collect()
    }
}

pub(crate) fn key(number: u32) -> Vec<u8> {
    format!("key {number:03}").into_bytes()
}

fn value(number: u32, len: usize) -> Vec<u8> {
    let bytes = (0..len).map(|at| (number as usize * 31 + at * at / 7) as u8 | 1);
    bytes.collect()
}

/// Small files of everything.
pub(crate) fn options(strategy: Strategy) -> Options {
    let mut options = Options::default();
    options.memtable_bytes = 1 << 20;
    options.cache_bytes = 4096;
    options.table.compression = Compression::None;
    options.table.block_bytes = 600;
    options.table.partition_bytes = 300;
    options.compaction.strategy = strategy;
    options.compaction.table_bytes = 3000;
    for log in [&mut options.log, &mut options.manifest.log] {
        log.zero_ahead_bytes = 0;
        log.allocation_bytes = 4096;
        log.segment_bytes = 8192 + 1500;
    }
    options.manifest.snapshots = SnapshotPolicy::never();
    options
}

/// Makes a scene, step by step, in a simulated world.
struct Builder {
    sim: Sim,
    options: Options,
    db: Option<Db<SimIo>>,
    states: Vec<State>,
    flushed: usize,
    older: BTreeMap<String, BTreeSet<Bytes>>,
}

impl Builder {
    fn new(options: Options) -> Builder {
        let mut builder = Builder {
            sim: Sim::new(SimOptions::default()),
            options,
            db: None,
            states: vec![State::from([(DEFAULT, Map::new())])],
            flushed: 0,
            older: BTreeMap::new(),
        };
        builder.open();
        builder
    }

    fn open(&mut self) {
        let opening = Db::open(self.sim.io(), DIR, self.options.clone());
        self.db = Some(self.sim.run(opening).unwrap().unwrap());
        self.remember();
    }

    fn db(&self) -> Db<SimIo> {
        self.db.clone().unwrap()
    }

    fn keyspace(&mut self, name: &'static str) {
        let db = self.db();
        self.sim.run(db.create_keyspace(name)).unwrap().unwrap();
        let mut next = self.states.last().unwrap().clone();
        next.insert(name, Map::new());
        self.states.push(next);
        self.remember();
    }

    fn write(&mut self, writes: &[(&'static str, Write)]) {
        let db = self.db();
        let mut next = self.states.last().unwrap().clone();
        let mut batch = WriteBatch::new();
        for (name, write) in writes {
            let id = db.keyspace(name).unwrap().id();
            let map = next.get_mut(name).unwrap();
            match *write {
                Write::Put(number, len) => {
                    let value = value(number + self.states.len() as u32, len);
                    batch.put_in(id, key(number), &value);
                    map.insert(key(number), value);
                }
                Write::Delete(number) => {
                    batch.delete_in(id, key(number));
                    map.remove(&key(number));
                }
                Write::DeleteRange(from, to) => {
                    let (from, to) = (key(from), key(to));
                    batch.delete_range_in(id, &from, &to);
                    map.retain(|key, _| *key < from || *key >= to);
                }
            }
        }
        self.states.push(next);
        let written = self.sim.run(db.write(batch, Durability::Disk));
        written.unwrap().unwrap();
        self.remember();
    }

    fn fill(&mut self, name: &'static str, numbers: impl Iterator<Item = u32>, len: usize) {
        for number in numbers {
            self.write(&[(name, Write::Put(number, len))]);
        }
    }

    fn flush(&mut self) {
        let db = self.db();
        self.sim.run(db.flush()).unwrap().unwrap();
        self.flushed = self.states.len() - 1;
        self.remember();
    }

    fn compact(&mut self) {
        let db = self.db();
        self.sim.run(db.compact_range(..)).unwrap().unwrap();
        self.flushed = self.states.len() - 1;
        self.remember();
    }

    fn close(&mut self) {
        let db = self.db.take().unwrap();
        self.sim.run(db.close()).unwrap().unwrap();
        drop(db);
        self.remember();
    }

    /// Ends it without a close.
    fn stop(&mut self) {
        self.db = None;
        self.sim.run_until_idle().unwrap();
    }

    fn remember(&mut self) {
        for (path, content) in Files::of_image(&mut self.sim.image()).0 {
            self.older.entry(path).or_default().insert(content);
        }
    }

    fn finish(mut self, name: &'static str) -> Scene {
        let is_closed = self.db.is_none();
        self.stop();
        let mut image = self.sim.image();
        let files = Files::of_image(&mut image);
        for (path, versions) in &mut self.older {
            if let Some(now) = files.0.get(path) {
                versions.remove(now);
            }
        }
        // What a kill leaves: all of it, and no symbol of what a loss of power would have taken.
        let sim = Sim::boot(
            image,
            SimOptions {
                profile: quipu_io::sim::Profile::KillOnly,
                ..SimOptions::default()
            },
        );
        Scene {
            name,
            options: self.options,
            states: self.states,
            flushed: self.flushed,
            is_closed,
            files,
            image: sim.image(),
            older: self.older,
        }
    }
}

#[derive(Clone, Copy)]
enum Write {
    Put(u32, usize),
    Delete(u32),
    DeleteRange(u32, u32),
}

use Write::{Delete, DeleteRange, Put};

/// Several tables, some compacted, with deletions of both kinds.
fn long(options: Options) -> Builder {
    let mut builder = Builder::new(options);
    builder.fill(DEFAULT, 0..12, 200);
    builder.flush();
    builder.fill(DEFAULT, (4..20).step_by(2), 150);
    builder.write(&[(DEFAULT, DeleteRange(7, 9)), (DEFAULT, Delete(1))]);
    builder.compact();
    builder.fill(DEFAULT, (0..24).step_by(5), 180);
    builder.write(&[
        (DEFAULT, Put(30, 700)),
        (DEFAULT, DeleteRange(10, 13)),
        (DEFAULT, Put(11, 40)),
    ]);
    builder.flush();
    builder
}

pub(crate) fn closed() -> Scene {
    let mut builder = long(options(Strategy::Leveled(Default::default())));
    builder.fill(DEFAULT, 2..4, 100);
    builder.close();
    builder.finish("closed")
}

/// The log goes on behind what is in tables.
pub(crate) fn unclosed() -> Scene {
    let mut builder = long(options(Strategy::Leveled(Default::default())));
    builder.fill(DEFAULT, 20..24, 100);
    builder.write(&[(DEFAULT, Delete(20)), (DEFAULT, DeleteRange(0, 3))]);
    builder.write(&[(DEFAULT, Put(2, 60))]);
    builder.finish("unclosed")
}

/// The same, opened and left once more, with packed tables.
pub(crate) fn reopened() -> Scene {
    let mut options = options(Strategy::SimpleLeveled(Default::default()));
    options.table.compression = Compression::Lz4;
    let mut builder = long(options);
    builder.fill(DEFAULT, 20..24, 100);
    builder.stop();
    builder.open();
    builder.fill(DEFAULT, 24..26, 100);
    builder.finish("reopened")
}

/// Keyspaces that are flushed apart, and batches over several of them.
pub(crate) fn keyspaces() -> Scene {
    let mut options = options(Strategy::Tiered(Default::default()));
    options.memtable_bytes = 1500;
    let mut builder = Builder::new(options);
    builder.keyspace("users");
    builder.keyspace("idle");
    builder.write(&[("idle", Put(1, 30)), (DEFAULT, Put(1, 30))]);
    for number in 0..10 {
        builder.write(&[("users", Put(number, 160)), (DEFAULT, Put(number, 20))]);
    }
    builder.flush();
    for number in 5..13 {
        let both = [("users", Put(number, 250)), (DEFAULT, Put(number, 20))];
        builder.write(&both);
        builder.write(&[("idle", Put(number, 9)), ("users", Delete(number - 3))]);
    }
    builder.finish("keyspaces")
}

/// Tables of stretches of time, and a manifest with snapshots.
pub(crate) fn windows() -> Scene {
    let mut options = options(Strategy::TimeWindow(Default::default()));
    options.manifest.snapshots.growth_baseline = 300;
    options.manifest.snapshots.max_segments = 2;
    options.manifest.log.segment_bytes = 8192 + 300;
    let mut builder = Builder::new(options);
    for round in 0..5 {
        builder.fill(DEFAULT, (round..round + 6).step_by(2), 200);
        builder.write(&[(DEFAULT, DeleteRange(round, round + 2))]);
        builder.flush();
    }
    builder.fill(DEFAULT, 40..43, 100);
    builder.finish("windows")
}

/// Nothing is in tables yet.
pub(crate) fn young() -> Scene {
    let mut builder = Builder::new(options(Strategy::Leveled(Default::default())));
    builder.keyspace("users");
    builder.fill(DEFAULT, 0..4, 100);
    builder.write(&[("users", Put(1, 30)), (DEFAULT, Delete(1))]);
    builder.finish("young")
}

/// The log is in tables to its end, and its front is gone.
pub(crate) fn flushed() -> Scene {
    let mut builder = Builder::new(options(Strategy::Leveled(Default::default())));
    builder.keyspace("users");
    builder.write(&[("users", Put(1, 30)), (DEFAULT, Put(1, 30))]);
    builder.fill(DEFAULT, 0..20, 200);
    builder.flush();
    builder.finish("flushed")
}
