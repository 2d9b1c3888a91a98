//! The protocol of segments, trace by trace: what went wrong without a rule, the orders that
//! matter, the readings that are wrong, and what no rule can see.

use std::path::Path;

use quipu_io::sim::{CrashKind, DiskImage, Profile, Sim, SimOptions, Tape};
use quipu_journal::log::Durability::{Disk, Os};
use quipu_journal::{Error, Journal, Options, log};

use quipu_journal::check::settings::{busy, plain, tiny_segments};
use quipu_journal::check::{
    Check, DIR, History, LogOp, LogProgram, Notes, Op, Plan, Program, SECTOR, SMALL, Scene,
};

use crate::life::{Lived, Point, calm, live};
use crate::notes::notes;

fn log(options: &Options) -> LogProgram {
    LogProgram::new().with(options.clone())
}

fn first_life<P: Program<History = History>>(program: &P, ops: &[P::Op]) -> Lived {
    let image = DiskImage::empty(512);
    let options = calm(Profile::Posix, Tape::zeros(), 1);
    let lived = live(program, image, History::default(), ops, options);
    lived.result.clone().unwrap();
    lived
}

fn end(life: Lived) -> Point {
    life.points.into_iter().last().unwrap()
}

/// Lives one after the other, each begun by a crash of this kind at every point of the one before,
/// with every outcome that it can tell apart.
fn every_crash<P: Program>(program: &P, first: &[P::Op], rest: &[(Profile, Vec<P::Op>)]) {
    let mut scenes = vec![Scene {
        ops: first.to_vec(),
        crashes: Vec::new(),
    }];
    for (profile, ops) in rest {
        if let Some(before) = scenes.last_mut() {
            before.crashes.push(*profile);
        }
        scenes.push(Scene {
            ops: ops.clone(),
            crashes: Vec::new(),
        });
    }
    let sector = 512;
    let tally = Check::of(program.clone()).finish(Plan::Scripted { sector, scenes });
    tally.unwrap_or_else(|failure| panic!("{failure}"));
}

// What went wrong without the rules.

#[test]
fn nothing_is_built_on_a_name_that_is_not_durable() {
    let rest = [
        (Profile::KillOnly, vec![Op::Append(SMALL)]),
        (Profile::Posix, vec![]),
    ];
    every_crash(&notes(&plain()), &[], &rest);
    // The name of a segment that a recovery has published, with edits in it.
    let rest = [
        (Profile::KillOnly, vec![]),
        (Profile::KillOnly, vec![]),
        (Profile::Posix, vec![]),
    ];
    every_crash(&notes(&plain()), &[Op::Append(SMALL)], &rest);
}

#[test]
fn clean_is_not_taken_lightly() {
    let first = [
        LogOp::Append(SMALL, Disk),
        LogOp::Reopen,
        LogOp::Append(SECTOR, Os),
        LogOp::Append(SECTOR, Os),
    ];
    let rest = [
        (Profile::Posix, vec![LogOp::Append(SECTOR, Disk)]),
        (Profile::Posix, vec![]),
    ];
    // Zeros that are written ahead would cover what is behind the end.
    let mut bare = plain();
    bare.log.zero_ahead_bytes = 0;
    for options in [plain(), bare] {
        every_crash(&log(&options), &first, &rest);
    }
}

#[test]
fn a_segment_number_is_used_twice() {
    let rest = [
        (Profile::KillOnly, vec![]),
        (Profile::Posix, vec![]),
        (Profile::Posix, vec![Op::Append(SMALL)]),
    ];
    every_crash(&notes(&plain()), &[Op::Append(SMALL)], &rest);
}

/// And if a file of the other generation is put in its place, the seal tells.
#[test]
fn a_seal_names_its_successor_by_generation() {
    let point = end(first_life(&notes(&plain()), &[Op::Append(SMALL)]));
    let second = |seed| {
        let options = calm(Profile::KillOnly, Tape::zeros(), seed);
        let life = live(
            &notes(&plain()),
            point.image.clone(),
            point.history.clone(),
            &[],
            options,
        );
        end(life).image
    };
    let (mut image, mut other) = (second(5), second(6));
    image
        .write(segment(2), other.read(segment(2)).unwrap())
        .unwrap();
    assert_corrupt(&image, 2, 0);
}

#[test]
fn damage_to_what_recovery_copied_is_told() {
    let mut image = unclean(&plain(), &[Op::Append(SMALL), Op::Append(SMALL)], 2);
    image.flip(segment(2), 8192 + 45).unwrap();
    assert_corrupt(&image, 2, 8192);
}

