//! Invariants: `SimIo` keeps every rule of the traits; a run is a function of its options; every
//! fault that is asked for strikes.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use quipu_io::sim::{
    CrashKind, CrashPlan, DiskImage, DiskModel, FailedSync, Fault, FaultRates, Forget, Latency,
    Operation, Profile, Schedule, Sim, SimIo, SimOptions, Stopped, Tape,
};
use quipu_io::{Bytes, File, Io, OpenOptions, Runtime, conformance};

fn path(path: &str) -> &Path {
    Path::new(path)
}

async fn create(io: &SimIo, name: &str) -> std::io::Result<quipu_io::sim::SimFile> {
    io.open(path(name), OpenOptions::Create).await
}

fn bytes(bytes: &'static str) -> Bytes {
    Bytes::from_static(bytes.as_bytes())
}

/// Several tasks that write, sync and sleep.
async fn workload(io: SimIo) -> std::io::Result<()> {
    io.create_dir_all(path("dir")).await?;
    for task in 0..4 {
        let worker = io.clone();
        io.spawn(async move {
            let file = create(&worker, &format!("dir/{task}")).await.unwrap();
            for offset in [0, 600, 1200] {
                let data = worker.random().to_le_bytes().to_vec();
                // Faults may strike.
                let _ = file.write_at(offset, data.into()).await;
                let _ = file.sync_data().await;
                worker.sleep(Duration::from_micros(task * 50)).await;
            }
        });
    }
    io.sync_dir(path("dir")).await
}

mod conforms {
    use super::*;

    fn check(options: SimOptions) {
        let sim = Sim::new(options);
        let io = sim.io();
        sim.run(conformance::check(&io, path("dir")))
            .unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn in_order() {
        let prepare = |options: &mut SimOptions, schedule, latency| {
            options.schedule = schedule;
            options.latency = latency;
        };
        for schedule in [Schedule::Fifo, Schedule::Lifo] {
            for latency in [Latency::None, Latency::Fixed] {
                let mut options = SimOptions::default();
                prepare(&mut options, schedule, latency);
                check(options);
            }
        }
    }

    #[test]
    fn in_random_order() {
        for seed in 0..5 {
            check(SimOptions::seeded(seed));
        }
    }

    #[test]
    fn with_large_sectors() {
        check(SimOptions {
            sector_size: 4096,
            ..SimOptions::default()
        });
    }

    /// The suite is not only for new disks: what a crash has left counts as much.
    #[test]
    fn after_a_crash() {
        let sim = Sim::new(SimOptions::seeded(1));
        let io = sim.io();
        sim.run(conformance::check(&io, path("dir"))).unwrap();
        let sim = Sim::boot(sim.crash(), SimOptions::seeded(2));
        let io = sim.io();
        sim.run(conformance::check(&io, path("again"))).unwrap();
    }
}

mod executor {
    use super::*;

    fn order(schedule: Schedule, tape: Tape) -> Vec<u32> {
        let sim = Sim::new(SimOptions {
            schedule,
            tape,
            ..SimOptions::default()
        });
        let order = Arc::new(Mutex::new(Vec::new()));
        for task in 0..4 {
            let order = Arc::clone(&order);
            sim.io()
                .spawn(async move { order.lock().unwrap().push(task) });
        }
        sim.run_until_idle().unwrap();
        let order = order.lock().unwrap();
        order.clone()
    }

    #[test]
    fn order_is_the_policy() {
        assert_eq!(order(Schedule::Fifo, Tape::zeros()), [0, 1, 2, 3]);
        assert_eq!(order(Schedule::Lifo, Tape::zeros()), [3, 2, 1, 0]);
        assert_eq!(order(Schedule::Chosen, Tape::zeros()), [0, 1, 2, 3]);
        assert_eq!(
            order(Schedule::Chosen, Tape::replay([2, 0, 1])),
            [2, 0, 3, 1]
        );
    }

