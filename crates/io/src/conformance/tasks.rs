//! Tasks, dropped futures, time and randomness.

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::channel::oneshot;

use super::{Must, assert_bytes, assert_equal, create, pattern, read, read_path, within};
use crate::backend::{File, Io, OpenOptions, Runtime};

/// Checks tasks, dropped futures, time and randomness in `dir`, an empty directory.
///
/// # Panics
///
/// Where the backend breaks a rule.
pub async fn tasks<I: Io + Runtime>(io: &I, dir: &Path) {
    spawn(io, &dir.join("spawn")).await;
    spawn_from_dropped(io).await;
    spawn_waits(io).await;
    spawn_many(io, &dir.join("spawn-many")).await;
    dropped_write(io, &dir.join("dropped-write")).await;
    dropped_open(io, &dir.join("dropped-open")).await;
    spawn_blocking(io).await;
    time(io).await;
    random(io);
}

async fn spawn<I: Io + Runtime>(io: &I, path: &Path) {
    let rule = "spawned work runs to its end, and its file operations work";
    let (sender, receiver) = oneshot::channel();
    let work = {
        let (io, path) = (io.clone(), path.to_owned());
        async move {
            let file = create(&io, &path, b"spawned").await;
            file.sync_all().await.must(rule);
            let large = Bytes::from(pattern(1 << 20, 11));
            file.write_at(7, large).await.must(rule);
            let _ = sender.send(());
        }
    };
    io.spawn(work);
    let ended = within(io, rule, receiver).await;
    assert!(ended.is_ok(), "{rule}: it was dropped");
    let expected = [b"spawned".to_vec(), pattern(1 << 20, 11)].concat();
    assert_bytes(&read_path(io, path).await, &expected, rule);
}

async fn spawn_from_dropped<I: Io + Runtime>(io: &I) {
    let rule = "spawned work runs to its end when the future that started it is dropped";
    let (sender, receiver) = oneshot::channel();
    let starter = async {
        let sleeper = io.clone();
        io.spawn(async move {
            sleeper.sleep(Duration::from_millis(1)).await;
            let _ = sender.send(());
        });
        pending::<()>().await;
    };
    poll_once(starter);
    let ended = within(io, rule, receiver).await;
    assert!(ended.is_ok(), "{rule}: it was dropped");
}

