//! What the store does beside reads and writes: checkpoints, its end, its budgets, what it retries.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod checkpoint;
mod close;
mod history;
