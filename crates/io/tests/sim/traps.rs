//! Invariant: a run is a function of its seed, and of nothing else. Each test is a trap that made some
//! simulator give two answers to one seed.
//!
//! Two more are in `clippy.toml`: `futures::select!`, which draws from a random generator of its own, and
//! the mutex of async-lock, which turns fair when the real clock says so.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(
    clippy::disallowed_methods,
    reason = "that another thread makes no difference takes another thread"
)]

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use quipu_io::sim::{
    FaultClass, FaultRates, Profile, Purpose, Sim, SimIo, SimOptions, Stopped, Tape, drop_after,
};
use quipu_io::{Bytes, File, Io, OpenOptions, Runtime};

/// Uses all that could give the run away: tasks that share a mutex and a channel, blocking work, random
/// numbers, the clocks, faults, listings, futures that are dropped, and a crash with a second life.
fn golden_program(seed: u64) -> u64 {
    let mut tape = Tape::seeded(seed);
    let rates = FaultRates::swarm(&mut tape, FaultClass::Crash)
        .and(&FaultRates::swarm(&mut tape, FaultClass::Device));
    let first = Sim::new(SimOptions {
        tape,
        ..SimOptions::seeded(seed)
    });
    first.faults().set_rates(rates);
    // Faults may strike.
    let _ = first.run(life(first.io())).unwrap();
    let hash = first.trace_hash();
    let second = Sim::boot(
        first.crash(),
        SimOptions {
            profile: Profile::Posix,
            ..SimOptions::seeded(seed + 1)
        },
    );
    let _ = second.run(life(second.io())).unwrap();
    hash ^ second.trace_hash().rotate_left(1)
}

async fn life(io: SimIo) -> io::Result<()> {
    let dir = Path::new("dir");
    io.create_dir_all(dir).await?;
    let turn = Arc::new(futures::lock::Mutex::new(0_u64));
    let (sender, mut receiver) = futures::channel::mpsc::unbounded();
    for task in 0..4 {
        let (io, turn, sender) = (io.clone(), Arc::clone(&turn), sender.clone());
        io.clone().spawn(async move {
            for step in 0..3 {
                let mut turn = turn.lock().await;
                *turn = turn.wrapping_mul(31).wrapping_add(task * 10 + step);
                let save = save(&io, task, *turn ^ io.random());
                let saved = drop_after(save, 1 + io.random() % 20).await;
                let done = saved.is_some_and(|saved| saved.is_ok());
                let mixed = io.spawn_blocking(move || u64::from(done) + task).await;
                let _ = sender.unbounded_send(mixed);
                io.sleep(Duration::from_micros(io.random() % 300)).await;
            }
        });
    }
    drop(sender);
    let mut sum = io
        .wall_clock()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |t| t.as_secs());
    while let Some(task) = receiver.next().await {
        sum = sum.wrapping_mul(31).wrapping_add(task);
    }
    let files = io.read_dir(dir).await?;
    let mut sizes: FuturesUnordered<_> = files
        .iter()
        .map(async |entry| {
            let file = io
                .open(&dir.join(&entry.name), OpenOptions::ReadOnly)
                .await?;
            file.read_at(0, 100).await
        })
        .collect();
    let mut all = Vec::from(sum.to_le_bytes());
    while let Some(read) = sizes.next().await {
        all.extend(read.unwrap_or_default());
    }
    let file = io.open(&dir.join("sum"), OpenOptions::Create).await?;
    file.write_at(0, all.into()).await?;
    file.sync_all().await
}

async fn save(io: &SimIo, task: u64, value: u64) -> io::Result<()> {
    let name = format!("dir/{task}");
    let file = io.open(Path::new(&name), OpenOptions::Create).await?;
    let size = file.size().await?;
    let data: Bytes = value.to_le_bytes().repeat(100).into();
    file.write_at(size, data).await?;
    file.sync_data().await?;
    io.rename(Path::new(&name), Path::new(&format!("dir/{}", value % 4)))
        .await?;
    io.sync_dir(Path::new("dir")).await
}

/// Debug and release builds, this year and the next: the same seed is the same run. If the simulator has
/// to change what a seed means, these change, and all seeds that were kept lose their meaning.
#[test]
fn the_meaning_of_a_seed_is_fixed() {
    let hashes = [7219562810770021360, 9490468665987938329, 939839046937199033];
    assert_eq!([1, 2, 3].map(golden_program), hashes);
}

/// Nothing is left behind by a run, in a static or elsewhere, that the next one could see.
#[test]
fn a_second_run_in_the_same_thread_is_the_same() {
    for seed in 0..20 {
        assert_eq!(golden_program(seed), golden_program(seed), "seed {seed}");
    }
}

