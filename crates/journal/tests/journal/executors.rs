//! Invariants: a journal works under any executor and under none; each call of `append` is one
//! edit, in the order of the calls, whoever polls or drops what; a call that is refused leaves no
//! trace; and what ends a journal answers everybody.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests bring their own executors and threads, and fail by panicking"
)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::common::{Edit, Files, Map, Refused, open, set, small_options, state};
use futures::future::join_all;
use quipu_io::DiskIo;
use quipu_journal::{Error, Journal, Left, Options, Replayable, Seq, SnapshotPolicy};
use serde::{Deserialize, Serialize};
use smol::future::block_on;
use tempfile::{TempDir, tempdir};

/// Everything that a user does, as one future that any executor can run.
async fn use_it(dir: PathBuf) {
    let mut history = Vec::new();
    let journal = open::<Map>(&dir, &small_options()).await.unwrap();
    assert_eq!(journal.recovered().left, Left::New);
    for key in 0..20 {
        history.push(set(key, key as usize * 9));
        let answer = journal.append(history[key as usize].clone()).await;
        assert_eq!(answer.unwrap(), Ok(u64::from(key) + 1));
    }
    assert_eq!(journal.snapshot().await.unwrap(), Seq::new(20));
    let more: Vec<_> = (0..30).map(Edit::Add).collect();
    history.extend(more.iter().cloned());
    let answers = join_all(more.iter().map(|edit| journal.append(edit.clone()))).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap()).collect();
    assert_eq!(answers, (21..=50).map(Ok).collect::<Vec<_>>());
    let batch = [Edit::Add(7), Edit::Refuse, Edit::Add(8)];
    history.extend(batch.iter().cloned());
    let answers = journal.append_batch(batch).with_seq().await.unwrap();
    assert_eq!(answers, (Seq::new(51), vec![Ok(51), Err(Refused), Ok(52)]));
    assert_eq!(state(&journal), Map::fold(&history));
    journal.close().await.unwrap();

    let journal = open::<Map>(&dir, &small_options()).await.unwrap();
    assert_eq!(state(&journal), Map::fold(&history));
    let recovered = journal.recovered();
    assert_eq!(
        (recovered.left, recovered.last_seq, recovered.edits),
        (Left::Clean, Seq::new(53), 33)
    );
    journal.close().await.unwrap();
}

#[test]
fn works_under_a_bare_block_on() {
    let dir = tempdir().unwrap();
    block_on(use_it(dir.path().to_owned()));
}

#[test]
fn works_as_a_task_of_smol() {
    let dir = tempdir().unwrap();
    smol::block_on(smol::spawn(use_it(dir.path().to_owned())));
}

#[test]
fn works_as_a_task_of_tokio_on_many_threads() {
    let dir = tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let task = runtime.spawn(use_it(dir.path().to_owned()));
    runtime.block_on(task).unwrap();
}

#[test]
fn works_as_a_task_of_tokio_on_one_thread() {
    let dir = tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::spawn(use_it(dir.path().to_owned())).await.unwrap() });
}

