//! The pieces that all parts of a table are made of: integers, places, and the seal of a block.
//!
//! Invariants:
//! - Integers are little endian, or varints of 7 bits a byte, lowest first.
//! - A block is sealed with a checksum over the file's number and generation, the block's offset and
//!   its bytes, so it never validates at another place, in another file, or in what an older file of
//!   the same number left on the disk.
//! - No decoder panics, whatever the bytes.

use super::compression::Codec;

/// The bytes behind each block's payload: the codec and the checksum.
pub(crate) const TRAILER_BYTES: usize = 5;

/// What is wrong with bytes that should decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Where a block is, trailer included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

impl Handle {
    /// Where the next block begins.
    pub(crate) fn end(self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }

    pub(crate) fn bytes(self) -> usize {
        usize_of(u64::from(self.len))
    }
}

/// What every checksum of one file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    seed: u32,
}

impl Seal {
    pub(crate) fn new(filenum: u64, generation: u64) -> Seal {
        let seed = crc32c::crc32c(&filenum.to_le_bytes());
        Seal {
            seed: crc32c::crc32c_append(seed, &generation.to_le_bytes()),
        }
    }

    /// The trailer of a block that will stand at `offset`.
    pub(crate) fn trailer(self, offset: u64, payload: &[u8], codec: Codec) -> [u8; TRAILER_BYTES] {
        let checksum = crc32c::crc32c_append(self.at(offset), payload);
        let checksum = crc32c::crc32c_append(checksum, &[codec.number()]);
        let [a, b, c, d] = checksum.to_le_bytes();
        [codec.number(), a, b, c, d]
    }

    /// The length of the payload of a block that was read at `offset`, and how it is compressed.
    pub(crate) fn verify(self, offset: u64, stored: &[u8]) -> Result<(usize, Codec), Malformed> {
        let covered = stored.len().checked_sub(4);
        let (covered, checksum) = covered
            .and_then(|at| stored.split_at_checked(at))
            .ok_or(Malformed("the block is too short"))?;
        if crc32c::crc32c_append(self.at(offset), covered).to_le_bytes() != checksum {
            return Err(Malformed("the block's checksum is wrong"));
        }
        let (codec, payload) = covered
            .split_last()
            .ok_or(Malformed("the block is too short"))?;
        let codec = Codec::from_number(*codec).ok_or(Malformed("the block's codec is unknown"))?;
        Ok((payload.len(), codec))
    }

    fn at(self, offset: u64) -> u32 {
        crc32c::crc32c_append(self.seed, &offset.to_le_bytes())
    }
}

/// The `N` bytes at `at`.
#[inline]
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

/// Takes a varint from `at` on, and moves `at` behind it.
#[inline]
pub(crate) fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Takes a varint that counts bytes in memory.
#[inline]
pub(crate) fn varint_len(bytes: &[u8], at: &mut usize) -> Option<usize> {
    usize::try_from(varint(bytes, at)?).ok()
}

/// Maps differences to small numbers, whichever way they go.
#[inline]
pub(crate) fn zigzag(value: u64, base: u64) -> u64 {
    let difference = value.wrapping_sub(base).cast_signed();
    (difference << 1 ^ difference >> 63).cast_unsigned()
}

/// Undoes [`zigzag`].
#[inline]
pub(crate) fn unzigzag(value: u64, base: u64) -> u64 {
    let difference = value >> 1 ^ (value & 1).wrapping_neg();
    base.wrapping_add(difference)
}

/// How many bytes the two have in common at their beginning.
#[inline]
pub(crate) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    let len = left.len().min(right.len());
    let mut at = 0;
    while at + 8 <= len {
        let (Some(a), Some(b)) = (u64_at(left, at), u64_at(right, at)) else {
            break;
        };
        if a != b {
            return at + ((a ^ b).trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < len && left[at] == right[at] {
        at += 1;
    }
    at
}

/// A length on disk in memory's own unit.
pub(crate) fn usize_of(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A length that the writer has limited to 32 bits.
pub(crate) fn u32_of(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest byte")]
fn low_byte(value: u64) -> u8 {
    value as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(value: u64, base: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut at = 0;
            prop_assert_eq!(varint(&bytes, &mut at), Some(value));
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(unzigzag(zigzag(value, base), base), value);
        }

        #[test]
        fn the_common_prefix_is_the_longest(left: Vec<bool>, right: Vec<bool>) {
            let left: Vec<u8> = left.into_iter().map(u8::from).collect();
            let right: Vec<u8> = right.into_iter().map(u8::from).collect();
            let same = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(common_prefix(&left, &right), same);
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_none() {
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(varint(&most, &mut 0), Some(u64::MAX));
        let more = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(varint(&more, &mut 0), None);
        assert_eq!(varint(&[0x80; 11], &mut 0), None);
        assert_eq!(varint(&[0x80], &mut 0), None);
    }

    #[test]
    fn a_block_validates_only_in_its_own_place_and_file() {
        let seal = Seal::new(7, 99);
        let mut stored = b"payload".to_vec();
        stored.extend(seal.trailer(4096, b"payload", Codec::None));
        assert_eq!(seal.verify(4096, &stored), Ok((7, Codec::None)));
        assert!(seal.verify(4097, &stored).is_err());
        assert!(Seal::new(8, 99).verify(4096, &stored).is_err());
        assert!(Seal::new(7, 98).verify(4096, &stored).is_err());
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(seal.verify(4096, &damaged).is_err(), "bit {bit}");
        }
        for len in 0..stored.len() {
            assert!(seal.verify(4096, &stored[..len]).is_err(), "{len} bytes");
        }
    }
}
