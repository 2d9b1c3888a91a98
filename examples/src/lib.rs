//! How a program embeds Quipu. Each program is a file beside this package's `Cargo.toml`:
//!
//! - `kv_basic`: the store in one program.
//! - `time_series`: a store that keeps the last days, on the simulator's clock.
//! - `counter`: the shortest complete one on a journal.
//! - `ledger`: pays the rows of a CSV file, each at most once, however often it is killed; the
//!   machine behind it is [`ledger::Ledger`].
//! - `crash_check`: checks a machine against every crash, and shows how a bug in it is found.
//! - `own_tables`: an LSM tree with a table format of its own, on the manifest.
//! - `rocksdb_history`: plays the history of a real RocksDB store through the manifest.
//! - `generate_payments`: prints the CSV file in `data/`, and the same for a store.

pub mod ledger;
pub mod rocksdb;

/// The code in the repository's README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
