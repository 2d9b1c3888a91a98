//! Invariant: whatever one piece of damage does to a journal's directory, open gives the right
//! state, or an error that names a file of it and has changed nothing; or, only where nothing intact
//! proves more, the longest intact prefix, and the report names what was dropped. Never a wrong
//! state, and never a panic. A journal that opens goes on.
//!
//! What is allowed is judged by a second reading of the format, `judge`, which shares no code with
//! the journal's own.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking, and their files are small"
)]

mod cases;
#[path = "../common/mod.rs"]
mod common;
mod judge;
mod lengths;
mod losses;
mod scenes;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use common::{Edit, Files, Map, last_seq, small_options, state};
use quipu_io::sim::{Sim, SimOptions};
use quipu_io::{DiskIo, Io};
use quipu_journal::{Error, Journal, Left, Reader};

use crate::cases::{damages, double_damages};
use crate::scenes::{Scene, clean, new, recovered, reopened, unclean, untouched, young};

const DIR: &str = "journal";
const SEAL: usize = 4096;
const FRAMES: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Right,
    Prefix,
    Refused,
}

/// Opens the damaged directory and compares with what is allowed.
async fn examine<I: Io>(
    io: I,
    dir: PathBuf,
    scene: &Scene,
    (index, damaged): (usize, &Files),
    now: impl Fn() -> Files,
) -> Outcome {
    let all = scene.states.len() - 1;
    if let Err(error) = read(io.clone(), &dir, scene).await {
        check_error(&error, &dir);
    }
    assert!(now() == *damaged, "the reader has changed bytes");
    let journal = match Journal::<Map, I>::open(io.clone(), &dir, small_options()).await {
        Ok(journal) => journal,
        Err(error) => {
            check_error(&error, &dir);
            let mut after = now();
            if !damaged.0.contains_key("map.lock") {
                after.0.remove("map.lock");
            }
            assert!(after == *damaged, "{error}, and bytes have changed");
            return Outcome::Refused;
        }
    };
    let last = last_seq(&journal).get() as usize;
    assert!(last <= all, "{last} edits of {all}");
    assert_eq!(state(&journal), scene.states[last], "at {last} of {all}");
    let mut outcome = Outcome::Right;
    if last < all {
        outcome = Outcome::Prefix;
        let recovered = journal.recovered();
        let prefix = judge::prefix(damaged);
        let prefix = prefix.unwrap_or_else(|| panic!("{last} of {all} edits: {recovered}"));
        assert_eq!(prefix.last as usize, last, "of {all}: {recovered}");
        let discarded = recovered.discarded.as_ref().map(|discarded| {
            let name = discarded.path.strip_prefix(&dir).unwrap();
            let name = name.to_str().unwrap().to_owned();
            (name, discarded.offset as usize, discarded.bytes as usize)
        });
        assert_eq!(discarded, prefix.discarded, "{recovered}");
    }
    let mut expected = scene.states[last].clone();
    let _ = quipu_journal::Replayable::apply(&mut expected, Edit::Add(77));
    if index.is_multiple_of(2) {
        // It may replace a damaged one, and it removes what it makes superfluous.
        assert_eq!(journal.snapshot().await.unwrap(), last_seq(&journal));
    }
    journal.append(Edit::Add(77)).await.unwrap().unwrap();
    journal.close().await.unwrap();
    let journal = Journal::<Map, I>::open(io, &dir, small_options()).await;
    let journal = journal.unwrap_or_else(|error| panic!("after one more: {error}"));
    assert_eq!(state(&journal), expected);
    assert_eq!(journal.recovered().left, Left::Clean);
    outcome
}