    /// A tape that is counted up visits every order.
    #[test]
    fn all_orders_can_be_visited() {
        let mut orders = std::collections::BTreeSet::new();
        let sim = |tape| {
            Sim::new(SimOptions {
                tape,
                schedule: Schedule::Chosen,
                ..SimOptions::default()
            })
        };
        let mut next = Some(Tape::zeros());
        while let Some(tape) = next {
            let digits = tape.clone();
            orders.insert(order(Schedule::Chosen, tape));
            let again = sim(digits);
            for _ in 0..4 {
                again.io().spawn(async {});
            }
            again.run_until_idle().unwrap();
            next = again.tape().successor();
        }
        assert_eq!(orders.len(), 24);
    }

    #[test]
    fn time_jumps_to_the_next_timer() {
        let sim = Sim::new(SimOptions::default());
        let io = sim.io();
        let hour = Duration::from_secs(3600);
        let elapsed = sim.block_on(async {
            let start = io.wall_clock();
            futures::future::join(io.sleep(hour), io.sleep(hour * 2)).await;
            assert_eq!(io.wall_clock().duration_since(start).unwrap(), hour * 2);
            io.now()
        });
        assert_eq!(elapsed, Ok(hour * 2));
    }

    #[test]
    fn a_dropped_sleep_holds_nobody_up() {
        let sim = Sim::new(SimOptions::default());
        let io = sim.io();
        sim.run(async {
            let mut long = std::pin::pin!(io.sleep(Duration::from_secs(3600)));
            assert!((&mut long).now_or_never().is_none());
        })
        .unwrap();
        // The pinned future lived as long as the block, which is over.
        sim.run_until_idle().unwrap();
        assert_eq!(io.now(), Duration::ZERO);
    }

    #[test]
    fn a_deadlock_is_reported_with_what_waits() {
        let sim = Sim::new(SimOptions::default());
        let io = sim.io();
        let stuck = async {
            let task = io.clone();
            io.spawn(async move {
                create(&task, "a").await.unwrap();
                std::future::pending().await
            });
            io.create_dir_all(path("dir")).await.unwrap();
            std::future::pending::<()>().await;
        };
        let Err(Stopped::Deadlock { waiting }) = sim.block_on(stuck) else {
            panic!("no deadlock");
        };
        assert_eq!(waiting[0], "the main future, after create_dir_all");
        assert!(waiting[1].starts_with("task 1 spawned at "), "{waiting:?}");
        assert!(waiting[1].contains("machine.rs:"), "{waiting:?}");
        assert!(waiting[1].ends_with(", after open"), "{waiting:?}");
        assert_eq!(waiting.len(), 2);
    }

    #[test]
    fn a_live_lock_is_reported() {
        let sim = Sim::new(SimOptions {
            step_limit: 1000,
            ..SimOptions::default()
        });
        let io = sim.io();
        let endless = async {
            loop {
                io.sleep(Duration::from_secs(1)).await;
            }
        };
        let stopped: Result<(), _> = sim.block_on(endless);
        assert!(matches!(
            stopped,
            Err(Stopped::StepLimit { steps: 1000, .. })
        ));
    }

    /// A crash drops all tasks with what they own, also those that wait and those that never ran.
    #[test]
    fn a_crash_drops_the_tasks() {
        let sim = Sim::new(SimOptions::default());
        let owned = Arc::new(());
        for _ in 0..2 {
            let (io, owned) = (sim.io(), Arc::clone(&owned));
            sim.io().spawn(async move {
                io.sleep(Duration::from_secs(1)).await;
                drop(owned);
            });
        }
        sim.block_on(async {}).unwrap();
        let never_ran = Arc::clone(&owned);
        sim.io().spawn(async move { drop(never_ran) });
        assert_eq!(Arc::strong_count(&owned), 4);
        sim.crash();
        assert_eq!(Arc::strong_count(&owned), 1);
    }
}

mod determinism {
    use super::*;

    fn hash(options: SimOptions) -> u64 {
        let sim = Sim::new(options);
        let rates = FaultRates::default()
            .with(Fault::FailedSync, 1000)
            .with(Fault::Error(Operation::WriteAt), 1000);
        sim.faults().set_rates(rates);
        // Faults may strike.
        let _ = sim.run(workload(sim.io())).unwrap();
        sim.trace_hash()
    }

