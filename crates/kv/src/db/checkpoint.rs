//! Checkpoints: a second store, as of one moment, that shares the files of its tables with the first.
//!
//! Invariants:
//! - Its moment is a [cut](super::cut), so that it needs no log: what is in memory is flushed, and the
//!   new store has a log of its own that says so. To copy the log would take a log that is kept from being
//!   truncated meanwhile, more bytes than the flush, and another way for stores that keep none.
//! - The version of the cut is held until all its tables are linked: none of them is deleted before.
//! - Everything of it is durable before it gets its name, by one rename.
//! - Until then it stands under a name of its own, with a [mark](MARK) in it that is durable before
//!   anything else is there. Only what has the mark, and nothing that no checkpoint makes, is cleared.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::planted::planted;
use quipu_io::{EntryKind, File, Io, OpenOptions, Runtime};
use quipu_journal::log::{Durability, Log};

use super::core::{Core, lock};
use super::parts;
use super::recovery::{TABLES, WAL};
use super::tables::OpenTables;
use crate::manifest::Version;
use crate::{Error, Result};

/// What the name of a checkpoint ends in until it is whole.
const TEMPORARY: &str = ".checkpoint.tmp";

/// The file that says what a directory is. Whoever makes a checkpoint holds a lock on it.
const MARK_NAME: &str = "checkpoint.mark";

/// What stands in it.
const MARK: &[u8] =
    b"This directory is a checkpoint of a Quipu store. As long as its name ends in \
.checkpoint.tmp it is not whole: it is being made, or may be deleted.\n";

impl<I: Io + Runtime> Core<I> {
    pub(crate) async fn checkpoint(self: &Arc<Self>, target: &Path) -> Result<()> {
        let _underway = self.begin_checkpoint()?;
        let draft = Draft::begin(&self.io, target).await?;
        let drawn = async {
            let version = {
                let _unchanging = self.keyspaces.lock().await;
                match planted("a checkpoint leaves out what is in memory") {
                    true => self.manifest.version(),
                    false => self.version_at_cut().await?,
                }
            };
            self.link_tables(&version, &draft).await?;
            let (dir, options) = (&draft.temporary, self.options.manifest.clone());
            let copied = self.manifest.copy(&version, self.io.clone(), dir, options);
            copied.await?;
            self.begin_log(&version, &draft).await?;
            draft.publish().await
        };
        let drawn = drawn.await;
        if drawn.is_err() {
            // What cannot be cleared now the next checkpoint clears.
            let _ = draft.clear().await;
        }
        drawn
    }

    async fn link_tables(&self, version: &Version, draft: &Draft<'_, I>) -> Result<()> {
        let dir = draft.temporary.join(TABLES);
        self.io.create_dir_all(&dir).await?;
        for table in version.tables() {
            let path = self.tables.path(table.filenum);
            let name = path.file_name().unwrap_or_default();
            let linked = self.io.hard_link(&path, &dir.join(name)).await;
            linked.map_err(|error| draft.explain(error))?;
        }
        if planted("the names of a checkpoint's tables are not synced") {
            return Ok(());
        }
        Ok(self.io.sync_dir(&dir).await?)
    }

    /// A log that says that all writes are in tables.
    async fn begin_log(&self, version: &Version, draft: &Draft<'_, I>) -> Result<()> {
        let (dir, options) = (draft.temporary.join(WAL), self.options.log.clone());
        let opening = Log::open(self.io.clone(), &dir, WAL, options).await;
        let log = opening.map_err(Error::wal)?.finish().await;
        let log = log.map_err(Error::wal)?;
        let note = parts::in_tables(version.last_seq());
        let said = log.append(note, Durability::Disk).await;
        said.map_err(Error::wal)?;
        log.close().await.map_err(Error::wal)
    }

    /// Counts a checkpoint for as long as the answer is held: close waits for it.
    fn begin_checkpoint(self: &Arc<Self>) -> Result<Underway<I>> {
        self.check_open()?;
        lock(&self.work).checkpoints += 1;
        Ok(Underway(self.clone()))
    }
}

struct Underway<I: Io>(Arc<Core<I>>);

impl<I: Io> Drop for Underway<I> {
    fn drop(&mut self) {
        lock(&self.0.work).checkpoints -= 1;
        self.0.progress.ring();
    }
}

/// A checkpoint that has not got its name yet.
struct Draft<'a, I: Io> {
    io: &'a I,
    target: &'a Path,
    parent: &'a Path,
    temporary: PathBuf,
    /// Keeps others from making the same one.
    _lock: I::Lock,
}

