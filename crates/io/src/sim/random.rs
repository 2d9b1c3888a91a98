//! The simulator's own random generator, whose numbers never change.
//!
//! A seed that found a failure must find it again next year, so nothing here comes from a library
//! that may change its algorithm. This is SplitMix64, version 1 of the generator; another algorithm
//! would be another version, chosen by the caller.

/// A seeded stream of numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of `seed` for one purpose. Different labels give independent streams.
    pub fn new(seed: u64, label: u64) -> Random {
        let mut random = Random {
            state: seed ^ mix(label.wrapping_add(1)),
        };
        random.state = random.next();
        random
    }

    /// The next number of the stream.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless stream, not an iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which is at least 1. The bias of at most 2⁻³² does not matter here.
    pub fn below(&mut self, bound: u32) -> u32 {
        let high_half = self.next() >> 32;
        ((high_half * u64::from(bound)) >> 32) as u32
    }
}

/// Scrambles 64 bits so that each of them depends on every one of `bits`.
pub(super) fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Old seeds keep their meaning: these numbers may never change.
    #[test]
    fn the_first_numbers_are_fixed() {
        let mut random = Random::new(1, 2);
        assert_eq!(
            [random.next(), random.next()],
            [0xdfe0_c498_baf2_01b1, 0x1f99_6d6e_f9ab_f304],
        );
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut random = Random::new(7, 0);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[random.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
