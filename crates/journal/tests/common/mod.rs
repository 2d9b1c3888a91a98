//! What the tests share: a toy machine whose state tells any two histories apart, options that make
//! small files, and a journal's directory as bytes.
#![allow(
    dead_code,
    reason = "every test file is a crate of its own and uses its own part of this"
)]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests look at the directory behind the journal's back"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quipu_io::sim::DiskImage;
use quipu_io::{Bytes, DiskIo, Io};
use quipu_journal::{Error, Journal, Options, Replayable, Result, Seq, SnapshotPolicy};
use serde::{Deserialize, Serialize};

/// A map that also counts its edits and remembers their order in a digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Map {
    /// Edits that were applied and not refused.
    pub(crate) count: u64,
    /// Depends on each of them and on their order.
    pub(crate) digest: u64,
    pub(crate) sum: u64,
    pub(crate) entries: BTreeMap<u32, Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Edit {
    Add(u64),
    Set {
        key: u32,
        value: Vec<u8>,
    },
    /// Always refused.
    Refuse,
    /// Panics when it is applied.
    Panic,
    /// Cannot be encoded.
    Opaque(#[serde(serialize_with = "refuse_to_encode")] u8),
    RestoreTotals {
        count: u64,
        digest: u64,
        sum: u64,
    },
    RestoreEntry(u32, Vec<u8>),
}

fn refuse_to_encode<S: serde::Serializer>(_: &u8, _: S) -> std::result::Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("opaque"))
}

/// What the machine answers to an edit that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl Replayable for Map {
    type Edit = Edit;
    type Output = std::result::Result<u64, Refused>;

    fn filename_prefix() -> &'static str {
        "map"
    }

    fn initial() -> Self {
        Map::default()
    }

    fn apply(&mut self, edit: Edit) -> Self::Output {
        match edit {
            Edit::Add(number) => {
                self.sum = self.sum.wrapping_add(number);
                self.record(number);
            }
            Edit::Set { key, value } => {
                let mut mixed = u64::from(key);
                for byte in &value {
                    mixed = mixed.wrapping_mul(31).wrapping_add(u64::from(*byte));
                }
                self.entries.insert(key, value);
                self.record(mixed);
            }
            Edit::Refuse => return Err(Refused),
            Edit::Panic => panic!("the machine was told to panic"),
            Edit::Opaque(_) => unreachable!("it cannot be encoded"),
            Edit::RestoreTotals { count, digest, sum } => {
                (self.count, self.digest, self.sum) = (count, digest, sum);
            }
            Edit::RestoreEntry(key, value) => {
                self.entries.insert(key, value);
            }
        }
        Ok(self.count)
    }

    fn snapshot(&self) -> Edit {
        unreachable!("it has parts")
    }

    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = Edit> + Send> {
        let totals = Edit::RestoreTotals {
            count: self.count,
            digest: self.digest,
            sum: self.sum,
        };
        let entries = self.entries.clone().into_iter();
        let entries = entries.map(|(key, value)| Edit::RestoreEntry(key, value));
        Box::new(std::iter::once(totals).chain(entries))
    }
}

impl Map {
    fn record(&mut self, mixed: u64) {
        self.count += 1;
        let next = self.digest.rotate_left(5) ^ mixed ^ self.count;
        self.digest = next.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    /// The state that these edits make.
    pub(crate) fn fold<'a>(edits: impl IntoIterator<Item = &'a Edit>) -> Map {
        let mut map = Map::initial();
        for edit in edits {
            let _ = map.apply(edit.clone());
        }
        map
    }
}

/// An edit of about `len` bytes.
pub(crate) fn set(key: u32, len: usize) -> Edit {
    let first = key.to_le_bytes()[0];
    let value = (0..len).map(|at| first.wrapping_add(at.to_le_bytes()[0]) | 1);
    Edit::Set {
        key,
        value: value.collect(),
    }
}

/// Segments of a few frames each, and snapshots only when asked for.
pub(crate) fn small_options() -> Options {
    let mut options = Options::default();
    options.log.segment_bytes = 8192 + 600;
    options.log.allocation_bytes = 4096;
    options.log.max_edit_bytes = 1 << 20;
    options.log.max_frame_bytes = (1 << 20) + 4096;
    options.log.max_queue_bytes = 8 << 20;
    options.snapshots = SnapshotPolicy::never();
    options
}

/// Opens a journal on the real disk. A journal that was dropped may hold its lock for a moment.
pub(crate) async fn open<S: Replayable>(dir: &Path, options: &Options) -> Result<Journal<S>> {
    let io = DiskIo::new().unwrap();
    for _ in 0..100_000 {
        match Journal::open(io.clone(), dir, options.clone()).await {
            Err(Error::Locked { .. }) => std::thread::yield_now(),
            opened => return opened,
        }
    }
    panic!("the lock is never released");
}

/// The state, copied.
pub(crate) fn state<I: Io>(journal: &Journal<Map, I>) -> Map {
    journal.read(Map::clone)
}

pub(crate) fn last_seq<I: Io>(journal: &Journal<Map, I>) -> Seq {
    journal.recovered().last_seq
}

/// The files of a directory by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Bytes>);

impl Files {
    pub(crate) fn of_directory(dir: &Path) -> Files {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.insert(name, fs::read(entry.path()).unwrap().into());
        }
        Files(files)
    }

    pub(crate) fn of_image(image: &mut DiskImage, dir: &str) -> Files {
        let mut files = BTreeMap::new();
        for name in image.list(dir).unwrap() {
            let name = name.into_string().unwrap();
            let content = image.read(Path::new(dir).join(&name)).unwrap();
            files.insert(name, content);
        }
        Files(files)
    }

    pub(crate) fn to_directory(&self, dir: &Path) {
        for (name, content) in &self.0 {
            fs::write(dir.join(name), content).unwrap();
        }
    }

    pub(crate) fn to_image(&self, dir: &str) -> DiskImage {
        let mut image = DiskImage::empty(512);
        for (name, content) in &self.0 {
            let path = Path::new(dir).join(name);
            image.write(path, content.clone()).unwrap();
        }
        image
    }

    /// The files with this ending, in the order of their numbers.
    pub(crate) fn ending(&self, ending: &str) -> Vec<String> {
        let names = self.0.keys().filter(|name| name.ends_with(ending));
        names.cloned().collect()
    }
}