/// Two tasks that wait for each other, so neither may need the other's thread; and one that yields.
async fn spawn_waits<I: Io + Runtime>(io: &I) {
    let rule = "spawned work may wait for other spawned work";
    let (ping, pinged) = oneshot::channel();
    let (pong, ponged) = oneshot::channel();
    io.spawn(async move {
        let mut rounds = 100;
        std::future::poll_fn(|context| {
            rounds -= 1;
            if rounds == 0 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        if pinged.await.is_ok() {
            let _ = pong.send(());
        }
    });
    let (sender, receiver) = oneshot::channel();
    io.spawn(async move {
        let _ = ping.send(());
        let _ = sender.send(ponged.await);
    });
    let ended = within(io, rule, receiver).await;
    assert_equal(&ended, &Ok(Ok(())), rule);
}

async fn spawn_many<I: Io + Runtime>(io: &I, path: &Path) {
    const TASKS: usize = 8;
    const BLOCKS: usize = 16;
    const BLOCK: usize = 4_097;

    let rule = "disjoint writes at the same time do not disturb each other";
    let file = Arc::new(create(io, path, b"").await);
    let mut ends = Vec::new();
    for task in 0..TASKS {
        let file = Arc::clone(&file);
        let (sender, receiver) = oneshot::channel();
        io.spawn(async move {
            for block in 0..BLOCKS {
                let place = block * TASKS + task;
                let data = Bytes::from(block_of(place, BLOCK));
                file.write_at((place * BLOCK) as u64, data).await.must(rule);
            }
            let _ = sender.send(());
        });
        ends.push(receiver);
    }
    for receiver in ends {
        let ended = within(io, rule, receiver).await;
        assert!(ended.is_ok(), "{rule}: a task was dropped");
    }
    let expected: Vec<u8> = (0..TASKS * BLOCKS)
        .flat_map(|place| block_of(place, BLOCK))
        .collect();
    assert_bytes(&read(&*file).await, &expected, rule);
}

fn block_of(place: usize, len: usize) -> Vec<u8> {
    let seed = u8::try_from(place % 251).unwrap_or_default();
    pattern(len, seed)
}

async fn dropped_write<I: Io + Runtime>(io: &I, path: &Path) {
    let rule = "a write that was started runs to its end even if its future is dropped";
    let file = create(io, path, b"").await;
    for (len, seed) in [(100, 12), (1 << 20, 13)] {
        let data = pattern(len, seed);
        poll_once(file.write_at(0, Bytes::from(data.clone())));
        let written = async {
            while file.read_at(0, len).await.must("read_at works") != data {
                io.sleep(Duration::from_millis(1)).await;
            }
        };
        within(io, rule, written).await;
    }
}

async fn dropped_open<I: Io + Runtime>(io: &I, path: &Path) {
    let rule = "an open that was started creates the file even if its future is dropped";
    poll_once(io.open(path, OpenOptions::CreateNew));
    let created = async {
        while io.open(path, OpenOptions::ReadOnly).await.is_err() {
            io.sleep(Duration::from_millis(1)).await;
        }
    };
    within(io, rule, created).await;
}

async fn spawn_blocking<I: Io + Runtime>(io: &I) {
    let value = io.spawn_blocking(|| 6 * 7).await;
    assert_equal(&value, &42, "spawn_blocking gives the closure's value");

    let rule = "a closure runs to its end even if the future of spawn_blocking is dropped";
    let (sender, receiver) = oneshot::channel();
    poll_once(io.spawn_blocking(move || sender.send(())));
    let ended = within(io, rule, receiver).await;
    assert!(ended.is_ok(), "{rule}: it was dropped");

    // Not `panic!`, which would print.
    let panics = io.spawn_blocking(|| resume_unwind(Box::new("the payload")));
    let caught: Result<(), _> = AssertUnwindSafe(panics).catch_unwind().await;
    let payload = caught
        .err()
        .and_then(|payload| payload.downcast::<&str>().ok());
    let rule = "a panic in spawn_blocking continues in the caller";
    assert_equal(&payload.as_deref(), &Some(&"the payload"), rule);
    let value = io.spawn_blocking(|| 1).await;
    assert_equal(&value, &1, "spawn_blocking works after a panic");
}

async fn time<I: Runtime>(io: &I) {
    let mut before = io.now();
    for millis in [0, 1, 5] {
        let duration = Duration::from_millis(millis);
        io.sleep(duration).await;
        let after = io.clone().now();
        let rule = "sleep completes when the duration has passed, and not earlier";
        assert!(after >= before + duration, "{rule}: {before:?}, {after:?}");
        before = after;
    }
    for _ in 0..1_000 {
        let now = io.now();
        assert!(now >= before, "now is monotonic: {before:?}, then {now:?}");
        before = now;
    }
    // Whatever it says is right.
    io.wall_clock();
}

fn random<I: Io>(io: &I) {
    const DRAWS: usize = 1_000;

    let clone = io.clone();
    let draws = (0..DRAWS).flat_map(|_| [io.random(), clone.random()]);
    let distinct: BTreeSet<u64> = draws.collect();
    assert_equal(
        &distinct.len(),
        &(2 * DRAWS),
        "random numbers do not repeat",
    );
    let (set, clear) = distinct
        .iter()
        .fold((0, 0), |(set, clear), draw| (set | draw, clear | !draw));
    assert_equal(
        &(set, clear),
        &(u64::MAX, u64::MAX),
        "all bits of random numbers vary",
    );
}

/// Starts `work` and drops it: at the latest when it would wait for the first time.
fn poll_once<T>(work: impl Future<Output = T>) {
    let mut context = Context::from_waker(Waker::noop());
    // Whether it is ready makes no difference.
    let _: Poll<T> = pin!(work).poll(&mut context);
}
