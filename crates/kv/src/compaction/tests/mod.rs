//! Tests of the pickers: golden text for what is picked, and a simulation of a whole tree.

mod golden;
mod lsm;
mod simulation;
mod sound;
mod text;
