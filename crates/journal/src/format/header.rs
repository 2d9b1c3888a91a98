//! The headers of segments and snapshots: what file this is, and what comes before it.
//!
//! A segment begins with a block for its header and a block for its seal, 4096 bytes each, so that
//! rewriting the seal touches no sector that holds anything else, with sectors of 512 or 4096 bytes.
//!
//! ```text
//! segment  0       8        12     14     16      24          32         40
//!          | magic | version| codec| flags| number| generation| first seq|
//!          40        48        56         64        72           80     88      89      152    156
//!          | predecessor: number, generation, end, last seq, print| whole | length, prefix | zero | sum
//!
//! snapshot 0       8        12     14     16          24   32      33      96      124
//!          | magic | version| codec| flags| generation| seq| length, prefix | zeros | sum
//! ```

use super::{Checksum, HeaderError, VERSION, put, seq_at, u16_at, u32_at, u64_at};
use crate::Seq;
use crate::codec::Codec;

/// Where the seal of a segment stands.
pub(crate) const SEAL_OFFSET: u64 = 4096;

/// Where the first frame of a segment stands.
pub(crate) const FRAMES_OFFSET: u64 = 8192;

/// The size of a segment's header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 160;

/// The size of a snapshot's header.
pub(crate) const SNAPSHOT_HEADER_BYTES: usize = 128;

/// The longest file name prefix.
pub(crate) const PREFIX_BYTES: usize = 63;

const SEGMENT_MAGIC: [u8; 8] = *b"QUIPULOG";
const SNAPSHOT_MAGIC: [u8; 8] = *b"QUIPUSNP";

const _: () = assert!(SEGMENT_HEADER_BYTES <= 512 && SNAPSHOT_HEADER_BYTES <= 512);
const _: () = assert!(FRAMES_OFFSET == 2 * SEAL_OFFSET && SEAL_OFFSET.is_multiple_of(4096));

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) codec: Codec,
    pub(crate) number: u64,
    pub(crate) generation: u64,
    /// The number of the first edit that this segment holds, or will.
    pub(crate) first: Seq,
    /// Where the log goes on before it; `None` only for segment 1.
    pub(crate) predecessor: Option<Predecessor>,
    /// The edits up to here were in the file when it was published; a file that lacks them is
    /// corrupt. `first - 1` if it was published without edits.
    pub(crate) whole: Seq,
}

/// The end of the segment before, as its successor states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Predecessor {
    pub(crate) number: u64,
    pub(crate) generation: u64,
    /// Where its frames end: what stands behind is not part of the log.
    pub(crate) end: u64,
    /// Its last edit.
    pub(crate) last: Seq,
    /// The fingerprint of its last frame; 0 if it has none.
    pub(crate) fingerprint: u64,
}

impl SegmentHeader {
    pub(crate) fn checksum(&self) -> Checksum {
        Checksum::new(self.generation)
    }

    pub(crate) fn encode(&self, prefix: &str) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        begin(&mut bytes, SEGMENT_MAGIC, self.codec);
        put(&mut bytes, 16, self.number.to_le_bytes());
        put(&mut bytes, 24, self.generation.to_le_bytes());
        put(&mut bytes, 32, self.first.get().to_le_bytes());
        if let Some(predecessor) = &self.predecessor {
            put(&mut bytes, 40, predecessor.number.to_le_bytes());
            put(&mut bytes, 48, predecessor.generation.to_le_bytes());
            put(&mut bytes, 56, predecessor.end.to_le_bytes());
            put(&mut bytes, 64, predecessor.last.get().to_le_bytes());
            put(&mut bytes, 72, predecessor.fingerprint.to_le_bytes());
        }
        put(&mut bytes, 80, self.whole.get().to_le_bytes());
        put_prefix(&mut bytes, 88, prefix);
        end(&mut bytes, self.generation);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], prefix: &str) -> Result<SegmentHeader, HeaderError> {
        let (codec, bytes) = verify::<SEGMENT_HEADER_BYTES>(bytes, SEGMENT_MAGIC, 24)?;
        check_prefix(&bytes, 88, prefix)?;
        let predecessor = Predecessor {
            number: u64_at(&bytes, 40),
            generation: u64_at(&bytes, 48),
            end: u64_at(&bytes, 56),
            last: seq_at(&bytes, 64),
            fingerprint: u64_at(&bytes, 72),
        };
        let header = SegmentHeader {
            codec,
            number: u64_at(&bytes, 16),
            generation: u64_at(&bytes, 24),
            first: seq_at(&bytes, 32),
            predecessor: (predecessor.number != 0).then_some(predecessor),
            whole: seq_at(&bytes, 80),
        };
        let before = header
            .predecessor
            .map_or(Seq::ZERO, |predecessor| predecessor.last);
        let fits = before.get().checked_add(1) == Some(header.first.get())
            && header.whole >= before
            && predecessor.number.checked_add(1) == Some(header.number);
        if fits {
            Ok(header)
        } else {
            Err(HeaderError::Damaged("its fields contradict each other"))
        }
    }
}

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    pub(crate) codec: Codec,
    pub(crate) generation: u64,
    /// The snapshot stands for all edits up to here.
    pub(crate) seq: Seq,
}

impl SnapshotHeader {
    pub(crate) fn checksum(&self) -> Checksum {
        Checksum::new(self.generation)
    }

