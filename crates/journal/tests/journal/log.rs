//! Invariants of the log layer: payloads come back in order, each under its number; a sync covers
//! what came before it; and what was truncated stays gone, whatever comes after.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests bring their own threads, and fail by panicking"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::common::{Files, Map, small_options};
use futures::future::join_all;
use quipu_io::{Bytes, DiskIo};
use quipu_journal::log::{Durability, Log, LogOptions};
use quipu_journal::{Error, Journal, Left, Reader, Seq};
use smol::future::block_on;
use tempfile::tempdir;

fn options() -> LogOptions {
    small_options().log
}

/// Opens and reads all of it. A log that was dropped may hold its lock for a moment.
fn open(dir: &Path) -> (Log, Vec<(Seq, Bytes)>) {
    let io = DiskIo::new().unwrap();
    for _ in 0..100_000 {
        let mut opening = match block_on(Log::open(io.clone(), dir, "wal", options())) {
            Err(Error::Locked { .. }) => {
                std::thread::yield_now();
                continue;
            }
            opening => opening.unwrap(),
        };
        let mut payloads = Vec::new();
        while let Some(entry) = block_on(opening.next()).unwrap() {
            payloads.push(entry);
        }
        return (block_on(opening.finish()).unwrap(), payloads);
    }
    panic!("the lock is never released");
}

fn payload(number: u64) -> Vec<u8> {
    let len = usize::try_from(number * 37 % 200).unwrap();
    [&number.to_le_bytes()[..], &vec![b'p'; len]].concat()
}

fn expected(numbers: std::ops::RangeInclusive<u64>) -> Vec<(Seq, Bytes)> {
    let entry = |number| (Seq::new(number), payload(number).into());
    numbers.map(entry).collect()
}

fn append(log: &Log, numbers: std::ops::RangeInclusive<u64>, durability: Durability) {
    for number in numbers {
        let seq = block_on(log.append(payload(number), durability)).unwrap();
        assert_eq!(seq, Seq::new(number));
    }
}

#[test]
fn a_sync_covers_what_came_before_it() {
    let dir = tempdir().unwrap();
    let (log, _) = open(dir.path());
    append(&log, 1..=30, Durability::Os);
    assert_eq!(log.positions().written, Seq::new(30));
    assert_eq!(block_on(log.sync()).unwrap(), Seq::new(30));
    assert_eq!(log.positions().synced, Seq::new(30));
    append(&log, 31..=40, Durability::Os);
    append(&log, 41..=41, Durability::Disk);
    assert_eq!(log.positions().synced, Seq::new(41));
    append(&log, 42..=45, Durability::Os);
    drop(log);
    let (log, payloads) = open(dir.path());
    assert_eq!(payloads, expected(1..=45));
    assert_eq!(log.positions().synced, Seq::new(45));
    block_on(log.close()).unwrap();
    assert!(matches!(block_on(log.sync()), Err(Error::Closed)));
    assert!(matches!(block_on(log.rotate()), Err(Error::Closed)));
    let late = log.append(b"late", Durability::Os);
    assert!(matches!(block_on(late), Err(Error::Closed)));
    let (log, payloads) = open(dir.path());
    assert_eq!(payloads, expected(1..=45));
    assert_eq!(log.recovered().left, Left::Clean);
}

