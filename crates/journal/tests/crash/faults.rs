//! Faults while the journal runs: failing syncs and writes, a full disk, unreadable files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quipu_io::Runtime;
use quipu_io::sim::{
    CrashKind, DiskImage, FailedSync, Fault, Forget, Operation, Profile, Sim, SimOptions, Tape,
};
use quipu_journal::check::settings::{plain, tiny_segments};
use quipu_journal::check::{DIR, History, Notes, PAGE, SECTOR, SMALL, oracles, shown};
use quipu_journal::log::{Durability, Log};
use quipu_journal::{Error, Journal, Options, Seq, laws};

use crate::life::lock;
use crate::notes::note;

type Io = quipu_io::sim::SimIo;

/// A run that met a fault.
struct Run {
    sim: Sim,
    history: Arc<Mutex<History>>,
    /// Groups whose answer was `InDoubt`, and the numbers that they have if they are committed.
    doubts: Vec<(u64, Seq)>,
    /// Syncs of the log's segments, as they completed.
    syncs: Arc<Mutex<u64>>,
    /// The same when the journal said for the first time that it is stopped.
    syncs_when_stopped: Option<u64>,
    opened: bool,
}

impl Run {
    fn new(seed: u64, tape: Tape, plan: &dyn Fn(&Sim)) -> Run {
        let sim = Sim::new(SimOptions {
            seed,
            tape,
            ..SimOptions::default()
        });
        let syncs = Arc::new(Mutex::new(0));
        let counted = syncs.clone();
        sim.on_crash_point(move |point| {
            if let CrashKind::BeforeSync(path) = point.kind
                && path.to_string_lossy().contains(".log")
            {
                *lock(&counted) += 1;
            }
        });
        plan(&sim);
        Run {
            sim,
            history: Arc::default(),
            doubts: Vec::new(),
            syncs,
            syncs_when_stopped: None,
            opened: false,
        }
    }

    /// Appends at several paces, takes a snapshot, appends again, closes.
    fn go(&mut self, options: &Options) {
        let io = self.sim.io();
        let opening = Journal::<Notes, _>::open(io.clone(), DIR, options.clone());
        let journal = match self.sim.block_on(opening).unwrap() {
            Ok(journal) => journal,
            Err(Error::Io { .. } | Error::NoSpace { .. }) => return,
            Err(other) => panic!("open: {other:?}"),
        };
        self.opened = true;
        for sizes in [&[SMALL][..], &[SECTOR, PAGE, SMALL], &[SMALL], &[SECTOR]] {
            self.append(&journal, &io, sizes);
            if sizes.len() == 1 {
                let taken = self.sim.block_on(journal.snapshot()).unwrap();
                let stopped = self.syncs_when_stopped.is_some();
                assert!(
                    !(stopped && taken.is_ok()),
                    "a stopped journal takes no snapshot"
                );
            }
        }
        self.check_visible(&journal);
        let closed = self.sim.block_on(journal.close()).unwrap();
        if self.syncs_when_stopped.is_some() {
            assert!(closed.is_err(), "a stopped journal does not close cleanly");
        }
        if let Some(before) = self.syncs_when_stopped {
            assert_eq!(
                before,
                *lock(&self.syncs),
                "nothing retries a sync, nothing seals"
            );
        }
    }

    /// Issues these one behind the other, so that later ones queue up while the first is synced.
    fn append(&mut self, journal: &Journal<Notes, Io>, io: &Io, sizes: &[usize]) {
        let stopped = self.syncs_when_stopped.is_some();
        let waiting = async {
            let mut appends = Vec::new();
            for size in sizes {
                let (group, edit) = {
                    let mut history = lock(&self.history);
                    let edit = note(history.next_id(), *size);
                    let encoded = laws::encode::<Notes>(&edit).unwrap();
                    (history.issue([encoded]), edit)
                };
                appends.push((group, journal.append(edit).with_seq()));
                io.sleep(Duration::from_micros(50)).await;
            }
            let mut answers = Vec::new();
            for (group, append) in appends {
                answers.push((group, append.await));
            }
            answers
        };
        let answers = self.sim.block_on(waiting).unwrap();
        let mut history = lock(&self.history);
        let mut doubted = stopped;
        for (group, answer) in answers {
            match answer {
                Ok((seq, _)) => {
                    assert!(!doubted, "nothing is committed behind what is in doubt");
                    history.acknowledge(group, seq.get(), true).unwrap();
                }
                Err(Error::NotCommitted { .. }) => {
                    assert!(!stopped, "a stopped journal says that it is stopped");
                    history.refuse(group);
                }
                Err(Error::Poisoned { .. }) => {
                    assert!(doubted, "stopped by nothing that anybody was told");
                    history.refuse(group);
                }
                Err(Error::InDoubt { seq, .. }) => {
                    assert!(!stopped, "only what was being written is in doubt");
                    doubted = true;
                    self.doubts.push((group, seq));
                }
                Err(other) => panic!("an answer that nobody expects: {other:?}"),
            }
        }
        if doubted && !stopped {
            self.syncs_when_stopped = Some(*lock(&self.syncs));
        }
        for (group, seq) in &self.doubts {
            let place = history
                .line
                .iter()
                .position(|issued| issued.group == *group);
            assert_eq!(place.map(|place| place as u64 + 1), Some(seq.get()));
        }
    }