/// Reads without a lock: what comes is right, up to the end or an error.
async fn read<I: Io>(io: I, dir: &Path, scene: &Scene) -> Result<(), Error> {
    let mut reader = Reader::<Map, I>::open(io, dir).await?;
    let proven = reader.proven();
    let mut before = None;
    let mut ended = Ok(());
    loop {
        match reader.next().await {
            Ok(Some((seq, edit))) => {
                assert_eq!(edit, scene.edits[seq.get() as usize - 1], "edit {seq}");
                assert!(before.is_none_or(|before| before + 1 == seq.get()), "{seq}");
                before = Some(seq.get());
            }
            Ok(None) => break,
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    match reader.replay_to(proven).await {
        Ok(map) => assert_eq!(map, scene.states[proven.get() as usize], "at {proven}"),
        Err(Error::NotRetained { .. }) => {}
        Err(error) => check_error(&error, dir),
    }
    match reader.replay_oldest().await {
        Ok((seq, map)) => assert_eq!(map, scene.states[seq.get() as usize], "at {seq}"),
        Err(error) => check_error(&error, dir),
    }
    ended
}

/// The error is one of those for damage, and names a file in the directory.
fn check_error(error: &Error, dir: &Path) {
    let path = match error {
        Error::Corrupt { path, offset, .. } => {
            assert!(*offset < 1 << 20, "{error}");
            path
        }
        Error::NotAJournal { path } | Error::UnsupportedVersion { path, .. } => path,
        _ => panic!("{error:?}"),
    };
    assert!(path.starts_with(dir), "{error}");
}

fn check_in_memory(scene: &Scene, (index, damaged): (usize, &Files)) -> Outcome {
    let mut image = scene.image.clone();
    for name in scene.files.0.keys() {
        if !damaged.0.contains_key(name) {
            image.remove(Path::new(DIR).join(name)).unwrap();
        }
    }
    for (name, content) in &damaged.0 {
        if scene.files.0.get(name) != Some(content) {
            image
                .write(Path::new(DIR).join(name), content.clone())
                .unwrap();
        }
    }
    let sim = Sim::boot(image, SimOptions::default());
    let now = || Files::of_image(&mut sim.image(), DIR);
    sim.run(examine(sim.io(), DIR.into(), scene, (index, damaged), now))
        .unwrap()
}

/// Runs the cases and says of all that fail what they are. Gives how many ended in which way.
fn run(
    cases: impl Iterator<Item = (String, Files)>,
    check: impl Fn((usize, &Files)) -> Outcome,
) -> BTreeMap<Outcome, u64> {
    let mut outcomes = BTreeMap::new();
    let mut failures = Vec::new();
    for (index, (label, damaged)) in cases.enumerate() {
        match catch_unwind(AssertUnwindSafe(|| check((index, &damaged)))) {
            Ok(outcome) => *outcomes.entry(outcome).or_insert(0) += 1,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                failures.push(format!("{label}: {}", text.unwrap_or_default()));
            }
        }
    }
    failures.truncate(40);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    outcomes
}

/// All damage to a scene, in memory. `least` is how often each outcome must be seen at the least: a
/// journal that refused everything would not do.
fn check_scene(scene: &Scene, least: [u64; 3]) {
    assert_eq!(check_in_memory(scene, (0, &scene.files)), Outcome::Right);
    let outcomes = run(damages(scene), |damaged| check_in_memory(scene, damaged));
    let seen = [Outcome::Right, Outcome::Prefix, Outcome::Refused]
        .map(|outcome| outcomes.get(&outcome).copied().unwrap_or(0));
    assert!(
        seen.iter().zip(least).all(|(seen, least)| *seen >= least),
        "{}: {seen:?} of {least:?}",
        scene.name
    );
}

#[test]
fn damage_to_a_closed_journal() {
    check_scene(&clean(), [4000, 2, 1000]);
}

#[test]
fn damage_to_a_journal_that_was_not_closed() {
    check_scene(&unclean(), [4000, 100, 1000]);
}

#[test]
fn damage_to_a_journal_that_was_recovered() {
    check_scene(&recovered(), [4000, 30, 1000]);
}

#[test]
fn damage_to_a_journal_that_was_reopened() {
    check_scene(&reopened(), [100, 80, 1000]);
}

#[test]
fn damage_to_a_young_journal() {
    check_scene(&young(), [80, 150, 200]);
}

#[test]
fn damage_to_a_journal_whose_last_segment_is_empty() {
    check_scene(&untouched(), [1500, 0, 300]);
}

#[test]
fn damage_to_a_new_journal() {
    check_scene(&new(), [80, 0, 80]);
}

#[test]
fn damage_to_two_files_at_once() {
    for scene in [clean(), unclean(), recovered(), untouched()] {
        let outcomes = run(double_damages(&scene), |case| check_in_memory(&scene, case));
        assert!(outcomes.len() >= 2, "{outcomes:?}");
    }
}

/// A sample of the same on the real backend.
#[test]
fn damage_on_a_real_disk() {
    let io = DiskIo::new().unwrap();
    for scene in [clean(), unclean(), recovered()] {
        let outcomes = run(damages(&scene).step_by(173), |(index, damaged)| {
            let dir = memory_backed_directory();
            damaged.to_directory(dir.path());
            let now = || Files::of_directory(dir.path());
            let path = dir.path().to_owned();
            smol::block_on(examine(io.clone(), path, &scene, (index, damaged), now))
        });
        assert!(outcomes.len() >= 2, "{outcomes:?}");
    }
}

/// The damage is the same on any disk, and syncs cost nothing here.
fn memory_backed_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}