// Order that matters. The syncs in their order are the protocol; that the order suffices is what
// the explorations show.

#[test]
fn a_published_name_stands_for_a_whole_file() {
    let ops = [Op::Append(SMALL), Op::Append(SMALL), Op::Snapshot];
    every_crash(&notes(&tiny_segments()), &ops, &[(Profile::Posix, vec![])]);
}

#[test]
fn recovery_syncs_the_directory_publishes_seals_and_then_answers() {
    let point = end(first_life(&notes(&plain()), &[Op::Append(SMALL)]));
    let options = calm(Profile::KillOnly, Tape::zeros(), 3);
    let life = live(&notes(&plain()), point.image, point.history, &[], options);
    let expected = [
        "journal",
        "2.log",
        "journal",
        "1.log",
        "notes.lock",
        "opened",
        "the end",
    ];
    assert_eq!(steps(&life), expected);
}

#[test]
fn rotation_syncs_publishes_seals_and_then_acknowledges() {
    let life = first_life(&log(&plain()), &[LogOp::Append(SMALL, Os), LogOp::Rotate]);
    let expected = ["1.log", "2.log", "journal", "1.log", "rotated", "the end"];
    assert_eq!(steps(&life)[steps(&life).len() - 6..], expected);
    let ops = [Op::Append(SMALL), Op::Append(SECTOR)];
    let life = first_life(&notes(&tiny_segments()), &ops);
    let expected = [
        "2.log",
        "journal",
        "1.log",
        "2.log",
        "acknowledged",
        "the end",
    ];
    assert_eq!(steps(&life)[steps(&life).len() - 6..], expected);
}

#[test]
fn close_syncs_the_frames_and_then_the_seal() {
    let ops = [LogOp::Append(SMALL, Os), LogOp::Reopen];
    let steps = steps(&first_life(&log(&plain()), &ops));
    let close = steps.iter().position(|step| step == "closed").unwrap();
    assert_eq!(steps[close - 2..close], ["1.log", "1.log"]);
    every_crash(&log(&plain()), &ops, &[(Profile::Posix, vec![])]);
}

#[test]
fn pruning_removes_snapshots_syncs_and_then_segments() {
    let mut ops = vec![Op::Append(SMALL); 6];
    ops.push(Op::Snapshot);
    every_crash(&notes(&busy(1)), &ops, &[(Profile::Posix, vec![])]);
}

// Readings that are wrong.

/// What recovery copied is durable, but its name may not be: a reader beside it shows none of it.
#[test]
fn copied_frames_prove_nothing() {
    let ops = [LogOp::Append(SMALL, Os); 3];
    let point = end(first_life(&log(&plain()), &ops));
    let options = calm(Profile::KillOnly, Tape::zeros(), 3);
    let life = live(&log(&plain()), point.image, point.history, &[], options);
    let before_sync = CrashKind::BeforeSync(DIR.into());
    let points = life.points.into_iter();
    let read: Vec<_> = points
        .filter(|point| point.kind == before_sync)
        .map(|point| read(point.image))
        .collect();
    // The frames in the old segment say that nothing is proven, and so do their copies in the new.
    assert_eq!(read, [Ok(0), Ok(0)]);
}

#[test]
fn accepted_unproven_frames_are_copied_and_not_moved_over() {
    let mut image = unclean(&plain(), &[Op::Append(SMALL), Op::Append(SMALL)], 2);
    // The second frame of the first segment is not part of the log any more.
    image.flip(segment(1), 8192 + 60).unwrap();
    assert_eq!(open(&image).unwrap(), 2);
}

#[test]
fn a_seal_without_successor_is_a_lower_bound() {
    let ops = [Op::Append(SMALL), Op::Reopen, Op::Append(SMALL)];
    let image = end(first_life(&notes(&plain()), &ops)).image;
    assert_eq!(open(&image).unwrap(), 2);
}

