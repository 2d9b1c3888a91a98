//! [`Table`]: a finished file, open for reading.
//!
//! Opening reads the end of the file, once, or twice where much is there. A point query then takes one
//! look at the partition and one at a data block, in the cache or on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::planted::planted;
use quipu_io::{File, Io};

use super::block::Block;
use super::cache::{BlockCache, Cached, Place};
use super::compression::{Codec, decompress};
use super::entry::{Found, RangeTombstone};
use super::file::{OpenFiles, TableFile};
use super::filter;
use super::footer::{FOOTER_BYTES, Footer, FooterError, VERSION};
use super::index::Index;
use super::layout::{Handle, Malformed, Seal, usize_of};
use super::partition::Partition;
use super::properties::Properties;
use super::tombstones;
use crate::error::{Error, Result};
use crate::manifest::FileNum;

/// What is read of a file's end before it is known how long its last parts are.
const TAIL_BYTES: u64 = 8 << 10;

/// A table that is open. Shared by those who read it.
#[derive(Debug)]
pub(crate) struct Table<F> {
    file: TableFile<F>,
    path: PathBuf,
    filenum: FileNum,
    seal: Seal,
    top: Index,
    tombstones: Vec<RangeTombstone>,
    properties: Properties,
    cache: Arc<BlockCache>,
    /// What the cache knows this table by.
    id: u64,
}

impl<F: File> Table<F> {
    /// Opens the table of that number, which must be of `size` bytes.
    pub(crate) async fn open<I: Io<File = F>>(
        io: &I,
        path: &Path,
        filenum: FileNum,
        size: u64,
        cache: Arc<BlockCache>,
    ) -> Result<Self> {
        let files = OpenFiles::new(1);
        Table::open_among(io, path, filenum, size, cache, files).await
    }

    /// The same, as one of those tables of which some have their files open.
    pub(crate) async fn open_among<I: Io<File = F>>(
        io: &I,
        path: &Path,
        filenum: FileNum,
        size: u64,
        cache: Arc<BlockCache>,
        files: Arc<OpenFiles<F>>,
    ) -> Result<Self> {
        let file = TableFile::open(io, path, files).await?;
        let (footer, ending) = Ending::read(&file, path, size).await?;
        if footer.filenum != filenum.get() {
            let offset = size.saturating_sub(FOOTER_BYTES as u64);
            let reason = "the file states another number than its own";
            return Err(corrupt(path, offset, reason));
        }
        if let Some(found) = Codec::unsupported(footer.codecs) {
            let path = path.to_owned();
            return Err(Error::UnsupportedCodec { path, found });
        }
        let tombstones = match footer.tombstones.len {
            0 => Vec::new(),
            _ => ending.part(footer.tombstones, tombstones::decode)?,
        };
        let top = ending.part(footer.top, |payload| {
            // Its own memory: the rest of what was read is not to be kept for it.
            Index::decode(Bytes::copy_from_slice(payload), ending.offset)
        })?;
        let properties = ending.part(footer.properties, Properties::decode)?;
        let id = cache.register();
        Ok(Table {
            file,
            path: path.to_owned(),
            filenum,
            seal: ending.seal,
            top,
            tombstones,
            properties,
            cache,
            id,
        })
    }