    /// `read` shows what was acknowledged, and nothing else.
    fn check_visible(&self, journal: &Journal<Notes, Io>) {
        let history = lock(&self.history);
        let visible = journal.status().applied.get();
        assert_eq!(visible, history.acknowledged as u64);
        let expected = oracles::encoded_fold::<Notes>(&history, visible).unwrap();
        assert_eq!(journal.read(oracles::state::<Notes>).unwrap(), expected);
    }

    /// Whatever crash follows, the next open that answers decides, and all goes on.
    fn check_reopens(&self, options: &Options, device: bool) {
        for (profile, tape) in [
            (Profile::KillOnly, Tape::zeros()),
            (Profile::Posix, Tape::zeros()),
            (Profile::Posix, Tape::replay([u32::MAX; 1000])),
            (Profile::Posix, Tape::seeded(1)),
            (Profile::Ext4Ordered, Tape::seeded(2)),
        ] {
            let mut image = self.sim.image();
            let mut history = lock(&self.history).clone();
            if device {
                history.acknowledged = 0;
            }
            for round in 0..2 {
                let sim = Sim::boot(
                    image,
                    SimOptions {
                        profile,
                        tape: tape.clone(),
                        seed: 77,
                        ..SimOptions::default()
                    },
                );
                sim.faults().full_after(u64::MAX);
                let opening = Journal::<Notes, _>::open(sim.io(), DIR, options.clone());
                let journal = match sim.block_on(opening).unwrap() {
                    Err(error) if device && error.is_corrupt() => return,
                    other => {
                        other.unwrap_or_else(|e| panic!("{profile:?}, {tape:?}, {options:?}: {e}"))
                    }
                };
                let shown = shown(&journal).unwrap();
                history.reopen::<Notes>(&shown).unwrap();
                let edit = note(1_000_000 + round, SMALL);
                let group = history.issue([laws::encode::<Notes>(&edit).unwrap()]);
                let append = journal.append(edit).with_seq();
                let (seq, _) = sim.block_on(append).unwrap().unwrap();
                history.acknowledge(group, seq.get(), true).unwrap();
                sim.block_on(journal.close()).unwrap().unwrap();
                image = sim.image();
            }
        }
    }
}

/// Every n-th of something fails, until there is no n-th.
fn every_nth(plan: impl Fn(&Sim, u64), fault: Fault, device: bool) {
    for options in [plain(), tiny_segments()] {
        for nth in 1.. {
            let run = go(nth, Tape::seeded(nth), &options, &plan);
            if run.sim.faults().count(fault) == 0 {
                assert!(nth > 1, "nothing has failed");
                break;
            }
            run.check_reopens(&options, device);
        }
    }
}

fn go(nth: u64, tape: Tape, options: &Options, plan: impl Fn(&Sim, u64)) -> Run {
    let mut run = Run::new(nth, tape, &|sim| plan(sim, nth));
    run.go(options);
    run
}

#[test]
fn every_sync_fails_once_in_every_way() {
    for forget in [Forget::Nothing, Forget::Everything, Forget::Some] {
        for evict in [false, true] {
            let how = FailedSync {
                told: true,
                forget,
                evict,
            };
            let plan = |sim: &Sim, nth| sim.faults().fail_nth_sync(nth, how);
            every_nth(plan, Fault::FailedSync, false);
        }
    }
}

