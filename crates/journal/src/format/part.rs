//! The parts of a snapshot and its footer: two records of the same shape.
//!
//! ```text
//!          0           4            8        16          24           32
//!  part    | own sum   | payload sum| length | index     | own offset | payload, zeros to 8 ...
//!  footer  | own sum   | rolling sum| parts  | all ones  | own offset |
//! ```
//!
//! The rolling sum goes over the parts' payload sums, so a footer fits one list of parts only.
//! Nothing follows the footer.

use super::{Checksum, aligned, put, u32_at, u64_at};

/// The size of a part's header, and of the footer.
pub(crate) const RECORD_BYTES: usize = 32;

const FOOTER_INDEX: u64 = u64::MAX;

/// A record of a snapshot, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The header of a part; its payload follows.
    Part {
        index: u64,
        payload_bytes: u64,
        payload_checksum: u32,
    },
    /// The end.
    Footer { parts: u64, rolling: u32 },
}

impl Record {
    pub(crate) fn encode(&self, offset: u64, checksum: Checksum) -> [u8; RECORD_BYTES] {
        let (sum, len, index) = match *self {
            Record::Part {
                index,
                payload_bytes,
                payload_checksum,
            } => (payload_checksum, payload_bytes, index),
            Record::Footer { parts, rolling } => (rolling, parts, FOOTER_INDEX),
        };
        let mut bytes = [0; RECORD_BYTES];
        put(&mut bytes, 4, sum.to_le_bytes());
        put(&mut bytes, 8, len.to_le_bytes());
        put(&mut bytes, 16, index.to_le_bytes());
        put(&mut bytes, 24, offset.to_le_bytes());
        let own = checksum.of(&bytes[4..]);
        put(&mut bytes, 0, own.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], offset: u64, checksum: Checksum) -> Option<Record> {
        let bytes = bytes.get(..RECORD_BYTES)?;
        if u64_at(bytes, 24) != offset || checksum.of(&bytes[4..]) != u32_at(bytes, 0) {
            return None;
        }
        let (sum, len, index) = (u32_at(bytes, 4), u64_at(bytes, 8), u64_at(bytes, 16));
        if index == FOOTER_INDEX {
            return Some(Record::Footer {
                parts: len,
                rolling: sum,
            });
        }
        let stored = len.checked_next_multiple_of(super::ALIGNMENT as u64)?;
        offset
            .checked_add(RECORD_BYTES as u64)?
            .checked_add(stored)?;
        Some(Record::Part {
            index,
            payload_bytes: len,
            payload_checksum: sum,
        })
    }
}

/// A part's payload on disk, zeros included.
pub(crate) const fn stored_bytes(payload_bytes: u64) -> u64 {
    aligned(payload_bytes)
}

/// The rolling sum after one more part.
pub(crate) fn roll(rolling: u32, payload_checksum: u32) -> u32 {
    crc32c::crc32c_append(rolling, &payload_checksum.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_decode_to_themselves_in_their_own_place() {
        let sum = Checksum::new(5);
        let part = Record::Part {
            index: 2,
            payload_bytes: 9,
            payload_checksum: 77,
        };
        let footer = Record::Footer {
            parts: 3,
            rolling: 4,
        };
        for record in [part, footer] {
            let bytes = record.encode(128, sum);
            assert_eq!(Record::decode(&bytes, 128, sum), Some(record));
            assert_eq!(Record::decode(&bytes, 136, sum), None);
            assert_eq!(Record::decode(&bytes, 128, Checksum::new(6)), None);
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes;
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Record::decode(&damaged, 128, sum), None, "bit {bit}");
            }
        }
    }
}
