//! Sorted tables: files of entries that are written once, in order, and then only read.
//!
//! - A [`TableWriter`] takes entries in order and makes a file of them, durable when it is finished.
//! - A [`Table`] answers point queries; a [`TableIter`] walks over it, both ways.
//! - A [`BlockCache`] keeps unpacked blocks of all tables in memory, bounded in bytes.
//!
//! Only `output`, `reader` and `iter` do I/O; all else turns bytes into values and back.
//! `docs/kv-tables.md` describes the bytes.
//!
//! # Invariants
//!
//! - **Damage is told, never answered with.** Each block has a checksum over the file's number, its
//!   own place and its bytes; what does not validate is an error that names file and offset.
//! - Nothing is allocated for a length that no checksum has vouched for, and no bytes make it panic.
//! - What stays in memory for an open table is the index of its partitions and its range tombstones.
//!   Data blocks and partitions (filters and index) go through the cache, so tables may be large.
//! - A step of a walk within a block neither waits nor allocates.

mod block;
mod builder;
mod cache;
mod compression;
mod cursor;
mod entry;
mod file;
mod filter;
mod footer;
mod index;
mod iter;
mod layout;
mod output;
mod partition;
mod properties;
mod reader;
mod run;
#[cfg(test)]
mod tests;
mod tombstones;
mod writer;

pub(crate) use cache::BlockCache;
pub use cache::CacheStats;
pub use compression::Compression;
pub(crate) use entry::{Found, Kind, RangeTombstone};
pub(crate) use file::OpenFiles;
pub(crate) use iter::{IterOptions, TableIter};
pub(crate) use properties::Properties;
pub(crate) use reader::Table;
pub use writer::TableOptions;
pub(crate) use writer::{MAX_KEY_BYTES, MAX_VALUE_BYTES, TableSummary, TableWriter};