/// The caller is not told, so what was promised may be gone: but never a wrong answer.
#[test]
fn a_sync_that_fails_in_silence_gives_a_prefix_or_an_error() {
    for evict in [false, true] {
        let how = FailedSync {
            told: false,
            forget: Forget::Everything,
            evict,
        };
        let plan = |sim: &Sim, nth| sim.faults().fail_nth_sync(nth, how);
        every_nth(plan, Fault::SilentlyFailedSync, true);
    }
}

/// Whatever part of it has been written.
#[test]
fn every_write_fails_once() {
    let plan = |sim: &Sim, nth| {
        let kind = std::io::ErrorKind::Other;
        sim.faults().fail_nth(Operation::WriteAt, nth, kind);
    };
    for options in [plain(), tiny_segments()] {
        'writes: for nth in 1.. {
            let mut next = Some(Tape::zeros());
            while let Some(tape) = next {
                let run = go(nth, tape, &options, plan);
                if run.sim.faults().count(Fault::Error(Operation::WriteAt)) == 0 {
                    assert!(nth > 5, "writes have failed");
                    break 'writes;
                }
                run.check_reopens(&options, false);
                let digits = run.sim.tape().digits().len();
                assert_eq!(digits, 1, "the part is all that the tape decides");
                next = run.sim.tape().successor();
            }
        }
    }
}

#[test]
fn every_step_before_a_write_fails_once() {
    for operation in [Operation::Rename, Operation::Allocate] {
        let plan = |sim: &Sim, nth| {
            let kind = std::io::ErrorKind::Other;
            sim.faults().fail_nth(operation, nth, kind);
        };
        every_nth(plan, Fault::Error(operation), false);
    }
}

#[test]
fn every_allocation_finds_the_disk_full_once() {
    for operation in [Operation::Allocate, Operation::Open] {
        let plan = |sim: &Sim, nth| {
            let kind = std::io::ErrorKind::StorageFull;
            sim.faults().fail_nth(operation, nth, kind);
        };
        every_nth(plan, Fault::Error(operation), false);
    }
}

/// The disk is full after so many bytes, and later there is room again.
#[test]
fn a_full_disk_leaves_no_visible_part_and_is_no_end() {
    for options in [plain(), tiny_segments()] {
        for room in (0..60_000).step_by(700) {
            let mut run = Run::new(room, Tape::seeded(room), &|sim| {
                sim.faults().full_after(room)
            });
            run.go_on_a_full_disk(&options);
            run.check_reopens(&options, false);
        }
    }
}

impl Run {
    fn go_on_a_full_disk(&mut self, options: &Options) {
        let io = self.sim.io();
        let open = || Journal::<Notes, _>::open(io.clone(), DIR, options.clone());
        let journal = match self.sim.block_on(open()).unwrap() {
            Ok(journal) => journal,
            Err(Error::NoSpace { .. }) => {
                self.sim.faults().full_after(u64::MAX);
                self.sim.block_on(open()).unwrap().unwrap()
            }
            Err(other) => panic!("open: {other:?}"),
        };
        for _ in 0..4 {
            self.append(&journal, &io, &[SMALL, PAGE, SECTOR]);
        }
        assert_eq!(self.syncs_when_stopped, None, "a full disk stops nothing");
        self.check_visible(&journal);
        self.sim.faults().full_after(u64::MAX);
        let before = lock(&self.history).acknowledged;
        self.append(&journal, &io, &[SMALL, PAGE]);
        assert_eq!(
            lock(&self.history).acknowledged,
            before + 2,
            "there is room again"
        );
        self.check_visible(&journal);
    }
}

