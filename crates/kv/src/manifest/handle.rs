//! [`Manifest`]: the manifest on disk, and the numbers that are being used up.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quipu_io::planted::planted;
use quipu_io::{DiskIo, Io};
use quipu_journal::{Journal, Options, Replayable, Seq, Status};

use super::edit::{Flushed, ManifestEdit, ManifestEditV1};
use super::filenum::FileNum;
use super::keyspace::{KeyspaceId, KeyspaceOptions};
use super::state::{Accepted, ManifestState};
use super::table::SstMetadata;
use super::version::Version;
use crate::{Error, Result};

/// Which tables make up an LSM tree, durably. A clone is another handle to the same manifest.
///
/// See the [module](super) for an example and for what is guaranteed. Edits are recorded in the
/// order of the calls; each call queues its edit at once, and the future only waits. Dropping it
/// takes nothing back.
///
/// # Errors of every recording call
///
/// - `Refused`: the edit does not fit the current version, and changed nothing.
/// - `Journal` with `NotCommitted`, `Overloaded`, `TooLarge`: it was not recorded and never will be.
/// - `Journal` with `InDoubt`: the disk failed, and the next open decides. From then on this manifest
///   records nothing (`Poisoned`) and gives out no obsolete files: close it and open it again.
pub struct Manifest<I: Io = DiskIo> {
    journal: Journal<ManifestState, I>,
    allocator: Arc<Mutex<Allocator>>,
    recovered: Arc<Recovered>,
}

/// What opening a manifest found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// What replay found and did.
    pub journal: quipu_journal::Recovered,
    /// Numbers that were found on disk and that no version names: the files may go, and
    /// [`Manifest::obsolete_files`] lists them.
    pub orphans: Vec<FileNum>,
    /// Numbers of tables that were not found on disk. No crash explains one: it was deleted by
    /// somebody else, or the listing was not whole.
    pub missing: Vec<FileNum>,
}

/// Hands out numbers. Volatile: what matters of it, edits and files on disk say again.
#[derive(Debug)]
struct Allocator {
    next: u64,
    /// Handed out, and in no edit yet.
    outstanding: BTreeSet<FileNum>,
}

