//! Crash tests of the journal, in the simulator.
//!
//! What [`quipu_journal::check`] explores and samples, [`scripted`] and [`explored`] ask for. The rest
//! looks at single traces by hand: the protocol of segments, run-time faults, readers beside a
//! writer, crash loops, and the same operations on a real disk.
//!
//! `QUIPU_SEEDS=N` runs the random tests over N seeds instead of the few of the default, and
//! `QUIPU_SEED=S` begins with seed S.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests of the simulated world, whose sizes are small"
)]

mod beside;
mod dropped;
mod explored;
mod faults;
mod life;
mod loops;
mod notes;
mod protocol;
mod scripted;
mod twins;