/// Nor does it matter which thread it is, or where in memory things lie.
#[test]
fn a_run_in_another_thread_is_the_same() {
    let here: Vec<u64> = (0..10).map(golden_program).collect();
    let there = std::thread::spawn(|| {
        let in_the_way: Vec<Vec<u8>> = (0..1000).map(|size| vec![0; size]).collect();
        let hashes: Vec<u64> = (0..10).rev().map(golden_program).collect();
        drop(in_the_way);
        hashes
    });
    let mut there = there.join().unwrap();
    there.reverse();
    assert_eq!(here, there);
}

/// Two machines whose lives are interleaved in one thread know nothing of each other.
#[test]
fn a_run_is_the_same_beside_another() {
    let sims: Vec<Sim> = (0..2).map(|_| Sim::new(SimOptions::seeded(5))).collect();
    for part in 0..3 {
        for sim in &sims {
            let io = sim.io();
            let _ = sim.block_on(save(&io, part, 7)).unwrap();
        }
    }
    assert_eq!(sims[0].trace_hash(), sims[1].trace_hash());
}

/// A new draw in one place does not shift those in another.
#[test]
fn each_purpose_has_a_stream_of_its_own() {
    let all = [
        Purpose::Schedule,
        Purpose::Fault,
        Purpose::Latency,
        Purpose::Survival,
        Purpose::Listing,
        Purpose::Workload,
        Purpose::Crash,
    ];
    let draw = |tape: &mut Tape, purpose| -> Vec<u32> {
        (0..20).map(|_| tape.choose(purpose, 1 << 30)).collect()
    };
    let alone = all.map(|purpose| draw(&mut Tape::seeded(4), purpose));
    for (index, purpose) in all.into_iter().enumerate() {
        let mut tape = Tape::seeded(4);
        for other in all.into_iter().filter(|other| *other != purpose) {
            draw(&mut tape, other);
        }
        assert_eq!(draw(&mut tape, purpose), alone[index], "{purpose:?}");
    }
    for (index, stream) in alone.iter().enumerate() {
        assert!(!alone[..index].contains(stream), "{:?}", all[index]);
    }
}

/// The mutex of futures hands itself to whoever asks first once it is free, however long anybody has
/// waited: no clock makes it fair, neither ours nor the real one.
#[test]
fn a_mutex_has_no_clock() {
    let order = |wait: Duration| {
        let sim = Sim::new(SimOptions::default());
        let io = sim.io();
        let mutex = Arc::new(futures::lock::Mutex::new(()));
        let order = Arc::new(Mutex::new(Vec::new()));
        for task in 0..3 {
            let (io, mutex, order) = (io.clone(), Arc::clone(&mutex), Arc::clone(&order));
            sim.io().spawn(async move {
                for _ in 0..3 {
                    let guard = mutex.lock().await;
                    order.lock().unwrap().push(task);
                    io.sleep(wait).await;
                    drop(guard);
                }
            });
        }
        sim.run_until_idle().unwrap();
        std::mem::take(&mut *order.lock().unwrap())
    };
    let quick = order(Duration::from_nanos(1));
    assert_eq!(quick.len(), 9);
    assert_eq!(order(Duration::from_secs(3600)), quick);
}

mod wakes {
    use super::*;
    use quipu_io::sim::Fault;
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Poll;

    /// Counts how often it is polled, and completes at the first poll after `until`.
    async fn wait_until(io: SimIo, until: Duration, polls: Arc<AtomicU32>) {
        let mut sleep = std::pin::pin!(io.sleep(until));
        poll_fn(|context| {
            polls.fetch_add(1, Ordering::Relaxed);
            match io.now() < until {
                true => sleep.as_mut().poll(context),
                false => Poll::Ready(()),
            }
        })
        .await;
    }

    fn polls(fault: Option<Fault>, tape: Tape) -> (u32, Duration, Sim) {
        let sim = Sim::new(SimOptions {
            tape,
            ..SimOptions::default()
        });
        if let Some(fault) = fault {
            sim.faults().strike_nth(fault, 2);
        }
        let polls = Arc::new(AtomicU32::new(0));
        let second = Duration::from_secs(1);
        sim.io()
            .spawn(wait_until(sim.io(), second, Arc::clone(&polls)));
        sim.run(sim.io().sleep(Duration::from_millis(1))).unwrap();
        let now = sim.io().now();
        (polls.load(Ordering::Relaxed), now, sim)
    }

    /// The second step is that of the main future; the task sleeps by then and is polled once more.
    #[test]
    fn a_task_is_polled_though_nobody_woke_it() {
        let second = Duration::from_secs(1);
        let (usual, now, _) = polls(None, Tape::zeros());
        assert_eq!((usual, now), (2, second));
        let (more, now, sim) = polls(Some(Fault::SpuriousWake), Tape::replay([1]));
        assert_eq!((more, now), (3, second));
        assert_eq!(sim.faults().count(Fault::SpuriousWake), 1);
    }

    /// The main future too.
    #[test]
    fn the_main_future_is_polled_though_nobody_woke_it() {
        let (_, _, sim) = polls(Some(Fault::SpuriousWake), Tape::replay([0]));
        assert_eq!(sim.faults().count(Fault::SpuriousWake), 1);
    }