/// A file that cannot be read gives an error that says so, and changes nothing.
#[test]
fn an_open_that_cannot_read_changes_nothing() {
    for options in [plain(), tiny_segments()] {
        let mut run = Run::new(1, Tape::seeded(1), &|_| {});
        run.go(&options);
        let image = run.sim.image();
        let history = lock(&run.history).clone();
        for nth in 1.. {
            let sim = Sim::boot(
                image.clone(),
                SimOptions {
                    profile: Profile::KillOnly,
                    ..SimOptions::default()
                },
            );
            sim.faults()
                .fail_nth(Operation::ReadAt, nth, std::io::ErrorKind::Other);
            let opening = Journal::<Notes, _>::open(sim.io(), DIR, options.clone());
            let opened = sim.block_on(opening).unwrap();
            if sim.faults().count(Fault::Error(Operation::ReadAt)) == 0 {
                assert!(nth > 3);
                break;
            }
            match opened {
                // A snapshot that cannot be read is passed over for the one before.
                Ok(journal) => history
                    .clone()
                    .reopen::<Notes>(&shown(&journal).unwrap())
                    .unwrap(),
                Err(Error::Io { .. }) => assert_eq!(content(&sim.image()), content(&image)),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

/// A sync that nobody waits for fails, and the disk forgets what it was to write: whoever asks for a
/// sync later is told, though the disk has nothing more to complain of, and what an earlier one has
/// confirmed is there.
#[test]
fn a_sync_behind_that_fails_is_told_by_the_next_one() {
    let mut told = 0;
    for sync_behind_bytes in [1, 100, 1000] {
        for nth in 1.. {
            let mut options = plain().log;
            options.sync_behind_bytes = sync_behind_bytes;
            let sim = Sim::new(SimOptions::default());
            let opening = sim.block_on(Log::open(sim.io(), DIR, "log", options.clone()));
            let log = sim.block_on(opening.unwrap().unwrap().finish());
            let log = log.unwrap().unwrap();
            sim.faults().fail_nth_sync(
                nth,
                FailedSync {
                    told: true,
                    forget: Forget::Everything,
                    evict: true,
                },
            );
            let run = async {
                let (mut confirmed, mut has_failed) = (Seq::ZERO, false);
                for round in 0..3u8 {
                    for _ in 0..5 {
                        let _ = log.append([round; 40], Durability::Os).await;
                    }
                    match log.sync().await {
                        Ok(seq) => {
                            assert!(!has_failed, "a sync answers after one has failed");
                            confirmed = seq;
                        }
                        Err(_) => has_failed = true,
                    }
                    let failed = sim.faults().count(Fault::FailedSync) > 0;
                    assert_eq!(failed, has_failed, "{sync_behind_bytes} {nth}");
                }
                (confirmed, has_failed)
            };
            let (confirmed, has_failed) = sim.block_on(run).unwrap();
            told += u32::from(has_failed);
            let after = Sim::boot(sim.crash(), SimOptions::default());
            let reopened = async {
                let opening = Log::open(after.io(), DIR, "log", options).await?;
                opening.finish().await
            };
            let reopened = after.block_on(reopened).unwrap().unwrap();
            assert!(reopened.recovered().last_seq >= confirmed);
            if !has_failed {
                break;
            }
        }
    }
    assert!(told > 9, "{told} failed");
}

/// What is truncated does not come back because its floor cannot be read once.
#[test]
fn a_floor_that_cannot_be_read_is_not_forgotten() {
    let options = tiny_segments().log;
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let run = async {
        let opening = Log::open(io.clone(), DIR, "log", options.clone()).await;
        let log = opening.unwrap().finish().await.unwrap();
        for number in 1..=6u64 {
            let payload = number.to_le_bytes();
            log.append(payload, Durability::Disk).await.unwrap();
        }
        let before = sim.image();
        log.truncate_front(Seq::new(4)).await.unwrap();
        log.close().await.unwrap();
        before
    };
    let before = sim.block_on(run).unwrap();
    // As if the power had failed before the first removal was durable.
    let mut image = sim.image();
    let after = content(&image);
    for (name, bytes) in content(&before) {
        if !after.contains_key(&name) {
            image.write(Path::new(DIR).join(name), bytes).unwrap();
        }
    }
    for operation in [Operation::Open, Operation::ReadAt, Operation::Size] {
        for nth in 1.. {
            let sim = Sim::boot(image.clone(), SimOptions::default());
            let kind = std::io::ErrorKind::Other;
            sim.faults().fail_nth(operation, nth, kind);
            let run = async {
                let mut opening = Log::open(sim.io(), DIR, "log", options.clone()).await?;
                let first = opening.next().await?;
                opening.finish().await?;
                Ok(first.map(|(seq, _)| seq))
            };
            match sim.block_on(run).unwrap() {
                Ok(first) => assert_eq!(first, Some(Seq::new(5)), "{operation} {nth}"),
                Err(Error::Io { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
            if sim.faults().count(Fault::Error(operation)) == 0 {
                assert!(nth > 1);
                break;
            }
        }
    }
}

fn content(image: &DiskImage) -> BTreeMap<String, bytes::Bytes> {
    let mut image = image.clone();
    let names = image.list(DIR).unwrap();
    let read = names.into_iter().map(|name| {
        let content = image.read(Path::new(DIR).join(&name)).unwrap();
        (name.to_string_lossy().into_owned(), content)
    });
    read.collect()
}
