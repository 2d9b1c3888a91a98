//! Invariants, over any history with closes, stops and losses of power in it:
//! - the version is what a plain map makes of the recorded edits, and answers every query as a loop
//!   over that map does; what the map refuses is refused;
//! - no number is handed out that an edit of the history named, or that a file bears;
//! - a version that is held goes on saying what it said;
//! - the obsolete files are just those that nothing names any more: no edit, and no held version.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plain::Plain;
use proptest::prelude::*;
use quipu_io::sim::{Profile, Sim, SimIo, SimOptions};
use quipu_journal::{Options, laws};
use quipu_kv::Error;
use quipu_kv::manifest::{
    FileNum, Flushed, KeyspaceId, KeyspaceOptions, Manifest, ManifestEdit, ManifestEditV1,
    ManifestState, SstMetadata, Version,
};

/// What a step asks for. Numbers are picks among what there is, so that most edits fit.
#[derive(Clone, Debug)]
enum Step {
    Create(u8, Option<u32>, u64),
    Drop(usize),
    Flush(Vec<Table>, Option<Stretch>),
    Compact(Vec<usize>, Vec<Table>, Option<u32>),
    /// Hands out a number that no edit will have; its file is there or not.
    GiveUp(bool),
    Hold,
    LetGo(usize),
    /// Deletes so many of the obsolete files.
    Sweep(usize),
    Snapshot,
    Close,
    Stop,
    LosePower(u64),
}

#[derive(Clone, Debug)]
struct Table {
    keyspace: usize,
    level: u32,
    start: u8,
    len: u8,
    time: (u64, u64),
    number: Number,
}

#[derive(Clone, Debug)]
enum Number {
    Allocated,
    Any(u64),
}

#[derive(Clone, Debug)]
struct Stretch {
    keyspace: usize,
    len: u64,
    /// How far it begins from where it has to.
    off: u64,
}