#[test]
fn a_missing_successor_is_legal_below_the_oldest_snapshot() {
    let mut ops = vec![Op::Append(SMALL); 3];
    let mut before = end(first_life(&notes(&tiny_segments()), &ops)).image;
    ops.extend([
        Op::Snapshot,
        Op::Append(SMALL),
        Op::Append(SMALL),
        Op::Snapshot,
    ]);
    let mut image = end(first_life(&notes(&tiny_segments()), &ops)).image;
    assert!(image.read(segment(1)).is_err() && image.read(segment(2)).is_err());
    // A crash brought the first one back, whose seal names the second.
    image
        .write(segment(1), before.read(segment(1)).unwrap())
        .unwrap();
    assert_eq!(open(&image).unwrap(), 5);
    // Without the snapshots it is damage.
    let names = image.list(DIR).unwrap();
    for name in names
        .iter()
        .filter(|name| name.to_string_lossy().ends_with(".snap"))
    {
        image.remove(Path::new(DIR).join(name)).unwrap();
    }
    assert!(matches!(open(&image), Err(Error::Corrupt { .. })));
}

#[test]
fn proofs_are_looked_for_at_every_position_beyond_a_bad_frame() {
    let image = end(first_life(&notes(&plain()), &[Op::Append(SMALL); 4])).image;
    let bytes = image.clone().read(segment(1)).unwrap();
    let starts = frames(&bytes);
    assert_eq!(starts.len(), 4);
    for bad in 1..4 {
        let mut image = image.clone();
        starts[..bad]
            .iter()
            .for_each(|at| image.flip(segment(1), *at).unwrap());
        // The fourth proves the others, whatever stands between.
        assert_corrupt(&image, 1, 8192);
    }
    let mut image = image.clone();
    image.flip(segment(1), starts[3]).unwrap();
    assert_eq!(
        open(&image).unwrap(),
        3,
        "damage above every proof leaves a prefix"
    );
}

#[test]
fn a_floor_is_durable_before_anything_is_truncated() {
    let first = [
        LogOp::Append(SMALL, Disk),
        LogOp::Append(SMALL, Disk),
        LogOp::Append(SMALL, Disk),
        LogOp::Truncate(0),
    ];
    let rest = [(
        Profile::Posix,
        vec![LogOp::Truncate(2), LogOp::Append(SMALL, Disk)],
    )];
    every_crash(&log(&tiny_segments()), &first, &rest);
}

/// Truncating at a lower floor than an earlier call, which a crash cut short.
#[test]
fn a_lower_floor_brings_nothing_back() {
    let rest = [
        (Profile::Posix, vec![LogOp::Truncate(2)]),
        (Profile::Posix, vec![]),
    ];
    let first = [
        LogOp::Append(SMALL, Disk),
        LogOp::Append(SMALL, Disk),
        LogOp::Append(SMALL, Disk),
        LogOp::Truncate(0),
    ];
    every_crash(&log(&tiny_segments()), &first, &rest);
}

// What no rule can see.

#[test]
fn the_last_frame_zeroed_is_a_prefix() {
    let mut image = end(first_life(&notes(&plain()), &[Op::Append(SECTOR); 3])).image;
    let mut bytes = image.read(segment(1)).unwrap().to_vec();
    let last = frames(&bytes)[2] as usize;
    bytes[last..].fill(0);
    image.write(segment(1), bytes).unwrap();
    assert_eq!(open(&image).unwrap(), 2);
}

#[test]
fn an_older_copy_of_the_last_segment_is_a_prefix() {
    let mut older = end(first_life(&notes(&plain()), &[Op::Append(SMALL)])).image;
    let mut image = end(first_life(&notes(&plain()), &[Op::Append(SMALL); 3])).image;
    image
        .write(segment(1), older.read(segment(1)).unwrap())
        .unwrap();
    assert_eq!(open(&image).unwrap(), 1);
}

#[test]
fn a_marked_journal_without_a_segment_is_an_error() {
    let mut image = end(first_life(&notes(&plain()), &[Op::Append(SMALL)])).image;
    image.remove(segment(1)).unwrap();
    assert!(matches!(open(&image), Err(Error::Corrupt { .. })));
}

// What an open finds in the page cache need not be on disk.

/// Kills the first life at each of its points, opens and appends, and loses power at the end. What
/// is left is damaged by removing the last segment, which must never go unnoticed.
fn losing_the_last_segment_is_noticed(options: &Options, first: &[Op]) {
    for point in first_life(&notes(options), first).points {
        let world = calm(Profile::KillOnly, Tape::zeros(), 4);
        let ops = [Op::Append(SMALL)];
        let life = live(&notes(options), point.image, point.history, &ops, world);
        life.result.clone().unwrap();
        let kind = point.kind;
        let mut image = end(life).image.crashed(Profile::Posix, losing_everything());
        let names = image.list(DIR).unwrap();
        let last = names
            .iter()
            .rfind(|name| name.to_string_lossy().ends_with(".log"));
        image.remove(Path::new(DIR).join(last.unwrap())).unwrap();
        let opened = open(&image);
        assert!(
            matches!(opened, Err(Error::Corrupt { .. })),
            "{kind:?}: {opened:?}"
        );
    }
}

