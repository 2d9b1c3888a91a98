//! A seal: a segment's own statement of how far it is durable, in a sector of its own.
//!
//! ```text
//!  0       8           16      24        32          40        48          56     60    64
//!  | magic | generation| number| last seq| end offset| successor: number, generation| zero | sum |
//! ```
//!
//! Written at rotation and by recovery with a successor, at close without one. A seal without a
//! successor is a lower bound: appends may have gone on behind it.

use super::{Checksum, put, seq_at, u32_at, u64_at};
use crate::Seq;

/// The size of a seal; the rest of its block is zeros.
pub(crate) const SEAL_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"QUIPSEAL";

/// A seal, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// The last edit that was durable.
    pub(crate) last: Seq,
    /// Where its frame ends.
    pub(crate) end: u64,
    /// The segment that follows.
    pub(crate) successor: Option<Successor>,
}

/// A segment, by number and generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Successor {
    pub(crate) number: u64,
    pub(crate) generation: u64,
}

/// What stands where a seal can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealBlock {
    /// Zeros: never sealed.
    None,
    Seal(Seal),
    /// Neither: damage, for a sector is written whole or not at all.
    Damaged,
}

impl Seal {
    pub(crate) fn encode(&self, number: u64, generation: u64) -> [u8; SEAL_BYTES] {
        let mut bytes = [0; SEAL_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, generation.to_le_bytes());
        put(&mut bytes, 16, number.to_le_bytes());
        put(&mut bytes, 24, self.last.get().to_le_bytes());
        put(&mut bytes, 32, self.end.to_le_bytes());
        if let Some(successor) = &self.successor {
            put(&mut bytes, 40, successor.number.to_le_bytes());
            put(&mut bytes, 48, successor.generation.to_le_bytes());
        }
        let checksum = Checksum::new(generation).of(&bytes[..SEAL_BYTES - 4]);
        put(&mut bytes, SEAL_BYTES - 4, checksum.to_le_bytes());
        bytes
    }

    /// Reads what stands in the seal's place in the segment of this number and generation.
    pub(crate) fn decode(bytes: &[u8], number: u64, generation: u64) -> SealBlock {
        let Some(bytes) = bytes.get(..SEAL_BYTES) else {
            return SealBlock::Damaged;
        };
        if bytes.iter().all(|byte| *byte == 0) {
            return SealBlock::None;
        }
        let checksum = Checksum::new(generation).of(&bytes[..SEAL_BYTES - 4]);
        let own = bytes[..8] == MAGIC
            && u64_at(bytes, 8) == generation
            && u64_at(bytes, 16) == number
            && u32_at(bytes, SEAL_BYTES - 4) == checksum;
        if !own {
            return SealBlock::Damaged;
        }
        let successor = Successor {
            number: u64_at(bytes, 40),
            generation: u64_at(bytes, 48),
        };
        SealBlock::Seal(Seal {
            last: seq_at(bytes, 24),
            end: u64_at(bytes, 32),
            successor: (successor.number != 0).then_some(successor),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_decodes_to_itself_in_its_own_segment_only() {
        let seal = Seal {
            last: Seq::new(3),
            end: 8300,
            successor: None,
        };
        let bytes = seal.encode(1, 9);
        assert_eq!(Seal::decode(&bytes, 1, 9), SealBlock::Seal(seal));
        assert_eq!(Seal::decode(&bytes, 2, 9), SealBlock::Damaged);
        assert_eq!(Seal::decode(&bytes, 1, 8), SealBlock::Damaged);
        let successor = Some(Successor {
            number: 2,
            generation: 7,
        });
        let seal = Seal { successor, ..seal };
        assert_eq!(
            Seal::decode(&seal.encode(1, 9), 1, 9),
            SealBlock::Seal(seal)
        );
    }

    #[test]
    fn zeros_are_no_seal_and_everything_else_is_damage() {
        assert_eq!(Seal::decode(&[0; SEAL_BYTES], 1, 9), SealBlock::None);
        let good = Seal {
            last: Seq::new(3),
            end: 8300,
            successor: None,
        }
        .encode(1, 9);
        for bit in 0..good.len() * 8 {
            let mut damaged = good;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                Seal::decode(&damaged, 1, 9),
                SealBlock::Damaged,
                "bit {bit}"
            );
        }
        assert_eq!(Seal::decode(&good[..63], 1, 9), SealBlock::Damaged);
    }
}
