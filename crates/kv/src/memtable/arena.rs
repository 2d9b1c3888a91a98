//! [`Arena`]: the memory that keys and values of a memtable stand in.
//!
//! An entry of its own allocation would be given back by the thread that flushes, one by one, while
//! the writers allocate the next ones: both would wait for the allocator. Here a memtable's bytes
//! come in few large chunks, and go in few.

use bytes::{Bytes, BytesMut};

use crate::batch::Piece;

/// The first chunk; the chunks grow with the table, for most keyspaces have small ones.
const FIRST_CHUNK_BYTES: usize = 4 << 10;
const MAX_CHUNK_BYTES: usize = 256 << 10;

/// What is at least this large is not copied: it keeps the allocation that it came in.
const LARGE_BYTES: usize = 16 << 10;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Arena {
    chunk: BytesMut,
    next_chunk_bytes: usize,
}

impl Arena {
    /// The same bytes, in memory that holds nothing else than this table's.
    pub(super) fn keep(&mut self, data: &Piece<'_>) -> Bytes {
        if data.len() >= LARGE_BYTES {
            return data.shared();
        }
        if self.chunk.capacity() < data.len() {
            let bytes = self.next_chunk_bytes.max(FIRST_CHUNK_BYTES);
            self.next_chunk_bytes = (2 * bytes).min(MAX_CHUNK_BYTES);
            self.chunk = BytesMut::with_capacity(bytes.max(data.len()));
        }
        self.chunk.extend_from_slice(data);
        self.chunk.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant: what is kept stays what it was, whatever is kept after it.
    #[test]
    fn what_is_kept_stays() {
        let mut arena = Arena::default();
        let data = |len: usize| Bytes::from(vec![u8::try_from(len % 251).unwrap(); len]);
        let lens = (0..3_000).chain([LARGE_BYTES - 1, LARGE_BYTES, 10 * LARGE_BYTES, 1]);
        let mut keep = |len: usize| arena.keep(&Piece::whole(&data(len)));
        let kept: Vec<_> = lens.map(|len| (keep(len), len)).collect();
        for (kept, len) in kept {
            assert_eq!(kept, data(len));
        }
    }
}
