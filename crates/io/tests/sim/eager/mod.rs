//! Invariant: counting the tape up visits exactly the states that the rules of the disk model allow.
//!
//! The simulator decides nothing before somebody looks. Here its outcomes are compared with those
//! of [`legal`], which decides everything at once and in every way.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod legal;
mod model;
mod trace;

use std::collections::BTreeSet;

use quipu_io::sim::Profile::{Ext4Ordered, KillOnly, Posix};
use quipu_io::sim::{DiskImage, Latency, Profile, Random, Sim, SimOptions, Tape};

use self::legal::Tree;
use self::model::{Disk, SECTOR};
use self::trace::{Op, Shown, show, step};

/// Where all traces start: `a` is a durable file of one sector and a half, and `d` a directory.
fn start() -> (Disk, DiskImage) {
    let eager = Disk::of(&Tree::new(&[("a", Some("AAAAAA")), ("d", None)]));
    let mut lazy = DiskImage::empty(u32::try_from(SECTOR).unwrap());
    lazy.write("a", "AAAAAA").unwrap();
    lazy.write("d/x", "").unwrap();
    lazy.remove("d/x").unwrap();
    (eager, lazy)
}

const ALPHABET: [Op; 23] = [
    Op::Write("a", 1, 1),
    Op::Write("a", 4, 4),
    Op::Write("a", 2, 9),
    Op::Write("b", 0, 5),
    Op::Write("d/b", 3, 2),
    Op::SetLen("a", 3),
    Op::SetLen("a", 4),
    Op::SetLen("a", 11),
    Op::Allocate("a", 10),
    Op::Create("b"),
    Op::Create("a"),
    Op::Mkdir("e"),
    Op::Create("e/f"),
    Op::Rename("a", "b"),
    Op::Rename("b", "a"),
    Op::Rename("b", "d/b"),
    Op::Remove("a"),
    Op::Link("b", "d/b"),
    Op::Sync("a"),
    Op::Sync("b"),
    Op::SyncDir(""),
    Op::SyncDir("d"),
    Op::SyncDir("e"),
];

/// One size, and sectors under truncations.
const SIZES: [Op; 5] = [
    Op::Write("a", 4, 4),
    Op::Write("a", 2, 9),
    Op::SetLen("a", 4),
    Op::SetLen("a", 11),
    Op::Sync("a"),
];

/// Names that are used again and again.
const NAMES: [Op; 7] = [
    Op::Create("b"),
    Op::Rename("a", "b"),
    Op::Rename("b", "a"),
    Op::Remove("a"),
    Op::Link("b", "d/b"),
    Op::SyncDir(""),
    Op::SyncDir("d"),
];

/// An inode that may not survive, and what leads to it.
const BIRTHS: [Op; 6] = [
    Op::Mkdir("e"),
    Op::Create("e/f"),
    Op::Link("e/f", "b"),
    Op::Sync("b"),
    Op::SyncDir(""),
    Op::SyncDir("e"),
];

/// A trace and what it has made of both disks.
#[derive(Clone)]
struct Run {
    trace: Vec<Op>,
    eager: Disk,
    lazy: DiskImage,
}

impl Run {
    fn start() -> Run {
        let (eager, lazy) = start();
        Run {
            trace: Vec::new(),
            eager,
            lazy,
        }
    }

    /// With one operation more; `None` if it fails, which it must on both.
    fn then(&self, op: Op) -> Option<Run> {
        let mut next = self.clone();
        next.trace.push(op);
        let letter = (b'a'..).nth(self.trace.len()).unwrap();
        let expected = op.on_eager(&mut next.eager, letter);
        let (lazy, found) = step(&next.lazy, op, letter);
        assert_eq!(found, expected, "{:?}", next.trace);
        next.lazy = lazy;
        expected.map(|_| next)
    }

    /// Compares the states after a crash.
    fn check(&self) {
        for profile in [KillOnly, Ext4Ordered, Posix] {
            let expected = self.eager.legal(profile);
            let expected = expected.iter().map(Tree::show).collect();
            let (found, runs) = outcomes(&self.lazy, profile);
            assert_same(&found, &expected, || {
                format!("{profile:?} {:?}", self.trace)
            });
            if profile == KillOnly || self.changes_bytes_only() {
                let states = f64::from(u32::try_from(found.len()).unwrap());
                assert_eq!(self.lazy.legal_states(profile), states);
            }
            if profile != Ext4Ordered && self.shows_every_choice() {
                assert_eq!(runs, found.len(), "{profile:?} {:?}", self.trace);
            }
        }
    }

    fn changes_bytes_only(&self) -> bool {
        let in_place = [Op::Write("a", 1, 1), Op::Sync("a"), Op::SyncDir("")];
        self.trace.iter().all(|op| in_place.contains(op))
    }

    /// Whether two runs never look the same where there is no order.
    ///
    /// Lost truncations and renames are choices of their own although there may be nothing to see of
    /// them, and so is which one of two new files it is that has a name.
    fn shows_every_choice(&self) -> bool {
        let hidden = |op: &Op| matches!(op, Op::SetLen(..) | Op::Rename(..));
        let creations = self.trace.iter().filter(|op| **op == Op::Create("a"));
        creations.count() < 2 && !self.trace.iter().any(hidden)
    }
}

/// What a reader sees in every state that the simulator visits, and how many runs that took.
fn outcomes(image: &DiskImage, profile: Profile) -> (BTreeSet<String>, usize) {
    let mut found = BTreeSet::new();
    let mut runs = 0;
    let mut next = Some(Tape::zeros());
    while let Some(tape) = next {
        let mut crashed = image.clone().crashed(profile, tape);
        found.insert(show(&mut crashed, ""));
        next = crashed.tape().successor();
        runs += 1;
    }
    let states = u32::try_from(found.len()).unwrap();
    assert!(image.legal_states(profile) >= f64::from(states));
    (found, runs)
}

