//! [`Prefix`]: the beginning of a key, by which most keys are told apart without going to them.

use std::cmp::Ordering;

/// The first 16 bytes of a key, in order with others; short keys end in zeros.
///
/// Two that differ are in the order of their keys; of two that are the same, the keys decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix([u64; 2]);

impl Prefix {
    pub(crate) fn of(key: &[u8]) -> Self {
        let mut first = [0; 16];
        let len = key.len().min(first.len());
        first[..len].copy_from_slice(&key[..len]);
        let first = u128::from_be_bytes(first);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        Prefix([(first >> 64) as u64, first as u64])
    }
}

impl Prefix {
    /// One number, which compares without branches.
    fn number(self) -> u128 {
        u128::from(self.0[0]) << 64 | u128::from(self.0[1])
    }
}

impl Ord for Prefix {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number().cmp(&other.number())
    }
}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A key to compare others with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought<'a> {
    prefix: Prefix,
    key: &'a [u8],
}

impl<'a> Sought<'a> {
    pub(crate) fn new(key: &'a [u8]) -> Self {
        let prefix = Prefix::of(key);
        Sought { prefix, key }
    }

    pub(crate) fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// How a key stands to this one; `key` is looked at only where the prefixes are the same.
    pub(crate) fn compare<'k>(&self, prefix: Prefix, key: impl FnOnce() -> &'k [u8]) -> Ordering {
        prefix.cmp(&self.prefix).then_with(|| key().cmp(self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_with_and_without_their_prefixes() {
        let long = |last| [&[7; 16][..], &[last]].concat();
        let keys: [&[u8]; 8] = [
            b"",
            b"\0",
            b"\0\0",
            &[7; 15],
            &[7; 16],
            &long(0),
            &long(9),
            &[255; 40],
        ];
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                let found = Sought::new(b).compare(Prefix::of(a), || a);
                assert_eq!(found, i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }
}
