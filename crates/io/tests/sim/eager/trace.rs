//! What the traces are made of, and how either model runs them.

use std::io;
use std::path::Path;

use quipu_io::sim::{DiskImage, Latency, Profile, Sim, SimFile, SimIo, SimOptions};
use quipu_io::{Bytes, File, Io, OpenOptions};

use super::legal::show_file;
use super::model::Disk;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Create(&'static str),
    Mkdir(&'static str),
    /// At an offset, so many bytes.
    Write(&'static str, usize, usize),
    SetLen(&'static str, usize),
    /// Up to an offset.
    Allocate(&'static str, usize),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    Link(&'static str, &'static str),
    Sync(&'static str),
    SyncDir(&'static str),
    /// At an offset, so many bytes.
    Read(&'static str, usize, usize),
    /// Whether the path leads anywhere.
    Look(&'static str),
}

/// What an operation has shown its caller; `None` where it failed.
pub(super) type Shown = Option<String>;

impl Op {
    /// `letter` is what it writes.
    pub(super) fn on_eager(self, disk: &mut Disk, letter: u8) -> Shown {
        match self {
            Op::Create(path) => disk.create(path),
            Op::Mkdir(path) => disk.mkdir(path),
            Op::Write(path, offset, len) => disk.write(path, offset, &vec![letter; len]),
            Op::SetLen(path, size) => disk.set_len(path, size),
            Op::Allocate(path, end) => disk.allocate(path, end),
            Op::Rename(from, to) => disk.rename(from, to),
            Op::Remove(path) => disk.remove(path),
            Op::Link(from, to) => disk.link(from, to),
            Op::Sync(path) => disk.sync(path),
            Op::SyncDir(path) => disk.sync_dir(path),
            Op::Read(path, offset, len) => {
                return Some(show_file(path, &disk.read(path, offset, len)?));
            }
            Op::Look(path) => return Some(disk.has(path).to_string()),
        }
        .map(|()| String::new())
    }

    pub(super) async fn on_lazy(self, io: &SimIo, letter: u8) -> Shown {
        let shown = self.run(io, letter).await;
        shown.ok()
    }

    async fn run(self, io: &SimIo, letter: u8) -> io::Result<String> {
        let none = String::new();
        match self {
            Op::Create(path) => _ = io.open(Path::new(path), OpenOptions::CreateNew).await?,
            Op::Mkdir(path) => {
                if open(io, path).await.err().map(|e| e.kind()) != Some(io::ErrorKind::NotFound) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                io.create_dir_all(Path::new(path)).await?;
            }
            Op::Write(path, offset, len) => {
                let data = Bytes::from(vec![letter; len]);
                open(io, path).await?.write_at(offset as u64, data).await?;
            }
            Op::SetLen(path, size) => open(io, path).await?.set_len(size as u64).await?,
            Op::Allocate(path, end) => open(io, path).await?.allocate(0, end as u64).await?,
            Op::Rename(from, to) => io.rename(Path::new(from), Path::new(to)).await?,
            Op::Remove(path) => io.remove_file(Path::new(path)).await?,
            Op::Link(from, to) => io.hard_link(Path::new(from), Path::new(to)).await?,
            Op::Sync(path) => open(io, path).await?.sync_data().await?,
            Op::SyncDir(path) => io.sync_dir(Path::new(path)).await?,
            Op::Read(path, offset, len) => {
                let read = open(io, path).await?.read_at(offset as u64, len).await?;
                return Ok(show_file(path, &read));
            }
            Op::Look(path) => {
                let found = open(io, path).await;
                let missing = found.is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
                return Ok((!missing).to_string());
            }
        }
        Ok(none)
    }
}

async fn open(io: &SimIo, path: &str) -> io::Result<SimFile> {
    io.open(Path::new(path), OpenOptions::ReadWrite).await
}

/// One operation more, in the lifetime that the image is from.
pub(super) fn step(image: &DiskImage, op: Op, letter: u8) -> (DiskImage, Shown) {
    let options = SimOptions {
        profile: Profile::KillOnly,
        latency: Latency::None,
        ..SimOptions::default()
    };
    let sim = Sim::boot(image.clone(), options);
    let shown = sim.block_on(op.on_lazy(&sim.io(), letter));
    (sim.crash(), shown.expect("nothing waits"))
}

/// What a reader sees: every path, sorted, and every byte.
pub(super) fn show(image: &mut DiskImage, directory: &str) -> String {
    let names = image.list(directory).expect("it was found");
    let mut shown = String::new();
    for name in names {
        let path = format!("{directory}{}", name.to_string_lossy());
        match image.read(&path) {
            Ok(content) => shown += &show_file(&path, &content),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
                let inside = format!("{path}/");
                shown += &format!("{inside} {}", show(image, &inside));
            }
        }
    }
    shown
}
