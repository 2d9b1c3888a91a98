//! Invariant: what was answered is there after a close; and without a log a crash, at a close or
//! anywhere, leaves the store as it was at one moment, in all keyspaces.

use std::sync::{Arc, Mutex};

use futures::future::{join, join3};
use quipu_io::Io;
use quipu_io::sim::{Sim, SimIo, SimOptions};
use quipu_kv::{Db, Durability, Error, Options, WriteBatch};

use crate::history::{Writer, boot, counts, small, strategies};

async fn begin(io: SimIo, options: Options) -> Writer {
    let db = Db::open(io, "store", options).await.unwrap();
    let other = match db.keyspace("other") {
        Some(other) => other,
        None => db.create_keyspace("other").await.unwrap(),
    };
    let writer = 0;
    Writer { db, other, writer }
}

#[test]
fn without_a_log_a_crash_leaves_one_moment() {
    for strategy in strategies() {
        let sim = Sim::new(SimOptions::default());
        let points = Arc::new(Mutex::new(Vec::new()));
        let noted = points.clone();
        sim.on_crash_point(move |point| noted.lock().unwrap().push(point));
        let (io, options) = (sim.io(), small(strategy, false));
        let run = async {
            let history = begin(io.clone(), options.clone()).await;
            for number in 1..=100 {
                history.write(number).await.unwrap();
                if number == 50 {
                    history.db.flush().await.unwrap();
                    io.mark("50");
                }
            }
            history.db.close().await.unwrap();
            io.mark("100");
        };
        sim.block_on(run).unwrap();
        drop(sim);
        let mut least = 0;
        for point in std::mem::take(&mut *points.lock().unwrap()) {
            if let quipu_io::sim::CrashKind::Mark(promise) = &point.kind {
                least = promise.parse().unwrap();
            }
            let sim = boot(point.image, point.ordinal);
            let open = Db::open(sim.io(), "store", options.clone());
            let run = async {
                let db = open.await.unwrap();
                let found = counts(&db, 1).await;
                assert!(found[0] >= least, "{found:?}, {least} at {}", point.kind);
            };
            sim.block_on(run).unwrap();
        }
        assert_eq!(least, 100);
    }
}

/// Writes that are answered while somebody closes the store are flushed with the rest.
#[test]
fn what_is_answered_is_there_after_a_close() {
    for seed in 0..40 {
        for wal in [true, false] {
            let sim = Sim::new(SimOptions::seeded(seed));
            let (io, options) = (sim.io(), small(strategies()[0].clone(), wal));
            let run = async {
                let history = begin(io.clone(), options.clone()).await;
                let mut answered = 0;
                let write = async {
                    for number in 1..=200 {
                        match history.write(number).await {
                            Ok(()) => answered = number,
                            Err(error) => return error,
                        }
                    }
                    panic!("it was closed");
                };
                let close = async {
                    for _ in 0..20 {
                        io.available_space("".as_ref()).await.unwrap();
                    }
                    history.db.close().await.unwrap();
                };
                let (error, ()) = join(write, close).await;
                let is_closed = matches!(&error, Error::Closed | Error::Wal { .. });
                assert!(is_closed, "{error}");
                drop(history);
                let history = begin(io.clone(), options.clone()).await;
                assert_eq!(counts(&history.db, 1).await, [answered]);
                history.db.close().await.unwrap();
            };
            sim.block_on(run).unwrap();
        }
    }
}

