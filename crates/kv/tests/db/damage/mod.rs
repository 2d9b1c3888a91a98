//! Invariant: whatever one piece of damage does to a store's files, every answer is right, or an error
//! that names the file and the place; or, only where the end of a log that nothing proves is torn off,
//! all answers together are those of an earlier moment. Never a wrong answer, none that is silently
//! missing, never a panic. What meets damage loses nothing more: once the file is restored, all is
//! there again.
//!
//! `QUIPU_DAMAGE=all` turns a bit in every byte, where else some in each sector have to do.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking and say what they saw, and their files are small"
)]

mod damages;
mod garbage;
mod reading;
mod scenes;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use quipu_io::sim::{DiskImage, Profile, Sim, SimIo, SimOptions};
use quipu_journal::{Error as Journal, Left};
use quipu_kv::{Db, Error};

use self::damages::{Damage, damages};
use self::reading::{Candidates, read_all};
use self::scenes::{Files, Scene};

const DIR: &str = "store";

/// What became of a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// All is there.
    Right,
    /// All that came before some moment is there.
    Prefix,
    /// It opens, and some of what it holds cannot be read.
    Partial,
    /// It does not open.
    Refused,
}

fn boot(image: DiskImage) -> Sim {
    let options = SimOptions {
        profile: Profile::KillOnly,
        ..SimOptions::default()
    };
    Sim::boot(image, options)
}

/// One life of a store, and what is on disk then.
fn live<T>(
    image: DiskImage,
    scene: &Scene,
    life: impl AsyncFnOnce(Result<Db<SimIo>, Error>) -> T,
) -> (T, DiskImage) {
    let sim = boot(image);
    let result = sim.run(async {
        let opened = Db::open(sim.io(), DIR, scene.options.clone()).await;
        life(opened).await
    });
    (result.unwrap(), sim.image())
}

/// Opens the damaged store, reads everything, goes on with it, and mends it.
fn examine(scene: &Scene, index: usize, damage: &Damage) -> Outcome {
    let mut image = scene.image.clone();
    damage.files.put_into(&mut image);
    let mut candidates = Candidates::of(scene, damage);
    let (outcome, mut image) = live(image, scene, async |opened| match opened {
        Ok(db) => {
            let outcome = go_on(&db, scene, index, damage, &mut candidates).await;
            if index.is_multiple_of(2) {
                db.close().await.unwrap();
            }
            outcome
        }
        Err(error) => {
            check_error(&error, damage);
            Outcome::Refused
        }
    });
    if outcome == Outcome::Right || outcome == Outcome::Prefix {
        let (rest, _) = live(image, scene, async |opened| {
            read_all(&opened.unwrap(), scene, &mut candidates).await
        });
        rest.unwrap_or_else(|error| panic!("after one more life: {error}"));
        return outcome;
    }
    repaired(scene, damage, outcome, &Files::of_image(&mut image)).put_into(&mut image);
    let (rest, _) = live(image, scene, async |opened| {
        let db = opened.unwrap_or_else(|error| panic!("after the repair: {error}"));
        read_all(&db, scene, &mut candidates).await
    });
    rest.unwrap_or_else(|error| panic!("after the repair: {error}"));
    assert!(candidates.is_last(), "the repair brings back all");
    outcome
}

/// The files with what was damaged restored from a copy: a table that is still there, or all of the
/// manifest or of the log, which an open that failed may have gone on with.
fn repaired(scene: &Scene, damage: &Damage, outcome: Outcome, now: &Files) -> Files {
    let mut repaired = now.clone();
    for path in &damage.paths {
        if path.ends_with(".sst") {
            let is_compacted = outcome == Outcome::Partial && !now.0.contains_key(path);
            if !is_compacted {
                repaired.0.insert(path.clone(), scene.files.0[path].clone());
            }
            continue;
        }
        let part = if path.starts_with("wal/") {
            "wal/"
        } else {
            "manifest"
        };
        repaired.0.retain(|path, _| !path.starts_with(part));
        let of_part = scene.files.like(part, "");
        let copies = of_part
            .iter()
            .map(|path| (path.clone(), scene.files.0[path].clone()));
        repaired.0.extend(copies);
    }
    repaired
}

