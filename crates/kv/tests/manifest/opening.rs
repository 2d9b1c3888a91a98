//! Invariants: the listing of tables is read under the manifest's lock, and only then; an open that
//! fails leaves nothing behind that keeps the next from opening; and what is on disk and what is named
//! are told apart.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::future::{pending, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quipu_io::sim::{Sim, SimIo, SimOptions};
use quipu_journal::{Error as Journal, Options};
use quipu_kv::Error;
use quipu_kv::manifest::{FileNum, Flushed, KeyspaceId, KeyspaceOptions, Manifest, SstMetadata};

const KEYSPACE: KeyspaceId = KeyspaceId::new(0);

fn options() -> Options {
    let mut options = Options::default();
    options.log.zero_ahead_bytes = 0;
    options.log.allocation_bytes = 4096;
    options
}

fn numbers<const N: usize>(numbers: [u64; N]) -> [FileNum; N] {
    numbers.map(FileNum::new)
}

async fn open<const N: usize>(io: SimIo, found: [u64; N]) -> Manifest<SimIo> {
    let found = ready(Ok(numbers(found)));
    Manifest::open(io, "dir", options(), found).await.unwrap()
}

fn table(number: u64) -> SstMetadata {
    SstMetadata::new(FileNum::new(number), KEYSPACE, 0, *b"a", *b"b")
}

/// Flushes a table that is so large that it needs more room than is allocated.
fn flush(manifest: &Manifest<SimIo>, number: u64) -> impl Future<Output = quipu_kv::Result<u64>> {
    let flushed = Flushed {
        keyspace: KEYSPACE,
        after: number - 1,
        through: number,
    };
    let mut table = table(number);
    table.smallest = vec![b'a'; 8192].into();
    manifest.record_flush(vec![table], vec![flushed])
}

fn run<T>(work: impl AsyncFnOnce(SimIo) -> T) -> T {
    let sim = Sim::new(SimOptions::default());
    sim.block_on(work(sim.io())).unwrap()
}

#[test]
fn nothing_is_listed_while_somebody_else_has_the_manifest() {
    run(async |io| {
        let first = open(io.clone(), []).await;
        let listed = Arc::new(AtomicBool::new(false));
        let asked = listed.clone();
        let listing = async move {
            asked.store(true, Ordering::SeqCst);
            Ok(numbers([]))
        };
        let second = Manifest::open(io.clone(), "dir", options(), listing).await;
        let Error::Journal { source } = second.unwrap_err() else {
            panic!("it is locked")
        };
        assert!(matches!(source, Journal::Locked { .. }), "{source}");
        assert!(!listed.load(Ordering::SeqCst));
        first.close().await.unwrap();
        open(io, []).await;
    });
}

#[test]
fn a_listing_that_fails_or_never_ends_is_in_nobodys_way() {
    run(async |io| {
        let listing = ready(Err::<[FileNum; 0], _>(io::Error::other("no listing")));
        let failed = Manifest::open(io.clone(), "dir", options(), listing).await;
        assert!(matches!(failed.unwrap_err(), Error::Io { .. }));
        let listing = pending::<io::Result<[FileNum; 0]>>();
        let never = Manifest::open(io.clone(), "dir", options(), listing);
        let mut never = Box::pin(never);
        for _ in 0..100 {
            assert!(smol::future::poll_once(&mut never).await.is_none());
            smol::future::yield_now().await;
        }
        drop(never);
        // The lock goes when the journal that was opened for it goes.
        loop {
            let found = ready(Ok(numbers([])));
            match Manifest::open(io.clone(), "dir", options(), found).await {
                Ok(manifest) => return manifest.close().await.unwrap(),
                Err(Error::Journal {
                    source: Journal::Locked { .. },
                }) => smol::future::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn what_is_on_disk_and_what_is_named_are_told_apart() {
    run(async |io| {
        let manifest = open(io.clone(), [4, 2]).await;
        assert_eq!(manifest.recovered().orphans, numbers([2, 4]));
        assert_eq!(manifest.obsolete_files(), numbers([2, 4]));
        assert_eq!(manifest.alloc_filenum().unwrap(), FileNum::new(5));
        let created = manifest.create_keyspace("default", KeyspaceOptions::default());
        assert_eq!(created.await.unwrap(), KEYSPACE);
        let recorded = manifest.record_flush(vec![table(5), table(9)], vec![]);
        recorded.await.unwrap();
        manifest.close().await.unwrap();

        let manifest = open(io.clone(), [9, 2, 11]).await;
        assert_eq!(manifest.recovered().orphans, numbers([2, 11]));
        assert_eq!(manifest.recovered().missing, numbers([5]));
        assert_eq!(manifest.alloc_filenum().unwrap(), FileNum::new(12));
        manifest.close().await.unwrap();

        let manifest = open(io, [u64::MAX]).await;
        let error = manifest.alloc_filenum().unwrap_err();
        assert!(matches!(error, Error::NumbersExhausted), "{error}");
        assert!(error.to_string().contains("a file with a number near 2^64"));
    });
}

/// A flush that finds no room is not there; the next one in line is refused until it is recorded
/// again, and then all is as if there had always been room.
#[test]
fn a_full_disk_loses_no_flush_and_lets_none_be_passed_over() {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let manifest = sim
        .block_on(async {
            let manifest = open(io.clone(), []).await;
            let created = manifest.create_keyspace("default", KeyspaceOptions::default());
            created.await.unwrap();
            manifest
        })
        .unwrap();
    sim.faults().full_after(0);
    sim.block_on(async {
        let first = flush(&manifest, 1).await.unwrap_err();
        let Error::Journal { source } = &first else {
            panic!("{first}")
        };
        assert!(matches!(source, Journal::NotCommitted { .. }), "{first}");
        assert!(manifest.version().is_empty());
    })
    .unwrap();
    sim.faults().full_after(u64::MAX);
    sim.block_on(async {
        let second = flush(&manifest, 2).await.unwrap_err();
        assert!(second.refusal().is_some(), "{second}");
        flush(&manifest, 1).await.unwrap();
        // The number of the edit that was refused can be recorded after all.
        flush(&manifest, 2).await.unwrap();
        assert_eq!(manifest.version().wal_floor(), 2);
        manifest.close().await.unwrap();
    })
    .unwrap();
}