    #[test]
    fn a_seed_fixes_the_run() {
        let hashes = [1, 2, 3].map(|seed| hash(SimOptions::seeded(seed)));
        assert_eq!(hashes, [1, 2, 3].map(|seed| hash(SimOptions::seeded(seed))));
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    }

    #[test]
    fn the_schedule_alone_makes_a_difference() {
        let run = |seed| {
            hash(SimOptions {
                seed: 7,
                latency: Latency::Fixed,
                listings: quipu_io::sim::Listings::Sorted,
                ..SimOptions::seeded(seed)
            })
        };
        assert_ne!(run(1), run(2));
        assert_eq!(run(1), run(1));
    }

    /// What must not repeat does not repeat after a crash either.
    #[test]
    fn every_lifetime_has_its_own_random_numbers() {
        let first = Sim::new(SimOptions::default());
        let drawn = first.io().random();
        let image = first.crash();
        let next = || {
            Sim::boot(image.clone(), SimOptions::default())
                .io()
                .random()
        };
        assert_ne!(drawn, next());
        assert_eq!(next(), next());
    }

    #[test]
    fn the_digits_replay_the_run() {
        let sim = Sim::new(SimOptions::seeded(5));
        sim.run(workload(sim.io())).unwrap().unwrap();
        let digits: Vec<u32> = sim.tape().digits().iter().map(|d| d.value).collect();
        let replayed = Sim::new(SimOptions {
            tape: Tape::replay(digits),
            ..SimOptions::seeded(5)
        });
        replayed.run(workload(replayed.io())).unwrap().unwrap();
        assert_eq!(sim.trace_hash(), replayed.trace_hash());
    }
}

mod crashes {
    use super::*;

    #[test]
    fn points_come_before_each_sync_and_at_each_mark() {
        let sim = Sim::new(SimOptions::default());
        let points = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&points);
        sim.on_crash_point(move |point| collected.lock().unwrap().push(point));
        let io = sim.io();
        sim.block_on(async {
            let file = create(&io, "a").await?;
            file.write_at(0, bytes("x")).await?;
            file.sync_data().await?;
            io.sync_dir(path("")).await?;
            io.mark("done");
            std::io::Result::Ok(())
        })
        .unwrap()
        .unwrap();
        let mut points = points.lock().unwrap();
        let kinds: Vec<CrashKind> = points.iter().map(|point| point.kind.clone()).collect();
        let expected = [
            CrashKind::BeforeSync("a".into()),
            CrashKind::BeforeSync("".into()),
            CrashKind::Mark("done".into()),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(sim.crash_points(), 3);
        // Nothing of a sync is certain at its point, and all of it afterwards.
        let mut worst = points.drain(..).map(|point| {
            let all_lost = Tape::replay([u32::MAX; 9]);
            let mut image = point.image.crashed(Profile::Posix, all_lost);
            image.read("a").ok()
        });
        assert_eq!(worst.next(), Some(None));
        assert_eq!(worst.next(), Some(None));
        assert_eq!(worst.next(), Some(Some(bytes("x"))));
    }

    #[test]
    fn the_machine_can_stop_at_a_point() {
        let sim = Sim::new(SimOptions {
            crash: CrashPlan::At(1),
            ..SimOptions::default()
        });
        let io = sim.io();
        let program = async {
            let file = create(&io, "a").await.unwrap();
            file.sync_data().await.unwrap();
            io.sync_dir(path("")).await.unwrap();
            unreachable!("the second sync never completes");
        };
        let stopped: Result<(), _> = sim.block_on(program);
        assert!(matches!(stopped, Err(Stopped::Crashed { point: 1, .. })));
        let lost = Tape::replay([1]);
        let mut image = sim.crash().crashed(Profile::Posix, lost);
        assert!(image.read("a").is_err());
    }

