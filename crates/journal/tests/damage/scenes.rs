//! Directories with known histories, and what their files held at earlier moments.

use std::collections::{BTreeMap, BTreeSet};

use quipu_io::Bytes;
use quipu_io::sim::{DiskImage, Sim, SimIo, SimOptions};
use quipu_journal::Journal;

use crate::DIR;
use crate::common::{Edit, Files, Map, set, small_options};

/// A directory with a known history.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) edits: Vec<Edit>,
    /// The states after each number of edits.
    pub(crate) states: Vec<Map>,
    pub(crate) files: Files,
    pub(crate) image: DiskImage,
    /// What each file held at earlier moments.
    pub(crate) older: BTreeMap<String, BTreeSet<Bytes>>,
}

/// Makes a scene, step by step, in a simulated world.
struct Builder {
    sim: Sim,
    journal: Option<Journal<Map, SimIo>>,
    edits: Vec<Edit>,
    states: Vec<Map>,
    older: BTreeMap<String, BTreeSet<Bytes>>,
}

impl Builder {
    fn new() -> Builder {
        let mut builder = Builder {
            sim: Sim::new(SimOptions::default()),
            journal: None,
            edits: Vec::new(),
            states: vec![Map::default()],
            older: BTreeMap::new(),
        };
        builder.open();
        builder
    }

    fn open(&mut self) {
        let opening = Journal::open(self.sim.io(), DIR, small_options());
        self.journal = Some(self.sim.run(opening).unwrap().unwrap());
        self.remember();
    }

    fn append(&mut self, edit: Edit) {
        self.batch([edit]);
    }

    fn batch<const N: usize>(&mut self, edits: [Edit; N]) {
        for edit in &edits {
            let mut next = self.states.last().unwrap().clone();
            let _ = quipu_journal::Replayable::apply(&mut next, edit.clone());
            self.states.push(next);
        }
        self.edits.extend(edits.iter().cloned());
        let append = self.journal.as_ref().unwrap().append_batch(edits);
        self.sim.run(append).unwrap().unwrap();
        self.remember();
    }

    fn snapshot(&mut self) {
        let snapshot = self.journal.as_ref().unwrap().snapshot();
        self.sim.run(snapshot).unwrap().unwrap();
        self.remember();
    }

    fn close(&mut self) {
        let close = self.journal.take().unwrap().close();
        self.sim.run(close).unwrap().unwrap();
        self.remember();
    }

    /// Ends it without a close.
    fn stop(&mut self) {
        self.journal = None;
        self.sim.run_until_idle().unwrap();
    }

    fn files(&self) -> Files {
        Files::of_image(&mut self.sim.image(), DIR)
    }

    fn remember(&mut self) {
        for (name, content) in self.files().0 {
            self.older.entry(name).or_default().insert(content);
        }
    }

    fn finish(mut self, name: &'static str) -> Scene {
        self.stop();
        let files = self.files();
        for (name, versions) in &mut self.older {
            if let Some(now) = files.0.get(name) {
                versions.remove(now);
            }
        }
        Scene {
            name,
            edits: std::mem::take(&mut self.edits),
            states: std::mem::take(&mut self.states),
            image: files.to_image(DIR),
            files,
            older: std::mem::take(&mut self.older),
        }
    }
}

/// Several segments and two snapshots; a segment that recovery made, and a batch.
fn long() -> Builder {
    let mut builder = Builder::new();
    for key in 0..5 {
        builder.append(set(key, 150));
    }
    builder.snapshot();
    builder.batch([Edit::Add(1), Edit::Refuse, set(7, 20), Edit::Add(2)]);
    builder.append(set(8, 200));
    builder.stop();
    builder.open();
    builder.append(Edit::Add(3));
    builder.append(set(9, 300));
    builder.append(set(10, 300));
    builder.snapshot();
    builder.append(Edit::Add(4));
    builder.batch([Edit::Add(5), set(11, 40)]);
    builder
}

pub(crate) fn clean() -> Scene {
    let mut builder = long();
    builder.close();
    builder.finish("clean")
}

pub(crate) fn unclean() -> Scene {
    long().finish("unclean")
}

/// The last segment holds what recovery copied, and an old seal stands before it.
pub(crate) fn recovered() -> Scene {
    let mut builder = long();
    builder.close();
    builder.open();
    builder.append(Edit::Add(6));
    builder.append(Edit::Add(7));
    builder.stop();
    builder.open();
    builder.append(Edit::Add(8));
    builder.finish("recovered")
}

/// No snapshot, and an old seal in the last segment, which has gone on.
pub(crate) fn reopened() -> Scene {
    let mut builder = Builder::new();
    for key in 0..3 {
        builder.append(set(key, 200));
    }
    builder.close();
    builder.open();
    builder.append(Edit::Add(1));
    builder.append(set(3, 30));
    builder.finish("reopened")
}

/// Nothing was appended to the last segment.
pub(crate) fn untouched() -> Scene {
    let mut builder = Builder::new();
    for key in 0..2 {
        builder.append(set(key, 200));
    }
    builder.stop();
    builder.open();
    builder.snapshot();
    builder.stop();
    builder.open();
    builder.finish("untouched")
}

/// Nothing but a few frames: each is proven by the next one only, and the last one by nothing.
pub(crate) fn young() -> Scene {
    let mut builder = Builder::new();
    builder.append(set(1, 100));
    builder.append(Edit::Add(1));
    builder.append(set(2, 20));
    builder.finish("young")
}

pub(crate) fn new() -> Scene {
    Builder::new().finish("new")
}