impl<I: Io> Manifest<I> {
    /// Opens the manifest in `dir`, or begins one. `found` gives the numbers that files on disk bear,
    /// so that none of them is handed out: list the directory of the tables for it, whole or half
    /// written, whatever their ending. It is polled when the manifest is locked, so that nobody else
    /// makes a table or deletes one behind the listing's back.
    ///
    /// ```
    /// # use quipu_kv::manifest::{FileNum, Manifest};
    /// # async fn example(dir: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    /// # let (io, options) = (quipu_io::DiskIo::new()?, quipu_journal::Options::default());
    /// let tables = dir.join("tables");
    /// let found = async move {
    ///     let names = std::fs::read_dir(tables)?.map(|entry| Ok(entry?.file_name()));
    ///     let names = names.collect::<std::io::Result<Vec<_>>>()?;
    ///     let numbers = names.iter().filter_map(|name| name.to_str()?.parse().ok());
    ///     Ok(numbers.map(FileNum::new).collect::<Vec<_>>())
    /// };
    /// let manifest = Manifest::open(io, dir, options, found).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// When this answers, no later crash takes back what [`version`](Manifest::version) shows: tables
    /// that it does not name may be deleted, and [`obsolete_files`](Manifest::obsolete_files) lists
    /// them.
    ///
    /// # Errors
    ///
    /// `Journal`, as [`Journal::open`] does, and `Io` or `NoSpace` if `found` fails.
    pub fn open<F: IntoIterator<Item = FileNum>>(
        io: I,
        dir: impl AsRef<Path>,
        options: Options,
        found: impl Future<Output = io::Result<F>> + Send + 'static,
    ) -> impl Future<Output = Result<Self>> + Send + 'static {
        let opening = Journal::<ManifestState, I>::open(io, dir, options);
        async move {
            let journal = opening.await?;
            let mut found: Vec<FileNum> = found.await?.into_iter().collect();
            found.sort_unstable();
            found.dedup();
            let (next, orphans, missing) = journal.read(|state| {
                let before_replay = Arc::default();
                let version = match planted("what is on disk is compared before replay") {
                    true => &before_replay,
                    false => state.version(),
                };
                let (orphans, missing) = compare(&found, version);
                state.retired.start(orphans.iter().copied());
                (state.numbers.next(), orphans, missing)
            });
            let behind_found = match found.last() {
                Some(last) if !planted("files found on disk do not count") => {
                    last.get().saturating_add(1)
                }
                _ => 0,
            };
            let recovered = Recovered {
                journal: journal.recovered().clone(),
                orphans,
                missing,
            };
            Ok(Manifest {
                journal,
                allocator: Arc::new(Mutex::new(Allocator {
                    next: next.max(behind_found),
                    outstanding: BTreeSet::new(),
                })),
                recovered: Arc::new(recovered),
            })
        }
    }

    /// A number for a new file: none that a table ever had, that a file bore at open, or that was
    /// handed out since.
    ///
    /// Nothing is written. A number that is not recorded before a crash, and whose file is not found
    /// at the next open, may be handed out again then.
    ///
    /// # Errors
    ///
    /// `NumbersExhausted` at the end of 64 bits.
    pub fn alloc_filenum(&self) -> Result<FileNum> {
        let mut allocator = lock(&self.allocator);
        if allocator.next == u64::MAX {
            return Err(Error::NumbersExhausted);
        }
        let filenum = FileNum::new(allocator.next);
        allocator.next += 1;
        allocator.outstanding.insert(filenum);
        Ok(filenum)
    }

    /// Says that a number from [`alloc_filenum`](Manifest::alloc_filenum) will not be recorded: a
    /// flush or a compaction was given up. Its file, if there is one, may go.
    ///
    /// Without effect for a number that an edit has named, unless the edit was refused or not
    /// committed.
    pub fn abandon(&self, filenum: FileNum) {
        let known = lock(&self.allocator).outstanding.remove(&filenum);
        if known || planted("a number that an edit has named can be abandoned") {
            self.journal.read(|state| state.retired.abandon(filenum));
        }
    }

    /// Records tables that are there and were not: a flush of any number of tables, or an ingest.
    /// Answers with the number of the version that they are part of.
    ///
    /// **The files, and their names, must be durable before this is called.** For each keyspace whose
    /// memtable they come from, `flushed` says which stretch of the write-ahead log need not be read
    /// any more; a flush that wrote no table says only that.
    pub fn record_flush(
        &self,
        files: Vec<SstMetadata>,
        flushed: Vec<Flushed>,
    ) -> impl Future<Output = Result<u64>> + Send + 'static {
        let named = self.name(&files);
        let recorded = self.record(ManifestEditV1::AddFile { files, flushed });
        self.settle(named, recorded)
    }

    /// Records that `added` take the place of `removed`, all at once. Answers with the number of the
    /// version.
    ///
    /// **The new files, and their names, must be durable before this is called.** The old ones may be
    /// deleted when [`obsolete_files`](Manifest::obsolete_files) says so. A table that is removed and
    /// added with another level has moved, and its file stays.
    pub fn record_compaction(
        &self,
        added: Vec<SstMetadata>,
        removed: Vec<FileNum>,
    ) -> impl Future<Output = Result<u64>> + Send + 'static {
        let named = self.name(&added);
        let mut removed = removed;
        if planted("a compaction is recorded as two edits") {
            let (added, removed) = (Vec::new(), std::mem::take(&mut removed));
            drop(self.record(ManifestEditV1::Compaction { added, removed }));
        }
        let recorded = self.record(ManifestEditV1::Compaction { added, removed });
        self.settle(named, recorded)
    }

    /// Creates a keyspace, and answers with its number.
    pub fn create_keyspace(
        &self,
        name: impl Into<String>,
        options: KeyspaceOptions,
    ) -> impl Future<Output = Result<KeyspaceId>> + Send + 'static {
        let name = name.into();
        let recorded = self.record(ManifestEditV1::CreateKeyspace { name, options });
        async {
            match recorded.await? {
                Accepted::Created { keyspace } => Ok(keyspace),
                Accepted::Recorded { .. } => unreachable!("a creation answers with a keyspace"),
            }
        }
    }

    /// Drops a keyspace with all of its tables. Its number is never given to another; its name may
    /// be. Answers with the number of the version.
    pub fn drop_keyspace(
        &self,
        keyspace: KeyspaceId,
    ) -> impl Future<Output = Result<u64>> + Send + 'static {
        let recorded = self.record(ManifestEditV1::DropKeyspace { keyspace });
        async { Ok(version_of(recorded.await?)) }
    }

    /// The newest version, all of which is durable. Its files stay for as long as somebody holds it.
    pub fn version(&self) -> Arc<Version> {
        self.journal.read(|state| state.version().clone())
    }

    /// The files that may be deleted, now and at any later time: those that a durable edit has
    /// dropped and that no held version names, those that nothing named at open, and those that were
    /// given up. In the order of numbers.
    ///
    /// They are listed until [`forget`](Manifest::forget) says that they are gone. Nothing is listed
    /// once the manifest is closed, or has met a failure that leaves an edit in doubt.
    pub fn obsolete_files(&self) -> Vec<FileNum> {
        if self.journal.stopped().is_some() && !planted("files are deleted after a failure") {
            return Vec::new();
        }
        self.journal
            .read(|state| state.retired.obsolete(state.version()))
    }

    /// Says that these obsolete files are deleted. Nothing is recorded: what is deleted and comes
    /// back, because the deletion was not durable, is an orphan at the next open.
    pub fn forget(&self, deleted: &[FileNum]) {
        self.journal.read(|state| state.retired.forget(deleted));
    }

    /// What open found.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// How far the journal underneath has come.
    pub fn status(&self) -> Status {
        self.journal.status()
    }

    /// Takes a snapshot now; otherwise the policy in the options decides. Edits go on meanwhile.
    pub fn snapshot(&self) -> impl Future<Output = Result<Seq>> + Send + 'static {
        let taken = self.journal.snapshot();
        async { Ok(taken.await?) }
    }

    /// Writes a version as a manifest of its own, durably, in a directory that has none.
    pub(crate) async fn copy(
        &self,
        version: &Arc<Version>,
        io: I,
        dir: &Path,
        options: Options,
    ) -> Result<()> {
        let state = self.journal.read(|state| state.copy(version));
        let journal = Journal::<ManifestState, I>::open(io, dir, options).await?;
        for part in state.snapshot_parts() {
            journal.append(part).await??;
        }
        Ok(journal.close().await?)
    }

    /// Finishes what is queued and releases the lock, for all clones.
    pub fn close(&self) -> impl Future<Output = Result<()>> + Send + 'static {
        let closed = self.journal.close();
        async { Ok(closed.await?) }
    }

    /// What the explorer holds against the edits that were issued.
    #[cfg(feature = "check")]
    pub(crate) fn journal(&self) -> &Journal<ManifestState, I> {
        &self.journal
    }

    fn record(
        &self,
        edit: ManifestEditV1,
    ) -> impl Future<Output = Result<Accepted>> + Send + 'static {
        let appended = self.journal.append(ManifestEdit::V1(edit));
        async { Ok(appended.await??) }
    }

    /// From now on these numbers are an edit's. Gives those of them that were handed out for it.
    fn name(&self, tables: &[SstMetadata]) -> Vec<FileNum> {
        let mut allocator = lock(&self.allocator);
        let mut named = Vec::with_capacity(tables.len());
        for table in tables {
            if allocator.outstanding.remove(&table.filenum) {
                named.push(table.filenum);
            }
            let behind = table.filenum.get().saturating_add(1);
            if !planted("a number from elsewhere is handed out again") {
                allocator.next = allocator.next.max(behind);
            }
        }
        named
    }

    /// Waits for the answer. Numbers of an edit that is not there and never will be can be recorded
    /// by another one, or given up.
    fn settle(
        &self,
        named: Vec<FileNum>,
        recorded: impl Future<Output = Result<Accepted>> + Send + 'static,
    ) -> impl Future<Output = Result<u64>> + Send + 'static {
        let allocator = self.allocator.clone();
        async move {
            let result = recorded.await;
            if result.as_ref().is_err_and(Error::is_not_recorded)
                && !planted("the numbers of a refused edit are lost")
            {
                lock(&allocator).outstanding.extend(named);
            }
            Ok(version_of(result?))
        }
    }
}

