//! [`WriteBatch`]: writes that become visible, and durable, together; and how they stand in the
//! write-ahead log.
//!
//! Invariants:
//! - A batch is encoded once, where it is filled: its bytes are the log's payload, and the memtable is
//!   given pieces of them.
//! - The `n`-th entry of a batch that begins at sequence number `s` has number `s + n`.
//!
//! The bytes are in `docs/kv-format.md`: a header of 13 bytes (version, first number, count), then
//! the entries.

use std::ops::{Deref, Range};

use bytes::Bytes;

use crate::entry::Kind;
use crate::manifest::KeyspaceId;
use crate::table::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::{Error, Result};

/// The version of this encoding.
const VERSION: u8 = 1;

/// Version, first sequence number, count.
pub(crate) const HEADER_BYTES: usize = 1 + 8 + 4;

/// The most bytes that a write takes besides its key and its value: kind, keyspace, two lengths.
const MAX_WRITE_HEADER_BYTES: usize = 1 + 5 + 3 + 5;

/// What a write can be.
const DELETE: u8 = 0;
const PUT: u8 = 1;
const RANGE_DELETE: u8 = 2;

/// Writes that are applied together or not at all, also across keyspaces.
///
/// Entries take effect in order: of two for the same key the later one counts.
///
/// ```
/// use quipu_kv::WriteBatch;
///
/// let mut batch = WriteBatch::new();
/// batch.put(b"ada", b"1815");
/// batch.delete(b"charles");
/// batch.delete_range(b"x", b"z"); // "z" stays
/// assert_eq!(batch.len(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct WriteBatch {
    payload: Vec<u8>,
    count: u32,
    /// The keyspace that it writes to, and the others if there are several.
    keyspace: Option<KeyspaceId>,
    other_keyspaces: Vec<KeyspaceId>,
    /// Bytes of the largest key and of the largest value.
    largest: (usize, usize),
}

/// What one entry of a batch says.
#[derive(Clone, Debug)]
pub(crate) enum Write<'a> {
    /// The key, of this length, and then the value.
    Entry {
        data: Piece<'a>,
        key_len: u32,
        kind: Kind,
        seq: u64,
    },
    Range {
        start: Piece<'a>,
        end: Piece<'a>,
        seq: u64,
    },
}

/// A piece of a payload.
#[derive(Clone, Debug)]
pub(crate) struct Piece<'a> {
    payload: &'a Bytes,
    range: Range<usize>,
}

impl<'a> Piece<'a> {
    #[cfg(test)]
    pub(crate) fn whole(payload: &'a Bytes) -> Self {
        let range = 0..payload.len();
        Piece { payload, range }
    }

    /// The same bytes, which keep the whole payload in memory.
    pub(crate) fn shared(&self) -> Bytes {
        self.payload.slice(self.range.clone())
    }
}

