//! Invariant: a checkpoint is the store as of one moment of the call, whatever goes on meanwhile and
//! wherever the power goes, or it is not there.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures::channel::oneshot;
use futures::future::join3;
use quipu_io::sim::{Operation, Sim, SimIo, SimOptions};
use quipu_io::{Bytes, File, Io, OpenOptions};
use quipu_kv::{Db, Error, Options, Strategy};

use crate::history::{Writer, boot, counts, small, strategies};

const TARGET: &str = "copies/first";
const TEMPORARY: &str = "copies/first.checkpoint.tmp";
const BATCHES: u32 = 90;

async fn names(io: &SimIo, dir: impl AsRef<Path>) -> Vec<String> {
    let Ok(entries) = io.read_dir(dir.as_ref()).await else {
        return Vec::new();
    };
    let names = entries.into_iter().map(|entry| entry.name.into_string());
    names.collect::<Result<_, _>>().unwrap()
}

/// How far each of two writers is known to have come.
#[derive(Default)]
struct Progress {
    answered: [AtomicU32; 2],
    /// When the checkpoint was asked for.
    before: [AtomicU32; 2],
    is_begun: AtomicBool,
}

impl Progress {
    fn begin(&self) {
        for (before, answered) in self.before.iter().zip(&self.answered) {
            before.store(answered.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.is_begun.store(true, Ordering::Relaxed);
    }

    fn check(&self, counts: &[u32]) {
        for (count, before) in counts.iter().zip(&self.before) {
            let before = before.load(Ordering::Relaxed);
            assert!(*count >= before && *count <= BATCHES, "{count}, {before}");
        }
    }
}

/// Two tasks write, and a third makes a checkpoint in the middle.
async fn live(io: SimIo, options: Options, progress: &Progress) -> Db<SimIo> {
    let db = Db::open(io.clone(), "store", options).await.unwrap();
    let other = db.create_keyspace("other").await.unwrap();
    let (middle, reached) = oneshot::channel();
    let middle = Mutex::new(Some(middle));
    let write = async |writer: u32| {
        let (db, other) = (db.clone(), other.clone());
        let history = Writer { db, other, writer };
        for number in 1..=BATCHES {
            history.write(number).await.unwrap();
            progress.answered[writer as usize].store(number, Ordering::Relaxed);
            if number == BATCHES / 2 {
                let middle = middle.lock().unwrap().take();
                if let Some(middle) = middle {
                    middle.send(()).unwrap();
                }
            }
        }
    };
    let checkpoint = async {
        reached.await.unwrap();
        progress.begin();
        db.checkpoint(TARGET).await.unwrap();
        io.mark("the checkpoint is there");
    };
    join3(write(0), write(1), checkpoint).await;
    db
}

async fn open_and_count(io: SimIo, dir: &str, options: Options) -> Vec<u32> {
    let db = Db::open(io, dir, options).await.unwrap();
    let found = counts(&db, 2).await;
    // It is a store like any other.
    db.put(b"0/more", b"of it").await.unwrap();
    db.compact_range(..).await.unwrap();
    db.delete(b"0/more").await.unwrap();
    assert_eq!(counts(&db, 2).await, found);
    db.close().await.unwrap();
    found
}

#[test]
fn a_checkpoint_is_the_store_as_of_one_moment() {
    let mut ends = 0;
    for (seed, strategy) in (0..3).flat_map(|round| strategies().map(|s| (round, s))) {
        for wal in [true, false] {
            let sim = Sim::new(SimOptions::seeded(seed));
            let (io, options) = (sim.io(), small(strategy.clone(), wal));
            let progress = Progress::default();
            let run = async {
                let db = live(io.clone(), options.clone(), &progress).await;
                let found = open_and_count(io.clone(), TARGET, options.clone()).await;
                progress.check(&found);
                // The two go on apart.
                assert_eq!(counts(&db, 2).await, [BATCHES, BATCHES]);
                db.compact_range(..).await.unwrap();
                assert_eq!(counts(&db, 2).await, [BATCHES, BATCHES]);
                db.close().await.unwrap();
                let again = open_and_count(io.clone(), TARGET, options.clone()).await;
                assert_eq!(found, again);
                assert_eq!(names(&io, "copies").await, ["first"]);
                u32::from(found == [BATCHES, BATCHES])
            };
            ends += sim.block_on(run).unwrap();
        }
    }
    assert!(ends < 8, "most were made while writers went on");
}

/// Runs until some time after the checkpoint, and gives the disk of each moment since it was begun at
/// which a crash can matter.
fn moments(strategy: Strategy, wal: bool) -> (Arc<Progress>, Vec<quipu_io::sim::CrashPoint>) {
    let sim = Sim::new(SimOptions::default());
    let progress = Arc::new(Progress::default());
    let points = Arc::new(Mutex::new(Vec::new()));
    let (noted, seen) = (points.clone(), progress.clone());
    sim.on_crash_point(move |point| {
        if seen.is_begun.load(Ordering::Relaxed) {
            noted.lock().unwrap().push(point);
        }
    });
    let io = sim.io();
    let run = async {
        drop(live(io, small(strategy, wal), &progress).await);
    };
    sim.block_on(run).unwrap();
    drop(sim);
    let points = std::mem::take(&mut *points.lock().unwrap());
    (progress, points)
}

#[test]
fn a_crash_leaves_a_whole_checkpoint_or_none_and_the_next_one_clears_the_rest() {
    let (mut whole, mut partial, mut none) = (0, 0, 0);
    for strategy in strategies() {
        for wal in [true, false] {
            let (progress, points) = moments(strategy.clone(), wal);
            let promised = points.iter().position(|point| {
                let promise = "at \"the checkpoint is there\"";
                point.kind.to_string() == promise
            });
            for (place, point) in points.into_iter().enumerate() {
                let sim = boot(point.image, point.ordinal);
                let (io, options) = (sim.io(), small(strategy.clone(), wal));
                let run = async {
                    let found = names(&io, "copies").await;
                    if found.iter().any(|name| name == "first") {
                        let found = open_and_count(io.clone(), TARGET, options).await;
                        progress.check(&found);
                        whole += 1;
                        return;
                    }
                    assert!(promised.is_none_or(|promised| place < promised));
                    match names(&io, TEMPORARY).await.is_empty() {
                        true => none += 1,
                        false => partial += 1,
                    }
                    let store = Db::open(io.clone(), "store", options.clone()).await;
                    let store = store.unwrap();
                    let expected = counts(&store, 2).await;
                    store.checkpoint(TARGET).await.unwrap();
                    assert_eq!(names(&io, "copies").await, ["first"]);
                    store.close().await.unwrap();
                    let found = open_and_count(io.clone(), TARGET, options).await;
                    assert_eq!(found, expected);
                };
                sim.block_on(run).unwrap();
            }
        }
    }
    let each = (whole, partial, none);
    assert!(whole > 20 && partial > 20 && none > 20, "{each:?}");
}

#[test]
fn what_is_in_the_way_is_told_and_left_alone() {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let run = async {
        let db = Db::open(io.clone(), "store", Options::default())
            .await
            .unwrap();
        db.put(b"0/count", 0_u32.to_be_bytes()).await.unwrap();
        let refusal = async |target: &str| match db.checkpoint(target).await {
            Err(Error::Checkpoint { path, reason }) => (path, reason),
            other => panic!("{other:?}"),
        };
        let write = async |path: &str| {
            let path = Path::new(path);
            io.create_dir_all(path.parent().unwrap()).await.unwrap();
            let file = io.open(path, OpenOptions::CreateNew).await.unwrap();
            file.write_at(0, Bytes::from_static(b"mine")).await.unwrap();
        };
        write("copies/first/mine").await;
        assert!(refusal(TARGET).await.1.contains("of that name"));
        assert_eq!(names(&io, TARGET).await, ["mine"]);
        assert_eq!(names(&io, "copies").await, ["first"]);
        write("copies/file").await;
        assert!(refusal("copies/file").await.1.contains("of that name"));
        // A temporary without the mark, and one with the mark and something else.
        write("copies/second.checkpoint.tmp/mine").await;
        let (path, _) = refusal("copies/second").await;
        assert_eq!(path, Path::new("copies/second.checkpoint.tmp"));
        assert_eq!(names(&io, &path).await, ["mine"]);
        db.checkpoint("copies/third").await.unwrap();
        io.rename(
            Path::new("copies/third"),
            Path::new("copies/fourth.checkpoint.tmp"),
        )
        .await
        .unwrap();
        write("copies/fourth.checkpoint.tmp/tables/mine").await;
        let before = names(&io, "copies/fourth.checkpoint.tmp/tables").await;
        let (path, _) = refusal("copies/fourth").await;
        assert!(path.ends_with("tables/mine"));
        assert_eq!(
            names(&io, "copies/fourth.checkpoint.tmp/tables").await,
            before
        );
        // Two at once: one is made.
        let (first, second) = (db.checkpoint("copies/fifth"), db.checkpoint("copies/fifth"));
        let both = futures::join!(first, second);
        assert_eq!(u8::from(both.0.is_ok()) + u8::from(both.1.is_ok()), 1);
        db.close().await.unwrap();
        assert!(matches!(
            db.checkpoint("copies/x").await,
            Err(Error::Closed)
        ));
    };
    sim.block_on(run).unwrap();
}

/// Whatever fails, the next one is made; and on the way nothing of the store is harmed.
#[test]
fn a_checkpoint_that_fails_can_be_made_again() {
    let mut failed = 0;
    for operation in [
        Operation::HardLink,
        Operation::Rename,
        Operation::Open,
        Operation::WriteAt,
        Operation::CreateDirAll,
        Operation::ReadDir,
    ] {
        for nth in 1..12 {
            let sim = Sim::new(SimOptions::default());
            let (io, options) = (sim.io(), small(Strategy::Leveled(Default::default()), true));
            let run = async {
                let db = Db::open(io.clone(), "store", options.clone())
                    .await
                    .unwrap();
                let other = db.create_keyspace("other").await.unwrap();
                let writer = 0;
                let history = Writer { db, other, writer };
                for number in 1..=60 {
                    history.write(number).await.unwrap();
                }
                let db = history.db;
                db.flush().await.unwrap();
                sim.faults()
                    .fail_nth(operation, nth, std::io::ErrorKind::PermissionDenied);
                if db.checkpoint(TARGET).await.is_ok() {
                    return; // It has not come to the fault.
                }
                failed += 1;
                assert!(!names(&io, "copies").await.contains(&"first".to_owned()));
                let left = names(&io, format!("{TEMPORARY}/tables")).await;
                assert!(left.is_empty() || operation != Operation::HardLink);
                db.checkpoint(TARGET).await.unwrap();
                assert_eq!(counts(&db, 1).await, [60]);
                db.close().await.unwrap();
                let copy = Db::open(io.clone(), TARGET, options).await.unwrap();
                assert_eq!(counts(&copy, 1).await, [60]);
                copy.close().await.unwrap();
            };
            sim.block_on(run).unwrap();
        }
    }
    assert!(failed > 20, "{failed}");
}