/// The crash that leaves nothing but what was synced.
fn losing_everything() -> Tape {
    Tape::replay([u32::MAX; 1000])
}

#[test]
fn the_mark_is_durable_before_anything_is_acknowledged() {
    losing_the_last_segment_is_noticed(&plain(), &[]);
}

#[test]
fn a_seal_that_names_its_successor_is_durable_before_anything_is_acknowledged() {
    losing_the_last_segment_is_noticed(&tiny_segments(), &[Op::Append(SMALL), Op::Append(SMALL)]);
}

/// A snapshot whose name was found, but is not durable, may not let the one before it go.
#[test]
fn a_snapshot_counts_once_its_name_is_durable() {
    let mut options = tiny_segments();
    options.retention = quipu_journal::Retention::Snapshots(std::num::NonZeroUsize::MIN);
    let first = [
        Op::Append(SMALL),
        Op::Append(SMALL),
        Op::Snapshot,
        Op::Append(SMALL),
        Op::Append(SMALL),
        Op::Reopen,
        Op::Snapshot,
    ];
    let rest = [
        (Profile::KillOnly, vec![Op::Snapshot]),
        (Profile::Posix, vec![]),
    ];
    every_crash(&notes(&options), &first, &rest);
}

// What the tests above are made of.

fn segment(number: u64) -> String {
    format!("{DIR}/notes-{number:020}.log")
}

/// Where the frames of a segment begin: each holds its own offset.
fn frames(bytes: &[u8]) -> Vec<u64> {
    (8192..bytes.len() as u64 - 40)
        .step_by(8)
        .filter(|at| bytes[*at as usize + 32..].starts_with(&at.to_le_bytes()))
        .collect()
}

/// What was synced and promised, in order, by the short names of the files.
fn steps(life: &Lived) -> Vec<String> {
    let short = |point: &Point| match &point.kind {
        CrashKind::Mark(mark) => mark.clone(),
        CrashKind::BeforeSync(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // An open file keeps the name under which it was opened.
            let name = name.trim_end_matches(".tmp");
            let number = name.rsplit_once('-').map_or(name, |(_, number)| number);
            number.trim_start_matches('0').to_owned()
        }
    };
    life.points.iter().map(short).collect()
}

/// The image of a journal that was killed after these operations, opened, and killed again.
fn unclean(options: &Options, ops: &[Op], edits: u64) -> DiskImage {
    let point = end(first_life(&notes(options), ops));
    let options = calm(Profile::KillOnly, Tape::zeros(), 3);
    let life = live(&notes(&plain()), point.image, point.history, &[], options);
    life.result.clone().unwrap();
    let point = end(life);
    assert_eq!(point.history.shown as u64, edits);
    point.image
}

/// The last edit that opening this image shows.
fn open(image: &DiskImage) -> Result<u64, Error> {
    let sim = Sim::boot(
        image.clone(),
        SimOptions {
            profile: Profile::KillOnly,
            ..SimOptions::default()
        },
    );
    let opening = Journal::<Notes, _>::open(sim.io(), DIR, plain());
    let journal = sim.block_on(opening).unwrap()?;
    let last = journal.recovered().last_seq.get();
    assert_eq!(journal.status().applied.get(), last);
    Ok(last)
}

fn assert_corrupt(image: &DiskImage, number: u64, at: u64) {
    match open(image) {
        Err(Error::Corrupt { path, offset, .. }) => {
            assert_eq!(
                (path.to_string_lossy().into_owned(), offset),
                (segment(number), at)
            );
        }
        other => panic!("{other:?}"),
    }
}

/// How many payloads a reader of the log shows.
fn read(image: DiskImage) -> Result<u64, String> {
    let sim = Sim::boot(
        image,
        SimOptions {
            profile: Profile::KillOnly,
            ..SimOptions::default()
        },
    );
    let io = sim.io();
    let read = async {
        let mut reader = log::Reader::open(io, DIR, "log").await?;
        let mut payloads = 0;
        while reader.next().await?.is_some() {
            payloads += 1;
        }
        Ok(payloads)
    };
    sim.block_on(read)
        .unwrap()
        .map_err(|error: Error| error.to_string())
}