impl Deref for Piece<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.payload[self.range.clone()]
    }
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        WriteBatch {
            payload: Vec::new(),
            count: 0,
            keyspace: None,
            other_keyspaces: Vec::new(),
            largest: (0, 0),
        }
    }

    /// An empty batch with room for a write of so many bytes of key and value. Each further write takes
    /// up to 14 bytes more than its key and value.
    pub fn with_capacity(bytes: usize) -> Self {
        WriteBatch {
            payload: Vec::with_capacity(HEADER_BYTES + MAX_WRITE_HEADER_BYTES + bytes),
            ..WriteBatch::new()
        }
    }

    /// Sets a key of the default keyspace.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.put_in(KeyspaceId::DEFAULT, key, value)
    }

    /// Deletes a key of the default keyspace. It need not be there.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.delete_in(KeyspaceId::DEFAULT, key)
    }

    /// Deletes the keys of the default keyspace from `start` up to, and without, `end`.
    pub fn delete_range(&mut self, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> &mut Self {
        self.delete_range_in(KeyspaceId::DEFAULT, start, end)
    }

    /// Sets a key of a keyspace.
    pub fn put_in(
        &mut self,
        keyspace: KeyspaceId,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> &mut Self {
        self.add(PUT, keyspace, key.as_ref(), value.as_ref())
    }

    /// Deletes a key of a keyspace.
    pub fn delete_in(&mut self, keyspace: KeyspaceId, key: impl AsRef<[u8]>) -> &mut Self {
        self.add(DELETE, keyspace, key.as_ref(), &[])
    }

    /// Deletes the keys of a keyspace from `start` up to, and without, `end`. A range that ends
    /// before it begins holds none.
    pub fn delete_range_in(
        &mut self,
        keyspace: KeyspaceId,
        start: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
    ) -> &mut Self {
        let (start, end) = (start.as_ref(), end.as_ref());
        match start < end {
            true => {
                self.largest.0 = self.largest.0.max(end.len());
                self.add(RANGE_DELETE, keyspace, start, end)
            }
            false => self,
        }
    }

    /// How many writes it holds.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its size in the write-ahead log.
    pub fn bytes(&self) -> usize {
        self.payload.len().max(HEADER_BYTES)
    }

    /// Whether tables can hold all of it.
    pub(crate) fn check(&self) -> Result<()> {
        let (key, value) = self.largest;
        for (what, bytes, limit) in [
            ("key", key, MAX_KEY_BYTES),
            ("value", value, MAX_VALUE_BYTES),
        ] {
            if bytes > limit {
                let (bytes, limit) = (bytes as u64, limit as u64);
                return Err(Error::TooLarge { what, bytes, limit });
            }
        }
        Ok(())
    }

    /// The keyspaces that it writes to.
    pub(crate) fn keyspaces(&self) -> impl Iterator<Item = KeyspaceId> {
        self.keyspace.iter().chain(&self.other_keyspaces).copied()
    }

    fn add(&mut self, kind: u8, keyspace: KeyspaceId, key: &[u8], value: &[u8]) -> &mut Self {
        match self.keyspace {
            Some(first) if first == keyspace || self.other_keyspaces.contains(&keyspace) => {}
            Some(_) => self.other_keyspaces.push(keyspace),
            None => self.keyspace = Some(keyspace),
        }
        if self.payload.is_empty() {
            let first = HEADER_BYTES + MAX_WRITE_HEADER_BYTES + key.len() + value.len();
            self.payload.reserve(first);
            self.payload.resize(HEADER_BYTES, 0);
        }
        let (largest_key, largest_value) = self.largest;
        self.largest = (largest_key.max(key.len()), largest_value.max(value.len()));
        self.payload.push(kind);
        put_number(&mut self.payload, u64::from(keyspace.get()));
        put_number(&mut self.payload, key.len() as u64);
        put_number(&mut self.payload, value.len() as u64);
        self.payload.extend_from_slice(key);
        self.payload.extend_from_slice(value);
        self.count += 1;
        self
    }

    /// The payload for the log, with the number of its first entry.
    pub(crate) fn seal(mut self, first: u64) -> Bytes {
        self.payload.resize(self.payload.len().max(HEADER_BYTES), 0);
        self.payload[0] = VERSION;
        self.payload[1..9].copy_from_slice(&first.to_le_bytes());
        self.payload[9..HEADER_BYTES].copy_from_slice(&self.count.to_le_bytes());
        self.payload.into()
    }
}

impl Default for WriteBatch {
    fn default() -> Self {
        WriteBatch::new()
    }
}

/// The writes of a payload, in order, each with its keyspace.
#[derive(Debug)]
pub(crate) struct Writes<'a> {
    payload: &'a Bytes,
    at: usize,
    seq: u64,
    left: u32,
}

impl<'a> Writes<'a> {
    /// Reads the header. Fails with the reason if this is no batch of this version.
    pub(crate) fn new(payload: &'a Bytes) -> Result<Self, String> {
        let Some(header) = payload.first_chunk::<HEADER_BYTES>() else {
            return Err("it is shorter than a batch's header".to_owned());
        };
        if header[0] != VERSION {
            return Err(format!(
                "it is a batch of version {}, and this release reads version {VERSION}",
                header[0]
            ));
        }
        let mut first = [0; 8];
        first.copy_from_slice(&header[1..9]);
        let mut count = [0; 4];
        count.copy_from_slice(&header[9..]);
        Ok(Writes {
            seq: u64::from_le_bytes(first),
            left: u32::from_le_bytes(count),
            payload,
            at: HEADER_BYTES,
        })
    }

    /// Whether no write is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The number of the next write.
    pub(crate) fn next_seq(&self) -> u64 {
        self.seq
    }