    #[test]
    fn locks_end_with_the_world() {
        let sim = Sim::new(SimOptions::default());
        let io = sim.io();
        let lock = sim.block_on(io.lock(path("lock"))).unwrap().unwrap();
        let error = sim.block_on(io.lock(path("lock"))).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let next = Sim::boot(sim.crash(), SimOptions::default());
        let io = next.io();
        assert!(next.block_on(io.lock(path("lock"))).unwrap().is_ok());
        drop(lock);
    }

    /// A sync whose future is dropped still completes.
    #[test]
    fn a_dropped_sync_completes() {
        let sim = Sim::new(SimOptions::default());
        let io = sim.io();
        sim.block_on(async {
            let file = create(&io, "a").await.unwrap();
            io.sync_dir(path("")).await.unwrap();
            file.write_at(0, bytes("x")).await.unwrap();
            assert!(file.sync_data().now_or_never().is_none());
        })
        .unwrap();
        assert_eq!(sim.faults().count(Fault::DroppedOperation), 1);
        let all_lost = Tape::replay([u32::MAX; 9]);
        let mut image = sim.crash().crashed(Profile::Posix, all_lost);
        assert_eq!(image.read("a").unwrap(), "x");
    }

    /// Operations that are cut off by the end of the world do not complete after it.
    #[test]
    fn a_crash_completes_no_sync() {
        let sim = Sim::new(SimOptions {
            crash: CrashPlan::At(1),
            ..SimOptions::default()
        });
        let io = sim.io();
        let program = async {
            let file = create(&io, "a").await.unwrap();
            io.sync_dir(path("")).await.unwrap();
            let marked = async { io.mark("while the sync is under way") };
            futures::future::join(file.sync_data(), marked).await
        };
        let stopped = sim.block_on(program).map(drop);
        assert!(matches!(stopped, Err(Stopped::Crashed { point: 1, .. })));
        let all_lost = Tape::replay([u32::MAX; 9]);
        let mut image = sim.crash().crashed(Profile::Posix, all_lost);
        assert!(image.read("a").is_err());
    }
}

/// Random programs over random crashes, many lifetimes each.
mod lifetimes {
    use super::*;
    use quipu_io::sim::Random;

    const NAMES: [&str; 6] = ["a", "b", "d/a", "d/b", "e/a", "e/b"];

    async fn step(io: &SimIo, random: &mut Random) -> std::io::Result<()> {
        let mut name = || path(NAMES[random.below(6) as usize]);
        let (first, second) = (name(), name());
        match random.below(10) {
            0 => return io.rename(first, second).await,
            1 => return io.remove_file(first).await,
            2 => return io.hard_link(first, second).await,
            3 => return io.sync_dir(first.parent().unwrap()).await,
            4 => return io.rename(path("d"), path("e")).await,
            5 => return io.create_dir_all(path("d")).await,
            _ => {}
        }
        let file = io.open(first, OpenOptions::Create).await?;
        let offset = u64::from(random.below(3000));
        match random.below(5) {
            0 => file.set_len(offset).await,
            1 => file.allocate(offset, 700).await,
            2 => file.sync_data().await,
            _ => {
                let len = random.below(2000) as usize;
                file.write_at(offset, vec![b'x'; len].into()).await
            }
        }
    }

    fn contents(image: &mut DiskImage) -> Vec<Option<Bytes>> {
        NAMES.iter().map(|name| image.read(name).ok()).collect()
    }

    /// What was seen after a crash stays, whatever a crash right after it does.
    #[test]
    fn what_was_seen_stays() {
        for seed in 0..200 {
            let mut random = Random::new(seed, 0);
            let mut image = DiskImage::empty(512);
            let model = DiskModel {
                sector_atomic: seed & 1 == 0,
                powersafe_overwrite: seed & 2 == 0,
                stale_blocks: seed & 4 != 0,
            };
            for life in 0..8 {
                let profiles = [Profile::KillOnly, Profile::Ext4Ordered, Profile::Posix];
                let profile = profiles[random.below(3) as usize];
                let sim = Sim::boot(
                    image,
                    SimOptions {
                        profile,
                        model,
                        ..SimOptions::seeded(seed + 1000 * life)
                    },
                );
                let io = sim.io();
                sim.block_on(async {
                    for _ in 0..20 {
                        // Many of these cannot work: the names are drawn blindly.
                        let _ = step(&io, &mut random).await;
                    }
                })
                .unwrap();
                image = sim.crash();
                let mut seen = image.clone().crashed(Profile::Posix, Tape::seeded(seed));
                let contents_seen = contents(&mut seen);
                let mut again = seen.crashed(Profile::Posix, Tape::seeded(seed + 1));
                assert_eq!(contents(&mut again), contents_seen, "seed {seed}");
                assert!(again.tape().digits().is_empty(), "seed {seed}");
            }
        }
    }
}

mod faults {
    use super::*;

