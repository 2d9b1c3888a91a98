//! How blocks are compressed: each by itself, and only where it pays.
//!
//! A compressed payload is the length of what was compressed (u32) and then the codec's own bytes. It
//! is unpacked only after the block's checksum has vouched for that length.

use bytes::Bytes;

use super::layout::{Malformed, u32_at, u32_of, usize_of};

/// How new blocks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// With LZ4: fast both ways.
    #[default]
    Lz4,
    /// With zstd at this level: smaller, and slower both ways.
    #[cfg(feature = "zstd")]
    Zstd(i32),
}

impl Compression {
    /// All that this build has.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Compression> {
        vec![
            Compression::None,
            Compression::Lz4,
            #[cfg(feature = "zstd")]
            Compression::Zstd(3),
        ]
    }
}

/// How a block is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Lz4,
    Zstd,
}

impl Codec {
    pub(crate) fn number(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::Lz4 => 1,
            Codec::Zstd => 2,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Codec> {
        match number {
            0 => Some(Codec::None),
            1 => Some(Codec::Lz4),
            2 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// This codec's bit in the footer's set of those that a table uses.
    pub(crate) fn flag(self) -> u32 {
        1 << self.number()
    }

    /// The first codec of a set that this build cannot read.
    pub(crate) fn unsupported(flags: u32) -> Option<u32> {
        let mut supported = Codec::None.flag() | Codec::Lz4.flag();
        if cfg!(feature = "zstd") {
            supported |= Codec::Zstd.flag();
        }
        let others = flags & !supported;
        (others != 0).then(|| others.trailing_zeros())
    }
}

/// Compresses a payload into `out`, which is cleared, and says how; [`Codec::None`] where it does
/// not save an eighth, and `out` is then not to be used.
pub(crate) fn compress(compression: Compression, payload: &[u8], out: &mut Vec<u8>) -> Codec {
    let worthwhile = payload.len() - payload.len() / 8;
    let codec = match compression {
        Compression::None => return Codec::None,
        Compression::Lz4 => {
            out.clear();
            out.extend(u32_of(payload.len()).to_le_bytes());
            out.resize(
                4 + lz4_flex::block::get_maximum_output_size(payload.len()),
                0,
            );
            match lz4_flex::block::compress_into(payload, &mut out[4..]) {
                Ok(len) => out.truncate(4 + len),
                Err(_) => return Codec::None,
            }
            Codec::Lz4
        }
        #[cfg(feature = "zstd")]
        Compression::Zstd(level) => {
            out.clear();
            out.extend(u32_of(payload.len()).to_le_bytes());
            out.resize(4 + zstd::zstd_safe::compress_bound(payload.len()), 0);
            match zstd::bulk::compress_to_buffer(payload, &mut out[4..], level) {
                Ok(len) => out.truncate(4 + len),
                Err(_) => return Codec::None,
            }
            Codec::Zstd
        }
    };
    if out.len() <= worthwhile {
        codec
    } else {
        Codec::None
    }
}

/// Undoes [`compress`] for a payload that a checksum has vouched for.
pub(crate) fn decompress(codec: Codec, payload: Bytes) -> Result<Bytes, Malformed> {
    const DAMAGED: Malformed = Malformed("the block does not unpack");
    if codec == Codec::None {
        return Ok(payload);
    }
    let len = usize_of(u64::from(u32_at(&payload, 0).ok_or(DAMAGED)?));
    let packed = &payload[4..];
    let mut out = vec![0; len];
    let unpacked = match codec {
        Codec::None => return Ok(payload),
        Codec::Lz4 => lz4_flex::block::decompress_into(packed, &mut out).ok(),
        #[cfg(feature = "zstd")]
        Codec::Zstd => zstd::bulk::decompress_to_buffer(packed, &mut out[..]).ok(),
        #[cfg(not(feature = "zstd"))]
        Codec::Zstd => {
            return Err(Malformed(
                "the block is packed with zstd; build with the feature `zstd`",
            ));
        }
    };
    if unpacked == Some(len) {
        Ok(Bytes::from(out))
    } else {
        Err(DAMAGED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unpacks_and_what_does_not_pay_is_not_packed() {
        let repetitive = b"0123456789abcdef".repeat(64);
        for compression in Compression::all() {
            let mut out = Vec::new();
            let codec = compress(compression, &repetitive, &mut out);
            assert_eq!(codec == Codec::None, compression == Compression::None);
            if codec != Codec::None {
                let back = decompress(codec, Bytes::from(out.clone()));
                assert_eq!(back.as_deref(), Ok(&repetitive[..]));
                for len in 0..out.len() {
                    assert!(decompress(codec, Bytes::copy_from_slice(&out[..len])).is_err());
                }
            }
            for payload in [&b""[..], b"a", b"0123456789abcdef"] {
                assert_eq!(compress(compression, payload, &mut out), Codec::None);
            }
        }
    }

    #[test]
    fn a_codec_that_this_build_lacks_is_named() {
        assert_eq!(
            Codec::unsupported(Codec::None.flag() | Codec::Lz4.flag()),
            None
        );
        assert_eq!(Codec::unsupported(Codec::Lz4.flag() | 1 << 9), Some(9));
        let zstd = Codec::unsupported(Codec::Zstd.flag());
        assert_eq!(zstd, (!cfg!(feature = "zstd")).then_some(2));
    }
}
