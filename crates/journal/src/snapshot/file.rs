//! A snapshot's file: written part by part, read back before it counts, read part by part.
//!
//! Invariant: a snapshot under its own name was complete and read back once. Memory in use is
//! bounded by its largest part.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use quipu_io::planted::planted;
use quipu_io::{File, Io, OpenOptions};

use crate::codec::Codec;
use crate::directory::{Directory, Draft};
use crate::format::Checksum;
use crate::format::frame::usize_of;
use crate::format::header::{SNAPSHOT_HEADER_BYTES, SnapshotHeader};
use crate::format::part::{self, RECORD_BYTES, Record};
use crate::recovery::LoadedSnapshot;
use crate::recovery::survey::{check_codec, header_error};
use crate::{Error, Result, Seq};

/// Parts are collected up to this size, then written and synced.
///
/// The log's own syncs wait for whatever the disk is busy with. With steps of 4 MiB the slowest append
/// in a thousand took nine times as long as without a snapshot, with these about twice.
const STEP_BYTES: usize = 64 << 10;

/// How much is read at once, if no single part is larger.
const READ_BYTES: usize = 256 << 10;

/// Publishes a snapshot made of these encoded parts. An error among them gives it up.
pub(crate) async fn write<I: Io>(
    directory: &Directory<I>,
    codec: Codec,
    seq: Seq,
    parts: impl Iterator<Item = Result<Vec<u8>>>,
) -> Result<LoadedSnapshot> {
    let draft = directory.draft(directory.snapshot(seq)).await?;
    match fill(directory, &draft, codec, seq, parts).await {
        Ok(written) => {
            draft.publish().await?;
            Ok(written)
        }
        Err(error) => {
            draft.abandon().await;
            Err(error)
        }
    }
}

async fn fill<I: Io>(
    directory: &Directory<I>,
    draft: &Draft<'_, I>,
    codec: Codec,
    seq: Seq,
    parts: impl Iterator<Item = Result<Vec<u8>>>,
) -> Result<LoadedSnapshot> {
    let header = SnapshotHeader {
        codec,
        generation: directory.io.random(),
        seq,
    };
    let checksum = header.checksum();
    let mut out = Output::new(draft, &header.encode(&directory.prefix));
    let (mut count, mut rolling) = (0, 0);
    for payload in parts {
        let mut payload = payload?;
        if count > 0 && planted("a snapshot holds its first part only") {
            break;
        }
        let payload_bytes = payload.len() as u64;
        payload.resize(usize_of(part::stored_bytes(payload_bytes)), 0);
        let payload_checksum = checksum.of(&payload);
        let record = Record::Part {
            index: count,
            payload_bytes,
            payload_checksum,
        };
        out.put(&record.encode(out.end(), checksum)).await?;
        out.put(&payload).await?;
        rolling = part::roll(rolling, payload_checksum);
        count += 1;
    }
    let footer = Record::Footer {
        parts: count,
        rolling,
    };
    out.put(&footer.encode(out.end(), checksum)).await?;
    let bytes = out.finish().await?;
    let mut reader = SnapshotReader::over(draft.file(), draft.path(), header, bytes);
    while reader.next().await?.is_some() {}
    Ok(reader.loaded())
}

/// Collects what is written, and writes and syncs it in steps.
struct Output<'a, 'd, I: Io> {
    draft: &'a Draft<'d, I>,
    buffer: BytesMut,
    written: u64,
}

impl<'a, 'd, I: Io> Output<'a, 'd, I> {
    fn new(draft: &'a Draft<'d, I>, header: &[u8]) -> Self {
        Output {
            draft,
            buffer: BytesMut::from(header),
            written: 0,
        }
    }

    /// Where the next byte goes.
    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.put_slice(bytes);
        while self.buffer.len() >= STEP_BYTES {
            self.write(STEP_BYTES).await?;
            self.draft.file().sync_data().await.map_err(Error::io)?;
        }
        Ok(())
    }

    async fn write(&mut self, len: usize) -> Result<()> {
        let bytes = self.buffer.split_to(len).freeze();
        let offset = self.written;
        self.written += len as u64;
        self.draft.write(offset, bytes).await
    }

    async fn finish(mut self) -> Result<u64> {
        self.write(self.buffer.len()).await?;
        Ok(self.written)
    }
}

/// Reads a snapshot part by part, each verified.
#[derive(Debug)]
pub(crate) struct SnapshotReader<F> {
    file: Arc<F>,
    path: PathBuf,
    header: SnapshotHeader,
    checksum: Checksum,
    size: u64,
    /// Where the next record begins.
    offset: u64,
    parts: u64,
    rolling: u32,
    done: bool,
    held: Bytes,
    held_at: u64,
}