    pub(crate) fn encode(&self, prefix: &str) -> [u8; SNAPSHOT_HEADER_BYTES] {
        let mut bytes = [0; SNAPSHOT_HEADER_BYTES];
        begin(&mut bytes, SNAPSHOT_MAGIC, self.codec);
        put(&mut bytes, 16, self.generation.to_le_bytes());
        put(&mut bytes, 24, self.seq.get().to_le_bytes());
        put_prefix(&mut bytes, 32, prefix);
        end(&mut bytes, self.generation);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], prefix: &str) -> Result<SnapshotHeader, HeaderError> {
        let (codec, bytes) = verify::<SNAPSHOT_HEADER_BYTES>(bytes, SNAPSHOT_MAGIC, 16)?;
        check_prefix(&bytes, 32, prefix)?;
        Ok(SnapshotHeader {
            codec,
            generation: u64_at(&bytes, 16),
            seq: seq_at(&bytes, 24),
        })
    }
}

fn begin(bytes: &mut [u8], magic: [u8; 8], codec: Codec) {
    put(bytes, 0, magic);
    put(bytes, 8, VERSION.to_le_bytes());
    put(bytes, 12, codec.number().to_le_bytes());
}

fn end(bytes: &mut [u8], generation: u64) {
    let at = bytes.len() - 4;
    let checksum = Checksum::new(generation).of(&bytes[..at]);
    put(bytes, at, checksum.to_le_bytes());
}

fn put_prefix(bytes: &mut [u8], at: usize, prefix: &str) {
    debug_assert!(
        prefix.len() <= PREFIX_BYTES,
        "the prefix was checked at open"
    );
    bytes[at] = u8::try_from(prefix.len()).unwrap_or(u8::MAX);
    put(bytes, at + 1, prefix);
}

/// Magic, then version, then the checksum, then the codec: each failure is its own error.
fn verify<const N: usize>(
    bytes: &[u8],
    magic: [u8; 8],
    generation_at: usize,
) -> Result<(Codec, [u8; N]), HeaderError> {
    if bytes
        .first_chunk::<8>()
        .is_some_and(|found| *found != magic)
    {
        return Err(HeaderError::Magic);
    }
    if bytes.len() < 12 {
        return Err(HeaderError::Damaged("the file ends inside its header"));
    }
    let version = u32_at(bytes, 8);
    if version > VERSION {
        return Err(HeaderError::Version(version));
    }
    let Some(bytes) = bytes.first_chunk::<N>() else {
        return Err(HeaderError::Damaged("the file ends inside its header"));
    };
    let checksum = Checksum::new(u64_at(bytes, generation_at));
    if version == 0 || checksum.of(&bytes[..N - 4]) != u32_at(bytes, N - 4) {
        return Err(HeaderError::Damaged(
            "its header does not match its checksum",
        ));
    }
    let number = u16_at(bytes, 12);
    let codec = Codec::of_number(number).ok_or(HeaderError::Codec(number))?;
    Ok((codec, *bytes))
}

fn check_prefix(bytes: &[u8], at: usize, prefix: &str) -> Result<(), HeaderError> {
    let len = usize::from(bytes[at]);
    match bytes.get(at + 1..at + 1 + len) {
        Some(found) if found == prefix.as_bytes() => Ok(()),
        _ => Err(HeaderError::Damaged(
            "it belongs to a journal with another prefix",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> SegmentHeader {
        let predecessor = Predecessor {
            number: 2,
            generation: 20,
            end: 9000,
            last: Seq::new(11),
            fingerprint: 4,
        };
        SegmentHeader {
            codec: Codec::Plain,
            number: 3,
            generation: 30,
            first: Seq::new(12),
            predecessor: Some(predecessor),
            whole: Seq::new(13),
        }
    }

    #[test]
    fn headers_decode_to_themselves() {
        assert_eq!(
            SegmentHeader::decode(&segment().encode("p"), "p"),
            Ok(segment())
        );
        let snapshot = SnapshotHeader {
            codec: Codec::Bincode,
            generation: 8,
            seq: Seq::new(9),
        };
        assert_eq!(
            SnapshotHeader::decode(&snapshot.encode("p"), "p"),
            Ok(snapshot)
        );
    }

    #[test]
    fn magic_version_checksum_and_codec_are_different_errors() {
        let good = segment().encode("p");
        let with = |at: usize, value: u8, mend: bool| {
            let mut bytes = good;
            bytes[at] = value;
            if mend {
                end(&mut bytes, 30);
            }
            SegmentHeader::decode(&bytes, "p").unwrap_err()
        };
        assert_eq!(with(0, b'q', true), HeaderError::Magic);
        assert_eq!(with(8, 2, true), HeaderError::Version(2));
        assert_eq!(with(12, 9, true), HeaderError::Codec(9));
        assert!(matches!(with(16, 9, false), HeaderError::Damaged(_)));
        assert!(matches!(
            SegmentHeader::decode(&good, "q"),
            Err(HeaderError::Damaged(_))
        ));
        assert!(matches!(
            SegmentHeader::decode(&good[..100], "p"),
            Err(HeaderError::Damaged(_))
        ));
        assert!(matches!(
            SegmentHeader::decode(&[], "p"),
            Err(HeaderError::Damaged(_))
        ));
    }

    #[test]
    fn no_flipped_bit_validates() {
        let good = segment().encode("prefix");
        for bit in 0..good.len() * 8 {
            let mut damaged = good;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                SegmentHeader::decode(&damaged, "prefix").is_err(),
                "bit {bit}"
            );
        }
    }
}