    #[test]
    fn a_wake_is_delayed() {
        let sim = Sim::new(SimOptions {
            tape: Tape::replay([2]),
            ..SimOptions::default()
        });
        sim.faults().strike_nth(Fault::DelayedWake, 2);
        let io = sim.io();
        let end = sim.run(async {
            io.sleep(Duration::from_millis(1)).await;
            io.now()
        });
        assert_eq!(end, Ok(Duration::from_millis(1001)));
        assert_eq!(sim.faults().count(Fault::DelayedWake), 1);
    }

    /// However often: everybody gets on, also beside somebody who never sleeps.
    #[test]
    fn a_delay_is_bounded() {
        let sim = Sim::new(SimOptions {
            step_limit: 1000,
            tape: Tape::replay(vec![1; 10_000]),
            ..SimOptions::default()
        });
        let io = sim.io();
        let done = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&done);
        sim.io().spawn(async move {
            done.store(1, Ordering::Relaxed);
        });
        // The task is held back, and the main future asks for it again and again.
        sim.faults().strike_nth(Fault::DelayedWake, 1);
        let busy = poll_fn(|context| match seen.load(Ordering::Relaxed) {
            0 => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        });
        sim.block_on(busy).unwrap();
        assert_eq!(sim.faults().count(Fault::DelayedWake), 1);
        let all = FaultRates::default().with(Fault::DelayedWake, 10_000);
        sim.faults().set_rates(all);
        sim.block_on(async {
            for _ in 0..10 {
                io.sleep(Duration::from_micros(1)).await;
            }
        })
        .unwrap();
    }
}

mod stops {
    use super::*;

    /// A future that is dropped at each of its waits: what it has started still happens.
    #[test]
    fn a_future_is_dropped_at_every_wait() {
        let mut outcomes = Vec::new();
        for waits in 1.. {
            let sim = Sim::new(SimOptions::default());
            let io = sim.io();
            sim.block_on(io.create_dir_all(Path::new("dir")))
                .unwrap()
                .unwrap();
            let saved = sim.block_on(drop_after(save(&io, 0, 6), waits)).unwrap();
            sim.run_until_idle().unwrap();
            let mut image = sim.crash();
            let names = image.list("dir").unwrap();
            let size = names.first().map(|name| {
                let file = image.read(Path::new("dir").join(name)).unwrap();
                (name.to_string_lossy().into_owned(), file.len())
            });
            outcomes.push(size.unwrap());
            if let Some(saved) = saved {
                saved.unwrap();
                break;
            }
        }
        let state = |name: &str, size| (name.to_string(), size);
        // Open, size, write, sync, rename, sync of the directory, and none of them.
        let expected = [
            state("0", 0),
            state("0", 0),
            state("0", 800),
            state("0", 800),
            state("2", 800),
            state("2", 800),
            state("2", 800),
        ];
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn a_future_that_was_dropped_stays_so() {
        let sim = Sim::new(SimOptions::default());
        let future = drop_after(std::future::pending::<()>(), 1);
        assert_eq!(sim.block_on(future), Ok(None));
        assert_eq!(sim.block_on(drop_after(async { 7 }, 1)), Ok(Some(7)));
    }

    /// The report tells two tasks that wait for each other from one that has finished and from one that
    /// was never started, and says what each did last.
    #[test]
    fn a_deadlock_names_who_waits_where_and_after_what() {
        let sim = Sim::new(SimOptions::default());
        let locks = [(); 2].map(|()| Arc::new(futures::lock::Mutex::new(())));
        for turn in 0..2 {
            let io = sim.io();
            let [first, second] = [&locks[turn], &locks[1 - turn]].map(Arc::clone);
            sim.io().spawn(async move {
                let _first = first.lock().await;
                match turn {
                    0 => drop(io.read_dir(Path::new("")).await),
                    _ => drop(io.create_dir_all(Path::new("d")).await),
                }
                let _second = second.lock().await;
            });
        }
        sim.io().spawn(async {});
        let io = sim.io();
        let stopped = sim.block_on(async {
            io.sleep(Duration::from_secs(1)).await;
            std::future::pending::<()>().await;
        });
        let Err(stopped @ Stopped::Deadlock { .. }) = stopped else {
            panic!("no deadlock");
        };
        let report = stopped.to_string();
        let parts: Vec<&str> = report.split("; ").collect();
        assert_eq!(parts.len(), 3, "{report}");
        assert_eq!(parts[0], "deadlock: the main future");
        assert!(parts[1].starts_with("task 1 spawned at ") && parts[1].contains("traps.rs:"));
        assert!(parts[1].ends_with(", after read_dir"), "{report}");
        assert!(parts[2].starts_with("task 2 spawned at "), "{report}");
        assert!(
            parts[2].ends_with(", after create_dir_all waiting"),
            "{report}"
        );
    }
}