impl<F: File> SnapshotReader<F> {
    /// Opens the snapshot of `seq`.
    pub(crate) async fn open<I: Io<File = F>>(
        directory: &Directory<I>,
        codec: Option<Codec>,
        seq: Seq,
    ) -> Result<SnapshotReader<F>> {
        let path = directory.snapshot(seq);
        let file = directory
            .io
            .open(&path, OpenOptions::ReadOnly)
            .await
            .map_err(Error::io)?;
        let size = file.size().await.map_err(Error::io)?;
        let bytes = file
            .read_at(0, SNAPSHOT_HEADER_BYTES)
            .await
            .map_err(Error::io)?;
        let header = SnapshotHeader::decode(&bytes, &directory.prefix)
            .map_err(|error| header_error(&path, error))?;
        check_codec(&path, header.codec, codec)?;
        if header.seq != seq {
            let reason = format!(
                "its header says that it is the snapshot of edit {}",
                header.seq
            );
            return Err(Error::corrupt(&path, 0, reason));
        }
        Ok(SnapshotReader::over(&Arc::new(file), &path, header, size))
    }

    fn over(file: &Arc<F>, path: &Path, header: SnapshotHeader, size: u64) -> SnapshotReader<F> {
        SnapshotReader {
            file: file.clone(),
            path: path.to_owned(),
            checksum: header.checksum(),
            header,
            size,
            offset: SNAPSHOT_HEADER_BYTES as u64,
            parts: 0,
            rolling: 0,
            done: false,
            held: Bytes::new(),
            held_at: 0,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was read; all of it once `next` has answered `None`.
    pub(crate) fn loaded(&self) -> LoadedSnapshot {
        LoadedSnapshot {
            seq: self.header.seq,
            parts: self.parts,
            bytes: self.size,
        }
    }

    /// Where the next part's record begins, and its payload; `None` behind an intact footer.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, Bytes)>> {
        if self.done {
            return Ok(None);
        }
        let at = self.offset;
        let bytes = self.read(at, RECORD_BYTES as u64).await?;
        match Record::decode(&bytes, at, self.checksum) {
            Some(Record::Part {
                index,
                payload_bytes,
                payload_checksum,
            }) if index == self.parts => {
                let payload = self.payload(at, payload_bytes, payload_checksum).await?;
                Ok(Some((at, payload)))
            }
            Some(Record::Footer { parts, rolling })
                if (parts, rolling) == (self.parts, self.rolling) =>
            {
                if at + RECORD_BYTES as u64 != self.size {
                    return Err(self.damaged(at, "bytes follow its footer"));
                }
                self.done = true;
                Ok(None)
            }
            Some(_) => Err(self.damaged(at, "its parts are not the ones that its records count")),
            None if planted("a snapshot may end without a footer") => Ok(None),
            None => Err(self.damaged(at, "no intact part and no footer is there")),
        }
    }

    async fn payload(&mut self, at: u64, payload_bytes: u64, sum: u32) -> Result<Bytes> {
        let stored = part::stored_bytes(payload_bytes);
        let start = at + RECORD_BYTES as u64;
        // The record vouches for the length, and still it is never more than the file holds.
        if stored > self.size.saturating_sub(start) {
            return Err(self.damaged(at, "the file ends inside a part"));
        }
        let mut payload = self.read(start, stored).await?;
        if payload.len() as u64 != stored || self.checksum.of(&payload) != sum {
            return Err(self.damaged(at, "a part does not match its checksum"));
        }
        payload.truncate(usize_of(payload_bytes));
        self.parts += 1;
        self.rolling = part::roll(self.rolling, sum);
        self.offset = start + stored;
        Ok(payload)
    }

    async fn read(&mut self, offset: u64, len: u64) -> Result<Bytes> {
        let len = usize_of(len);
        let from = usize_of(offset.saturating_sub(self.held_at));
        if offset >= self.held_at && from + len <= self.held.len() {
            return Ok(self.held.slice(from..from + len));
        }
        let left = usize_of(self.size.saturating_sub(offset));
        self.held = self
            .file
            .read_at(offset, len.max(READ_BYTES).min(left))
            .await
            .map_err(Error::io)?;
        self.held_at = offset;
        Ok(self.held.slice(..len.min(self.held.len())))
    }

    fn damaged(&self, offset: u64, reason: &'static str) -> Error {
        Error::corrupt(&self.path, offset, reason)
    }
}
