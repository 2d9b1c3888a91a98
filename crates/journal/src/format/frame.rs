//! A frame: what one round of group commit writes, one or more edits.
//!
//! ```text
//!  0        4        8        12       16               24               32               40
//!  | header | payload| payload| number | first seq      | watermark      | own offset     |
//!  | sum u32| sum u32| len u32| u32    | u64            | u64            | u64            |
//! ```
//!
//! The payload follows: for each edit its length (u32) and its bytes, then zeros up to the next
//! multiple of 8. The payload's checksum covers those zeros too.

use quipu_io::planted::planted;

use super::{Checksum, aligned, put, seq_at, u32_at, u64_at};
use crate::Seq;

/// The size of a frame's header.
pub(crate) const HEADER_BYTES: usize = 40;

/// The bytes before each edit in a payload: its length.
pub(crate) const EDIT_HEADER_BYTES: usize = 4;

/// A frame's header, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Where the frame begins in its file.
    pub(crate) offset: u64,
    /// Bytes of the edits and their lengths, without the zeros at the end.
    pub(crate) payload_bytes: u32,
    /// How many edits it holds: at least 1.
    pub(crate) edits: u32,
    /// The first edit's number.
    pub(crate) first: Seq,
    /// Everything up to here was durable when the frame was written.
    pub(crate) watermark: Seq,
    /// The checksum of the payload.
    pub(crate) payload_checksum: u32,
    /// The checksum of this header.
    pub(crate) checksum: u32,
}

impl FrameHeader {
    /// The last edit's number.
    pub(crate) fn last(&self) -> Seq {
        self.first.plus(u64::from(self.edits) - 1)
    }

    /// The payload's size on disk, zeros included.
    pub(crate) fn stored_payload_bytes(&self) -> u64 {
        aligned(u64::from(self.payload_bytes))
    }

    /// Where the next frame begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + HEADER_BYTES as u64 + self.stored_payload_bytes()
    }

    /// One number for header and payload, by which a successor's header names its predecessor's
    /// last frame.
    pub(crate) fn fingerprint(&self) -> u64 {
        u64::from(self.checksum) << 32 | u64::from(self.payload_checksum)
    }

    /// Reads the header at the beginning of `bytes`, which were read at `offset`.
    pub(crate) fn decode(bytes: &[u8], offset: u64, checksum: Checksum) -> Option<FrameHeader> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        // The offset first: it turns away nearly all that is no frame without a checksum.
        if u64_at(bytes, 32) != offset || checksum.of(&bytes[4..]) != u32_at(bytes, 0) {
            return None;
        }
        let header = FrameHeader {
            offset,
            payload_bytes: u32_at(bytes, 8),
            edits: u32_at(bytes, 12),
            first: seq_at(bytes, 16),
            watermark: seq_at(bytes, 24),
            payload_checksum: u32_at(bytes, 4),
            checksum: u32_at(bytes, 0),
        };
        let sane = header.edits > 0
            && header.watermark < header.first
            && header
                .first
                .get()
                .checked_add(u64::from(header.edits))
                .is_some()
            && offset
                .checked_add(HEADER_BYTES as u64 + header.stored_payload_bytes())
                .is_some();
        sane.then_some(header)
    }

    /// Whether `stored`, zeros included, is this frame's payload.
    pub(crate) fn vouches_for(&self, stored: &[u8], checksum: Checksum) -> bool {
        stored.len() as u64 == self.stored_payload_bytes()
            && (planted("a frame is accepted with a torn payload")
                || checksum.of(stored) == self.payload_checksum)
    }
}

/// Fills in the header of a frame whose payload is complete.
///
/// `frame` is [`HEADER_BYTES`] of room and then the payload; the zeros at the end are added here.
pub(crate) fn finish(
    frame: &mut bytes::BytesMut,
    offset: u64,
    edits: u32,
    first: Seq,
    watermark: Seq,
    checksum: Checksum,
) -> FrameHeader {
    let payload_bytes = u32::try_from(frame.len() - HEADER_BYTES).unwrap_or(u32::MAX);
    assert!(
        edits > 0 && watermark < first,
        "a frame holds edits beyond its watermark"
    );
    frame.resize(
        HEADER_BYTES + usize_of(aligned(u64::from(payload_bytes))),
        0,
    );
    let payload_checksum = checksum.of(&frame[HEADER_BYTES..]);
    put(frame, 4, payload_checksum.to_le_bytes());
    put(frame, 8, payload_bytes.to_le_bytes());
    put(frame, 12, edits.to_le_bytes());
    put(frame, 16, first.get().to_le_bytes());
    put(frame, 24, watermark.get().to_le_bytes());
    put(frame, 32, offset.to_le_bytes());
    let header_checksum = checksum.of(&frame[4..HEADER_BYTES]);
    put(frame, 0, header_checksum.to_le_bytes());
    FrameHeader {
        offset,
        payload_bytes,
        edits,
        first,
        watermark,
        payload_checksum,
        checksum: header_checksum,
    }
}

