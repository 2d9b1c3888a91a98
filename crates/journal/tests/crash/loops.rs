//! Oracle 14: what a program leaves behind that crashes again and again is bounded.

use std::path::Path;
use std::time::Duration;

use quipu_io::sim::{DiskImage, Profile, Sim, SimOptions, Tape};
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
    let mut image = DiskImage::empty(512);
    for round in 0..LOOPS {
        // A machine that remembers all edits would grow by itself.
        image = crash(
            image,
            options,
            round,
            if round < 3 { edits } else { 0 },
            torn,
        );
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
