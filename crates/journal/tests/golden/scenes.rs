//! The ways in which a journal or a log is left, how its files come about, and what they hold.
//!
//! The world is the mildest, with a fixed seed: its files are the same in every run.

use std::ops::RangeInclusive;

use quipu_io::Bytes;
use quipu_io::sim::{DiskImage, Profile, Sim, SimIo, SimOptions};
use quipu_journal::log::{Durability, Log};
use quipu_journal::{Journal, Left, Options, Seq, SnapshotPolicy};

use crate::ledger::{Ledger, entry};
use crate::{DIR, LOG};

/// The payload of this number, in every scene.
pub(crate) fn payload(seq: u64) -> Bytes {
    vec![0x5A; usize::try_from(seq * 13 % 90).unwrap()].into()
}

/// Small files, and several segments once there are a few edits where `segment` is small.
pub(crate) fn options(segment: u64) -> Options {
    let mut options = Options::default();
    options.log.segment_bytes = 8192 + segment;
    options.log.allocation_bytes = 512;
    options.log.zero_ahead_bytes = 512;
    options.snapshots = SnapshotPolicy::never();
    options
}

/// Segments that take everything.
pub(crate) const LARGE: u64 = 8192;
/// Segments of a few frames.
pub(crate) const SMALL: u64 = 250;

/// What is in a directory, and what reading it must find.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) prefix: &'static str,
    /// Makes the files.
    pub(crate) write: fn() -> DiskImage,
    pub(crate) left: Left,
    /// The edits before the first that is retained.
    pub(crate) pruned: u64,
    /// The edits up to here are proven.
    pub(crate) proven: u64,
    /// Open finds the edits up to here.
    pub(crate) last: u64,
    pub(crate) segments: usize,
    /// Each with its parts, in ascending order. The last is the one that open begins with.
    pub(crate) snapshots: &'static [(u64, u64)],
}

pub(crate) const SCENES: [Scene; 6] = [
    Scene {
        name: "closed",
        prefix: "ledger",
        write: closed,
        left: Left::Clean,
        pruned: 0,
        proven: 6,
        last: 6,
        segments: 1,
        snapshots: &[],
    },
    Scene {
        name: "killed",
        prefix: "ledger",
        write: killed,
        left: Left::Unclean,
        pruned: 0,
        proven: 3,
        last: 5,
        segments: 1,
        snapshots: &[],
    },
    Scene {
        name: "rotated",
        prefix: "ledger",
        write: rotated,
        left: Left::Unclean,
        pruned: 0,
        proven: 8,
        last: 9,
        segments: 3,
        snapshots: &[],
    },
    Scene {
        name: "pruned",
        prefix: "ledger",
        write: pruned,
        left: Left::Unclean,
        pruned: 3,
        proven: 9,
        last: 10,
        segments: 2,
        snapshots: &[(4, 4), (8, 4)],
    },
    Scene {
        name: "truncated",
        prefix: LOG,
        write: truncated,
        left: Left::Unclean,
        pruned: 5,
        proven: 12,
        last: 13,
        segments: 4,
        snapshots: &[(7, 0)],
    },
    Scene {
        name: "recovered",
        prefix: "ledger",
        write: recovered,
        left: Left::Unclean,
        pruned: 0,
        proven: 4,
        last: 5,
        segments: 2,
        snapshots: &[],
    },
];

type Book = Journal<Ledger, SimIo>;

/// A life of a journal that ends without a close, unless it closes itself.
fn live(image: DiskImage, options: Options, life: impl AsyncFnOnce(&Book)) -> DiskImage {
    let sim = boot(image);
    let run = async {
        let opening = Journal::open(sim.io(), DIR, options);
        let journal: Book = opening.await.unwrap();
        life(&journal).await;
        journal
    };
    let journal = sim.run(run).unwrap();
    let image = sim.image();
    drop(journal);
    image
}

pub(crate) fn boot(image: DiskImage) -> Sim {
    let options = SimOptions {
        seed: 2024,
        profile: Profile::KillOnly,
        ..SimOptions::default()
    };
    Sim::boot(image, options)
}

async fn append(book: &Book, seqs: RangeInclusive<u64>) {
    for seq in seqs {
        book.append(entry(seq)).await.unwrap();
    }
}

async fn batch(book: &Book, seqs: RangeInclusive<u64>) {
    book.append_batch(seqs.map(entry)).await.unwrap();
}

fn closed() -> DiskImage {
    live(DiskImage::empty(512), options(LARGE), async |book| {
        append(book, 1..=2).await;
        batch(book, 3..=5).await;
        append(book, 6..=6).await;
        book.close().await.unwrap();
    })
}

fn killed() -> DiskImage {
    live(DiskImage::empty(512), options(LARGE), async |book| {
        append(book, 1..=3).await;
        batch(book, 4..=5).await;
    })
}

fn rotated() -> DiskImage {
    live(DiskImage::empty(512), options(SMALL), async |book| {
        append(book, 1..=9).await;
    })
}

fn pruned() -> DiskImage {
    live(DiskImage::empty(512), options(SMALL), async |book| {
        append(book, 1..=2).await;
        book.snapshot().await.unwrap();
        append(book, 3..=4).await;
        book.snapshot().await.unwrap();
        append(book, 5..=8).await;
        book.snapshot().await.unwrap();
        append(book, 9..=10).await;
    })
}

fn recovered() -> DiskImage {
    let image = live(DiskImage::empty(512), options(LARGE), async |book| {
        append(book, 1..=3).await;
    });
    live(image, options(LARGE), async |book| {
        append(book, 4..=5).await;
    })
}

fn truncated() -> DiskImage {
    let sim = boot(DiskImage::empty(512));
    let run = async {
        let opening = Log::open(sim.io(), DIR, LOG, options(SMALL).log).await;
        let log = opening.unwrap().finish().await.unwrap();
        for seq in 1..=12 {
            log.append(payload(seq), Durability::Disk).await.unwrap();
        }
        log.truncate_front(Seq::new(7)).await.unwrap();
        log.append(payload(13), Durability::Os).await.unwrap();
        log
    };
    let log = sim.run(run).unwrap();
    let image = sim.image();
    drop(log);
    image
}