/// Takes the first edit out of an unfinished frame, as a frame of its own: only a planted bug does.
pub(crate) fn split_first(frame: &mut bytes::BytesMut) -> bytes::BytesMut {
    let first = EDIT_HEADER_BYTES + usize_of(u64::from(u32_at(frame, HEADER_BYTES)));
    let others = frame.split_off(HEADER_BYTES + first);
    let mut rest = bytes::BytesMut::zeroed(HEADER_BYTES);
    rest.extend_from_slice(&others);
    std::mem::replace(frame, rest)
}

/// The edits of a verified payload, in order; `None` for one whose lengths do not add up.
pub(crate) fn edits(mut payload: &[u8], count: u32) -> impl Iterator<Item = Option<&[u8]>> {
    let mut left = count;
    std::iter::from_fn(move || {
        if left == 0 {
            // Bytes after the last edit belong to nobody.
            let rest = std::mem::take(&mut payload);
            return (!rest.is_empty()).then_some(None);
        }
        left -= 1;
        let Some((head, rest)) = payload.split_first_chunk::<EDIT_HEADER_BYTES>() else {
            (left, payload) = (0, &[]);
            return Some(None);
        };
        let len = usize_of(u64::from(u32::from_le_bytes(*head)));
        let Some((edit, rest)) = rest.split_at_checked(len) else {
            (left, payload) = (0, &[]);
            return Some(None);
        };
        payload = rest;
        Some(Some(edit))
    })
}

/// Sizes that were checked against a file or a buffer fit into memory's own unit.
pub(crate) fn usize_of(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    /// Appends one edit to a payload.
    fn put_edit(payload: &mut BytesMut, edit: &[u8]) {
        let len = u32::try_from(edit.len()).unwrap_or(u32::MAX);
        payload.extend_from_slice(&len.to_le_bytes());
        payload.extend_from_slice(edit);
    }

    fn frame(edits: &[&[u8]]) -> (BytesMut, FrameHeader) {
        let mut bytes = BytesMut::zeroed(HEADER_BYTES);
        edits.iter().for_each(|edit| put_edit(&mut bytes, edit));
        let count = u32::try_from(edits.len()).unwrap();
        let header = finish(
            &mut bytes,
            8192,
            count,
            Seq::new(5),
            Seq::new(4),
            Checksum::new(77),
        );
        (bytes, header)
    }

    #[test]
    fn a_finished_frame_decodes_to_itself() {
        let (bytes, header) = frame(&[b"abc", b"", b"defgh"]);
        assert_eq!(
            FrameHeader::decode(&bytes, 8192, Checksum::new(77)),
            Some(header)
        );
        assert_eq!(header.last(), Seq::new(7));
        assert_eq!(header.end(), 8192 + bytes.len() as u64);
        let stored = &bytes[HEADER_BYTES..];
        assert!(header.vouches_for(stored, Checksum::new(77)));
        let payload = &stored[..header.payload_bytes as usize];
        let back: Vec<_> = super::edits(payload, 3).collect();
        assert_eq!(back, [Some(&b"abc"[..]), Some(b""), Some(b"defgh")]);
    }

    #[test]
    fn no_flipped_bit_validates() {
        let (bytes, header) = frame(&[b"abc", b"x"]);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let decoded = FrameHeader::decode(&damaged, 8192, Checksum::new(77));
            let intact = decoded.is_some_and(|decoded| {
                decoded == header
                    && decoded.vouches_for(&damaged[HEADER_BYTES..], Checksum::new(77))
            });
            assert!(!intact, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_validates_only_in_its_own_place_and_file() {
        let (bytes, _) = frame(&[b"abc"]);
        assert_eq!(FrameHeader::decode(&bytes, 8200, Checksum::new(77)), None);
        assert_eq!(FrameHeader::decode(&bytes, 8192, Checksum::new(78)), None);
        assert_eq!(FrameHeader::decode(&[0; 64], 0, Checksum::new(77)), None);
    }

    #[test]
    fn lengths_that_do_not_add_up_are_told() {
        assert_eq!(
            super::edits(&[9, 0, 0, 0, 1], 1).collect::<Vec<_>>(),
            [None]
        );
        assert_eq!(super::edits(&[0, 0], 1).collect::<Vec<_>>(), [None]);
        assert_eq!(super::edits(&[0, 0, 0, 0, 1], 1).last(), Some(None));
    }
}
