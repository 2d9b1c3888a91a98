//! The journal from outside: its histories, kills, readers, laws and formats.
//!
//! One binary: what is generic over the disk is compiled for each of them.

#[path = "../common/mod.rs"]
mod common;
mod executors;
mod format;
mod histories;
mod kill;
mod laws;
mod log;
mod reader;
mod regressions;
