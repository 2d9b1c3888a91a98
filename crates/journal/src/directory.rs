//! A journal's directory: its paths, what is in it, and the one way to publish a file.
//!
//! Invariants:
//! - A name without `.tmp` stands for a file whose whole content was durable before the name existed.
//! - Names are changed and synced by one task at a time: a sync that fails may forget what others have
//!   changed, and tells only its own caller.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::lock::{Mutex, MutexGuard};
use quipu_io::planted::planted;
use quipu_io::{EntryKind, File, Io, OpenOptions};

use crate::format::mark;
use crate::format::name::{self, FileName};
use crate::{Error, Result, Seq};

/// Where a journal lives, and through what it is reached.
#[derive(Clone, Debug)]
pub(crate) struct Directory<I> {
    pub(crate) io: I,
    pub(crate) path: Arc<Path>,
    pub(crate) prefix: Arc<str>,
    /// Held by whoever changes names, until they are synced.
    changing: Arc<Mutex<()>>,
}

/// The files of a journal at one moment, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) segments: Vec<u64>,
    pub(crate) snapshots: Vec<Seq>,
    pub(crate) temporaries: Vec<PathBuf>,
}

impl<I: Io> Directory<I> {
    pub(crate) fn new(io: I, path: &Path, prefix: &str) -> Result<Directory<I>> {
        name::check_prefix(prefix)?;
        Ok(Directory {
            io,
            path: path.into(),
            prefix: prefix.into(),
            changing: Arc::default(),
        })
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.path.join(name::segment(&self.prefix, number))
    }

    pub(crate) fn snapshot(&self, seq: Seq) -> PathBuf {
        self.path.join(name::snapshot(&self.prefix, seq))
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.path.join(name::lock(&self.prefix))
    }

    pub(crate) async fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        for entry in self.io.read_dir(&self.path).await.map_err(Error::io)? {
            let Some(text) = entry
                .name
                .to_str()
                .filter(|_| entry.kind == EntryKind::File)
            else {
                continue;
            };
            match FileName::parse(text, &self.prefix) {
                Some(FileName::Segment(number)) => listing.segments.push(number),
                Some(FileName::Snapshot(seq)) => listing.snapshots.push(seq),
                Some(FileName::Temporary) => listing.temporaries.push(self.path.join(text)),
                None => {}
            }
        }
        // Backends list in any order, and what follows must not depend on it.
        if !planted("segments are taken in the order of the listing") {
            listing.segments.sort_unstable();
        }
        listing.snapshots.sort_unstable();
        listing.temporaries.sort_unstable();
        Ok(listing)
    }

    /// Whether the lock file says that a first segment was published here.
    pub(crate) async fn is_marked(&self) -> Result<bool> {
        Ok(mark::is_marked(&self.mark().await?))
    }

    /// What stands in the lock file where the mark would be; empty if there is no lock file.
    async fn mark(&self) -> Result<Bytes> {
        let file = match self.io.open(&self.lock(), OpenOptions::ReadOnly).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Bytes::new()),
            opened => opened.map_err(Error::io)?,
        };
        file.read_at(0, mark::MARK.len()).await.map_err(Error::io)
    }

    /// Fails if there are files of a journal, and none that it could start with.
    pub(crate) async fn check_start(&self, listing: &Listing) -> Result<()> {
        if !listing.segments.is_empty() {
            return Ok(());
        }
        let reason =
            if !planted("an empty directory is new, marked or not") && self.is_marked().await? {
                "the lock file says that the journal exists, and no segment of it is there"
            } else if !listing.snapshots.is_empty() {
                "there are snapshots, and no segment"
            } else {
                return Ok(());
            };
        Err(Error::corrupt(&self.path, 0, reason))
    }

    /// Waits until nobody else changes names, and keeps others from it until this is dropped.
    pub(crate) async fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    pub(crate) async fn sync(&self) -> Result<()> {
        self.io.sync_dir(&self.path).await.map_err(Error::io)
    }

    /// Makes the directory's own name durable, and the names of all directories above it.
    ///
    /// Whoever created them may not have done so. A directory that this process may not read is
    /// passed over: it is not ours, and was there before us.
    pub(crate) async fn sync_ancestors(&self) -> Result<()> {
        for ancestor in self.path.ancestors().skip(1) {
            match self.io.sync_dir(ancestor).await {
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                result => result.map_err(Error::io)?,
            }
        }
        Ok(())
    }

    /// Begins a file that will be published at `path`.
    pub(crate) async fn draft(&self, path: PathBuf) -> Result<Draft<'_, I>> {
        let mut temporary = path.clone().into_os_string();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let opened = match self.io.open(&temporary, OpenOptions::CreateNew).await {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                // Left behind by an earlier attempt, which nobody goes on with.
                self.io.remove_file(&temporary).await.map_err(Error::io)?;
                self.io.open(&temporary, OpenOptions::CreateNew).await
            }
            opened => opened,
        };
        let file = Arc::new(opened.map_err(Error::io)?);
        Ok(Draft {
            directory: self,
            file,
            temporary,
            path,
        })
    }
}

