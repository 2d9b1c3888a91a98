//! What the store does beside reads and writes: checkpoints, its end, its budgets, what it retries.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod budget;
mod checkpoint;
mod close;
mod files;
mod history;
mod later;
