//! Oracle 14: what a program leaves behind that crashes again and again is bounded.

use std::path::Path;
use std::time::Duration;

use quipu_io::Io;
use quipu_io::sim::{CrashPlan, DiskImage, Profile, Sim, SimIo, SimOptions, Stopped, Tape};
use quipu_journal::check::settings::plain;
use quipu_journal::check::{DIR, Notes, SECTOR, SMALL};
use quipu_journal::{Journal, Options};

use crate::notes::note;

const LOOPS: u64 = 1000;

/// Opens, appends some edits that are acknowledged, begins one that is not, and loses power.
fn crash(image: DiskImage, options: &Options, round: u64, edits: u64, torn: bool) -> DiskImage {
    let sim = Sim::boot(
        image,
        SimOptions {
            seed: round,
            profile: match torn {
                true => Profile::KillOnly,
                false => [Profile::KillOnly, Profile::Posix][round as usize % 2],
            },
            tape: Tape::seeded(round),
            ..SimOptions::default()
        },
    );
    let (io, options) = (sim.io(), options.clone());
    let run = async {
        let journal = Journal::<Notes, _>::open(io.clone(), DIR, options)
            .await
            .unwrap();
        no_temporary_is_left(&io).await;
        for id in 0..edits {
            journal.append(note(id, SMALL)).await.unwrap();
        }
        if torn {
            drop(journal.append(note(edits, SECTOR)));
        }
        journal
    };
    let journal = sim.block_on(run).unwrap();
    if torn {
        // As far as the write, whose sync takes longer.
        let io = sim.io();
        let wait = quipu_io::Runtime::sleep(&io, Duration::from_micros(100));
        sim.block_on(wait).unwrap();
    }
    let mut image = sim.image();
    drop(journal);
    if torn {
        // The second sector of the torn frame never came to the disk.
        let mut names = image.list(DIR).unwrap().into_iter();
        let last = names
            .rfind(|name| name.to_string_lossy().ends_with(".log"))
            .unwrap();
        image
            .zero_sector(Path::new(DIR).join(last), 8192 + 512)
            .unwrap();
    }
    image
}

/// What an open that has answered finds of earlier lives stands for something.
async fn no_temporary_is_left(io: &SimIo) {
    for entry in io.read_dir(Path::new(DIR)).await.unwrap() {
        let name = entry.name.to_string_lossy().into_owned();
        assert!(!name.ends_with(".tmp"), "{name} was left behind");
    }
}

/// Opens, appends, takes a snapshot, and loses power at some sync on the way, perhaps within open.
fn crash_anywhere(image: DiskImage, options: &Options, round: u64, appends: bool) -> DiskImage {
    let sim = Sim::boot(
        image,
        SimOptions {
            seed: round,
            profile: [Profile::KillOnly, Profile::Posix][round as usize % 2],
            tape: Tape::seeded(round),
            crash: CrashPlan::Chosen(1000),
            ..SimOptions::default()
        },
    );
    let (io, options) = (sim.io(), options.clone());
    let run = async {
        let journal = Journal::<Notes, _>::open(io.clone(), DIR, options).await?;
        no_temporary_is_left(&io).await;
        if appends {
            journal.append(note(round, SMALL)).await?;
        }
        journal.snapshot().await?;
        journal.close().await
    };
    match sim.block_on(run) {
        Ok(result) => result.unwrap(),
        Err(Stopped::Crashed { .. }) => {}
        Err(stopped) => panic!("{stopped}"),
    }
    sim.crash()
}

/// Files and bytes on disk.
fn footprint(image: &DiskImage) -> (usize, usize) {
    let mut image = image.clone();
    let names = image.list(DIR).unwrap();
    let sizes = names
        .iter()
        .map(|name| image.read(Path::new(DIR).join(name)).unwrap().len());
    (names.len(), sizes.sum())
}

/// So many loops of this kind leave no more than these files and bytes, ever.
fn check(options: &Options, edits: u64, torn: bool, most_files: usize, most_bytes: usize) {
    // A machine that remembers all edits would grow by itself.
    let edits = |round| if round < 3 { edits } else { 0 };
    let life = |image, round| crash(image, options, round, edits(round), torn);
    check_lives(life, most_files, most_bytes);
}

fn check_lives(life: impl Fn(DiskImage, u64) -> DiskImage, most_files: usize, most_bytes: usize) {
    let mut image = DiskImage::empty(512);
    for round in 0..LOOPS {
        image = life(image, round);
        if round % 20 == 19 {
            let (files, bytes) = footprint(&image);
            assert!(files <= most_files, "{files} files after {round} crashes");
            assert!(bytes <= most_bytes, "{bytes} bytes after {round} crashes");
        }
    }
}

fn with_few_segments() -> Options {
    let mut options = Options::default();
    options.log.allocation_bytes = 4096;
    options.snapshots.max_segments = 8;
    options
}

#[test]
fn crashes_without_edits_add_nothing() {
    check(&with_few_segments(), 0, false, 4, 64 << 10);
    // Also when no snapshot is ever taken: an untouched segment is used again.
    check(&plain(), 0, false, 4, 64 << 10);
}

#[test]
fn crashes_behind_the_first_edits_add_nothing() {
    check(&with_few_segments(), 2, false, 24, 512 << 10);
}

/// Each leaves a torn frame, so each open begins a new segment.
#[test]
fn crashes_with_a_torn_append_each_stay_bounded() {
    check(&with_few_segments(), 1, true, 24, 512 << 10);
}

/// Also in the middle of an open, of a snapshot and of a close, where temporary files are left.
#[test]
fn crashes_anywhere_stay_bounded() {
    for options in [with_few_segments(), plain()] {
        let life = |image, round| crash_anywhere(image, &options, round, round < 40);
        check_lives(life, 24, 512 << 10);
    }
}
