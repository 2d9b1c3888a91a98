//! Walks over a segment's frames, and looks for intact ones behind damage.
//!
//! Invariants: nothing is allocated for a length that a checksum has not vouched for, nor for more
//! than the file holds; no byte is looked at twice in two different readings.

use std::sync::Arc;

use bytes::Bytes;
use quipu_io::File;
use quipu_io::planted::planted;

use crate::format::frame::{FrameHeader, HEADER_BYTES, usize_of};
use crate::format::{ALIGNMENT, Checksum};
use crate::{Error, Result, Seq};

/// How much is read at once: first a little, for most journals are small, then more.
const FIRST_READ_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 1 << 20;

/// The frames of a segment in order, up to `limit`.
#[derive(Debug)]
pub(crate) struct Frames<F> {
    window: Window<F>,
    checksum: Checksum,
    offset: u64,
}

/// A frame, verified, with its payload without the zeros at its end.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) header: FrameHeader,
    pub(crate) payload: Bytes,
}

/// Why there is no next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The limit is reached exactly.
    Limit,
    /// What follows is no frame's header.
    Header,
    /// The frame's header is intact, its payload is not.
    Payload,
    /// The frame's header is intact, and its payload would go beyond the limit.
    Cut,
}

impl Stop {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Stop::Limit => "the frames end too early",
            Stop::Header => "no intact frame header is there",
            Stop::Payload => "the frame's payload does not match its checksum",
            Stop::Cut => "the frame goes on behind the end of the file",
        }
    }
}

impl<F: File> Frames<F> {
    pub(crate) fn new(file: Arc<F>, checksum: Checksum, offset: u64, limit: u64) -> Self {
        Frames {
            window: Window::new(file, limit),
            checksum,
            offset,
        }
    }

    /// Where the next frame begins, or where the last call stopped.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) async fn next(&mut self) -> Result<Result<Frame, Stop>> {
        let head = self.window.at(self.offset, HEADER_BYTES).await?;
        let Some(header) = FrameHeader::decode(&head, self.offset, self.checksum) else {
            let end = self.offset == self.window.limit;
            return Ok(Err(if end { Stop::Limit } else { Stop::Header }));
        };
        if header.end() > self.window.limit {
            return Ok(Err(Stop::Cut));
        }
        let stored = usize_of(header.stored_payload_bytes());
        let mut payload = self
            .window
            .at(self.offset + HEADER_BYTES as u64, stored)
            .await?;
        if !header.vouches_for(&payload, self.checksum) {
            return Ok(Err(Stop::Payload));
        }
        payload.truncate(header.payload_bytes as usize);
        self.offset = header.end();
        Ok(Ok(Frame { header, payload }))
    }
}

/// What stands behind the last intact frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// The highest watermark of an intact frame header; `ZERO` if there is none.
    pub(crate) watermark: Seq,
    /// Bytes up to the last one that is not zero.
    pub(crate) bytes: u64,
}

/// Looks at every position from `offset` to `limit` at which a frame can begin.
///
/// Stopping at the first bad one would miss a frame that proves that the damage is damage.
pub(crate) async fn beyond<F: File>(
    file: &Arc<F>,
    checksum: Checksum,
    offset: u64,
    limit: u64,
) -> Result<Beyond> {
    let mut window = Window::new(file.clone(), limit);
    let mut found = Beyond {
        watermark: Seq::ZERO,
        bytes: 0,
    };
    let mut at = offset;
    while at < limit {
        let bytes = window.at(at, FIRST_READ_BYTES).await?;
        if bytes.is_empty() {
            break;
        }
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            found.bytes = at + last as u64 + 1 - offset;
            let step = match planted("no proof is looked for behind a bad frame") {
                true => bytes.len(),
                false => ALIGNMENT,
            };
            for start in (0..bytes.len()).step_by(step) {
                let place = at + start as u64;
                if let Some(header) = FrameHeader::decode(&bytes[start..], place, checksum) {
                    found.watermark = found.watermark.max(header.watermark);
                }
            }
        }
        // The next look begins early enough to see a header that lies across the edge.
        let step = if bytes.len() as u64 == limit - at {
            bytes.len()
        } else {
            bytes.len().saturating_sub(HEADER_BYTES).max(ALIGNMENT)
        };
        at += step as u64;
    }
    Ok(found)
}