/// Reads a store that has opened, compacts it, and writes to it.
async fn go_on(
    db: &Db<SimIo>,
    scene: &Scene,
    index: usize,
    damage: &Damage,
    candidates: &mut Candidates<'_>,
) -> Outcome {
    let read = read_all(db, scene, candidates).await;
    if let Err(error) = &read {
        check_error(error, damage);
    }
    if index.is_multiple_of(3) || read.is_err() {
        let compacted = db.compact_range(..).await;
        match (&read, compacted) {
            (Ok(()), compacted) => compacted.unwrap(),
            (Err(_), Ok(())) => {}
            (Err(_), Err(error)) => check_error(&error, damage),
        }
        match read_all(db, scene, candidates).await {
            Err(error) => {
                check_error(&error, damage);
                assert!(read.is_err(), "compacted away: {error}");
            }
            // A compaction must not make what cannot be read into what is not there.
            Ok(()) => assert!(read.is_ok(), "{:?} is gone", read.err()),
        }
    }
    match read {
        Err(_) => Outcome::Partial,
        Ok(()) if candidates.is_last() => Outcome::Right,
        Ok(()) => {
            let recovered = db.recovered();
            // It looks like a segment that nothing was written to.
            let log = damage
                .paths
                .iter()
                .find_map(|path| damage.files.0.get(path));
            let is_untouched = log.is_none_or(|log| log.iter().skip(8192).all(|byte| *byte == 0));
            assert!(
                recovered.log.left == Left::Unclean || is_untouched,
                "{recovered:?}"
            );
            Outcome::Prefix
        }
    }
}

/// The error is one of those for damage, and names a file in the directory; a damaged table itself.
fn check_error(error: &Error, damage: &Damage) {
    let path: &PathBuf = match error {
        Error::Journal { source } | Error::Wal { source } => match source {
            Journal::Corrupt { path, .. }
            | Journal::NotAJournal { path }
            | Journal::UnsupportedVersion { path, .. }
            | Journal::UnsupportedCodec { path, .. } => path,
            _ => panic!("{error:?}"),
        },
        Error::Corrupt { path, .. }
        | Error::NotATable { path }
        | Error::UnsupportedVersion { path, .. }
        | Error::UnsupportedCodec { path, .. }
        | Error::Incomplete { path, .. }
        | Error::MissingTable { path } => path,
        _ => panic!("{error:?}"),
    };
    assert!(path.starts_with(DIR), "{error}");
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    if damage.paths.iter().all(|path| path.ends_with(".sst")) {
        let damaged = damage
            .paths
            .iter()
            .any(|name| Path::new(DIR).join(name) == *path);
        assert!(damaged, "{error}");
    }
}

/// Runs all damages to a scene. Says of all that fail what they are; `least` is how often each
/// outcome must be seen at the least: a store that refused everything would not do.
fn check_scene(scene: &Scene, least: [u64; 4]) {
    let all = std::env::var("QUIPU_DAMAGE").is_ok_and(|value| value == "all");
    let mut outcomes = BTreeMap::new();
    let mut failures = Vec::new();
    for (index, damage) in damages(scene, all).enumerate() {
        match catch_unwind(AssertUnwindSafe(|| examine(scene, index, &damage))) {
            Ok(outcome) => *outcomes.entry(outcome).or_insert(0) += 1,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                failures.push(format!("{}: {}", damage.label, text.unwrap_or_default()));
            }
        }
    }
    let count = failures.len();
    failures.truncate(40);
    assert!(failures.is_empty(), "{count}:\n{}", failures.join("\n"));
    let kinds = [
        Outcome::Right,
        Outcome::Prefix,
        Outcome::Partial,
        Outcome::Refused,
    ];
    let seen = kinds.map(|kind| outcomes.get(&kind).copied().unwrap_or(0));
    println!(
        "{}: {outcomes:?} of {} files",
        scene.name,
        scene.files.0.len()
    );
    let is_enough = seen.iter().zip(least).all(|(seen, least)| *seen >= least);
    assert!(is_enough, "{}: {seen:?} of {least:?}", scene.name);
}

#[test]
fn damage_to_a_closed_store() {
    check_scene(&scenes::closed(), [1, 0, 1, 1]);
}

#[test]
fn damage_to_a_store_that_was_not_closed() {
    check_scene(&scenes::unclosed(), [1, 1, 1, 1]);
}

#[test]
fn damage_to_a_store_that_was_recovered() {
    check_scene(&scenes::reopened(), [1, 1, 1, 1]);
}

#[test]
fn damage_to_a_store_of_several_keyspaces() {
    check_scene(&scenes::keyspaces(), [1, 1, 1, 1]);
}

#[test]
fn damage_to_a_store_of_time_windows() {
    check_scene(&scenes::windows(), [1, 1, 1, 1]);
}

#[test]
fn damage_to_a_young_store() {
    check_scene(&scenes::young(), [1, 1, 0, 1]);
}

#[test]
fn damage_to_a_store_that_is_all_in_tables() {
    check_scene(&scenes::flushed(), [1, 0, 1, 1]);
}
