//! The simulator from outside: the machine, its faults, and the crash states of its disk.
//!
//! One binary: what is generic over the disk is compiled for each of them.

mod eager;
mod faults;
mod litmus;
mod machine;
mod survival;
mod traps;
mod twins;