/// A sliding read buffer over a file, never beyond its limit.
#[derive(Debug)]
struct Window<F> {
    file: Arc<F>,
    limit: u64,
    bytes: Bytes,
    start: u64,
    read_bytes: usize,
}

impl<F: File> Window<F> {
    fn new(file: Arc<F>, limit: u64) -> Self {
        Window {
            file,
            limit,
            bytes: Bytes::new(),
            start: 0,
            read_bytes: FIRST_READ_BYTES,
        }
    }

    /// `len` bytes at `offset`, fewer where the limit or the file ends.
    async fn at(&mut self, offset: u64, len: usize) -> Result<Bytes> {
        let len = len.min(usize_of(self.limit.saturating_sub(offset)));
        if let Some(slice) = self.held(offset, len)
            && !planted("every frame is read from the disk again")
        {
            return Ok(slice);
        }
        let want = len
            .max(self.read_bytes)
            .min(usize_of(self.limit.saturating_sub(offset)));
        self.bytes = self.file.read_at(offset, want).await.map_err(Error::io)?;
        self.start = offset;
        self.read_bytes = READ_BYTES;
        Ok(self.bytes.slice(..len.min(self.bytes.len())))
    }

    fn held(&self, offset: u64, len: usize) -> Option<Bytes> {
        let from = usize_of(offset.checked_sub(self.start)?);
        let to = from.checked_add(len)?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use bytes::BytesMut;

    use super::*;
    use crate::format::frame;

    /// Bytes that count how many of them were read.
    struct Counted {
        bytes: Bytes,
        read: AtomicU64,
    }

    impl File for Counted {
        async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
            let from = usize_of(offset).min(self.bytes.len());
            let to = from.saturating_add(len).min(self.bytes.len());
            self.read.fetch_add((to - from) as u64, Ordering::Relaxed);
            Ok(self.bytes.slice(from..to))
        }

        async fn write_at(&self, _offset: u64, _data: Bytes) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        async fn sync_data(&self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        async fn sync_all(&self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        async fn size(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }

        async fn set_len(&self, _size: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        async fn allocate(&self, _offset: u64, _len: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// So many frames of one edit each.
    fn file(frames: u64, edit_bytes: usize) -> Arc<Counted> {
        let mut bytes = BytesMut::new();
        for number in 1..=frames {
            let mut made = BytesMut::zeroed(HEADER_BYTES + edit_bytes);
            let (offset, before) = (bytes.len() as u64, Seq::new(number - 1));
            let sum = Checksum::new(1);
            frame::finish(&mut made, offset, 1, before.next(), before, sum);
            bytes.extend_from_slice(&made);
        }
        Arc::new(Counted {
            bytes: bytes.freeze(),
            read: AtomicU64::new(0),
        })
    }

    /// What lies across the end of a read is read again, and nothing else.
    #[test]
    fn what_is_read_is_bounded_by_the_size_of_the_file() {
        for edit_bytes in [1, 600, 4000] {
            let file = file(1000, edit_bytes);
            let size = file.bytes.len() as u64;
            let mut frames = Frames::new(file.clone(), Checksum::new(1), 0, size);
            let mut count = 0;
            while smol::block_on(frames.next()).unwrap().is_ok() {
                count += 1;
            }
            assert_eq!((count, frames.offset()), (1000, size));
            let read = file.read.load(Ordering::Relaxed);
            assert!(read <= size + size / 4, "{read} bytes of {size} were read");
        }
    }
}
