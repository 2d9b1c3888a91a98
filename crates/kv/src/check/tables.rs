//! Toy tables: files whose bytes follow from what is recorded of them.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use quipu_io::{Bytes, EntryKind, File, Io, OpenOptions};

use crate::manifest::{FileNum, SstMetadata};

/// The files of tables, in a directory of their own.
///
/// Invariant: a table that [`write`](Tables::write) and [`sync`](Tables::sync) have answered for is
/// durable, and so is its name and that of the directory.
#[derive(Clone, Debug)]
pub(super) struct Tables<I> {
    io: I,
    dir: PathBuf,
    /// Whether the directory is durable.
    is_ready: bool,
}

impl<I: Io> Tables<I> {
    pub(super) fn new(io: I, dir: &Path) -> Tables<I> {
        Tables {
            io,
            dir: dir.to_owned(),
            is_ready: false,
        }
    }

    /// The numbers of all files that are there, whole or not, in order.
    pub(super) async fn list(&self) -> Result<Vec<FileNum>> {
        let entries = match self.io.read_dir(&self.dir).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            entries => entries?,
        };
        let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
        let mut numbers: Vec<_> = files
            .filter_map(|entry| entry.name.to_str()?.strip_suffix(".sst")?.parse().ok())
            .map(FileNum::new)
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Makes sure that the directory is there for good. The directory above it is the manifest's, too,
    /// which has made its name durable.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        if !self.is_ready {
            self.io.create_dir_all(&self.dir).await?;
            let above = self.dir.parent().unwrap_or(Path::new(""));
            self.io.sync_dir(above).await?;
            self.is_ready = true;
        }
        Ok(())
    }

    /// Writes a table; its name is not durable yet.
    pub(super) async fn write(&self, table: &SstMetadata) -> Result<()> {
        let path = self.path(table.filenum);
        let file = self.io.open(&path, OpenOptions::CreateNew).await?;
        file.write_at(0, content(table)).await?;
        file.sync_data().await
    }

    /// Writes half of a table, of which nothing is durable.
    pub(super) async fn write_half(&self, table: &SstMetadata) -> Result<()> {
        let path = self.path(table.filenum);
        let file = self.io.open(&path, OpenOptions::CreateNew).await?;
        let mut half = content(table);
        half.truncate(half.len() / 2);
        file.write_at(0, half).await
    }

    /// Makes the names durable of all tables that are written.
    pub(super) async fn sync(&self) -> Result<()> {
        self.io.sync_dir(&self.dir).await
    }

    /// Whether the table is there with the size and the bytes that are recorded.
    pub(super) async fn is_whole(&self, table: &SstMetadata) -> Result<bool> {
        let path = self.path(table.filenum);
        let file = self.io.open(&path, OpenOptions::ReadOnly).await?;
        if file.size().await? != table.size {
            return Ok(false);
        }
        let size = usize::try_from(table.size).map_err(Error::other)?;
        let found = file.read_at(0, size).await?;
        Ok(found == content(table) && checksum(&found) == table.checksum)
    }

    /// Removes the file. Whether it was there: a number may be given up before there is one.
    pub(super) async fn remove(&self, filenum: FileNum) -> Result<bool> {
        match self.io.remove_file(&self.path(filenum)).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true),
        }
    }

    fn path(&self, filenum: FileNum) -> PathBuf {
        self.dir.join(format!("{filenum}.sst"))
    }
}

/// Records size and checksum of the file that this table has to be.
pub(super) fn seal(table: &mut SstMetadata, size: usize) {
    table.size = size as u64;
    table.checksum = checksum(&content(table));
}

/// The bytes of a table: others for each number, keyspace and range, wherever it stands. None is zero,
/// for a lost sector must not look like one that has survived.
fn content(table: &SstMetadata) -> Bytes {
    let keyspace = u64::from(table.keyspace.get());
    let mut state = [table.filenum.get(), keyspace, table.min_seq, table.max_seq]
        .iter()
        .fold(0x9E37_79B9, |state: u64, part| {
            (state ^ part).wrapping_mul(0x0100_0000_01B3)
        });
    let bytes = (0..table.size).map(|_| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 56) as u8 | 1
    });
    bytes.collect()
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
