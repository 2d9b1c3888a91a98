//! A table's file while it is written: sealed blocks, gathered into large writes.
//!
//! Invariant: after a failed write, or one whose future was dropped, nothing more is written, so a
//! file with a hole is never completed.

use std::path::{Path, PathBuf};

use quipu_io::planted::planted;
use quipu_io::{BytesMut, File};

use super::compression::{Codec, Compression, compress};
use super::layout::{Handle, Seal, TRAILER_BYTES, u32_of};
use crate::error::{Error, Result};

/// How much is gathered for one write.
const WRITE_BYTES: usize = 512 << 10;

/// The largest block.
pub(super) const MAX_BLOCK_BYTES: usize = (2 << 30) - TRAILER_BYTES - 1;

#[derive(Debug)]
pub(super) struct Output<F> {
    file: F,
    path: PathBuf,
    seal: Seal,
    buffer: BytesMut,
    /// Bytes that are in the file.
    written: u64,
    /// The checksum of those.
    checksum: u32,
    /// A bit for each codec in use.
    codecs: u32,
    packed: Vec<u8>,
    failed: bool,
}

impl<F: File> Output<F> {
    pub(super) fn new(file: F, path: &Path, seal: Seal) -> Self {
        Output {
            file,
            path: path.to_owned(),
            seal,
            buffer: BytesMut::new(),
            written: 0,
            checksum: 0,
            codecs: 0,
            packed: Vec::new(),
            failed: false,
        }
    }

    /// Where the next block will begin.
    pub(super) fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(super) fn codecs(&self) -> u32 {
        self.codecs
    }

    /// Adds a block.
    pub(super) fn put(&mut self, payload: &[u8], compression: Compression) -> Result<Handle> {
        if payload.len() > MAX_BLOCK_BYTES {
            return Err(self.invalid("a block would be larger than 2 GiB"));
        }
        let codec = compress(compression, payload, &mut self.packed);
        let stored = match codec {
            Codec::None => payload,
            Codec::Lz4 | Codec::Zstd => &self.packed,
        };
        let offset = self.written + self.buffer.len() as u64;
        let len = stored.len() + TRAILER_BYTES;
        if self.buffer.capacity() - self.buffer.len() < len {
            // For all of a write at once: growing would copy, and a written buffer is used again.
            self.buffer.reserve(len.max(WRITE_BYTES + WRITE_BYTES / 8));
        }
        self.buffer.extend_from_slice(stored);
        let trailer = self.seal.trailer(offset, stored, codec);
        self.buffer.extend_from_slice(&trailer);
        self.codecs |= codec.flag();
        Ok(Handle {
            offset,
            len: u32_of(len),
        })
    }

    /// Adds bytes as they are.
    pub(super) fn put_raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether enough has been gathered for a write.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= WRITE_BYTES
    }

    /// Writes what has been gathered.
    pub(super) async fn write(&mut self) -> Result<()> {
        if self.failed {
            return Err(self.invalid("an earlier write failed"));
        }
        let data = self.buffer.split().freeze();
        let len = data.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, &data);
        self.failed = true;
        self.file.write_at(self.written, data).await?;
        self.failed = false;
        self.written += len;
        Ok(())
    }

    /// Writes the rest, makes all of it durable, and answers with the size and the checksum.
    pub(super) async fn finish(mut self) -> Result<(u64, u64)> {
        self.write().await?;
        if !planted("a table is recorded without a sync") {
            self.file.sync_data().await?;
        }
        Ok((self.written, u64::from(self.checksum)))
    }

    pub(super) fn invalid(&self, reason: &'static str) -> Error {
        Error::InvalidTable {
            path: self.path.clone(),
            reason,
        }
    }
}
