//! Invariants: what a crash leaves is guarded against loss as well as what a close leaves. A last
//! segment that is lost is missed; so is a journal of which nothing but the lock file is left; and a
//! damaged snapshot stands for nothing, whatever was pruned since.
//!
//! Here damage meets what earlier crashes and opens have left, so the files alone do not tell what is
//! due: the history does.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use quipu_io::sim::{CrashKind, DiskImage, Profile, Sim, SimIo, SimOptions, Tape};
use quipu_journal::log::{Durability, Log};
use quipu_journal::{Error, Journal};

use crate::DIR;
use crate::common::{Edit, Files, Map, set, small_options, state};

/// How a life ends that is not closed.
const ENDS: [Profile; 2] = [Profile::KillOnly, Profile::Posix];

type Toy = Journal<Map, SimIo>;

/// The disk after a crash of this kind that takes all it can.
fn crashed(image: DiskImage, end: Profile) -> DiskImage {
    image.crashed(end, Tape::replay([u32::MAX; 10_000]))
}

/// Boots from what is left, as it is.
fn boot(image: DiskImage) -> Sim {
    let options = SimOptions {
        profile: Profile::KillOnly,
        ..SimOptions::default()
    };
    Sim::boot(image, options)
}

async fn open(io: SimIo) -> Result<Toy, Error> {
    Journal::open(io, DIR, small_options()).await
}

/// One life of a journal, which ends in a crash.
fn live(image: DiskImage, end: Profile, life: impl AsyncFnOnce(&Toy)) -> DiskImage {
    let sim = boot(image);
    let run = async {
        let journal = open(sim.io()).await.unwrap();
        life(&journal).await;
        journal
    };
    let journal = sim.block_on(run).unwrap();
    let image = sim.image();
    drop(journal);
    crashed(image, end)
}

/// Appends edits of which two fill a segment.
async fn append(journal: &Toy, edits: u32) {
    for key in 0..edits {
        journal.append(set(key, 250)).await.unwrap().unwrap();
    }
}

/// Loses the last file of this kind.
fn lose_last(image: &mut DiskImage, ending: &str) -> PathBuf {
    let last = Files::of_image(image, DIR).ending(ending).pop().unwrap();
    let path = Path::new(DIR).join(last);
    image.remove(&path).unwrap();
    path
}

/// Opening fails because this is missing or damaged, and changes nothing.
fn is_missed(mut image: DiskImage, missing: &Path) {
    let before = Files::of_image(&mut image, DIR);
    let sim = boot(image);
    match sim.block_on(open(sim.io())).unwrap() {
        Err(Error::Corrupt { path, .. }) => assert_eq!(path, missing),
        Err(other) => panic!("{other:?}"),
        Ok(journal) => panic!(
            "{} is not missed: {}",
            missing.display(),
            journal.recovered()
        ),
    }
    assert!(Files::of_image(&mut sim.image(), DIR) == before);
}

#[test]
fn a_lost_last_segment_is_missed_after_a_rotation() {
    for end in ENDS {
        let new = DiskImage::empty(512);
        let mut image = live(new, end, async |journal| append(journal, 5).await);
        let lost = lose_last(&mut image, ".log");
        is_missed(image, &lost);
    }
}

/// With nothing in it yet that could be missed otherwise.
#[test]
fn a_lost_last_segment_is_missed_before_its_first_frame() {
    for end in ENDS {
        let sim = boot(DiskImage::empty(512));
        let rotated = async {
            let opening = Log::open(sim.io(), DIR, "map", small_options().log).await;
            let log = opening.unwrap().finish().await.unwrap();
            log.append(b"first", Durability::Disk).await.unwrap();
            log.rotate().await.unwrap();
            log
        };
        let log = sim.block_on(rotated).unwrap();
        let mut image = crashed(sim.image(), end);
        drop(log);
        let lost = lose_last(&mut image, ".log");
        let sim = boot(image);
        let opening = Log::open(sim.io(), DIR, "map", small_options().log);
        match sim.block_on(opening).unwrap() {
            Err(Error::Corrupt { path, .. }) => assert_eq!(path, lost),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{} is not missed", lost.display()),
        }
    }
}

#[test]
fn a_lost_last_segment_is_missed_after_a_recovery() {
    for (first, second) in ENDS
        .into_iter()
        .flat_map(|end| ENDS.map(|other| (end, other)))
    {
        for (before, behind) in [(1, 0), (1, 1), (5, 0), (5, 3)] {
            let new = DiskImage::empty(512);
            let image = live(new, first, async |journal| append(journal, before).await);
            let mut image = live(image, second, async |journal| append(journal, behind).await);
            let lost = lose_last(&mut image, ".log");
            is_missed(image, &lost);
        }
    }
}

/// Wherever the first open was cut short: once one has answered, the mark is there for good.
#[test]
fn a_journal_of_which_only_the_lock_file_is_left_is_missed() {
    let sim = boot(DiskImage::empty(512));
    let points = Arc::new(Mutex::new(Vec::new()));
    let collected = points.clone();
    sim.on_crash_point(move |point| collected.lock().unwrap().push((point.kind, point.image)));
    drop(sim.block_on(open(sim.io())).unwrap().unwrap());
    let end = (CrashKind::Mark("the end".into()), sim.image());
    points.lock().unwrap().push(end);
    for (kind, image) in points.lock().unwrap().drain(..) {
        for end in ENDS {
            let image = crashed(image.clone(), end);
            let mut image = live(image, Profile::Posix, async |_| ());
            for name in Files::of_image(&mut image, DIR).ending(".log") {
                image.remove(Path::new(DIR).join(name)).unwrap();
            }
            // Its name would not be there without its content.
            let left = Files::of_image(&mut image, DIR);
            assert!(
                left.0.keys().eq(["map.lock"]),
                "{kind}: {:?}",
                left.0.keys()
            );
            is_missed(image, Path::new(DIR));
        }
    }
}

/// The newest snapshot is damaged again and again, each time a new one: that is one damage per file,
/// and the older snapshot that is kept gives all.
#[test]
fn a_damaged_snapshot_stands_for_nothing() {
    for end in ENDS {
        let mut expected = Vec::new();
        let mut image = DiskImage::empty(512);
        for round in 0..5 {
            let mut shown = None;
            image = live(image, end, async |journal| {
                shown = Some((state(journal), journal.recovered().clone()));
                append(journal, 3).await;
                journal.snapshot().await.unwrap();
            });
            let (shown, recovered) = shown.unwrap();
            assert_eq!(shown, Map::fold(&expected), "round {round}: {recovered}");
            let damaged = usize::from(round > 1);
            assert_eq!(recovered.skipped_snapshots.len(), damaged, "round {round}");
            expected.extend((0..3).map(|key| set(key, 250)));
            if round > 0 {
                let files = Files::of_image(&mut image, DIR);
                let newest = files.ending(".snap").pop().unwrap();
                image.flip(Path::new(DIR).join(newest), 200).unwrap();
            }
        }
        let edits: Vec<Edit> = expected;
        let sim = boot(image);
        let journal = sim.block_on(open(sim.io())).unwrap().unwrap();
        assert_eq!(state(&journal), Map::fold(&edits));
    }
}
