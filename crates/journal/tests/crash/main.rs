//! Crash tests of the journal, in the simulator.
//!
//! A workload runs once; at every moment at which a crash could matter its disk is kept, together
//! with the history up to there: what was issued, acknowledged and shown. From each of them the
//! journal is booted on many of the disks that the crash could have left, and every open is held
//! against the history by the oracles. It then goes on, and crashes again, also inside recovery.
//!
//! - [`history`], [`oracles`]: what happened, and what must hold of it. Pure.
//! - [`workload`], [`life`], [`log_life`]: operations, and one lifetime of a machine that does them.
//! - [`explorer`]: from the crash points of one life to the next lives.
//! - The rest are the tests. `QUIPU_SEEDS=N` runs the random ones over N seeds instead of the few
//!   of the default, and `QUIPU_SEED=S` begins with seed S.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests of the simulated world, whose sizes are small"
)]

mod beside;
mod explorer;
mod faults;
mod history;
mod life;
mod log_life;
mod loops;
mod notes;
mod oracles;
mod protocol;
mod scripted;
mod twins;
mod workload;
