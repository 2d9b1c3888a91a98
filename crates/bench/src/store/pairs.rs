//! The keys and values, the same for all stores, and the order in which they come.

/// The size of a key.
pub const KEY_BYTES: usize = 16;

/// A key: sixteen digits.
pub type Key = [u8; KEY_BYTES];

/// The key of this number. All keys of a filled store are even.
pub(super) fn key(index: u64) -> Key {
    digits(2 * index)
}

/// A key between two of a filled store, which is not there.
pub(super) fn missing_key(index: u64) -> Key {
    digits(2 * index + 1)
}

fn digits(mut number: u64) -> Key {
    let mut key = [b'0'; KEY_BYTES];
    for digit in key.iter_mut().rev() {
        #[expect(clippy::cast_possible_truncation, reason = "below ten")]
        let value = (number % 10) as u8;
        *digit += value;
        number /= 10;
    }
    key
}

/// The values: pseudo-random, and the second half of each is the first once more, as in RocksDB's own
/// benchmark, so that a compression has something to do.
#[derive(Debug)]
pub(crate) struct Values {
    pool: Vec<u8>,
    value_bytes: usize,
}

impl Values {
    const POOL_HALVES: u64 = 10_007;

    pub(crate) fn new(value_bytes: usize) -> Self {
        let half = value_bytes.div_ceil(2);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut pool = Vec::new();
        for _ in 0..Self::POOL_HALVES {
            let random: Vec<u8> = (0..half)
                .map(|_| {
                    // Xorshift: a few lines, and the same values on every machine.
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()[7]
                })
                .collect();
            let value = random.iter().chain(&random).take(value_bytes);
            pool.extend(value);
        }
        Self { pool, value_bytes }
    }

    /// The value of the key of this number.
    pub(crate) fn get(&self, index: u64) -> &[u8] {
        #[expect(clippy::cast_possible_truncation, reason = "below the pool's size")]
        let place = (index % Self::POOL_HALVES) as usize;
        &self.pool[place * self.value_bytes..][..self.value_bytes]
    }
}

/// What a store shows that it has read a value: its length and its first bytes.
pub fn digest(value: &[u8]) -> u64 {
    let head = value.first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(head) ^ value.len() as u64
}

/// All numbers below `count` once, in an order that looks random and takes no memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shuffle {
    count: u64,
    bits: u32,
    seed: u64,
}

impl Shuffle {
    pub(crate) fn new(count: u64, seed: u64) -> Self {
        // One bit is too few to shift by half of it.
        let bits = (u64::BITS - count.leading_zeros()).max(2);
        Self { count, bits, seed }
    }

    /// The number at this place; of places behind the last, as at the beginning again.
    pub(crate) fn at(&self, place: u64) -> u64 {
        let mut number = place % self.count;
        loop {
            // Each step is one to one, so walking on from what is too large comes to each number
            // once.
            number = self.mixed(number);
            if number < self.count {
                return number;
            }
        }
    }

    fn mixed(&self, mut number: u64) -> u64 {
        let mask = (1 << self.bits) - 1;
        for round in 1..=3 {
            number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask;
            number = number.wrapping_add(self.seed.wrapping_mul(round)) & mask;
            number ^= number >> (self.bits / 2);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A store is filled with each key once, so each number must come once.
    #[test]
    fn a_shuffle_has_each_number_once() {
        for count in [1, 2, 3, 1000, 1024, 1025] {
            for seed in 0..5 {
                let shuffle = Shuffle::new(count, seed);
                let numbers: BTreeSet<u64> = (0..count).map(|place| shuffle.at(place)).collect();
                assert_eq!(numbers, (0..count).collect());
            }
        }
    }

    /// A scan counts on it.
    #[test]
    fn keys_are_in_the_order_of_their_numbers() {
        let keys: Vec<Key> = (0..2_000)
            .flat_map(|at| [key(at), missing_key(at)])
            .collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn half_of_a_value_repeats_the_other() {
        let values = Values::new(100);
        let value = values.get(7);
        assert_eq!(value[..50], value[50..]);
        assert_ne!(value, values.get(8));
    }
}
