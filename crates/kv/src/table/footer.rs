//! The footer: the last bytes of a table, from which everything else is found.
//!
//! ```text
//!  0       8           16            28           40                 52       56       60       64      72
//!  | number| generation| tombstones: | top index: | properties:      | codecs | version| sum    | magic |
//!  | u64   | u64       | handle      | handle     | handle           | u32    | u32    | u32    | 8     |
//! ```
//!
//! A handle is an offset (u64) and a length (u32). *codecs* has a bit for each codec that the table's
//! blocks use. The checksum covers all before it.
//!
//! Every version of the format keeps the footer's size and the places of version, checksum and magic, so
//! that a damaged version is never taken for a newer one.

use super::layout::{Handle, Malformed, u32_at, u64_at};

pub(crate) const FOOTER_BYTES: usize = 72;

/// The version that this release writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"QUIPUSST";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) filenum: u64,
    /// A random number, so that blocks of an older file of the same number never validate.
    pub(crate) generation: u64,
    /// Of length 0 where there are none.
    pub(crate) tombstones: Handle,
    pub(crate) top: Handle,
    pub(crate) properties: Handle,
    pub(crate) codecs: u32,
}

/// Why a footer is not accepted: three different things to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FooterError {
    /// Not a table.
    Magic,
    /// Written by a newer release.
    Version(u32),
    /// Damaged.
    Damaged(Malformed),
}

impl Footer {
    pub(crate) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&self.filenum.to_le_bytes());
        put(&self.generation.to_le_bytes());
        for handle in [self.tombstones, self.top, self.properties] {
            put(&handle.offset.to_le_bytes());
            put(&handle.len.to_le_bytes());
        }
        put(&self.codecs.to_le_bytes());
        put(&VERSION.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        bytes[64..].copy_from_slice(&MAGIC);
        bytes
    }

    /// Reads the footer that a file of `size` bytes ends with.
    pub(crate) fn decode(bytes: &[u8], size: u64) -> Result<Footer, FooterError> {
        let damaged = |reason| FooterError::Damaged(Malformed(reason));
        let short = damaged("the file is shorter than a footer");
        let bytes: &[u8; FOOTER_BYTES] = bytes.last_chunk().ok_or(short)?;
        if bytes[64..] != MAGIC {
            return Err(FooterError::Magic);
        }
        if u32_at(bytes, 60) != Some(crc32c::crc32c(&bytes[..60])) {
            return Err(damaged("the footer's checksum is wrong"));
        }
        let version = u32_at(bytes, 56).ok_or(short)?;
        if version > VERSION {
            return Err(FooterError::Version(version));
        }
        let handle = |at| {
            let (offset, len) = (u64_at(bytes, at)?, u32_at(bytes, at + 8)?);
            Some(Handle { offset, len })
        };
        let footer = Footer {
            filenum: u64_at(bytes, 0).ok_or(short)?,
            generation: u64_at(bytes, 8).ok_or(short)?,
            tombstones: handle(16).ok_or(short)?,
            top: handle(28).ok_or(short)?,
            properties: handle(40).ok_or(short)?,
            codecs: u32_at(bytes, 52).ok_or(short)?,
        };
        if version == 0 || !footer.is_in_order(size) {
            return Err(damaged("the footer's fields contradict each other"));
        }
        Ok(footer)
    }

    /// Tombstones, top index and properties follow each other, up to the footer.
    fn is_in_order(&self, size: u64) -> bool {
        self.tombstones.end() == self.top.offset
            && self.top.end() == self.properties.offset
            && self.properties.end().checked_add(FOOTER_BYTES as u64) == Some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1000 + 30 + 40 + 50 + FOOTER_BYTES as u64;

    fn footer() -> Footer {
        let handle = |offset, len| Handle { offset, len };
        Footer {
            filenum: 7,
            generation: 0x1234_5678_9abc_def0,
            tombstones: handle(1000, 30),
            top: handle(1030, 40),
            properties: handle(1070, 50),
            codecs: 3,
        }
    }

    #[test]
    fn a_footer_comes_back_and_only_whole() {
        let bytes = footer().encode();
        assert_eq!(Footer::decode(&bytes, SIZE), Ok(footer()));
        assert!(Footer::decode(&bytes, SIZE + 1).is_err());
        assert!(Footer::decode(&bytes[1..], SIZE).is_err());
    }

    #[test]
    fn each_flipped_bit_is_the_error_that_it_should_be() {
        let bytes = footer().encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = Footer::decode(&damaged, SIZE).unwrap_err();
            let in_magic = bit / 8 >= 64;
            assert_eq!(error == FooterError::Magic, in_magic, "bit {bit}");
            assert_eq!(
                matches!(error, FooterError::Damaged(_)),
                !in_magic,
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = footer().encode();
        bytes[56] = 2;
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Footer::decode(&bytes, SIZE), Err(FooterError::Version(2)));
    }
}