fn new_journal() -> (TempDir, Journal<Map>) {
    let dir = tempdir().unwrap();
    let journal = block_on(open(dir.path(), &small_options())).unwrap();
    (dir, journal)
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_future_that_is_dropped_or_never_polled_takes_nothing_back_and_holds_up_nobody() {
    let (dir, journal) = new_journal();
    let mut held = Vec::new();
    let mut history = Vec::new();
    for round in 0..200 {
        history.push(Edit::Add(round));
        let append = journal.append(Edit::Add(round));
        match round % 5 {
            0 => drop(append),
            1 => drop(poll_once(append)),
            2 => held.push(append),
            3 => {
                let _ = poll_once(journal.snapshot());
                drop(append);
            }
            _ => assert_eq!(block_on(append).unwrap(), Ok(round + 1)),
        }
    }
    assert_eq!(state(&journal), Map::fold(&history));
    for (index, append) in held.into_iter().enumerate() {
        let expected = index as u64 * 5 + 3;
        let answer = block_on(append.with_seq()).unwrap();
        assert_eq!(answer, (Seq::new(expected), Ok(expected)));
    }
    drop(journal);
    let journal = block_on(open::<Map>(dir.path(), &small_options())).unwrap();
    assert_eq!(state(&journal), Map::fold(&history));
}

#[test]
fn the_order_of_calls_is_the_order_of_edits_before_anything_is_polled() {
    let (_dir, journal) = new_journal();
    let mut appends: Vec<_> = (1..=300)
        .map(|number| (number, journal.append(Edit::Add(number)).with_seq()))
        .collect();
    while let Some((number, append)) = appends.pop() {
        assert_eq!(block_on(append).unwrap(), (Seq::new(number), Ok(number)));
    }
}

/// The numbers that an appender was given are its own, and rise.
async fn append_many(journal: Journal<Map>, appender: u64) -> Vec<(Seq, u64)> {
    let mut mine = Vec::new();
    for round in 0..30 {
        let number = appender * 1000 + round;
        let (seq, answer) = journal.append(Edit::Add(number)).with_seq().await.unwrap();
        assert_eq!(answer, Ok(seq.get()), "the answer is the one to this edit");
        mine.push((seq, number));
    }
    assert!(mine.is_sorted());
    mine
}

fn check_numbers(journal: &Journal<Map>, dir: &Path, all: Vec<Vec<(Seq, u64)>>) {
    let mut all = all.concat();
    all.sort_unstable();
    let expected: Vec<_> = (1..=64 * 30).map(Seq::new).collect();
    let numbers: Vec<_> = all.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, expected, "no gap, and no number twice");
    let history: Vec<_> = all.iter().map(|(_, number)| Edit::Add(*number)).collect();
    assert_eq!(state(journal), Map::fold(&history));
    block_on(journal.close()).unwrap();
    let journal = block_on(open::<Map>(dir, &small_options())).unwrap();
    assert_eq!(state(&journal), Map::fold(&history));
}

#[test]
fn sixty_four_tasks_append_at_once() {
    let (dir, journal) = new_journal();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|appender| runtime.spawn(append_many(journal.clone(), appender)))
        .collect();
    let all = runtime.block_on(join_all(tasks));
    let all = all.into_iter().map(|result| result.unwrap()).collect();
    check_numbers(&journal, dir.path(), all);
}

#[test]
fn sixty_four_threads_append_at_once() {
    let (dir, journal) = new_journal();
    let threads: Vec<_> = (0..64)
        .map(|appender| {
            let journal = journal.clone();
            std::thread::spawn(move || block_on(append_many(journal, appender)))
        })
        .collect();
    let all = threads.into_iter().map(|thread| thread.join().unwrap());
    check_numbers(&journal, dir.path(), all.collect());
}

#[test]
fn an_append_from_within_read_is_answered_after_it() {
    let (_dir, journal) = new_journal();
    let append = journal.read(|map| {
        assert_eq!(map.count, 0);
        journal.append(Edit::Add(1))
    });
    assert_eq!(block_on(append).unwrap(), Ok(1));
}

#[test]
fn positions_keep_their_order_and_count_everything_that_was_handed_in() {
    let (_dir, journal) = new_journal();
    let mut appends = Vec::new();
    for number in 1..=2000 {
        appends.push(journal.append(Edit::Add(number)));
        let status = journal.status();
        assert!(status.applied <= status.synced && status.synced <= status.written);
        assert!(status.written <= status.queued);
        assert_eq!(status.queued, Seq::new(number));
    }
    block_on(join_all(appends));
    let status = journal.status();
    assert_eq!(
        (status.applied, status.queued),
        (Seq::new(2000), Seq::new(2000))
    );
}

#[test]
fn a_clone_goes_on_when_the_others_are_gone() {
    let (dir, journal) = new_journal();
    let clone = journal.clone();
    let first = journal.append(Edit::Add(1));
    drop(journal);
    assert_eq!(block_on(first).unwrap(), Ok(1));
    assert_eq!(block_on(clone.append(Edit::Add(2))).unwrap(), Ok(2));
    let other = Journal::<Map>::open(DiskIo::new().unwrap(), dir.path(), small_options());
    let error = block_on(other).unwrap_err();
    let Error::Locked { path } = error else {
        panic!("{error}")
    };
    assert_eq!(path, dir.path().join("map.lock"));
}

