//! Invariants: background work stays within its budgets, and whatever becomes of it, it gives back all
//! that it had; what does not fit is told, and flushes go on.

use std::io::ErrorKind;

use quipu_io::Io;
use quipu_io::sim::{Operation, Sim, SimIo, SimOptions};
use quipu_kv::{Backlog, Db, Durability, Error, HeldBack, Options, Pressure, Stats, WriteBatch};

use crate::history::{small, strategies};

async fn fill(db: &Db<SimIo>, numbers: std::ops::Range<u32>) -> Result<(), Error> {
    for number in numbers {
        let mut batch = WriteBatch::new();
        batch.put((number * 7919 % 100_003).to_be_bytes(), [7; 100]);
        db.write(batch, Durability::Os).await?;
    }
    Ok(())
}

/// Waits until nothing is under way.
async fn idle(io: &SimIo, db: &Db<SimIo>) -> Stats {
    for _ in 0..100_000 {
        let stats = db.stats();
        if !stats.is_flushing && stats.running_compactions == 0 {
            return stats;
        }
        io.available_space("".as_ref()).await.unwrap();
    }
    panic!("{:?}", db.stats());
}

fn check(stats: &Stats, options: &Options) {
    assert!(
        stats.background_bytes <= options.background_bytes,
        "{stats:?}"
    );
    // What a compaction has set aside was there when it began, and flushes go on.
    let disk = (stats.table_bytes + stats.reserved_disk_bytes).saturating_sub(20_000);
    let is_within = stats.reserved_disk_bytes == 0 || disk <= options.disk_bytes;
    assert!(is_within, "{stats:?}");
}

#[test]
fn what_fails_gives_back_what_it_had() {
    let operations = [
        Operation::Open,
        Operation::WriteAt,
        Operation::ReadAt,
        Operation::SyncData,
        Operation::SyncAll,
        Operation::SyncDir,
        Operation::RemoveFile,
    ];
    let (mut failures, mut held) = (0, 0);
    for (operation, nth) in operations
        .into_iter()
        .flat_map(|o| (1..40).step_by(2).map(move |n| (o, n)))
    {
        let strategy = strategies()[nth % 4].clone();
        let sim = Sim::new(SimOptions::seeded(nth as u64));
        let mut options = small(strategy, nth % 3 > 0);
        options.compactions = 3;
        let io = sim.io();
        let run = async {
            let db = Db::open(io.clone(), "store", options.clone())
                .await
                .unwrap();
            fill(&db, 0..100).await.unwrap();
            sim.faults()
                .fail_nth(operation, nth as u64, ErrorKind::PermissionDenied);
            for part in 1..10 {
                // Some of these fail, and are tried again.
                let _ = fill(&db, part * 100..part * 100 + 100).await;
                let stats = db.stats();
                check(&stats, &options);
                held = held.max(stats.reserved_disk_bytes.min(stats.background_bytes));
            }
            let _ = db.compact_range(..).await;
            let stats = idle(&io, &db).await;
            failures += stats.failures;
            let kept = (stats.background_bytes, stats.reserved_disk_bytes);
            assert_eq!(kept, (0, 0), "{operation:?} {nth}: {stats:?}");
        };
        sim.block_on(run).unwrap();
    }
    assert!(
        failures > 25 && held > 0,
        "{failures} have failed, {held} held"
    );
}

#[test]
fn compactions_share_the_memory_that_there_is() {
    for mib in [128, 6] {
        let sim = Sim::new(SimOptions::seeded(mib));
        let mut options = small(strategies()[0].clone(), true);
        options.background_bytes = mib << 20;
        options.compactions = 3;
        let io = sim.io();
        let run = async {
            let db = Db::open(io.clone(), "store", options.clone())
                .await
                .unwrap();
            let mut keyspaces = Vec::new();
            for name in ["a", "b", "c", "d"] {
                keyspaces.push(db.create_keyspace(name).await.unwrap());
            }
            let (mut most, mut waited) = (0, false);
            for number in 0..1500_u32 {
                let mut batch = WriteBatch::new();
                for keyspace in &keyspaces {
                    let key = (number * 7919 % 500).to_be_bytes();
                    batch.put_in(keyspace.id(), key, [7; 100]);
                }
                db.write(batch, Durability::Os).await.unwrap();
                let stats = db.stats();
                check(&stats, &options);
                most = most.max(stats.background_bytes);
                waited |= matches!(stats.held_back, Some(HeldBack::Memory { .. }));
            }
            assert!(idle(&io, &db).await.compactions > 20);
            // With room, several have more than the smaller limit; without, they wait for each other.
            let expected = (mib == 128, mib == 6);
            assert_eq!((most > 6 << 20, waited), expected, "with {mib} MiB");
        };
        sim.block_on(run).unwrap();
    }
}

#[test]
fn what_does_not_fit_on_the_disk_waits_and_is_told() {
    let sim = Sim::new(SimOptions::default());
    let mut options = small(strategies()[0].clone(), true);
    options.disk_bytes = 200_000;
    options.compaction.backpressure.slow_level0_tables = 8;
    options.compaction.backpressure.stop_level0_tables = 12;
    let io = sim.io();
    let run = async {
        let db = Db::open(io.clone(), "store", options.clone())
            .await
            .unwrap();
        let mut written = 0;
        let error = loop {
            match fill(&db, written..written + 1).await {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
            check(&db.stats(), &options);
        };
        let Error::OverBudget { reason } = &error else {
            panic!("{error}");
        };
        assert!(matches!(reason, HeldBack::Disk { .. }), "{error}");
        let stats = idle(&io, &db).await;
        assert_eq!(stats.held_back, Some(*reason));
        // Flushes went on for as long as they could.
        assert!(stats.levels[0].tables >= 12);
        let is_stalled = matches!(stats.pressure, Pressure::Stalled(Backlog::Compaction(_)));
        assert!(
            is_stalled && stats.stalled_by.level0_tables > 0,
            "{stats:?}"
        );
        assert!(stats.slowed_by.level0_tables > 0 && stats.stalled_by.memtables < stats.stalled);
        assert!(stats.flushed_bytes > 0 && stats.log_bytes >= stats.log_kept_bytes);
        let refused = db.compact_range(..).await.unwrap_err();
        assert!(matches!(refused, Error::OverBudget { .. }), "{refused}");
        db.close().await.unwrap();

        options.disk_bytes *= 4;
        let db = Db::open(io.clone(), "store", options).await.unwrap();
        fill(&db, written..written + 100).await.unwrap();
        db.compact_range(..).await.unwrap();
        let stats = idle(&io, &db).await;
        assert_eq!((stats.held_back, stats.reserved_disk_bytes), (None, 0));
        assert!(stats.compactions > 0);
        let expected = (0..written + 100).map(|number| number * 7919 % 100_003);
        for key in expected {
            let found = db.get(key.to_be_bytes()).await.unwrap();
            assert_eq!(found.as_deref(), Some(&[7; 100][..]));
        }
    };
    sim.block_on(run).unwrap();
}