    /// A durable file `a` of four sectors of the byte `1`.
    fn sim() -> Sim {
        let mut image = DiskImage::empty(512);
        image.write("a", vec![b'1'; 2048]).unwrap();
        Sim::boot(image, SimOptions::default())
    }

    async fn open(io: &SimIo) -> quipu_io::sim::SimFile {
        io.open(path("a"), OpenOptions::ReadWrite).await.unwrap()
    }

    #[test]
    fn the_nth_operation_fails_without_effect() {
        let sim = sim();
        sim.faults()
            .fail_nth(Operation::WriteAt, 2, ErrorKind::Other);
        let io = sim.io();
        sim.block_on(async {
            let file = open(&io).await;
            file.write_at(0, bytes("2")).await.unwrap();
            let error = file.write_at(0, bytes("3")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Other);
            assert_eq!(file.read_at(0, 1).await.unwrap(), "2");
            file.write_at(0, bytes("4")).await.unwrap();
        })
        .unwrap();
        assert_eq!(sim.faults().count(Fault::Error(Operation::WriteAt)), 1);
    }

    /// What a failed sync forgot is not saved by the next one, although that says `Ok`.
    #[test]
    fn a_failed_sync_forgets_for_ever() {
        for evict in [false, true] {
            let sim = sim();
            let how = FailedSync {
                forget: Forget::Everything,
                evict,
                ..FailedSync::default()
            };
            sim.faults().fail_nth_sync(1, how);
            let io = sim.io();
            sim.block_on(async {
                let file = open(&io).await;
                file.write_at(0, bytes("2")).await.unwrap();
                assert!(file.sync_data().await.is_err());
                let seen = if evict { "1" } else { "2" };
                assert_eq!(file.read_at(0, 1).await.unwrap(), seen);
                file.sync_data().await.unwrap();
            })
            .unwrap();
            let faults = sim.faults();
            assert_eq!(faults.count(Fault::FailedSync), 1);
            assert_eq!(faults.count(Fault::ForgottenSectors), 1);
            assert_eq!(faults.count(Fault::EvictedSectors), u64::from(evict));
            let mut image = sim.crash().crashed(Profile::Posix, Tape::zeros());
            assert_eq!(image.read("a").unwrap()[0], b'1');
        }
    }

    /// A write to the page of what was forgotten makes it dirty again, and the next sync saves it.
    #[test]
    fn a_later_write_saves_what_was_forgotten() {
        let sim = sim();
        let how = FailedSync {
            forget: Forget::Everything,
            ..FailedSync::default()
        };
        sim.faults().fail_nth_sync(1, how);
        let io = sim.io();
        sim.block_on(async {
            let file = open(&io).await;
            file.write_at(0, bytes("2")).await.unwrap();
            assert!(file.sync_data().await.is_err());
            file.write_at(1024, bytes("3")).await.unwrap();
            file.sync_data().await.unwrap();
        })
        .unwrap();
        let worst = Tape::replay([u32::MAX; 9]);
        let mut image = sim.crash().crashed(Profile::Posix, worst);
        let content = image.read("a").unwrap();
        assert_eq!((content[0], content[1024]), (b'2', b'3'));
    }

