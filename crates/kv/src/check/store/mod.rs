//! The store in the crash explorer: a [`Db`](crate::Db) over its public operations, held against a
//! plain map.
//!
//! # The nouns
//!
//! - A [`StoreProgram`] opens a store with a [`Setting`], writes, reads, flushes, compacts, drops
//!   futures and handles, and opens it again with other settings.
//! - A [`StoreHistory`] is the line of what was written, in the order in which it counts.
//! - A [`State`] is what a stretch of that line comes to: a map for each keyspace. No code of the store
//!   is used for it.
//! - The [`oracles`] say which states an open may show, and that all ways to read show the same one.

mod checkpoint;
mod concurrent;
mod driver;
mod history;
mod operations;
pub mod oracles;
#[cfg(quipu_planted)]
pub mod planted;
mod program;
mod reads;
mod scripts;
mod segments;
mod setting;
mod state;

pub use history::StoreHistory;
pub use program::{Change, Span, StoreOp, StoreProgram, Write};
pub use scripts::scripts;
pub use setting::{Setting, Shape};
pub use state::State;