/// A file under its temporary name.
pub(crate) struct Draft<'a, I: Io> {
    directory: &'a Directory<I>,
    file: Arc<I::File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl<I: Io> Draft<'_, I> {
    pub(crate) fn file(&self) -> &Arc<I::File> {
        &self.file
    }

    /// Where it will be published.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn write(&self, offset: u64, bytes: Bytes) -> Result<()> {
        self.file.write_at(offset, bytes).await.map_err(Error::io)
    }

    /// Sync, rename, sync the directory: after a crash the name stands for all of it, or is not
    /// there.
    pub(crate) async fn publish(self) -> Result<Arc<I::File>> {
        let late = planted("a file is synced behind its rename");
        if !late && !planted("a file is published without a sync") {
            self.file.sync_all().await.map_err(Error::io)?;
        }
        let _changing = self.directory.change().await;
        self.directory
            .io
            .rename(&self.temporary, &self.path)
            .await
            .map_err(Error::io)?;
        if !planted("a file is published without a sync of the directory") {
            self.directory.sync().await?;
        }
        if late {
            self.file.sync_all().await.map_err(Error::io)?;
        }
        Ok(self.file)
    }

    /// Gives the file up. A name that cannot be removed is removed by the next open.
    pub(crate) async fn abandon(self) {
        let _ = self.directory.io.remove_file(&self.temporary).await;
    }
}

/// The prefixes of all journals whose files are in a directory, sorted.
pub(crate) async fn prefixes<I: Io>(io: &I, path: &Path) -> Result<Vec<String>> {
    let mut prefixes = Vec::new();
    for entry in io.read_dir(path).await.map_err(Error::io)? {
        let Some(text) = entry
            .name
            .to_str()
            .filter(|_| entry.kind == EntryKind::File)
        else {
            continue;
        };
        if let Some(prefix) = name::prefix_of(text) {
            prefixes.push(prefix.to_owned());
        } else if let Some(prefix) = name::prefix_of_lock(text) {
            let directory = Directory::new(io.clone(), path, prefix)?;
            // Others have files with such names too: only an intact mark tells that it is ours.
            if directory
                .mark()
                .await
                .is_ok_and(|mark| mark == mark::MARK[..])
            {
                prefixes.push(prefix.to_owned());
            }
        }
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    Ok(prefixes)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use quipu_io::sim::{Sim, SimOptions};

    use super::*;

    /// Between a change of names and its sync nobody else syncs the directory: a sync that fails could
    /// forget the name, and the next one would say that all is well.
    #[test]
    fn nobody_changes_names_while_another_does() {
        let sim = Sim::new(SimOptions::default());
        let io = sim.io();
        let directory = Directory::new(io.clone(), Path::new("dir"), "j").unwrap();
        let work = async {
            io.create_dir_all(Path::new("dir")).await.unwrap();
            let draft = directory.draft(directory.segment(1)).await.unwrap();
            let changing = directory.change().await;
            let mut publish = Box::pin(draft.publish());
            for _ in 0..100 {
                assert!(publish.as_mut().now_or_never().is_none());
                let listing = directory.list().await.unwrap();
                assert_eq!(listing.segments, [], "it is not its turn");
            }
            drop(changing);
            publish.await.unwrap();
            assert_eq!(directory.list().await.unwrap().segments, [1]);
        };
        sim.block_on(work).unwrap();
    }
}