fn table() -> impl Strategy<Value = Table> {
    let number = prop_oneof![9 => Just(Number::Allocated), 1 => (0..80u64).prop_map(Number::Any)];
    (
        0..3usize,
        0..4u32,
        0..80u8,
        0..9u8,
        (0..90u64, 0..40u64),
        number,
    )
        .prop_map(|(keyspace, level, start, len, time, number)| Table {
            keyspace,
            level,
            start,
            len,
            time,
            number,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let tables = || prop::collection::vec(table(), 0..4);
    let off = prop_oneof![8 => Just(0), 1 => 1..3u64];
    let stretch =
        (0..3usize, 0..20u64, off).prop_map(|(keyspace, len, off)| Stretch { keyspace, len, off });
    let sorted = prop_oneof![3 => Just(Some(1)), 1 => Just(None), 1 => Just(Some(0))];
    let picks = prop::collection::vec(0..40usize, 0..4);
    prop_oneof![
        2 => (0..4u8, sorted, 0..6u64).prop_map(|(name, sorted, off)| Step::Create(name, sorted, off)),
        1 => (0..4usize).prop_map(Step::Drop),
        8 => (tables(), prop::option::of(stretch)).prop_map(|(tables, stretch)| Step::Flush(tables, stretch)),
        6 => (picks, tables(), prop::option::weighted(0.3, 0..4u32))
            .prop_map(|(removed, added, to)| Step::Compact(removed, added, to)),
        2 => any::<bool>().prop_map(Step::GiveUp),
        3 => Just(Step::Hold),
        3 => (0..4usize).prop_map(Step::LetGo),
        2 => (0..6usize).prop_map(Step::Sweep),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Close),
        2 => Just(Step::Stop),
        2 => any::<u64>().prop_map(Step::LosePower),
    ]
}

/// A machine with a manifest, and what is known of it.
struct World {
    sim: Sim,
    manifest: Option<Manifest<SimIo>>,
    edits: Vec<ManifestEditV1>,
    plain: Plain,
    /// Numbers of the files that are there.
    disk: BTreeSet<FileNum>,
    handed_out: BTreeSet<FileNum>,
    /// Versions, and what they have to go on saying.
    held: Vec<(Arc<Version>, Plain)>,
    /// What has to be listed as obsolete once nobody holds it.
    dropped: BTreeSet<FileNum>,
}

impl World {
    fn new() -> World {
        let mut world = World {
            sim: Sim::new(SimOptions::default()),
            manifest: None,
            edits: Vec::new(),
            plain: Plain::default(),
            disk: BTreeSet::new(),
            handed_out: BTreeSet::new(),
            held: Vec::new(),
            dropped: BTreeSet::new(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let mut options = Options::default();
        options.log.segment_bytes = 8192;
        options.log.zero_ahead_bytes = 0;
        options.log.allocation_bytes = 4096;
        options.snapshots.growth_baseline = 1000;
        let found = std::future::ready(Ok(self.disk.clone()));
        let opening = Manifest::open(self.sim.io(), "dir", options, found);
        let manifest = self.sim.block_on(opening).unwrap().unwrap();
        let last = manifest.recovered().journal.last_seq.get();
        assert_eq!(last, self.edits.len() as u64, "every edit was acknowledged");
        let named: BTreeSet<FileNum> = self.plain.tables.keys().copied().collect();
        let orphans: Vec<_> = self.disk.difference(&named).copied().collect();
        assert_eq!(manifest.recovered().orphans, orphans);
        let missing: Vec<_> = named.difference(&self.disk).copied().collect();
        assert_eq!(manifest.recovered().missing, missing);
        self.dropped = orphans.into_iter().collect();
        self.handed_out.clear();
        self.manifest = Some(manifest);
        self.check();
    }

    fn manifest(&self) -> &Manifest<SimIo> {
        self.manifest.as_ref().unwrap()
    }

    fn check(&self) {
        self.plain.compare(&self.manifest().version());
        let is_held = |filenum: &FileNum| {
            let mut held = self.held.iter();
            held.any(|(version, _)| version.table(*filenum).is_some())
        };
        let unnamed = |filenum: &FileNum| !self.plain.tables.contains_key(filenum);
        let dropped = self.dropped.iter().copied();
        let free = dropped.filter(|filenum| unnamed(filenum) && !is_held(filenum));
        assert_eq!(self.manifest().obsolete_files(), free.collect::<Vec<_>>());
    }

    fn allocate(&mut self) -> FileNum {
        let filenum = self.manifest().alloc_filenum().unwrap();
        assert!(!self.plain.named.contains(&filenum), "{filenum} was named");
        assert!(!self.disk.contains(&filenum), "a file is {filenum}");
        assert!(self.handed_out.insert(filenum), "{filenum} was handed out");
        filenum
    }

    fn keyspace(&self, pick: usize) -> KeyspaceId {
        let mut ids = self.plain.keyspaces.keys().cycle();
        KeyspaceId::new(ids.nth(pick).copied().unwrap_or(7))
    }

    fn tables(&mut self, tables: &[Table]) -> Vec<SstMetadata> {
        let mut made = Vec::new();
        for table in tables {
            let filenum = match table.number {
                Number::Allocated => self.allocate(),
                Number::Any(number) => FileNum::new(number),
            };
            let end = table.start + table.len;
            let keyspace = self.keyspace(table.keyspace);
            let mut metadata =
                SstMetadata::new(filenum, keyspace, table.level, [table.start], [end, 1]);
            metadata.size = 100 + u64::from(table.start);
            metadata.max_seq = u64::from(end);
            (metadata.min_timestamp, metadata.max_timestamp) =
                (table.time.0, table.time.0 + table.time.1);
            made.push(metadata);
        }
        made
    }

    /// The answer must be the plain map's, and be of the edit.
    fn answered<T>(&mut self, edit: ManifestEditV1, answer: Result<T, Error>) -> Option<T> {
        let before: BTreeSet<FileNum> = self.plain.tables.keys().copied().collect();
        let fits = self.plain.apply(&edit);
        match &edit {
            ManifestEditV1::AddFile { files: added, .. }
            | ManifestEditV1::Compaction { added, .. } => {
                let files = added.iter().map(|table| table.filenum);
                // A table is written before it is recorded.
                self.disk.extend(files.filter(|_| fits));
            }
            _ => {}
        }
        let after = &self.plain.tables;
        let dropped = before
            .into_iter()
            .filter(|filenum| !after.contains_key(filenum));
        self.dropped.extend(dropped);
        self.edits.push(edit);
        match answer {
            Ok(answer) => {
                assert!(
                    fits,
                    "this should have been refused: {:?}",
                    self.edits.last()
                );
                Some(answer)
            }
            Err(error) => {
                assert!(error.refusal().is_some(), "{error}");
                assert!(!fits, "{error}: {:?}", self.edits.last());
                None
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Create(name, sorted_from, off) => {
                let mut options = KeyspaceOptions::default();
                options.sorted_from = sorted_from;
                options.flushed_through = (self.plain.last_seq + off).saturating_sub(3);
                let name = format!("keyspace {name}");
                let created = self.plain.created;
                let creating = self
                    .manifest()
                    .create_keyspace(name.clone(), options.clone());
                let answer = self.sim.block_on(creating).unwrap();
                let edit = ManifestEditV1::CreateKeyspace { name, options };
                if let Some(keyspace) = self.answered(edit, answer) {
                    assert_eq!(keyspace.get(), created);
                }
            }
            Step::Drop(pick) => {
                let keyspace = self.keyspace(pick);
                let dropping = self.manifest().drop_keyspace(keyspace);
                let answer = self.sim.block_on(dropping).unwrap();
                self.answered(ManifestEditV1::DropKeyspace { keyspace }, answer);
            }
            Step::Flush(tables, stretch) => {
                let files = self.tables(&tables);
                let flushed: Vec<Flushed> = stretch.iter().map(|it| self.stretch(it)).collect();
                let recording = self.manifest().record_flush(files.clone(), flushed.clone());
                let answer = self.sim.block_on(recording).unwrap();
                self.answered(ManifestEditV1::AddFile { files, flushed }, answer);
            }
            Step::Compact(picks, tables, to) => self.compact(&picks, &tables, to),
            Step::GiveUp(is_written) => {
                let filenum = self.allocate();
                self.manifest().abandon(filenum);
                self.dropped.insert(filenum);
                if is_written {
                    self.disk.insert(filenum);
                }
            }
            Step::Hold => {
                let version = self.manifest().version();
                self.held.push((version, self.plain.clone()));
            }
            Step::LetGo(pick) if pick < self.held.len() => {
                let (version, plain) = self.held.swap_remove(pick);
                plain.compare(&version);
            }
            Step::LetGo(_) => {}
            Step::Sweep(count) => {
                let mut obsolete = self.manifest().obsolete_files();
                obsolete.truncate(count);
                self.manifest().forget(&obsolete);
                for filenum in obsolete {
                    self.dropped.remove(&filenum);
                    self.disk.remove(&filenum);
                }
            }
            Step::Snapshot => {
                let snapshot = self.manifest().snapshot();
                self.sim.block_on(snapshot).unwrap().unwrap();
            }
            Step::Close => {
                let closing = self.manifest().close();
                self.sim.block_on(closing).unwrap().unwrap();
                assert_eq!(self.manifest().obsolete_files(), []);
                self.end();
                self.open();
            }
            Step::Stop => {
                self.end();
                self.sim.run_until_idle().unwrap();
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

    fn end(&mut self) {
        self.manifest = None;
        self.held.clear();
    }

    fn stretch(&self, stretch: &Stretch) -> Flushed {
        let keyspace = self.keyspace(stretch.keyspace);
        let found = self.plain.keyspaces.get(&keyspace.get());
        let flushed = found.map_or(0, |(_, options)| options.flushed_through);
        let after = flushed + stretch.off;
        Flushed {
            keyspace,
            after,
            through: (after + stretch.len).saturating_sub(1),
        }
    }

    fn compact(&mut self, picks: &[usize], tables: &[Table], to: Option<u32>) {
        let mut removed: Vec<FileNum> = picks
            .iter()
            .filter_map(|pick| self.plain.tables.keys().nth(*pick).copied())
            .collect();
        removed.dedup();
        let mut added = self.tables(tables);
        // The first of them moves.
        if let (Some(level), Some(first)) = (to, removed.first()) {
            let mut table = self.plain.tables[first].clone();
            table.level = level;
            added.push(table);
        }
        let recording = self
            .manifest()
            .record_compaction(added.clone(), removed.clone());
        let answer = self.sim.block_on(recording).unwrap();
        self.answered(ManifestEditV1::Compaction { added, removed }, answer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_manifest_is_a_plain_map_that_lasts(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in [Step::Create(0, Some(1), 3), Step::Create(1, None, 3)] {
            world.take(step);
        }
        for step in steps {
            world.take(step);
        }
        // The laws of a state machine hold of the same history.
        let edits = world.edits.iter().cloned().map(ManifestEdit::V1);
        laws::check::<ManifestState>(edits).unwrap();
        prop_assert_eq!(Plain::fold(&world.edits), world.plain);
    }
}