#[test]
fn close_ends_all_clones_and_finishes_what_is_queued() {
    let (dir, journal) = new_journal();
    let clone = journal.clone();
    let queued: Vec<_> = (1..=50).map(|n| journal.append(Edit::Add(n))).collect();
    let closing = journal.close();
    let late = clone.append(Edit::Add(51));
    let other = clone.close();
    assert!(matches!(block_on(late), Err(Error::Closed)));
    for (index, append) in queued.into_iter().enumerate() {
        assert_eq!(block_on(append).unwrap(), Ok(index as u64 + 1));
    }
    block_on(closing).unwrap();
    block_on(other).unwrap();
    assert!(matches!(block_on(clone.close()), Err(Error::Closed)));
    assert!(matches!(block_on(clone.snapshot()), Err(Error::Closed)));
    assert!(matches!(
        block_on(clone.append_batch([Edit::Add(1)])),
        Err(Error::Closed)
    ));
    assert_eq!(state(&clone).count, 50);
    let again = Journal::<Map>::open(DiskIo::new().unwrap(), dir.path(), small_options());
    let again = block_on(again).unwrap();
    assert_eq!(again.recovered().left, Left::Clean);
    assert_eq!(again.recovered().last_seq, Seq::new(50));
}

#[test]
fn a_close_that_nobody_waits_for_closes() {
    let (dir, journal) = new_journal();
    block_on(journal.append(Edit::Add(1))).unwrap().unwrap();
    drop(journal.close());
    drop(journal);
    let again = block_on(open::<Map>(dir.path(), &small_options())).unwrap();
    assert_eq!(again.recovered().left, Left::Clean);
}

#[test]
fn a_journal_that_is_only_dropped_loses_nothing() {
    let dir = tempdir().unwrap();
    let mut history = Vec::new();
    for lifetime in 0..6 {
        let journal = block_on(open::<Map>(dir.path(), &small_options())).unwrap();
        assert_eq!(state(&journal), Map::fold(&history), "lifetime {lifetime}");
        assert_eq!(journal.recovered().last_seq, Seq::new(history.len() as u64));
        for number in 0..10 {
            history.push(Edit::Add(number));
            // The last ones are still queued when the journal is dropped.
            drop(journal.append(Edit::Add(number)));
        }
    }
}

#[test]
fn the_lock_is_free_as_soon_as_an_idle_journal_is_dropped() {
    let dir = tempdir().unwrap();
    for count in 1..=100 {
        let opening = Journal::<Map>::open(DiskIo::new().unwrap(), dir.path(), small_options());
        let journal = block_on(opening).unwrap();
        let answer = block_on(journal.append(Edit::Add(1))).unwrap();
        assert_eq!(answer, Ok(count));
    }
}

#[test]
fn an_open_that_is_dropped_leaves_a_journal_that_opens() {
    let (dir, journal) = new_journal();
    block_on(journal.append(Edit::Add(1))).unwrap().unwrap();
    drop(journal);
    for _ in 0..20 {
        let opening = Journal::<Map>::open(DiskIo::new().unwrap(), dir.path(), small_options());
        drop(poll_once(opening));
    }
    let journal = block_on(open::<Map>(dir.path(), &small_options())).unwrap();
    assert_eq!(state(&journal).count, 1);
}