    /// After a power loss there is nothing left that could save it.
    #[test]
    fn a_later_life_cannot_save_what_was_forgotten() {
        let sim = sim();
        let how = FailedSync {
            forget: Forget::Everything,
            ..FailedSync::default()
        };
        sim.faults().fail_nth_sync(1, how);
        let io = sim.io();
        sim.block_on(async {
            let file = open(&io).await;
            file.write_at(0, bytes("2")).await.unwrap();
            assert!(file.sync_data().await.is_err());
        })
        .unwrap();
        let sim = Sim::boot(sim.crash(), SimOptions::default());
        let io = sim.io();
        sim.block_on(async {
            let file = open(&io).await;
            file.write_at(1024, bytes("3")).await.unwrap();
            assert_eq!(file.read_at(0, 1).await.unwrap(), "1");
        })
        .unwrap();
    }

    #[test]
    fn a_sync_can_fail_silently_and_can_lie() {
        for lie in [false, true] {
            let sim = sim();
            let silent = FailedSync {
                told: false,
                ..FailedSync::default()
            };
            match lie {
                true => sim.faults().lie_about_syncs(true),
                false => sim.faults().fail_nth_sync(1, silent),
            }
            let io = sim.io();
            sim.block_on(async {
                let file = open(&io).await;
                file.write_at(0, bytes("2")).await.unwrap();
                file.sync_data().await.unwrap();
            })
            .unwrap();
            let fault = match lie {
                true => Fault::LyingSync,
                false => Fault::SilentlyFailedSync,
            };
            assert_eq!(sim.faults().count(fault), 1);
            let worst = Tape::replay([u32::MAX; 9]);
            let mut image = sim.crash().crashed(Profile::Posix, worst);
            assert_eq!(image.read("a").unwrap()[0], b'1');
        }
    }

    /// On a full disk nothing grows; what was allocated can be written; room again is room again.
    #[test]
    fn a_full_disk() {
        let sim = Sim::new(SimOptions::default());
        let io = sim.io();
        sim.faults().full_after(1000);
        sim.block_on(async {
            let file = create(&io, "a").await.unwrap();
            let full = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::StorageFull);
            file.allocate(0, 600).await.unwrap();
            full(file.allocate(600, 401).await.unwrap_err());
            full(file.write_at(0, vec![1; 1001].into()).await.unwrap_err());
            assert_eq!(file.size().await.unwrap(), 600);
            file.allocate(600, 400).await.unwrap();
            assert_eq!(io.available_space(path("")).await.unwrap(), 0);
            full(create(&io, "b").await.unwrap_err());
            file.write_at(0, vec![1; 1000].into()).await.unwrap();
            full(file.write_at(1000, bytes("x")).await.unwrap_err());
            io.sync_dir(path("")).await.unwrap();
            drop(file);
            io.remove_file(path("a")).await.unwrap();
            io.sync_dir(path("")).await.unwrap();
            assert_eq!(io.available_space(path("")).await.unwrap(), 1000);
            create(&io, "b").await.unwrap();
        })
        .unwrap();
        let full = |operation| sim.faults().count(Fault::StorageFull(operation));
        assert_eq!(full(Operation::Allocate), 1);
        assert_eq!(full(Operation::WriteAt), 2);
        assert_eq!(full(Operation::Open), 1);
    }

