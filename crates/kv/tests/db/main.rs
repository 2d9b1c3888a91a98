//! The store from outside: as a plain map, through kills, damage and full disks, and what it does
//! beside reads and writes.
//!
//! One binary: what is generic over the disk is compiled for each of them.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod budget;
mod checkpoint;
mod close;
mod damage;
mod files;
mod first;
mod full;
mod history;
mod kill;
mod later;
mod model;
mod tuning;