fn lock(allocator: &Mutex<Allocator>) -> MutexGuard<'_, Allocator> {
    allocator.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is on disk and not named, and what is named and not on disk; `found` is in order.
fn compare(found: &[FileNum], version: &Version) -> (Vec<FileNum>, Vec<FileNum>) {
    let (mut orphans, mut missing) = (Vec::new(), Vec::new());
    let mut found = found.iter().copied().peekable();
    for table in version.tables() {
        while let Some(orphan) = found.next_if(|found| *found < table.filenum) {
            orphans.push(orphan);
        }
        if found.next_if_eq(&table.filenum).is_none() {
            missing.push(table.filenum);
        }
    }
    orphans.extend(found);
    (orphans, missing)
}

fn version_of(accepted: Accepted) -> u64 {
    match accepted {
        Accepted::Recorded { version } => version,
        Accepted::Created { .. } => unreachable!("only a creation answers with a keyspace"),
    }
}

impl<I: Io> Clone for Manifest<I> {
    fn clone(&self) -> Self {
        Manifest {
            journal: self.journal.clone(),
            allocator: self.allocator.clone(),
            recovered: self.recovered.clone(),
        }
    }
}

impl<I: Io> fmt::Debug for Manifest<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version();
        f.debug_struct("Manifest")
            .field("version", &version.number())
            .field("tables", &version.len())
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}
