//! Every public future, dropped at each of its awaits: nobody is held up, nothing acknowledged is lost,
//! and what goes on afterwards is as if it had been waited for, or had never been.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use quipu_io::Runtime;
use quipu_io::sim::{Latency, Sim, SimIo, SimOptions, drop_after};
use quipu_journal::check::settings::{busy, plain, tiny_segments};
use quipu_journal::check::{DIR, Notes};
use quipu_journal::log::{Durability, Log};
use quipu_journal::{Error, Journal, Options, Reader, Seq};

use crate::notes::note;

type Notebook = Journal<Notes, SimIo>;

/// The name of a call, and the call, of which nothing but its end is wanted.
type Call<T> = (
    &'static str,
    fn(T, SimIo) -> Pin<Box<dyn Future<Output = ()> + Send>>,
);

/// Forgets the output.
async fn end_of(future: impl Future) {
    drop(future.await);
}

const CALLS: &[Call<Notebook>] = &[
    ("append", |journal, _| {
        Box::pin(end_of(journal.append(note(9, 600))))
    }),
    ("append_batch", |journal, _| {
        Box::pin(end_of(journal.append_batch([note(8, 5), note(9, 5)])))
    }),
    ("snapshot", |journal, _| {
        Box::pin(end_of(journal.snapshot()))
    }),
    ("close", |journal, _| Box::pin(end_of(journal.close()))),
    ("open", |journal, io| {
        // Beside an open one, whose lock it may not get.
        let opening = Notebook::open(io, DIR, plain());
        Box::pin(async move {
            end_of(opening).await;
            drop(journal);
        })
    }),
    ("Reader::open", |_, io| {
        Box::pin(end_of(Reader::<Notes, _>::open(io, DIR)))
    }),
    ("Reader::next", |_, io| {
        Box::pin(async move {
            let Ok(mut reader) = Reader::<Notes, _>::open(io, DIR).await else {
                return;
            };
            while let Ok(Some(_)) = reader.next().await {}
        })
    }),
    ("Reader::replay_to", |_, io| {
        Box::pin(async move {
            if let Ok(mut reader) = Reader::<Notes, _>::open(io, DIR).await {
                end_of(reader.replay_to(Seq::new(2))).await;
            }
        })
    }),
];

const LOG_CALLS: &[Call<Log<SimIo>>] = &[
    ("append", |log, _| {
        Box::pin(end_of(log.append([7; 600], Durability::Disk)))
    }),
    ("append Os", |log, _| {
        Box::pin(end_of(log.append([7; 600], Durability::Os)))
    }),
    ("sync", |log, _| Box::pin(end_of(log.sync()))),
    ("rotate", |log, _| Box::pin(end_of(log.rotate()))),
    ("truncate_front", |log, _| {
        Box::pin(end_of(log.truncate_front(Seq::new(1))))
    }),
    ("close", |log, _| Box::pin(end_of(log.close()))),
];

fn world() -> Sim {
    Sim::new(SimOptions {
        latency: Latency::Fixed,
        ..SimOptions::default()
    })
}

/// Opens, however long somebody else still holds the lock: not for ever.
async fn open(io: &SimIo, options: &Options) -> Notebook {
    for _ in 0..100 {
        match Notebook::open(io.clone(), DIR, options.clone()).await {
            Err(Error::Locked { .. }) => io.sleep(Duration::from_millis(1)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the lock is never released");
}

/// Whether the call was dropped before it had ended.
async fn drop_call(io: SimIo, call: Call<Notebook>, k: u64, options: Options) -> bool {
    let journal = open(&io, &options).await;
    for id in 1..=2 {
        journal.append(note(id, 5)).await.unwrap();
    }
    let dropped = drop_after(call.1(journal.clone(), io.clone()), k)
        .await
        .is_none();
    match journal.append(note(3, 5)).with_seq().await {
        Ok((seq, _)) => assert!(seq >= Seq::new(3), "{}: {seq}", call.0),
        Err(Error::Closed) => assert_eq!(call.0, "close"),
        Err(other) => panic!("{}, dropped at await {k}: {other}", call.0),
    }
    let visible = journal.status().applied;
    // A close that was dropped goes on; a second one waits for it, or says that it is over.
    match journal.close().await {
        Ok(()) | Err(Error::Closed) => {}
        Err(other) => panic!("{}, dropped at await {k}: {other}", call.0),
    }
    drop(journal);
    let journal = open(&io, &options).await;
    assert!(journal.recovered().last_seq >= visible, "{}", call.0);
    assert!(visible >= Seq::new(2), "{}", call.0);
    journal.append(note(4, 5)).await.unwrap();
    journal.close().await.unwrap();
    dropped
}

#[test]
fn every_future_of_a_journal_is_dropped_at_every_await() {
    for options in [plain(), tiny_segments(), busy(1)] {
        for call in CALLS {
            let mut k = 1;
            loop {
                let sim = world();
                let run = drop_call(sim.io(), *call, k, options.clone());
                let dropped = sim.block_on(run).unwrap();
                sim.run_until_idle().unwrap();
                if !dropped {
                    break;
                }
                k += 1;
            }
            assert!(k > 1, "{} never waits", call.0);
        }
    }
}

/// An open that is dropped leaves nothing that is in the way of the next.
#[test]
fn an_open_alone_is_dropped_at_every_await() {
    for k in 1.. {
        let sim = world();
        let io = sim.io();
        let run = async {
            let opening = Notebook::open(io.clone(), DIR, plain());
            let dropped = drop_after(Box::pin(opening), k).await.is_none();
            let journal = open(&io, &plain()).await;
            journal.append(note(1, 5)).await.unwrap();
            journal.close().await.unwrap();
            dropped
        };
        if !sim.block_on(run).unwrap() {
            assert!(k > 1);
            break;
        }
    }
}

async fn open_log(io: &SimIo, options: &Options) -> Result<Log<SimIo>, Error> {
    let mut opening = Log::open(io.clone(), DIR, "log", options.log.clone()).await?;
    while opening.next().await?.is_some() {}
    opening.finish().await
}

async fn drop_log_call(io: SimIo, call: Call<Log<SimIo>>, k: u64, options: Options) -> bool {
    let log = open_log(&io, &options).await.unwrap();
    for byte in [1, 2] {
        log.append([byte; 5], Durability::Disk).await.unwrap();
    }
    let dropped = drop_after(call.1(log.clone(), io.clone()), k)
        .await
        .is_none();
    match log.append([3; 5], Durability::Disk).await {
        Ok(seq) => assert!(seq >= Seq::new(3), "{}", call.0),
        Err(Error::Closed) => assert_eq!(call.0, "close"),
        Err(other) => panic!("{}, dropped at await {k}: {other}", call.0),
    }
    let synced = log.positions().synced;
    match log.close().await {
        Ok(()) | Err(Error::Closed) => {}
        Err(other) => panic!("{}, dropped at await {k}: {other}", call.0),
    }
    drop(log);
    // Whatever still holds the lock lets go of it.
    io.sleep(Duration::from_secs(1)).await;
    let log = open_log(&io, &options).await.unwrap();
    assert!(log.recovered().last_seq >= synced, "{}", call.0);
    log.close().await.unwrap();
    dropped
}

#[test]
fn every_future_of_a_log_is_dropped_at_every_await() {
    for options in [plain(), tiny_segments()] {
        for call in LOG_CALLS {
            let mut k = 1;
            loop {
                let sim = world();
                let run = drop_log_call(sim.io(), *call, k, options.clone());
                if !sim.block_on(run).unwrap() {
                    break;
                }
                k += 1;
            }
        }
    }
}