/// Nobody waits for ever for what a store that is being closed does not do any more.
#[test]
fn who_waits_hears_of_the_close() {
    for seed in 0..60 {
        let sim = Sim::new(SimOptions::seeded(seed));
        let mut options = small(strategies()[0].clone(), seed.is_multiple_of(2));
        options.frozen_memtables = 1;
        let io = sim.io();
        let run = async {
            let Writer { db, other, .. } = begin(io.clone(), options.clone()).await;
            let write = async |writer: u32| {
                let (db, other) = (db.clone(), other.clone());
                let history = Writer { db, other, writer };
                for number in 1.. {
                    if history.write(number).await.is_err() {
                        return;
                    }
                }
            };
            // Where there is nothing to do nobody waits, and no other would have a turn.
            let turn = async || io.available_space("".as_ref()).await.unwrap();
            let flush = async {
                while db.flush().await.is_ok() {
                    turn().await;
                }
            };
            let copy = async {
                for number in 0.. {
                    if db.checkpoint(format!("copies/{number}")).await.is_err() {
                        return;
                    }
                }
            };
            let compact = async {
                while db.compact_range(..).await.is_ok() {
                    turn().await;
                }
            };
            let close = async {
                for _ in 0..20 + seed {
                    io.available_space("".as_ref()).await.unwrap();
                }
                db.close().await.unwrap();
            };
            let writes = join(write(0), write(1));
            join3(writes, join3(flush, copy, compact), close).await;
        };
        sim.block_on(run).unwrap();
    }
}

/// A keyspace that goes while it is written to, flushed and compacted takes its files with it, and
/// nobody else hears of it.
#[test]
fn a_keyspace_may_go_at_any_time() {
    for (seed, strategy) in (0..60).zip(strategies().into_iter().cycle()) {
        let sim = Sim::new(SimOptions::seeded(seed));
        let options = small(strategy, seed % 8 < 4);
        let io = sim.io();
        let run = async {
            let Writer { db, other, .. } = begin(io.clone(), options.clone()).await;
            let write = async {
                for number in 0_u32..300 {
                    let mut batch = WriteBatch::new();
                    let key = (number % 60).to_be_bytes();
                    batch.put(key, [1; 60]);
                    batch.put_in(other.id(), key, [2; 100]);
                    match db.write(batch, Durability::Os).await {
                        Ok(()) => {}
                        Err(Error::UnknownKeyspace { .. }) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            };
            let flush = async {
                for _ in 0..6 {
                    db.flush().await.unwrap();
                    db.compact_range(..).await.unwrap();
                }
            };
            let end = async {
                for _ in 0..seed {
                    io.available_space("".as_ref()).await.unwrap();
                }
                db.drop_keyspace(other.id()).await.unwrap();
            };
            join3(write, flush, end).await;
            db.compact_range(..).await.unwrap();
            db.close().await.unwrap();
            let tables = io.read_dir("store/tables".as_ref()).await.unwrap();
            assert_eq!(tables.len(), db.stats().tables);
        };
        sim.block_on(run).unwrap();
    }
}

/// What is in tables is not read from the log again, although the log's segment had room for more.
#[test]
fn a_store_that_was_flushed_opens_without_its_log() {
    let sim = Sim::new(SimOptions::default());
    let mut options = small(strategies()[0].clone(), true);
    options.log.segment_bytes = 1 << 20;
    let io = sim.io();
    let run = async {
        for is_flushed in [true, false] {
            let db = Db::open(io.clone(), "store", options.clone())
                .await
                .unwrap();
            for number in 0..200_u32 {
                let mut batch = WriteBatch::new();
                batch.put(number.to_be_bytes(), [7; 100]);
                db.write(batch, Durability::Os).await.unwrap();
            }
            if is_flushed {
                db.flush().await.unwrap();
            }
            db.close().await.unwrap();
            let db = Db::open(io.clone(), "store", options.clone())
                .await
                .unwrap();
            let edits = db.recovered().log.edits;
            assert_eq!(edits <= 2, is_flushed, "{edits} edits");
            assert_eq!(db.stats().memtable_bytes == 0, is_flushed);
            // Nothing was written since.
            db.flush().await.unwrap();
            db.close().await.unwrap();
            let db = Db::open(io.clone(), "store", options.clone())
                .await
                .unwrap();
            let edits = db.recovered().log.edits;
            assert!(edits <= 2, "{edits} edits");
            assert!(db.get(7_u32.to_be_bytes()).await.unwrap().is_some());
            db.close().await.unwrap();
        }
    };
    sim.block_on(run).unwrap();
}
