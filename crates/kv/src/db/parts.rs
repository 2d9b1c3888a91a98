//! Whether manifest, log and tables fit each other, so that none of them loses its end or is gone
//! without being missed.
//!
//! Each of them alone can lose what nothing in it proves. Together they prove more:
//! - The log is begun before the first keyspace is recorded. So a manifest with keyspaces has a log, and
//!   one without has no tables, and no log with anything in it.
//! - A keyspace is recorded before anything is written to it.
//! - The log is durable up to the highest number that the manifest knows of, before it is recorded
//!   there; unless the log itself says that writes are not logged.
//! - Before the log's front goes, the log says durably up to where tables stand for it.
//!
//! What the log says of itself is an empty batch: its first number is the one behind those that are in
//! tables, or the highest there is if writes are not logged from there on.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use quipu_io::{EntryKind, Io};

use crate::batch::WriteBatch;
use crate::manifest::{KeyspaceId, Manifest, Version};
use crate::{Error, Result};

const UNLOGGED: u64 = u64::MAX;

/// Says that all writes up to `floor` are in tables.
pub(crate) fn in_tables(floor: u64) -> Bytes {
    WriteBatch::new().seal(floor.saturating_add(1))
}

/// Says that writes are not logged from here on.
pub(crate) fn unlogged() -> Bytes {
    WriteBatch::new().seal(UNLOGGED)
}

/// Fails if there are parts of a store in a directory, and no manifest. Nothing is written.
pub(crate) async fn check_manifest(
    io: &impl Io,
    dir: &Path,
    wal: &Path,
    tables: &Path,
) -> Result<()> {
    // The manifest is looked at last: whoever makes a store here now makes it first.
    let has_tables = has_file(io, tables, |name| name.ends_with(".sst")).await?;
    let has_parts = has_log(io, wal).await? || has_tables;
    if has_parts && !has_file(io, dir, |name| name.starts_with("manifest")).await? {
        return Err(incomplete(
            dir,
            "there is no manifest, and there are tables or a log",
        ));
    }
    Ok(())
}

/// Fails if a manifest with keyspaces has no log.
pub(crate) async fn check_log(io: &impl Io, version: &Version, wal: &Path) -> Result<()> {
    if version.keyspaces().next().is_some() && !has_log(io, wal).await? {
        return Err(incomplete(wal, "there is a manifest, and no log"));
    }
    Ok(())
}

async fn has_log(io: &impl Io, wal: &Path) -> Result<bool> {
    has_file(io, wal, |name| name.starts_with("wal")).await
}

async fn has_file(io: &impl Io, dir: &Path, is_meant: impl Fn(&str) -> bool) -> Result<bool> {
    let entries = match io.read_dir(dir).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    let mut files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
    Ok(files.any(|entry| entry.name.to_str().is_some_and(&is_meant)))
}

/// What the log proves of the manifest, and where it ends.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The last number that is in the log, or was.
    end: u64,
    /// Up to here all writes are in tables, as the log says.
    floor: u64,
    /// The highest keyspace that was written to.
    keyspace: Option<KeyspaceId>,
    is_unlogged: bool,
}

impl Evidence {
    /// A batch without writes, and its first number.
    pub(crate) fn add_note(&mut self, first: u64) {
        match first {
            UNLOGGED => self.is_unlogged = true,
            _ => {
                self.floor = self.floor.max(first.saturating_sub(1));
                self.end = self.end.max(self.floor);
            }
        }
    }

    pub(crate) fn add_write(&mut self, keyspace: KeyspaceId, seq: u64) {
        self.end = self.end.max(seq);
        self.keyspace = self.keyspace.max(Some(keyspace));
        self.is_unlogged = false;
    }

    /// Whether writes may be missing at the end of the log.
    pub(crate) fn is_unlogged(&self) -> bool {
        self.is_unlogged
    }

    /// Fails if manifest or log have lost something that the other one knows of.
    pub(crate) fn judge<I: Io>(
        &self,
        manifest: &Manifest<I>,
        dir: &Path,
        wal: &Path,
    ) -> Result<()> {
        let version = manifest.version();
        let has_orphans = !manifest.recovered().orphans.is_empty();
        if version.keyspaces().next().is_none() && (self.end > 0 || has_orphans) {
            let reason = "the manifest names nothing, and there are tables or writes in the log";
            return Err(incomplete(dir, reason));
        }
        if self.keyspace >= Some(version.next_keyspace()) {
            let reason = "the log holds writes to a keyspace that the manifest does not know";
            return Err(incomplete(dir, reason));
        }
        if self.floor > version.wal_floor() {
            let reason = format!(
                "tables hold all writes up to {}, as the log says, and only up to {} as the manifest \
                 says, which has lost its end",
                self.floor,
                version.wal_floor()
            );
            return Err(incomplete(dir, reason));
        }
        let needed = version.last_seq();
        if !self.is_unlogged && self.end < needed && version.wal_floor() < needed {
            let reason = format!(
                "it ends with write {}, and the manifest knows of {needed}",
                self.end
            );
            return Err(incomplete(wal, reason));
        }
        Ok(())
    }
}

fn incomplete(path: &Path, reason: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::Incomplete {
        path: PathBuf::from(path),
        reason: reason.into(),
    }
}