#[test]
fn a_panic_in_apply_answers_everybody_and_stops_the_journal() {
    let (dir, journal) = new_journal();
    block_on(journal.append(Edit::Add(1))).unwrap().unwrap();
    // Nothing is applied while somebody reads, so that all are queued when the panic comes.
    let (fatal, behind) = journal.read(|_| {
        let before = journal.append(Edit::Add(2));
        let fatal = journal.append_batch([Edit::Add(3), Edit::Panic, Edit::Add(4)]);
        let behind: Vec<_> = (5..10).map(|n| journal.append(Edit::Add(n))).collect();
        drop(before);
        (fatal, behind)
    });
    let is_apply = |error: &Error| matches!(error, Error::Apply { seq } if seq.get() == 4);
    match block_on(fatal) {
        Err(Error::InDoubt { seq, source }) => {
            assert!(is_apply(&source), "{source}");
            assert_eq!(seq, Seq::new(3));
        }
        other => panic!("{other:?}"),
    }
    for append in behind {
        match block_on(append) {
            Err(Error::InDoubt { source, .. } | Error::NotCommitted { source }) => {
                assert!(is_apply(&source), "{source}");
            }
            other => panic!("{other:?}"),
        }
    }
    for result in [
        block_on(journal.append(Edit::Add(11))).map(drop),
        block_on(journal.snapshot()).map(drop),
        block_on(journal.close()),
    ] {
        match result {
            Err(Error::Poisoned { source }) => assert!(is_apply(&source), "{source}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(state(&journal).count >= 2);
    drop(journal);

    let before = Files::of_directory(dir.path());
    let error = block_on(open::<Map>(dir.path(), &small_options())).unwrap_err();
    assert!(is_apply(&error), "{error}");
    assert_eq!(Files::of_directory(dir.path()), before);
}

/// A machine whose answers and snapshots panic when told to.
#[derive(Debug, Default)]
struct Trap(u64);

#[derive(Debug)]
struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0, "an answer was told to panic when it is dropped");
    }
}

impl Replayable for Trap {
    type Edit = u64;
    type Output = Bomb;
    fn filename_prefix() -> &'static str {
        "trap"
    }
    fn initial() -> Self {
        Trap(0)
    }
    fn apply(&mut self, edit: u64) -> Bomb {
        self.0 += edit;
        Bomb(self.0 == 13)
    }
    fn snapshot(&self) -> u64 {
        assert_ne!(self.0, 12, "a snapshot was told to panic");
        self.0
    }
}

#[test]
fn a_snapshot_that_panics_fails_alone() {
    let dir = tempdir().unwrap();
    let journal = block_on(open::<Trap>(dir.path(), &small_options())).unwrap();
    drop(block_on(journal.append(12)).unwrap());
    let error = block_on(journal.snapshot()).unwrap_err();
    assert!(matches!(error, Error::Snapshot { .. }), "{error}");
    assert!(matches!(
        journal.status().snapshot_failure,
        Some(Error::Snapshot { .. })
    ));
    drop(block_on(journal.append(2)).unwrap());
    assert_eq!(block_on(journal.snapshot()).unwrap(), Seq::new(2));
    assert!(journal.status().snapshot_failure.is_none());
    block_on(journal.close()).unwrap();
    assert_eq!(Files::of_directory(dir.path()).ending(".tmp"), [""; 0]);
}

/// The committer drops an answer that nobody waits for, and so does every replay.
#[test]
fn a_panic_in_the_drop_of_an_answer_concerns_nobody_else() {
    let dir = tempdir().unwrap();
    let journal = block_on(open::<Trap>(dir.path(), &small_options())).unwrap();
    let behind: Vec<_> = journal.read(|_| {
        drop(journal.append(13));
        (0..20).map(|_| journal.append(1)).collect()
    });
    for answer in block_on(join_all(behind)) {
        drop(answer.unwrap());
    }
    drop(journal);
    let journal = block_on(open::<Trap>(dir.path(), &small_options())).unwrap();
    assert_eq!(journal.read(|trap| trap.0), 33);
    drop(block_on(journal.append(1)).unwrap());
    block_on(journal.close()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_one_is_an_error_that_names_it() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = block_on(open::<Map>(&path, &small_options())).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert!(error.to_string().contains("file"), "{error}");
    }
    // Directories above it are created.
    let deep = dir.path().join("a/b/c");
    block_on(use_it(deep));
}

