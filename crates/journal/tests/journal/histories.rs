//! Invariant: after any history of appends, batches, snapshots, rotations, closes, stops and losses
//! of power, the state is the fold of the edits that the log holds: all that were acknowledged or
//! shown, in order, and of the others a prefix.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use crate::common::{Edit, Map, open, set, small_options, state};
use futures::future::join_all;
use proptest::prelude::*;
use quipu_io::sim::{Profile, Sim, SimIo, SimOptions};
use quipu_journal::{Journal, Left, Options, Retention, Seq};
use smol::future::block_on;

#[derive(Clone, Debug)]
enum Step {
    Append(Edit),
    Batch(Vec<Edit>),
    /// Queued at once, and nobody looks at the answers.
    Forget(Vec<Edit>),
    Snapshot,
    Close,
    Stop,
    /// What was not synced survives as the seed says.
    LosePower(u64),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => any::<u64>().prop_map(Edit::Add),
        3 => (0..20u32, 0..400usize).prop_map(|(key, len)| set(key, len)),
        1 => Just(Edit::Refuse),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let edits = || prop::collection::vec(edit(), 0..6);
    prop_oneof![
        6 => edit().prop_map(Step::Append),
        2 => edits().prop_map(Step::Batch),
        2 => edits().prop_map(Step::Forget),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Close),
        2 => Just(Step::Stop),
        2 => any::<u64>().prop_map(Step::LosePower),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (0..3000u64, 0..2000u64, 0..6usize, 0..4usize).prop_map(|(segment, growth, segments, keep)| {
        let mut options = small_options();
        options.log.segment_bytes = 8192 + segment;
        if segments > 0 {
            options.snapshots.growth_baseline = growth;
            options.snapshots.max_segments = segments;
        }
        options.retention = match std::num::NonZeroUsize::new(keep) {
            Some(keep) => Retention::Snapshots(keep),
            None => Retention::All,
        };
        options
    })
}

/// A machine on which a journal is open, and what its log must hold.
struct World {
    sim: Sim,
    journal: Option<Journal<Map, SimIo>>,
    options: Options,
    /// In the order of the calls: first what is certain, then what nobody has waited for.
    edits: Vec<Edit>,
    certain: usize,
}

impl World {
    fn new(options: Options) -> World {
        let mut world = World {
            sim: Sim::new(SimOptions::default()),
            journal: None,
            options,
            edits: Vec::new(),
            certain: 0,
        };
        world.open();
        world
    }

    fn open(&mut self) -> Left {
        let opening = Journal::open(self.sim.io(), "dir", self.options.clone());
        let journal: Journal<Map, SimIo> = self.sim.block_on(opening).unwrap().unwrap();
        let recovered = journal.recovered().clone();
        let last = usize::try_from(recovered.last_seq.get()).unwrap();
        assert!(
            last >= self.certain,
            "{} were certain: {recovered}",
            self.certain
        );
        assert!(last <= self.edits.len(), "from the future: {recovered}");
        self.edits.truncate(last);
        assert_eq!(state(&journal), Map::fold(&self.edits), "{recovered}");
        self.certain = last;
        self.journal = Some(journal);
        recovered.left
    }

    fn journal(&self) -> &Journal<Map, SimIo> {
        self.journal.as_ref().unwrap()
    }

    /// An answer to the last edit makes all certain that were handed in before.
    fn answered(&mut self, seq: Seq, edits: usize) {
        assert_eq!(seq.get() + edits as u64, self.edits.len() as u64 + 1);
        self.certain = self.edits.len();
        assert_eq!(state(self.journal()), Map::fold(&self.edits));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append(edit) => {
                self.edits.push(edit.clone());
                let append = self.journal().append(edit).with_seq();
                let (seq, _) = self.sim.block_on(append).unwrap().unwrap();
                self.answered(seq, 1);
            }
            Step::Batch(edits) if edits.is_empty() => {}
            Step::Batch(edits) => {
                self.edits.extend(edits.iter().cloned());
                let count = edits.len();
                let append = self.journal().append_batch(edits).with_seq();
                let (seq, _) = self.sim.block_on(append).unwrap().unwrap();
                self.answered(seq, count);
            }
            Step::Forget(edits) => {
                for edit in edits {
                    self.edits.push(edit.clone());
                    drop(self.journal().append(edit));
                }
            }
            Step::Snapshot => {
                let snapshot = self.journal().snapshot();
                let seq = self.sim.block_on(snapshot).unwrap().unwrap();
                assert!(usize::try_from(seq.get()).unwrap() >= self.certain);
            }
            Step::Close => {
                let close = self.journal.take().unwrap().close();
                self.sim.block_on(close).unwrap().unwrap();
                self.certain = self.edits.len();
                assert_eq!(self.open(), Left::Clean);
            }
            Step::Stop => {
                self.journal = None;
                self.sim.run_until_idle().unwrap();
                self.certain = self.edits.len();
                self.open();
            }
            Step::LosePower(seed) => {
                self.journal = None;
                let profile = match seed % 2 {
                    0 => Profile::Posix,
                    _ => Profile::Ext4Ordered,
                };
                let options = SimOptions {
                    profile,
                    ..SimOptions::seeded(seed)
                };
                let world = std::mem::replace(&mut self.sim, Sim::new(SimOptions::default()));
                self.sim = Sim::boot(world.crash(), options);
                self.open();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_state_is_the_fold_of_the_log(
        options in options(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(options);
        for step in steps {
            world.take(step);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The same on the real backend, where nothing loses power.
    #[test]
    fn the_state_is_the_fold_of_the_log_on_a_real_disk(
        options in options(),
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut edits = Vec::new();
        let mut journal = block_on(open::<Map>(dir.path(), &options)).unwrap();
        for step in steps {
            match step {
                Step::Append(edit) => {
                    edits.push(edit.clone());
                    let answer = block_on(journal.append(edit).with_seq()).unwrap();
                    prop_assert_eq!(answer.0, Seq::new(edits.len() as u64));
                }
                Step::Batch(batch) => {
                    edits.extend(batch.iter().cloned());
                    block_on(journal.append_batch(batch)).unwrap();
                }
                Step::Forget(batch) => {
                    edits.extend(batch.iter().cloned());
                    let appends = batch.into_iter().map(|edit| journal.append(edit));
                    block_on(join_all(appends));
                }
                Step::Snapshot => drop(block_on(journal.snapshot()).unwrap()),
                Step::Close | Step::Stop | Step::LosePower(_) => {
                    if let Step::Close = step {
                        block_on(journal.close()).unwrap();
                    }
                    drop(journal);
                    journal = block_on(open::<Map>(dir.path(), &options)).unwrap();
                    let last = journal.recovered().last_seq;
                    prop_assert_eq!(last, Seq::new(edits.len() as u64));
                }
            }
            prop_assert_eq!(state(&journal), Map::fold(&edits));
        }
    }
}
