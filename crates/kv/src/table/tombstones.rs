//! The block of range tombstones: a table's deleted ranges, in order.
//!
//! ```text
//! | number: u32 | start's length, start, end's length, end, seq: for each |      lengths and seq are varints
//! ```

use bytes::Bytes;

use super::entry::RangeTombstone;
use super::layout::{Malformed, put_varint, u32_at, u32_of, varint, varint_len};

/// The payload of these, which are in order.
pub(crate) fn encode(tombstones: &[RangeTombstone]) -> Vec<u8> {
    let mut out = u32_of(tombstones.len()).to_le_bytes().to_vec();
    for tombstone in tombstones {
        for key in [&tombstone.start, &tombstone.end] {
            put_varint(&mut out, key.len() as u64);
            out.extend_from_slice(key);
        }
        put_varint(&mut out, tombstone.seq);
    }
    out
}

/// Undoes [`encode`]. What it returns has its own memory.
pub(crate) fn decode(payload: &[u8]) -> Result<Vec<RangeTombstone>, Malformed> {
    let malformed = Malformed("the range tombstones are malformed");
    let count = u32_at(payload, 0).ok_or(malformed)?;
    let payload = Bytes::copy_from_slice(payload);
    let mut at = 4;
    let mut tombstones: Vec<RangeTombstone> = Vec::new();
    for _ in 0..count {
        let tombstone = next(&payload, &mut at).ok_or(malformed)?;
        let follows = tombstones
            .last()
            .is_none_or(|last| last.order(&tombstone).is_lt());
        if tombstone.start >= tombstone.end || !follows {
            return Err(malformed);
        }
        tombstones.push(tombstone);
    }
    if at == payload.len() {
        Ok(tombstones)
    } else {
        Err(malformed)
    }
}

fn next(payload: &Bytes, at: &mut usize) -> Option<RangeTombstone> {
    let start = key(payload, at)?;
    let end = key(payload, at)?;
    let seq = varint(payload, at)?;
    Some(RangeTombstone { start, end, seq })
}

fn key(payload: &Bytes, at: &mut usize) -> Option<Bytes> {
    let len = varint_len(payload, at)?;
    let end = at.checked_add(len).filter(|end| *end <= payload.len())?;
    let key = payload.slice(*at..end);
    *at = end;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(start: &'static str, end: &'static str, seq: u64) -> RangeTombstone {
        RangeTombstone {
            start: start.into(),
            end: end.into(),
            seq,
        }
    }

    #[test]
    fn ranges_come_back_and_only_whole_and_in_order() {
        let tombstones = [
            tombstone("", "b", 9),
            tombstone("a", "c", 300),
            tombstone("a", "b", 2),
        ];
        let payload = encode(&tombstones);
        assert_eq!(decode(&payload).as_deref(), Ok(&tombstones[..]));
        for len in 0..payload.len() {
            assert!(decode(&payload[..len]).is_err());
        }
        assert!(decode(&[&payload[..], b"\0"].concat()).is_err());
        assert!(decode(&encode(&[tombstone("a", "b", 2), tombstone("a", "c", 3)])).is_err());
        assert!(decode(&encode(&[tombstone("b", "b", 2)])).is_err());
    }

    #[test]
    fn the_last_key_is_exact_where_there_is_one() {
        assert_eq!(tombstone("a", "b", 1).last_key(), b"b");
        assert_eq!(tombstone("a", "ab\0", 1).last_key(), b"ab");
    }
}
