//! How edits become bytes: bincode, standard configuration, behind two functions.
//!
//! Invariants:
//! - `decode` accepts exactly what `encode` wrote: bytes left over are an error.
//! - A length inside the bytes never makes `decode` allocate more than a constant times their
//!   number: see [`limit_class`].
//! - The format header of every file names the codec ([`Codec`]), so that another can follow,
//!   and a log is not taken for a journal.

use bincode::config::{self, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How the edits of a file are encoded, by the number in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// The payloads of a plain log: whatever its owner has appended.
    Plain = 0,
    /// The edits of a journal: bincode 2, little endian, integers of variable length.
    Bincode = 1,
}

impl Codec {
    pub(crate) fn number(self) -> u16 {
        self as u16
    }

    pub(crate) fn of_number(number: u16) -> Option<Codec> {
        [Codec::Plain, Codec::Bincode]
            .into_iter()
            .find(|codec| codec.number() == number)
    }
}

/// Appends the encoding of `value` to `out`, or leaves `out` as it was.
pub(crate) fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    let before = out.len();
    match bincode::serde::encode_into_std_write(value, out, config::standard()) {
        Ok(_) => Ok(()),
        Err(error) => {
            out.truncate(before);
            Err(error.to_string())
        }
    }
}

/// Decodes a value that takes up all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    // bincode checks its limit before it allocates for a string or a byte buffer, but the limit is
    // a constant of the type: a few classes stand for all lengths.
    match limit_class(bytes.len()) {
        12 => decode_with(bytes, config::standard().with_limit::<{ 1 << 12 }>()),
        16 => decode_with(bytes, config::standard().with_limit::<{ 1 << 16 }>()),
        20 => decode_with(bytes, config::standard().with_limit::<{ 1 << 20 }>()),
        24 => decode_with(bytes, config::standard().with_limit::<{ 1 << 24 }>()),
        28 => decode_with(bytes, config::standard().with_limit::<{ 1 << 28 }>()),
        32 => decode_with(bytes, config::standard().with_limit::<{ 1 << 32 }>()),
        _ => decode_with(bytes, config::standard().with_limit::<{ 1 << 48 }>()),
    }
}

/// The power of two that bounds what a decoder of `len` bytes may claim.
///
/// bincode counts sizes in memory: an integer of up to 16 bytes may be encoded in one, and bytes
/// and strings count as they are. So an honest value of `len` bytes never counts for more than
/// `16 × len`, and the class is the first that holds that much.
fn limit_class(len: usize) -> u32 {
    let most = (len as u64).saturating_mul(16);
    [12, 16, 20, 24, 28, 32]
        .into_iter()
        .find(|class| most <= 1 << class)
        .unwrap_or(48)
}

fn decode_with<T: DeserializeOwned>(bytes: &[u8], config: impl Config) -> Result<T, String> {
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, config).map_err(|error| error.to_string())?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(format!(
            "{} bytes are left over after {used}",
            bytes.len() - used
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_at_every_size_class() {
        // One-byte encodings of 16-byte integers count most against the limit.
        for count in [0, 1, 255, 256, 257, 4096, 70_000, 1 << 20] {
            let value: Vec<u128> = vec![1; count];
            let mut bytes = Vec::new();
            encode(&value, &mut bytes).unwrap();
            assert_eq!(decode::<Vec<u128>>(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        let mut bytes = Vec::new();
        encode(&7u32, &mut bytes).unwrap();
        bytes.push(0);
        assert!(decode::<u32>(&bytes).unwrap_err().contains("left over"));
    }

    #[test]
    fn a_damaged_length_is_an_error_and_not_an_allocation() {
        // A string that claims 2^60 bytes.
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1u64 << 60).to_le_bytes());
        bytes.extend_from_slice(b"abc");
        assert!(decode::<String>(&bytes).is_err());
        assert!(decode::<Vec<u8>>(&bytes).is_err());
    }

    #[test]
    fn a_failed_encode_leaves_the_buffer_as_it_was() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::{Error, SerializeTuple};
                let mut tuple = serializer.serialize_tuple(2)?;
                tuple.serialize_element(&1u64)?;
                Err(S::Error::custom("no"))
            }
        }
        let mut bytes = vec![1, 2, 3];
        assert!(encode(&Refuses, &mut bytes).is_err());
        assert_eq!(bytes, [1, 2, 3]);
    }
}
