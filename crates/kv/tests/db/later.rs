//! Invariants: what failed for lack of room is done when there is room, and what expires goes when it
//! does, without anybody asking; files go when the last who reads them lets go. None of it keeps a
//! store that nobody has.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use quipu_io::sim::{Operation, Sim, SimIo, SimOptions};
use quipu_io::{File, Io, OpenOptions, Runtime};
use quipu_kv::{Db, Durability, Error, Strategy, TimeWindowOptions, WriteBatch};

use crate::history::{small, strategies};

async fn fill(db: &Db<SimIo>, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut batch = WriteBatch::new();
        batch.put(number.to_be_bytes(), [7; 100]);
        db.write(batch, Durability::Os).await.unwrap();
    }
}

async fn files(io: &SimIo) -> usize {
    io.read_dir("store/tables".as_ref()).await.unwrap().len()
}

#[test]
fn a_flush_that_found_no_room_is_tried_again() {
    let sim = Sim::new(SimOptions::default());
    let (io, mut options) = (sim.io(), small(strategies()[0].clone(), false));
    options.frozen_memtables = 100;
    let run = async {
        let db = Db::open(io.clone(), "store", options).await.unwrap();
        sim.faults().full_after(0);
        fill(&db, 0..200).await;
        io.sleep(Duration::from_secs(30)).await;
        let stats = db.stats();
        assert!((8..20).contains(&stats.failures), "{stats:?}");
        assert!(stats.flushes == 0 && stats.last_failure.unwrap().contains("room"));
        sim.faults().full_after(u64::MAX);
        io.sleep(Duration::from_secs(60)).await;
        let stats = db.stats();
        assert!(
            stats.flushes > 0 && stats.frozen_memtables == 0,
            "{stats:?}"
        );
        db.close().await.unwrap();
    };
    sim.block_on(run).unwrap();
}

/// Nobody says that a failed sync is well because a later one is.
#[test]
fn a_sync_that_failed_is_not_tried_again() {
    for operation in [Operation::SyncData, Operation::SyncDir] {
        for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
            let sim = Sim::new(SimOptions::default());
            let (io, options) = (sim.io(), small(strategies()[0].clone(), false));
            let run = async {
                let db = Db::open(io.clone(), "store", options.clone())
                    .await
                    .unwrap();
                fill(&db, 0..20).await;
                // Until nothing is under way: who waits hears of what begins then.
                io.sleep(Duration::from_secs(1)).await;
                let before = db.stats().flushes;
                sim.faults().fail_nth(operation, 1, kind);
                db.flush().await.unwrap_err();
                io.sleep(Duration::from_secs(3600)).await;
                let is_of_dir = operation == Operation::SyncDir;
                let is_tried = !is_of_dir && kind == ErrorKind::StorageFull;
                assert_eq!(
                    db.stats().flushes > before,
                    is_tried,
                    "{operation:?} {kind:?}"
                );
                // A file is written anew; a directory is not.
                assert_eq!(db.flush().await.is_err(), is_of_dir);
            };
            sim.block_on(run).unwrap();
        }
    }
}

#[test]
fn an_idle_store_drops_what_expires() {
    let sim = Sim::new(SimOptions::default());
    let mut windows = TimeWindowOptions::default();
    windows.window = 60_000;
    windows.ttl = Some(4 * 3_600_000);
    let (io, options) = (sim.io(), small(Strategy::TimeWindow(windows), true));
    let run = async {
        let db = Db::open(io.clone(), "store", options).await.unwrap();
        fill(&db, 0..200).await;
        db.flush().await.unwrap();
        io.sleep(Duration::from_secs(2 * 3600)).await;
        fill(&db, 200..220).await;
        db.flush().await.unwrap();
        io.sleep(Duration::from_secs(2 * 3600 - 60)).await;
        assert!(db.get(0_u32.to_be_bytes()).await.unwrap().is_some());
        io.sleep(Duration::from_secs(120)).await;
        assert!(db.get(0_u32.to_be_bytes()).await.unwrap().is_none());
        assert!(db.get(210_u32.to_be_bytes()).await.unwrap().is_some());
        io.sleep(Duration::from_secs(2 * 3600)).await;
        assert_eq!((db.stats().tables, files(&io).await), (0, 0));
        db.close().await.unwrap();
    };
    sim.block_on(run).unwrap();
}

/// Whoever drops the store can open it again at once, also where an alarm is set.
#[test]
fn an_alarm_keeps_no_store() {
    let sim = Sim::new(SimOptions::default());
    let mut windows = TimeWindowOptions::default();
    windows.ttl = Some(24 * 3_600_000);
    let options = small(Strategy::TimeWindow(windows), true);
    let io = sim.io();
    for closes in [true, false, true] {
        let run = async {
            let began = io.now();
            let db = Db::open(io.clone(), "store", options.clone())
                .await
                .unwrap();
            fill(&db, 0..50).await;
            db.flush().await.unwrap();
            if closes {
                db.close().await.unwrap();
            }
            drop(db);
            // What was queued is finished, and no more.
            io.sleep(Duration::from_secs(1)).await;
            assert!(io.now() - began < Duration::from_secs(10));
        };
        sim.block_on(run).unwrap();
    }
}

#[test]
fn files_go_when_the_last_reader_lets_go() {
    let sim = Sim::new(SimOptions::default());
    let (io, options) = (sim.io(), small(strategies()[0].clone(), true));
    let run = async {
        let db = Db::open(io.clone(), "store", options).await.unwrap();
        fill(&db, 0..100).await;
        fill(&db, 0..100).await;
        db.flush().await.unwrap();
        let snapshot = db.snapshot();
        let mut scan = snapshot.scan(..).unwrap();
        assert!(scan.next().await.unwrap().is_some());
        db.compact_range(..).await.unwrap();
        io.sleep(Duration::from_secs(10)).await;
        assert!(files(&io).await > db.stats().tables);
        assert_eq!(db.stats().snapshots, 1);
        drop(scan);
        drop(snapshot);
        io.sleep(Duration::from_secs(10)).await;
        assert_eq!(files(&io).await, db.stats().tables);
        assert_eq!(db.stats().snapshots, 0);
        // One that outlives the store does no harm.
        let scan = db.scan(..).unwrap();
        fill(&db, 0..100).await;
        db.compact_range(..).await.unwrap();
        db.close().await.unwrap();
        drop(db);
        drop(scan);
    };
    sim.block_on(run).unwrap();
}

/// A flush says how the flush went, whatever becomes of compactions meanwhile.
#[test]
fn a_flush_does_not_answer_for_compactions() {
    let sim = Sim::new(SimOptions::default());
    let (io, options) = (sim.io(), small(strategies()[0].clone(), true));
    let run = async {
        let db = Db::open(io.clone(), "store", options).await.unwrap();
        fill(&db, 0..10).await;
        db.flush().await.unwrap();
        for entry in io.read_dir("store/tables".as_ref()).await.unwrap() {
            let path = Path::new("store/tables").join(entry.name);
            let table = io.open(&path, OpenOptions::ReadWrite).await.unwrap();
            table.write_at(20, vec![0xa5; 200].into()).await.unwrap();
        }
        for _ in 0..11 {
            fill(&db, 0..10).await;
            db.flush().await.unwrap();
        }
        let stats = db.stats();
        assert!(stats.failures > 1 && stats.flushes > 11, "{stats:?}");
        let error = db.compact_range(..).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        fill(&db, 0..10).await;
        db.flush().await.unwrap();
    };
    sim.block_on(run).unwrap();
}