#[test]
fn appends_of_both_kinds_from_many_threads_keep_their_order() {
    let dir = tempdir().unwrap();
    let (log, _) = open(dir.path());
    let threads: Vec<_> = (0..8u64)
        .map(|thread| {
            let log = log.clone();
            std::thread::spawn(move || {
                for round in 0..100u64 {
                    let durability = match (thread + round) % 7 {
                        0 => Durability::Disk,
                        _ => Durability::Os,
                    };
                    let payload = [thread.to_le_bytes(), round.to_le_bytes()].concat();
                    block_on(log.append(payload, durability)).unwrap();
                    let positions = log.positions();
                    assert!(positions.synced <= positions.written);
                    assert!(positions.written <= positions.queued);
                    if round % 40 == 39 {
                        block_on(log.rotate()).unwrap();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(log);
    let (_, payloads) = open(dir.path());
    assert_eq!(payloads.len(), 800);
    let mut next = [0u64; 8];
    for (index, (seq, payload)) in payloads.into_iter().enumerate() {
        assert_eq!(seq, Seq::new(index as u64 + 1));
        let (thread, round) = payload.split_at(8);
        assert_eq!(round, next[usize::from(thread[0])].to_le_bytes());
        next[usize::from(thread[0])] += 1;
    }
}

#[test]
fn what_follows_an_append_comes_in_order_and_before_its_answer() {
    let dir = tempdir().unwrap();
    let (log, _) = open(dir.path());
    let seen = Arc::new(Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (log, seen) = (log.clone(), seen.clone());
            scope.spawn(move || {
                for number in 0..200 {
                    let durability = match (thread + number) % 2 {
                        0 => Durability::Disk,
                        _ => Durability::Os,
                    };
                    let noted = seen.clone();
                    let then = move |seq| noted.lock().unwrap().push(seq);
                    let append = log.append_then(payload(number), durability, then);
                    // Whether or not anybody waits.
                    if number % 3 > 0 {
                        let seq = block_on(append).unwrap();
                        assert!(seen.lock().unwrap().contains(&seq));
                    }
                }
            });
        }
    });
    block_on(log.close()).unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.iter().copied().eq((1..=800).map(Seq::new)));
    let refused = log.append_then(b"late", Durability::Disk, |_| panic!("it was not appended"));
    assert!(matches!(block_on(refused), Err(Error::Closed)));
}

#[test]
fn a_panic_in_what_follows_stops_the_log_and_strands_nobody() {
    let dir = tempdir().unwrap();
    let (log, _) = open(dir.path());
    let first = log.append_then(b"first", Durability::Disk, |_| panic!("on purpose"));
    let second = log.append(b"second", Durability::Disk);
    assert!(matches!(block_on(first), Err(Error::Apply { .. })));
    assert!(block_on(second).is_err());
    assert!(block_on(log.append(b"third", Durability::Disk)).is_err());
    drop(log);
    let (_, payloads) = open(dir.path());
    assert_eq!(payloads[0].1, &b"first"[..]);
}

#[test]
fn rotations_and_truncations_survive_every_end() {
    for close in [true, false] {
        let dir = tempdir().unwrap();
        let (log, _) = open(dir.path());
        let reopen = |log: Log| {
            if close {
                block_on(log.close()).unwrap();
            }
            drop(log);
            open(dir.path())
        };
        // Segments without anything in them are segments like others.
        for _ in 0..3 {
            assert_eq!(block_on(log.rotate()).unwrap(), Seq::ZERO);
        }
        append(&log, 1..=4, Durability::Os);
        assert_eq!(block_on(log.rotate()).unwrap(), Seq::new(4));
        assert_eq!(block_on(log.rotate()).unwrap(), Seq::new(4));
        let (log, payloads) = reopen(log);
        assert_eq!(payloads, expected(1..=4));
        append(&log, 5..=20, Durability::Os);

        let early = block_on(log.truncate_front(Seq::new(21))).unwrap_err();
        assert!(matches!(early, Error::Invalid { .. }), "{early}");
        block_on(log.sync()).unwrap();
        let segments = Files::of_directory(dir.path()).ending(".log").len();
        block_on(log.truncate_front(Seq::new(3))).unwrap();
        assert!(Files::of_directory(dir.path()).ending(".log").len() < segments);
        let (log, payloads) = reopen(log);
        assert_eq!(payloads, expected(4..=20));

        block_on(log.truncate_front(Seq::new(10))).unwrap();
        // Going back takes nothing back.
        block_on(log.truncate_front(Seq::new(2))).unwrap();
        block_on(log.truncate_front(Seq::ZERO)).unwrap();
        let (log, payloads) = reopen(log);
        assert_eq!(payloads, expected(11..=20));

        block_on(log.rotate()).unwrap();
        block_on(log.truncate_front(Seq::new(20))).unwrap();
        let files = Files::of_directory(dir.path());
        assert_eq!(
            (files.ending(".log").len(), files.ending(".snap").len()),
            (1, 1)
        );
        let (log, payloads) = reopen(log);
        assert_eq!(payloads, []);
        append(&log, 21..=22, Durability::Disk);
        let (_, payloads) = reopen(log);
        assert_eq!(payloads, expected(21..=22));
    }
}

/// `truncate_front` before a removal that never happens promises the same.
#[test]
fn a_floor_without_its_segments_is_still_a_floor() {
    let dir = tempdir().unwrap();
    let (log, _) = open(dir.path());
    append(&log, 1..=20, Durability::Disk);
    let before = Files::of_directory(dir.path());
    block_on(log.truncate_front(Seq::new(12))).unwrap();
    block_on(log.close()).unwrap();
    // As if the process had been killed before the first removal.
    let after = Files::of_directory(dir.path());
    let mut files = before.clone();
    files.0.extend(after.0);
    let dir = tempdir().unwrap();
    files.to_directory(dir.path());
    let (log, payloads) = open(dir.path());
    assert_eq!(payloads, expected(13..=20));
    block_on(log.truncate_front(Seq::new(15))).unwrap();
    drop(log);
    let (_, payloads) = open(dir.path());
    assert_eq!(payloads.last(), expected(20..=20).last());
    assert!(payloads.len() <= 8);
}

/// Removed segments that a crash has brought back are removed again, also by a lower number: but that
/// is no floor, for the log does not reach down to it any more.
#[test]
fn a_floor_below_a_gap_is_not_stated() {
    let dir = tempdir().unwrap();
    let (log, _) = open(dir.path());
    append(&log, 1..=20, Durability::Disk);
    let before = Files::of_directory(dir.path());
    block_on(log.truncate_front(Seq::new(12))).unwrap();
    block_on(log.close()).unwrap();
    let mut files = Files::of_directory(dir.path());
    let back = before.ending(".log").into_iter().take(2);
    files
        .0
        .extend(back.map(|name| (name.clone(), before.0[&name].clone())));
    let dir = tempdir().unwrap();
    files.to_directory(dir.path());

    let (log, payloads) = open(dir.path());
    assert_eq!(payloads, expected(13..=20));
    let segments = files.ending(".log").len();
    for seq in [5, 3] {
        block_on(log.truncate_front(Seq::new(seq))).unwrap();
        let now = Files::of_directory(dir.path());
        assert!(now.ending(".log").len() < segments);
        assert_eq!(now.ending(".snap"), files.ending(".snap"));
    }
    block_on(log.close()).unwrap();
    let (_, payloads) = open(dir.path());
    assert_eq!(payloads, expected(13..=20));
}

#[test]
fn an_opening_changes_nothing_before_it_is_finished() {
    let dir = tempdir().unwrap();
    let (log, _) = open(dir.path());
    append(&log, 1..=20, Durability::Disk);
    drop(log);
    drop(open(dir.path()));
    let (log, _) = open(dir.path());
    drop(log);
    // Waits until the lock is free.
    block_on(open(dir.path()).0.close()).unwrap();
    let before = Files::of_directory(dir.path());
    let io = DiskIo::new().unwrap();
    for read in [0, 3, 50] {
        let mut opening = block_on(Log::open(io.clone(), dir.path(), "wal", options())).unwrap();
        for _ in 0..read {
            let _ = block_on(opening.next()).unwrap();
        }
        let second = block_on(Log::open(io.clone(), dir.path(), "wal", options()));
        assert!(matches!(second, Err(Error::Locked { .. })));
        drop(opening);
        assert_eq!(Files::of_directory(dir.path()), before);
    }
    // Finished in the middle, it goes on behind the end all the same.
    let mut opening = block_on(Log::open(io, dir.path(), "wal", options())).unwrap();
    block_on(opening.next()).unwrap();
    let log = block_on(opening.finish()).unwrap();
    append(&log, 21..=21, Durability::Disk);
}

#[test]
fn payloads_of_any_size_come_back() {
    let dir = tempdir().unwrap();
    let (log, _) = open(dir.path());
    let most = options().max_edit_bytes;
    let sizes = [0, 1, 3, 4, 5, 511, 512, 4096, 70_000, most, 0];
    let appends = sizes.map(|size| log.append(vec![0; size], Durability::Disk));
    assert!(
        block_on(join_all(appends))
            .into_iter()
            .all(|append| append.is_ok())
    );
    let large = block_on(log.append(vec![0; most + 1], Durability::Os)).unwrap_err();
    assert!(matches!(large, Error::TooLarge { .. }), "{large}");
    drop(log);
    let (_, payloads) = open(dir.path());
    let lens: Vec<_> = payloads.iter().map(|(_, payload)| payload.len()).collect();
    assert_eq!(lens, sizes);
}

#[test]
fn a_log_is_not_taken_for_a_journal_nor_a_journal_for_a_log() {
    let dir = tempdir().unwrap();
    let io = DiskIo::new().unwrap();
    let opening = block_on(Log::open(io.clone(), dir.path(), "map", options())).unwrap();
    let log = block_on(opening.finish()).unwrap();
    append(&log, 1..=20, Durability::Disk);
    block_on(log.truncate_front(Seq::new(20))).unwrap();
    block_on(log.close()).unwrap();
    let before = Files::of_directory(dir.path());
    let error = block_on(Journal::<Map>::open(
        io.clone(),
        dir.path(),
        small_options(),
    ));
    assert!(matches!(
        error.unwrap_err(),
        Error::UnsupportedCodec { found: 0, .. }
    ));
    let error = block_on(Reader::<Map>::open(io.clone(), dir.path()));
    assert!(matches!(
        error.unwrap_err(),
        Error::UnsupportedCodec { found: 0, .. }
    ));
    assert_eq!(Files::of_directory(dir.path()), before);

    let dir = tempdir().unwrap();
    let journal = block_on(Journal::<Map>::open(
        io.clone(),
        dir.path(),
        small_options(),
    ))
    .unwrap();
    block_on(journal.close()).unwrap();
    let error = block_on(Log::open(io, dir.path(), "map", options()));
    assert!(matches!(
        error.unwrap_err(),
        Error::UnsupportedCodec { found: 1, .. }
    ));
}

/// Bytes of one segment must never validate in another, whatever a disk shows in recycled space.
#[test]
fn no_two_segments_share_a_generation() {
    let dir = tempdir().unwrap();
    let (log, _) = open(dir.path());
    for number in 1..=5 {
        append(&log, number..=number, Durability::Disk);
        block_on(log.rotate()).unwrap();
    }
    drop(log);
    drop(open(dir.path()));
    let mut dump = block_on(quipu_journal::dump(
        DiskIo::new().unwrap(),
        dir.path(),
        "wal",
    ))
    .unwrap();
    let mut generations = Vec::new();
    while let Some(item) = block_on(dump.next()) {
        if let quipu_journal::Item::Segment(segment) = item {
            generations.push(segment.generation);
        }
    }
    let all = generations.len();
    generations.sort_unstable();
    generations.dedup();
    assert!(all >= 6 && generations.len() == all, "{all} segments");
}
