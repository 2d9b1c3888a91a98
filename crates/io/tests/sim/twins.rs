//! Invariant: without crashes the simulated disk answers like the real one, values and kinds of
//! errors alike, also to wrong uses.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{self, ErrorKind};
use std::path::Path;

use quipu_io::sim::{Latency, Random, Sim, SimOptions};
use quipu_io::{Bytes, DirEntry, DiskIo, EntryKind, File, Io, OpenOptions};

/// Few, so that they are used again; some lead through what may be a file.
const PATHS: [&str; 9] = ["", "a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "a/b"];
const OPTIONS: [OpenOptions; 4] = [
    OpenOptions::ReadOnly,
    OpenOptions::ReadWrite,
    OpenOptions::Create,
    OpenOptions::CreateNew,
];
/// Within a sector, around its end and that of a page, beyond, and where no file reaches.
const OFFSETS: [u64; 10] = [0, 1, 100, 511, 512, 4000, 4096, 9000, 1 << 40, u64::MAX];
const LENGTHS: [usize; 8] = [0, 1, 3, 412, 512, 1000, 4096, 10_000];
const SLOTS: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Open(&'static str, OpenOptions, usize),
    Close(usize),
    CreateDirAll(&'static str),
    ReadDir(&'static str),
    Rename(&'static str, &'static str),
    RemoveFile(&'static str),
    HardLink(&'static str, &'static str),
    SyncDir(&'static str),
    Lock(&'static str, usize),
    Unlock(usize),
    AvailableSpace(&'static str),
    ReadAt(usize, u64, usize),
    WriteAt(usize, u64, Bytes),
    SyncData(usize),
    SyncAll(usize),
    Size(usize),
    SetLen(usize, u64),
    Allocate(usize, u64, u64),
}

impl Op {
    fn draw(random: &mut Random) -> Op {
        let path = |random: &mut Random| pick(random, &PATHS);
        let slot = |random: &mut Random| pick(random, &[0, 1, 2]);
        // No real disk has room for all that such an offset may ask for.
        let near = |random: &mut Random| pick(random, &OFFSETS[..8]);
        let offset = |random: &mut Random| pick(random, &OFFSETS);
        let len = |random: &mut Random| pick(random, &LENGTHS);
        match random.below(30) {
            0..5 => Op::Open(path(random), pick(random, &OPTIONS), slot(random)),
            5 => Op::Close(slot(random)),
            6 | 7 => Op::CreateDirAll(path(random)),
            8 => Op::ReadDir(path(random)),
            9 | 10 => Op::Rename(path(random), path(random)),
            11 | 12 => Op::RemoveFile(path(random)),
            13 | 14 => Op::HardLink(path(random), path(random)),
            15 => Op::SyncDir(path(random)),
            16 => Op::Lock(path(random), slot(random)),
            17 => Op::Unlock(slot(random)),
            18 => Op::AvailableSpace(path(random)),
            19..21 => Op::ReadAt(slot(random), offset(random), len(random)),
            21..25 => {
                let byte = b'a' + random.below(26).to_le_bytes()[0];
                let data = vec![byte; len(random)];
                let offset = match random.below(20) {
                    0 => u64::MAX,
                    _ => near(random),
                };
                Op::WriteAt(slot(random), offset, data.into())
            }
            25 if random.below(2) == 0 => Op::SyncData(slot(random)),
            25 => Op::SyncAll(slot(random)),
            26 => Op::Size(slot(random)),
            27 | 28 => Op::SetLen(slot(random), offset(random)),
            _ => match random.below(10) {
                0 => Op::Allocate(slot(random), u64::MAX, 5),
                _ => Op::Allocate(slot(random), near(random), len(random) as u64),
            },
        }
    }
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    let bound = u32::try_from(from.len()).unwrap();
    from[random.below(bound) as usize]
}

#[derive(Debug, PartialEq)]
enum Answer {
    Done,
    NoHandle,
    Bytes(Bytes),
    Size(u64),
    Entries(Vec<DirEntry>),
    Failed(ErrorKind),
    /// A change through a handle that allows none, whatever the error.
    Refused,
}

/// A program on one of the disks, with what it has open.
struct Twin<'a, I: Io> {
    io: I,
    root: &'a Path,
    files: [Option<(I::File, OpenOptions)>; SLOTS],
    locks: [Option<I::Lock>; SLOTS],
}

impl<'a, I: Io> Twin<'a, I> {
    fn new(io: I, root: &'a Path) -> Twin<'a, I> {
        Twin {
            io,
            root,
            files: [const { None }; SLOTS],
            locks: [const { None }; SLOTS],
        }
    }

    async fn answer(&mut self, op: &Op) -> Answer {
        let at = |path: &str| match path {
            "" => self.root.to_owned(),
            path => self.root.join(path),
        };
        let done = match op {
            Op::Open(path, options, slot) => {
                let opened = self.io.open(&at(path), *options).await;
                opened.map(|file| self.files[*slot] = Some((file, *options)))
            }
            Op::Close(slot) => {
                self.files[*slot] = None;
                Ok(())
            }
            Op::CreateDirAll(path) => self.io.create_dir_all(&at(path)).await,
            Op::ReadDir(path) => match self.io.read_dir(&at(path)).await {
                Ok(mut entries) => {
                    entries.sort();
                    return Answer::Entries(entries);
                }
                Err(error) => Err(error),
            },
            Op::Rename(from, to) => self.io.rename(&at(from), &at(to)).await,
            Op::RemoveFile(path) => self.io.remove_file(&at(path)).await,
            Op::HardLink(from, to) => self.io.hard_link(&at(from), &at(to)).await,
            Op::SyncDir(path) => self.io.sync_dir(&at(path)).await,
            Op::Lock(path, slot) => {
                let locked = self.io.lock(&at(path)).await;
                locked.map(|lock| self.locks[*slot] = Some(lock))
            }
            Op::Unlock(slot) => {
                self.locks[*slot] = None;
                Ok(())
            }
            Op::AvailableSpace(path) => self.io.available_space(&at(path)).await.map(drop),
            Op::ReadAt(slot, ..)
            | Op::WriteAt(slot, ..)
            | Op::SyncData(slot)
            | Op::SyncAll(slot)
            | Op::Size(slot)
            | Op::SetLen(slot, _)
            | Op::Allocate(slot, ..) => {
                let Some((file, options)) = &self.files[*slot] else {
                    return Answer::NoHandle;
                };
                let answer = on_file(file, op).await;
                // Operating systems have no one word for this, and may not look before they write
                // nothing.
                let is_change = matches!(op, Op::WriteAt(..) | Op::SetLen(..) | Op::Allocate(..));
                return match options {
                    OpenOptions::ReadOnly if is_change => Answer::Refused,
                    _ => answer,
                };
            }
        };
        of(done, |()| Answer::Done)
    }

    /// All that the paths lead to.
    async fn show(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            let mut entries = self.io.read_dir(&self.root.join(&directory)).await.unwrap();
            entries.sort();
            for entry in entries {
                let path = format!("{directory}{}", entry.name.to_string_lossy());
                if entry.kind == EntryKind::Directory {
                    directories.push(format!("{path}/"));
                    continue;
                }
                let full = self.root.join(&path);
                let file = self.io.open(&full, OpenOptions::ReadOnly).await.unwrap();
                let content = file.read_at(0, 30_000).await.unwrap();
                found.push((
                    format!("{path} {}", file.size().await.unwrap()),
                    content.into(),
                ));
            }
        }
        found
    }
}

async fn on_file(file: &impl File, op: &Op) -> Answer {
    match op {
        Op::ReadAt(_, offset, len) => of(file.read_at(*offset, *len).await, Answer::Bytes),
        Op::WriteAt(_, offset, data) => {
            let written = file.write_at(*offset, data.clone()).await;
            of(written, |()| Answer::Done)
        }
        Op::SyncData(_) => of(file.sync_data().await, |()| Answer::Done),
        Op::SyncAll(_) => of(file.sync_all().await, |()| Answer::Done),
        Op::Size(_) => of(file.size().await, Answer::Size),
        Op::SetLen(_, size) => of(file.set_len(*size).await, |()| Answer::Done),
        Op::Allocate(_, offset, len) => of(file.allocate(*offset, *len).await, |()| Answer::Done),
        _ => Answer::NoHandle,
    }
}

fn of<T>(result: io::Result<T>, answer: impl FnOnce(T) -> Answer) -> Answer {
    match result {
        Ok(value) => answer(value),
        Err(error) => Answer::Failed(error.kind()),
    }
}

#[test]
fn the_simulated_disk_answers_like_the_real_one() {
    let disk = DiskIo::new().unwrap();
    for seed in 0..300 {
        let mut random = Random::new(seed, 0);
        let dir = tempfile::tempdir().unwrap();
        let sim = Sim::new(SimOptions {
            latency: Latency::None,
            ..SimOptions::default()
        });
        let mut real = Twin::new(disk.clone(), dir.path());
        let root = Path::new("root");
        sim.block_on(sim.io().create_dir_all(root))
            .unwrap()
            .unwrap();
        let mut simulated = Twin::new(sim.io(), root);
        let mut done = Vec::new();
        for _ in 0..40 {
            let op = Op::draw(&mut random);
            let expected = smol::block_on(real.answer(&op));
            let found = sim.block_on(simulated.answer(&op)).unwrap();
            done.push(op);
            assert_eq!(found, expected, "seed {seed}: {done:#?}");
        }
        let expected = smol::block_on(real.show());
        let found = sim.block_on(simulated.show()).unwrap();
        assert_eq!(found, expected, "seed {seed}: {done:#?}");
    }
}