    /// What an image was given takes space like what a program has written.
    #[test]
    fn a_full_disk_takes_what_an_image_was_given() {
        let sim = sim();
        let io = sim.io();
        sim.faults().full_after(0);
        sim.block_on(async {
            let file = open(&io).await;
            file.write_at(0, vec![b'2'; 2048].into()).await.unwrap();
            let error = file.write_at(2048, bytes("2")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            file.set_len(0).await.unwrap();
            assert_eq!(io.available_space(path("")).await.unwrap(), 2048);
        })
        .unwrap();
    }

    #[test]
    fn an_unreadable_sector_until_it_is_written() {
        let sim = sim();
        sim.faults().make_unreadable("a", 700).unwrap();
        let io = sim.io();
        sim.block_on(async {
            let file = open(&io).await;
            file.read_at(0, 512).await.unwrap();
            assert!(file.read_at(500, 20).await.is_err());
            file.write_at(512, vec![b'2'; 512].into()).await.unwrap();
            file.read_at(0, 2048).await.unwrap();
        })
        .unwrap();
        assert_eq!(sim.faults().count(Fault::UnreadableSector), 1);
    }

    #[test]
    fn an_image_can_be_damaged() {
        let mut image = DiskImage::empty(512);
        image.write("dir/a", vec![b'a'; 1000]).unwrap();
        let whole = image.clone();
        image.flip("dir/a", 3).unwrap();
        image.zero_sector("dir/a", 513).unwrap();
        let content = image.read("dir/a").unwrap();
        assert_eq!((&content[..5], content[511]), (&b"aaa`a"[..], b'a'));
        assert!(content[512..].iter().all(|byte| *byte == 0) && content.len() == 1000);
        image.truncate("dir/a", 4).unwrap();
        assert_eq!(image.read("dir/a").unwrap(), "aaa`");
        assert!(image.flip("dir/a", 4).is_err());
        image.write("dir/b", "b").unwrap();
        assert_eq!(image.list("dir").unwrap(), ["a", "b"]);
        image.remove("dir/a").unwrap();
        assert_eq!(image.list("dir").unwrap(), ["b"]);
        // What is written here is durable, and an older copy is not disturbed.
        let mut crashed = image.crashed(Profile::Posix, Tape::replay([1]));
        assert_eq!(crashed.read("dir/b").unwrap(), "b");
        assert_eq!(whole.clone().read("dir/a").unwrap(), vec![b'a'; 1000]);
        assert!(crashed.tape().digits().is_empty());
    }

    /// Two tasks wait for an async mutex that a third one holds: dropping one of them wakes the
    /// other, inside the mutex.
    #[test]
    fn a_world_is_torn_down_while_tasks_wait_for_each_other() {
        let sim = Sim::new(SimOptions::default());
        let io = sim.io();
        let mutex = Arc::new(futures::lock::Mutex::new(()));
        for _ in 0..3 {
            let (io, mutex) = (io.clone(), Arc::clone(&mutex));
            sim.io().spawn(async move {
                let _guard = mutex.lock().await;
                let _ = io.sync_dir(path("")).await;
            });
        }
        sim.block_on(async { io.sync_dir(path("")).await })
            .unwrap()
            .unwrap();
        drop(sim);
        assert!(mutex.try_lock().is_some());
    }
}

/// What bounds on the cost of a recovery are checked with.
#[test]
fn what_a_program_asks_of_the_disk_is_counted() {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let held = sim
        .block_on(async {
            let file = create(&io, "f").await?;
            file.write_at(0, bytes("0123456789")).await?;
            file.read_at(0, 4).await?;
            file.read_at(8, 1000).await?;
            file.sync_data().await?;
            io.sync_dir(path("")).await?;
            std::io::Result::Ok((file, io.lock(path("lock")).await?))
        })
        .unwrap()
        .unwrap();
    let counts = sim.io_counts();
    assert_eq!((counts.reads, counts.bytes_read), (2, 6));
    assert_eq!(counts.largest_read, 1000, "what was asked for");
    assert_eq!((counts.writes, counts.bytes_written), (1, 10));
    assert_eq!(counts.syncs, 2);
    assert_eq!(counts.open_handles, 2, "a file and a lock");
    drop(held);
    assert_eq!(sim.io_counts().open_handles, 0);
    let next_life = Sim::boot(sim.crash(), SimOptions::default());
    assert_eq!(next_life.io_counts(), Default::default());
}

/// The end of a world drops all tasks, also those that wait, with all that they hold.
#[test]
fn tasks_that_wait_are_dropped_with_the_world() {
    let held = Arc::new(());
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let in_task = Arc::clone(&held);
    io.spawn(async move {
        std::future::pending::<()>().await;
        drop(in_task);
    });
    sim.run_until_idle().unwrap();
    assert_eq!(Arc::strong_count(&held), 2);
    drop(sim);
    assert_eq!(Arc::strong_count(&held), 1);
}
