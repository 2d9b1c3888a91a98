//! Compaction: which tables are merged, moved or dropped next.
//!
//! A picker looks at the tables of a keyspace and says what to do; it reads no file and no clock, and
//! remembers nothing. There is one for each [`Strategy`], and one for ranges that somebody asks for.
//!
//! Invariants of every compaction that is picked:
//! - None of its inputs is running.
//! - It keeps the order of ages: a table that stays and has a key in common with an input
//!   is above the outputs if its entries are newer, and below them if they are older.
//! - The outputs of a merge lie between the smallest and the largest key of its inputs, and no table
//!   that stays in their level does.
//! - Both hold until it ends, whatever is flushed and whichever other compactions end meanwhile.
//! - Picking comes to an end: when all that is picked is done and nothing is flushed, there is soon
//!   nothing to pick.

mod age;
mod leveled;
mod manual;
mod options;
mod plan;
mod pressure;
mod runs;
mod simple;
mod targets;
#[cfg(test)]
mod tests;
mod tiered;
mod time_window;

pub(crate) use manual::{Manual, compact_range};
pub use options::{
    BackpressureOptions, CompactionOptions, LeveledOptions, SimpleLeveledOptions, Strategy,
    TieredOptions, TimeWindowOptions,
};
pub(crate) use plan::{Compaction, Kind, Situation};
pub use pressure::Cause;
pub(crate) use pressure::{Backpressure, backpressure};

/// What to do next, if anything.
pub(crate) fn pick(at: &Situation<'_>) -> Option<Compaction> {
    match &at.options.strategy {
        Strategy::Leveled(options) => leveled::pick(at, options),
        Strategy::SimpleLeveled(options) => simple::pick(at, options),
        Strategy::Tiered(options) => tiered::pick(at, options),
        Strategy::TimeWindow(options) => time_window::pick(at, options),
    }
}
