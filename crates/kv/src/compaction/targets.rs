//! [`Targets`]: how large each level should be.
//!
//! Invariants:
//! - Sizes follow from the largest level: each level above it should have `multiplier` times less.
//!   All of them together are then about a tenth of it, which bounds the space that overwritten
//!   entries take, at any size of the whole.
//! - The base is the first level that holds tables, or one above it once that has outgrown
//!   `base_bytes`: flushes never pass by a level that holds tables.

use crate::manifest::{Keyspace, Level};

use super::options::LeveledOptions;

/// What sizes levels should have. See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Targets {
    /// Where level 0 goes.
    pub(super) base: u32,
    /// The last level, which may have any size.
    pub(super) last: u32,
    /// Whether the base is not needed any more, as what is below has become small.
    pub(super) is_base_idle: bool,
    base_target: u64,
    multiplier: u64,
    least: u64,
}

impl Targets {
    pub(super) fn of(keyspace: &Keyspace, options: &LeveledOptions) -> Targets {
        let multiplier = options.multiplier.max(2);
        let base_bytes = options.base_bytes.max(1);
        let mut held = keyspace.levels().filter(|level| level.number() > 0);
        let deepest = held.next_back().map_or(1, Level::number);
        let first = held.next().map_or(deepest, Level::number);
        let last = options.levels.saturating_sub(1).max(deepest);
        let largest = keyspace.levels().filter(|level| level.number() > 0);
        let largest = largest.map(Level::bytes).max();

        let mut base = if largest.is_some() { first } else { last };
        let mut target = largest.unwrap_or(0);
        for _ in base..last {
            target /= multiplier;
        }
        let is_base_idle = base < last && target <= base_bytes / multiplier;
        while base > 1 && target > base_bytes {
            base -= 1;
            target /= multiplier;
        }
        Targets {
            base,
            last,
            is_base_idle,
            base_target: target.max(base_bytes / multiplier).max(1),
            multiplier,
            least: base_bytes,
        }
    }

    /// Where a level goes: to the next one, and past levels that hold nothing if it is not needed.
    pub(super) fn below(&self, keyspace: &Keyspace, level: u32) -> u32 {
        if !(self.is_base_idle && level == self.base) {
            return level + 1;
        }
        let mut levels = keyspace.levels().map(Level::number);
        let held = levels.find(|below| *below > level);
        held.map_or(self.last, |held| (held - 1).max(level + 1))
    }

    /// The bytes from which a level is too large; the last one never is.
    pub(super) fn bytes(&self, level: u32) -> u64 {
        if level >= self.last {
            return u64::MAX;
        }
        let below_base = level.saturating_sub(self.base);
        let target = (0..below_base).try_fold(self.base_target, |target, _| {
            target.checked_mul(self.multiplier)
        });
        target.unwrap_or(u64::MAX).max(self.least)
    }
}