impl<'a, I: Io> Draft<'a, I> {
    /// Begins a checkpoint with an empty directory that bears the mark.
    async fn begin(io: &'a I, target: &'a Path) -> Result<Draft<'a, I>> {
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(refused(target, "this is no name for a new directory"));
        };
        io.create_dir_all(parent).await?;
        let beside = io.read_dir(parent).await?;
        if beside.iter().any(|entry| entry.name == name) {
            return Err(taken(target));
        }
        let mut temporary = name.to_owned();
        temporary.push(TEMPORARY);
        let temporary = parent.join(temporary);
        io.create_dir_all(&temporary).await?;
        let left = Left::of(io, &temporary).await?;
        if !left.has_mark && !left.names.is_empty() {
            return Err(foreign(&temporary));
        }
        let mark = temporary.join(MARK_NAME);
        let locked = io.lock(&mark).await.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => refused(target, "another one is being made there"),
            _ => error.into(),
        })?;
        let draft = Draft {
            io,
            target,
            parent,
            temporary,
            _lock: locked,
        };
        draft.mark(&mark).await?;
        draft.clear().await?;
        Ok(draft)
    }

    /// Makes sure that the mark is there, durably, or that nothing is.
    async fn mark(&self, path: &Path) -> Result<()> {
        let file = self.io.open(path, OpenOptions::ReadWrite).await?;
        if file.read_at(0, MARK.len() + 1).await? != MARK {
            // The mark comes first: with half of one, or none, nothing else of ours is there.
            if !Left::of(self.io, &self.temporary).await?.names.is_empty() {
                return Err(foreign(&self.temporary));
            }
            file.set_len(0).await?;
            file.write_at(0, Bytes::from_static(MARK)).await?;
        }
        file.sync_all().await?;
        Ok(self.io.sync_dir(&self.temporary).await?)
    }

    /// Removes all files but the mark, if no other than a checkpoint's are there.
    async fn clear(&self) -> Result<()> {
        let Left { names, .. } = Left::of(self.io, &self.temporary).await?;
        let mut going = Vec::new();
        for (name, kind) in names {
            let path = self.temporary.join(&name);
            match kind {
                EntryKind::File if is_of_manifest(&name) => going.push(path),
                EntryKind::Directory if name == TABLES || name == WAL => {
                    let is_ours = match name == TABLES {
                        true => |name: &OsStr| OpenTables::<I>::filenum(Path::new(name)).is_some(),
                        false => is_of_log,
                    };
                    for entry in self.io.read_dir(&path).await? {
                        let path = path.join(&entry.name);
                        if entry.kind != EntryKind::File || !is_ours(&entry.name) {
                            return Err(foreign(&path));
                        }
                        going.push(path);
                    }
                }
                _ => return Err(foreign(&path)),
            }
        }
        for path in going {
            self.io.remove_file(&path).await?;
        }
        Ok(())
    }

    /// Gives it its name, all of it being durable.
    async fn publish(&self) -> Result<()> {
        self.io.sync_dir(&self.temporary).await?;
        let renamed = self.io.rename(&self.temporary, self.target).await;
        renamed.map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory => taken(self.target),
            _ => error.into(),
        })?;
        Ok(self.io.sync_dir(self.parent).await?)
    }

    fn explain(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::CrossesDevices => refused(
                self.target,
                "it lies on another file system than the store, with which it shares files: choose a \
                 directory on the store's own",
            ),
            _ => error.into(),
        }
    }
}

/// What an earlier attempt has left.
struct Left {
    has_mark: bool,
    /// Everything else.
    names: Vec<(OsString, EntryKind)>,
}

impl Left {
    async fn of<I: Io>(io: &I, dir: &Path) -> Result<Left> {
        let entries = io.read_dir(dir).await?.into_iter();
        let (marks, others): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.name == MARK_NAME);
        Ok(Left {
            has_mark: !marks.is_empty(),
            names: others.into_iter().map(|e| (e.name, e.kind)).collect(),
        })
    }
}

fn is_of_manifest(name: &OsStr) -> bool {
    let text = name.to_str().unwrap_or_default();
    text.starts_with("manifest-") || text == "manifest.lock"
}

fn is_of_log(name: &OsStr) -> bool {
    let text = name.to_str().unwrap_or_default();
    text.starts_with("wal-") || text == "wal.lock"
}

fn refused(path: &Path, reason: &'static str) -> Error {
    Error::Checkpoint {
        path: path.to_owned(),
        reason,
    }
}

fn taken(target: &Path) -> Error {
    refused(
        target,
        "there is something of that name: choose another, or move it away",
    )
}

fn foreign(path: &Path) -> Error {
    refused(
        path,
        "this is where it would be made, and no checkpoint has made this: look at it, and move it away",
    )
}