#[test]
fn what_is_refused_at_once_leaves_no_trace() {
    let dir = tempdir().unwrap();
    let mut options = small_options();
    options.log.max_edit_bytes = 500;
    options.log.max_frame_bytes = 1000;
    options.log.max_queue_bytes = 2000;
    let journal = block_on(open::<Map>(dir.path(), &options)).unwrap();
    let large = block_on(journal.append(set(1, 500))).unwrap_err();
    assert!(matches!(
        large,
        Error::TooLarge {
            bytes: 501..,
            limit: 500
        }
    ));
    let batch = [set(1, 10), set(2, 600), set(3, 10)];
    let large = block_on(journal.append_batch(batch)).unwrap_err();
    assert!(matches!(large, Error::TooLarge { limit: 500, .. }));
    let batch = [1, 2, 3].map(|key| set(key, 400));
    let large = block_on(journal.append_batch(batch)).unwrap_err();
    assert!(matches!(
        large,
        Error::TooLarge {
            bytes: 1001..,
            limit: 1000
        }
    ));
    for append in [
        block_on(journal.append(Edit::Opaque(1))).map(drop),
        block_on(journal.append_batch([Edit::Add(1), Edit::Opaque(1)])).map(drop),
    ] {
        match append {
            Err(Error::Encode { reason }) => assert!(reason.contains("opaque"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    let nothing = block_on(journal.append_batch([]).with_seq()).unwrap();
    assert_eq!(nothing, (Seq::ZERO, Vec::new()));
    assert_eq!(block_on(journal.append(set(1, 490))).unwrap(), Ok(1));
    block_on(journal.close()).unwrap();
    let journal = block_on(open::<Map>(dir.path(), &options)).unwrap();
    assert_eq!(journal.recovered().last_seq, Seq::new(1));
}

#[test]
fn the_queue_is_bounded_and_works_again_once_it_is_shorter() {
    let dir = tempdir().unwrap();
    let mut options = small_options();
    options.log.max_edit_bytes = 500;
    options.log.max_frame_bytes = 1000;
    options.log.max_queue_bytes = 2000;
    let journal = block_on(open::<Map>(dir.path(), &options)).unwrap();
    let mut history = Vec::new();
    // While somebody reads, one round at the most leaves the queue.
    let (taken, refused) = journal.read(|_| {
        let mut taken = Vec::new();
        for key in 0.. {
            let mut append = journal.append(set(key, 200));
            match pin!(&mut append).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => taken.push(append),
                Poll::Ready(answer) => return (taken, answer.unwrap_err()),
            }
            history.push(set(key, 200));
        }
        unreachable!()
    });
    assert!(
        matches!(
            refused,
            Error::Overloaded {
                queued: 1..,
                limit: 2000
            }
        ),
        "{refused}"
    );
    assert!(
        (9..=14).contains(&taken.len()),
        "{} were taken",
        taken.len()
    );
    for append in taken {
        block_on(append).unwrap().unwrap();
    }
    history.push(Edit::Add(1));
    block_on(journal.append(Edit::Add(1))).unwrap().unwrap();
    assert_eq!(state(&journal), Map::fold(&history));
}

#[test]
fn options_that_cannot_work_are_refused_before_anything_is_created() {
    let dir = tempdir().unwrap();
    let inside = dir.path().join("never");
    let wrong: [fn(&mut Options); 5] = [
        |options| options.log.max_frame_bytes = options.log.max_edit_bytes + 3,
        |options| options.log.max_frame_bytes = (1 << 30) + 1,
        |options| options.log.max_queue_bytes = options.log.max_frame_bytes - 1,
        |options| options.log.allocation_bytes = 0,
        |options| options.log.max_edit_bytes = usize::MAX,
    ];
    for change in wrong {
        let mut options = small_options();
        change(&mut options);
        let error = block_on(open::<Map>(&inside, &options)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    assert!(Files::of_directory(dir.path()).0.is_empty());
}

/// Sizes at the edges: every one must give a journal that works.
#[test]
fn options_at_their_edges_work() {
    let edges: [fn(&mut Options); 6] = [
        |options| options.log.segment_bytes = 0,
        |options| options.log.segment_bytes = u64::MAX,
        |options| options.log.allocation_bytes = 1,
        |options| options.log.allocation_bytes = u64::MAX,
        |options| options.snapshots.growth_factor = 0,
        |options| {
            (
                options.snapshots.growth_baseline,
                options.snapshots.max_segments,
            ) = (0, 0)
        },
    ];
    for (index, change) in edges.into_iter().enumerate() {
        let dir = tempdir().unwrap();
        let mut options = small_options();
        options.snapshots = SnapshotPolicy::default();
        change(&mut options);
        let mut history = Vec::new();
        for lifetime in 0..3 {
            let journal = block_on(open::<Map>(dir.path(), &options)).unwrap();
            assert_eq!(
                state(&journal),
                Map::fold(&history),
                "edge {index}, {lifetime}"
            );
            for key in 0..8 {
                history.push(set(key, 300));
                block_on(journal.append(set(key, 300))).unwrap().unwrap();
            }
            if lifetime == 1 {
                block_on(journal.close()).unwrap();
            }
        }
    }
}

/// The same files, read by a program that knows other edits.
#[derive(Debug, Default)]
struct Stranger;

#[derive(Serialize, Deserialize)]
enum StrangeEdit {
    Words(String, String, String),
}

impl Replayable for Stranger {
    type Edit = StrangeEdit;
    type Output = ();
    fn filename_prefix() -> &'static str {
        "map"
    }
    fn initial() -> Self {
        Stranger
    }
    fn apply(&mut self, edit: StrangeEdit) {
        let StrangeEdit::Words(..) = edit;
    }
    fn snapshot(&self) -> StrangeEdit {
        StrangeEdit::Words(String::new(), String::new(), String::new())
    }
}

#[test]
fn an_edit_that_does_not_decode_is_an_error_and_changes_nothing() {
    for close in [true, false] {
        let (dir, journal) = new_journal();
        block_on(journal.append(Edit::Add(300))).unwrap().unwrap();
        block_on(journal.append(Edit::Add(301))).unwrap().unwrap();
        if close {
            block_on(journal.close()).unwrap();
        }
        drop(journal);
        // Waits until the lock is free.
        let error = block_on(open::<Stranger>(dir.path(), &small_options())).unwrap_err();
        let before = Files::of_directory(dir.path());
        let Error::Decode {
            seq, path, offset, ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((seq, offset), (Seq::new(1), 8192));
        assert_eq!(path, dir.path().join("map-00000000000000000001.log"));
        let error = block_on(open::<Stranger>(dir.path(), &small_options())).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error}");
        assert_eq!(Files::of_directory(dir.path()), before);
        let journal = block_on(open::<Map>(dir.path(), &small_options())).unwrap();
        assert_eq!(state(&journal).sum, 601);
    }
}

#[test]
fn a_snapshot_that_does_not_decode_is_an_error_and_changes_nothing() {
    let (dir, journal) = new_journal();
    block_on(journal.append(Edit::Add(300))).unwrap().unwrap();
    block_on(journal.snapshot()).unwrap();
    block_on(journal.close()).unwrap();
    let before = Files::of_directory(dir.path());
    let error = block_on(open::<Stranger>(dir.path(), &small_options())).unwrap_err();
    assert!(
        matches!(&error, Error::Decode { seq, path, offset: 128, .. }
            if seq.get() == 1 && path.ends_with("map-00000000000000000001.snap")),
        "{error}"
    );
    assert_eq!(Files::of_directory(dir.path()), before);
}

/// Another journal, whose name begins like the first one's.
#[derive(Debug, Default)]
struct Neighbour(u64);

impl Replayable for Neighbour {
    type Edit = u64;
    type Output = u64;
    fn filename_prefix() -> &'static str {
        "map-2"
    }
    fn initial() -> Self {
        Neighbour(0)
    }
    fn apply(&mut self, edit: u64) -> u64 {
        self.0 += edit;
        self.0
    }
    fn snapshot(&self) -> u64 {
        self.0
    }
}

#[test]
fn journals_with_different_prefixes_share_a_directory() {
    let dir = tempdir().unwrap();
    for lifetime in 1..=3 {
        let map = block_on(open::<Map>(dir.path(), &small_options())).unwrap();
        let neighbour = block_on(open::<Neighbour>(dir.path(), &small_options())).unwrap();
        for _ in 0..40 {
            block_on(map.append(Edit::Add(1))).unwrap().unwrap();
            block_on(neighbour.append(2)).unwrap();
        }
        block_on(map.snapshot()).unwrap();
        block_on(neighbour.snapshot()).unwrap();
        assert_eq!(state(&map).sum, lifetime * 40);
        assert_eq!(neighbour.read(|state| state.0), lifetime * 80);
    }
}