fn assert_same(
    found: &BTreeSet<String>,
    expected: &BTreeSet<String>,
    what: impl FnOnce() -> String,
) {
    if found != expected {
        let missing: Vec<&String> = expected.difference(found).collect();
        let wrong: Vec<&String> = found.difference(expected).collect();
        panic!("{}\nmissing {missing:#?}\nnot legal {wrong:#?}", what());
    }
}

fn check_all(run: &Run, alphabet: &[Op], more: usize) -> usize {
    run.check();
    let longer = match more {
        0 => &[],
        _ => alphabet,
    };
    let next = longer.iter().filter_map(|op| run.then(*op));
    1 + next
        .map(|next| check_all(&next, alphabet, more - 1))
        .sum::<usize>()
}

#[test]
fn every_short_trace() {
    let traces = check_all(&Run::start(), &ALPHABET, 3);
    assert!(traces > 2000, "only {traces} traces");
}

#[test]
fn every_trace_about_one_thing() {
    for alphabet in [&SIZES[..], &NAMES, &BIRTHS] {
        let traces = check_all(&Run::start(), alphabet, 5);
        assert!(traces > 100, "only {traces} traces of {alphabet:?}");
    }
}

#[test]
fn longer_traces() {
    let mut random = Random::new(1, 0);
    for _ in 0..3000 {
        some_run(&mut random, 6).check();
    }
}

fn some_run(random: &mut Random, len: usize) -> Run {
    let mut run = Run::start();
    while run.trace.len() < len {
        run = run.then(some_op(random, &ALPHABET)).unwrap_or(run);
    }
    run
}

fn some_op(random: &mut Random, alphabet: &[Op]) -> Op {
    let bound = u32::try_from(alphabet.len()).unwrap();
    alphabet[random.below(bound) as usize]
}

/// What the lifetimes after the first do: they also look.
const LATER: [Op; 18] = [
    Op::Read("a", 0, 3),
    Op::Read("a", 4, 8),
    Op::Read("b", 0, 9),
    Op::Read("d/b", 4, 1),
    Op::Look("a"),
    Op::Look("d/b"),
    Op::Write("a", 1, 1),
    Op::Write("a", 4, 4),
    Op::Write("b", 3, 3),
    Op::SetLen("a", 5),
    Op::SetLen("a", 12),
    Op::Create("b"),
    Op::Rename("b", "a"),
    Op::Rename("d/b", "b"),
    Op::Remove("b"),
    Op::Sync("a"),
    Op::Sync("b"),
    Op::SyncDir(""),
];

/// A crash, and what the program does then.
type Life = (Profile, Vec<Op>);

/// What is shown in the course of these lifetimes and after a last crash of the last one's kind.
fn eager_outcomes(disk: &Disk, lives: &[Life]) -> BTreeSet<String> {
    let Some(((profile, trace), later)) = lives.split_first() else {
        return BTreeSet::new();
    };
    let mut outcomes = BTreeSet::new();
    for mut disk in disk.after_crash(*profile) {
        let shown = trace
            .iter()
            .zip(b'p'..)
            .map(|(op, letter)| op.on_eager(&mut disk, letter));
        let shown = show_life(&shown.collect::<Vec<Shown>>());
        let ends = match later {
            [] => disk.legal(*profile).iter().map(Tree::show).collect(),
            later => eager_outcomes(&disk, later),
        };
        outcomes.extend(ends.iter().map(|end| format!("{shown}{end}")));
    }
    outcomes
}

fn lazy_outcomes(image: &DiskImage, lives: &[Life]) -> BTreeSet<String> {
    let Some(((profile, trace), later)) = lives.split_first() else {
        return BTreeSet::new();
    };
    let mut found = BTreeSet::new();
    let mut next = Some(Tape::zeros());
    while let Some(tape) = next {
        let options = SimOptions {
            tape,
            profile: *profile,
            latency: Latency::None,
            ..SimOptions::default()
        };
        let sim = Sim::boot(image.clone(), options);
        let io = sim.io();
        let shown = sim.block_on(async {
            let mut shown = Vec::new();
            for (op, letter) in trace.iter().zip(b'p'..) {
                shown.push(op.on_lazy(&io, letter).await);
            }
            shown
        });
        let shown = show_life(&shown.unwrap());
        next = sim.tape().successor();
        let image = sim.crash();
        let ends = match later {
            [] => outcomes(&image, *profile).0,
            later => lazy_outcomes(&image, later),
        };
        found.extend(ends.iter().map(|end| format!("{shown}{end}")));
    }
    found
}

fn show_life(shown: &[Shown]) -> String {
    let shown = shown.iter().map(|s| s.as_deref().unwrap_or("failed "));
    shown.collect::<String>() + "| "
}

/// What one lifetime has seen, the next ones see, too; what it has not stays open.
#[test]
fn crashes_in_a_row() {
    let mut random = Random::new(2, 0);
    for case in 0..5000 {
        let run = some_run(&mut random, 1 + case % 3);
        let life = |random: &mut Random| -> Life {
            let profile = [KillOnly, Ext4Ordered, Posix, Posix][random.below(4) as usize];
            let len = 1 + random.below(3);
            (profile, (0..len).map(|_| some_op(random, &LATER)).collect())
        };
        let lives: Vec<Life> = (0..1 + case % 2).map(|_| life(&mut random)).collect();
        let expected = eager_outcomes(&run.eager, &lives);
        let found = lazy_outcomes(&run.lazy, &lives);
        assert_same(&found, &expected, || format!("{:?} {lives:?}", run.trace));
    }
}