    /// The next write. Fails with the reason if the bytes are not what was encoded.
    pub(crate) fn next(&mut self) -> Result<Option<(KeyspaceId, Write<'a>)>, String> {
        if self.left == 0 {
            return match self.at == self.payload.len() {
                true => Ok(None),
                false => Err("bytes are left over behind its last write".to_owned()),
            };
        }
        let kind = *self.payload.get(self.at).ok_or(CUT)?;
        self.at += 1;
        let keyspace = self.number()?;
        let keyspace = u32::try_from(keyspace).map_err(|_| "a keyspace's number is too large")?;
        let key_len = u32::try_from(self.number()?).map_err(|_| CUT)?;
        let value_len = usize::try_from(self.number()?).map_err(|_| CUT)?;
        let len = (key_len as usize).checked_add(value_len).ok_or(CUT)?;
        if len > self.payload.len() - self.at {
            return Err(CUT.to_owned());
        }
        let (start, end) = (self.at, self.at + len);
        let piece = |range| Piece {
            payload: self.payload,
            range,
        };
        let seq = self.seq;
        let entry = |kind| Write::Entry {
            data: piece(start..end),
            key_len,
            kind,
            seq,
        };
        let write = match kind {
            DELETE => entry(Kind::Delete),
            PUT => entry(Kind::Put),
            RANGE_DELETE => Write::Range {
                start: piece(start..start + key_len as usize),
                end: piece(start + key_len as usize..end),
                seq,
            },
            other => return Err(format!("{other} is no kind of write")),
        };
        self.at = end;
        self.seq = self.seq.saturating_add(1);
        self.left -= 1;
        Ok(Some((KeyspaceId::new(keyspace), write)))
    }

    /// Seven bits in a byte, the lowest first.
    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.payload.get(self.at).ok_or(CUT)?;
            self.at += 1;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(number);
            }
        }
        Err("a number does not end".to_owned())
    }
}

const CUT: &str = "it ends within a write";

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        out.push((number & 127) as u8 | 128);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 128")]
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> WriteBatch {
        let mut batch = WriteBatch::new();
        batch.put(b"ada", b"1815").delete(b"");
        batch.put_in(KeyspaceId::new(300), [7; 200], [9; 20_000]);
        batch.delete_range(b"b", b"d").delete_range(b"d", b"b");
        batch
    }

    fn read(payload: Bytes) -> Result<Vec<(u32, String)>, String> {
        let mut writes = Writes::new(&payload)?;
        let mut read = Vec::new();
        while let Some((keyspace, write)) = writes.next()? {
            let text = match write {
                Write::Entry {
                    data,
                    key_len,
                    kind,
                    seq,
                } => format!("{seq} {kind:?} {key_len} {}", data.len() - key_len as usize),
                Write::Range { start, end, seq } => {
                    format!("{seq} {:?} {:?}", start.shared(), end.shared())
                }
            };
            read.push((keyspace.get(), text));
        }
        Ok(read)
    }

    #[test]
    fn what_is_written_is_read() {
        let batch = batch();
        assert_eq!(batch.len(), 4);
        let read = read(batch.seal(70)).unwrap();
        let expected = [
            (0, "70 Put 3 4"),
            (0, "71 Delete 0 0"),
            (300, "72 Put 200 20000"),
            (0, "73 b\"b\" b\"d\""),
        ];
        assert_eq!(read.len(), expected.len());
        for ((keyspace, text), expected) in read.iter().zip(expected) {
            assert_eq!((*keyspace, text.as_str()), expected);
        }
    }

    #[test]
    fn a_batch_that_is_cut_or_longer_is_an_error_and_no_bytes_panic() {
        let whole = batch().seal(70);
        for end in 0..whole.len() {
            assert!(read(whole.slice(..end)).is_err(), "cut at {end}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(read(longer.into()).is_err());
        for at in 0..40 {
            for value in [0, 1, 2, 127, 128, 255] {
                let mut bytes = whole.to_vec();
                bytes[at] = value;
                let _ = read(bytes.into());
            }
        }
    }

    #[test]
    fn another_version_is_refused_by_its_number() {
        let mut bytes = batch().seal(1).to_vec();
        bytes[0] = 2;
        assert!(read(bytes.into()).unwrap_err().contains("version 2"));
    }
}