    pub(crate) fn filenum(&self) -> FileNum {
        self.filenum
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The deleted ranges: by start, and the newest first.
    pub(crate) fn range_tombstones(&self) -> &[RangeTombstone] {
        &self.tombstones
    }

    /// The newest version of a key at or below `seq`. Range tombstones are not looked at.
    pub(crate) async fn get(&self, key: &[u8], seq: u64) -> Result<Option<Found>> {
        let Some(at) = self.top.find(key, seq) else {
            return Ok(None);
        };
        let partition = self.partition(at).await?;
        if !partition.may_contain(filter::hash(key)) {
            return Ok(None);
        }
        let handle = partition.index.find(key, seq);
        let Some(handle) = handle.and_then(|at| partition.index.handle(at)) else {
            return Ok(None);
        };
        let block = match self.cached_block(handle) {
            Some(block) => block,
            None => self.read_block(handle, true).await?,
        };
        let found = block
            .find(key, seq)
            .map_err(|error| self.corrupt(handle, error))?;
        let Some(entry) = found else {
            return Ok(None);
        };
        // The first `shared` bytes are the sought key's own.
        if key.get(entry.shared..) != Some(block.bytes(entry.unshared)) {
            return Ok(None);
        }
        Ok(Some(Found {
            kind: entry.kind,
            seq: entry.seq,
            value: block.into_value(entry.value),
        }))
    }

    pub(super) fn top(&self) -> &Index {
        &self.top
    }

    /// The partition with this place in the top index, from the cache or the disk.
    pub(super) async fn partition(&self, at: usize) -> Result<Arc<Partition>> {
        let handle = self.top.handle(at).unwrap_or_default();
        if let Some(Cached::Partition(partition)) = self.cache.get(self.place(handle)) {
            return Ok(partition);
        }
        let payload = self.read(handle).await?;
        let partition = Partition::decode(payload, handle.offset);
        let partition = Arc::new(partition.map_err(|error| self.corrupt(handle, error))?);
        let cached = Cached::Partition(Arc::clone(&partition));
        self.cache.insert(self.place(handle), cached);
        Ok(partition)
    }

    /// The data block, if it is in the cache.
    #[inline]
    pub(super) fn cached_block(&self, handle: Handle) -> Option<Block> {
        match self.cache.get(self.place(handle))? {
            Cached::Data(block) => Some(block),
            Cached::Partition(_) => None,
        }
    }

    pub(super) fn is_cached(&self, handle: Handle) -> bool {
        self.cache.contains(self.place(handle))
    }

    /// Reads a data block.
    pub(super) async fn read_block(&self, handle: Handle, keep: bool) -> Result<Block> {
        let payload = self.read(handle).await?;
        let block = Block::decode(payload).map_err(|error| self.corrupt(handle, error))?;
        if keep {
            self.keep(handle, &block);
        }
        Ok(block)
    }

    /// The data block that `stored`, a part of a larger read, is.
    pub(super) fn unpack_block(&self, handle: Handle, stored: Bytes, keep: bool) -> Result<Block> {
        let payload = unseal(self.seal, handle.offset, stored);
        let block = payload.and_then(Block::decode);
        let block = block.map_err(|error| self.corrupt(handle, error))?;
        if !keep {
            return Ok(block);
        }
        let block = block.detached();
        self.keep(handle, &block);
        Ok(block)
    }

    /// Reads bytes as they are in the file.
    pub(super) async fn read_stored(&self, offset: u64, len: u64) -> Result<Bytes> {
        read_all(&self.file, &self.path, offset, len).await
    }

    pub(super) fn corrupt(&self, handle: Handle, Malformed(reason): Malformed) -> Error {
        corrupt(&self.path, handle.offset, reason)
    }

    async fn read(&self, handle: Handle) -> Result<Bytes> {
        let stored = self
            .read_stored(handle.offset, u64::from(handle.len))
            .await?;
        let payload = unseal(self.seal, handle.offset, stored);
        payload.map_err(|error| self.corrupt(handle, error))
    }

    fn keep(&self, handle: Handle, block: &Block) {
        let cached = Cached::Data(block.clone());
        self.cache.insert(self.place(handle), cached);
    }

    fn place(&self, handle: Handle) -> Place {
        Place {
            table: match planted("the cache takes blocks of all tables for the same") {
                true => 0,
                false => self.id,
            },
            offset: handle.offset,
        }
    }
}

/// The parts behind the data, as they were read.
struct Ending<'a> {
    path: &'a Path,
    seal: Seal,
    offset: u64,
    stored: Bytes,
}

impl<'a> Ending<'a> {
    /// Reads the footer, and what stands before it.
    async fn read<F: File>(
        file: &TableFile<F>,
        path: &'a Path,
        size: u64,
    ) -> Result<(Footer, Self)> {
        let found = file.size().await?;
        if found != size {
            let reason = "the file is not as long as it was written";
            return Err(corrupt(path, found.min(size), reason));
        }
        let tail_at = size.saturating_sub(TAIL_BYTES);
        let tail = read_all(file, path, tail_at, size - tail_at).await?;
        let footer = Footer::decode(&tail, size).map_err(|error| explain(path, size, error))?;
        // The order of the parts was checked with the footer: all lie behind the first one.
        let offset = footer.tombstones.offset;
        let stored = match offset.checked_sub(tail_at) {
            Some(start) => tail.slice(usize_of(start)..),
            None => read_all(file, path, offset, size - offset).await?,
        };
        let seal = Seal::new(footer.filenum, footer.generation);
        let ending = Ending {
            path,
            seal,
            offset,
            stored,
        };
        Ok((footer, ending))
    }

    fn part<T>(
        &self,
        handle: Handle,
        decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T> {
        let start = usize_of(handle.offset - self.offset);
        let stored = self.stored.slice(start..start + handle.bytes());
        let payload = unseal(self.seal, handle.offset, stored);
        let part = payload.and_then(|payload| decode(&payload));
        part.map_err(|Malformed(reason)| corrupt(self.path, handle.offset, reason))
    }
}

/// Reads exactly this part of a file.
async fn read_all<F: File>(
    file: &TableFile<F>,
    path: &Path,
    offset: u64,
    len: u64,
) -> Result<Bytes> {
    let stored = file.read_at(offset, usize_of(len)).await?;
    if stored.len() as u64 != len {
        return Err(corrupt(path, offset, "the file ends early"));
    }
    Ok(stored)
}

/// The payload of a block as it was stored at `offset`, verified and unpacked.
fn unseal(seal: Seal, offset: u64, mut stored: Bytes) -> Result<Bytes, Malformed> {
    let (len, codec) = seal.verify(offset, &stored)?;
    stored.truncate(len);
    decompress(codec, stored)
}

fn explain(path: &Path, size: u64, error: FooterError) -> Error {
    match error {
        FooterError::Magic => Error::NotATable {
            path: path.to_owned(),
        },
        FooterError::Version(found) => Error::UnsupportedVersion {
            path: path.to_owned(),
            found,
            supported: VERSION,
        },
        FooterError::Damaged(Malformed(reason)) => {
            corrupt(path, size.saturating_sub(FOOTER_BYTES as u64), reason)
        }
    }
}

fn corrupt(path: &Path, offset: u64, reason: &'static str) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        offset,
        reason: reason.into(),
    }
}
