//! The bytes on disk: pure encoders and decoders, shared by writers and readers.
//!
//! `docs/journal-format.md` describes the same with rulers and worked bytes. Invariants:
//! - All integers are little endian. Frames and snapshot parts begin at multiples of 8.
//! - Every checksum begins with the file's generation, so bytes of an older file never validate.
//! - No length is believed before the checksum over it has been verified.
//! - An all-zero header never validates.

pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod mark;
pub(crate) mod name;
pub(crate) mod part;
pub(crate) mod seal;

use crate::Seq;

/// The version that this release writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;

/// Frames and parts begin at multiples of this, which makes the search for intact ones cheap.
pub(crate) const ALIGNMENT: usize = 8;

/// `len` rounded up to the next multiple of [`ALIGNMENT`].
pub(crate) const fn aligned(len: u64) -> u64 {
    len.next_multiple_of(ALIGNMENT as u64)
}

/// CRC-32C that begins with a file's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    seed: u32,
}

impl Checksum {
    pub(crate) fn new(generation: u64) -> Checksum {
        Checksum {
            seed: crc32c::crc32c(&generation.to_le_bytes()),
        }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.seed, bytes)
    }
}

/// Why a file's header is not accepted: three different things to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Not a file of this kind.
    Magic,
    /// Written by a newer release.
    Version(u32),
    /// Encoded with a codec that this release does not know.
    Codec(u16),
    /// Damaged.
    Damaged(&'static str),
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn seq_at(bytes: &[u8], at: usize) -> Seq {
    Seq::new(u64_at(bytes, at))
}

/// The `N` bytes at `at`; the callers have checked the length.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn put(bytes: &mut [u8], at: usize, value: impl AsRef<[u8]>) {
    let value = value.as_ref();
    bytes[at..at + value.len()].copy_from_slice(value);
}
