//! Whole tables, on both backends.

mod damage;
mod edges;
mod golden;
mod model;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use quipu_io::Io;
use quipu_io::sim::{Sim, SimOptions};

use super::{
    BlockCache, IterOptions, Kind, RangeTombstone, Table, TableIter, TableOptions, TableSummary,
    TableWriter,
};
use crate::error::Result;
use crate::manifest::FileNum;

pub(super) const PATH: &str = "000007.sst";
pub(super) const FILENUM: FileNum = FileNum::new(7);

/// A version: its key, and its seq turned round, so that the order of tuples is the table's.
pub(super) type Version = (Vec<u8>, std::cmp::Reverse<u64>);
pub(super) type Entries = BTreeMap<Version, (Kind, Vec<u8>)>;

pub(super) fn run<T>(sim: &Sim, work: impl Future<Output = T>) -> T {
    sim.block_on(work).unwrap()
}

pub(super) fn machine() -> Sim {
    Sim::new(SimOptions::default())
}

pub(super) async fn write<I: Io>(
    io: &I,
    path: &Path,
    entries: &Entries,
    tombstones: &[RangeTombstone],
    options: TableOptions,
) -> Result<TableSummary> {
    let mut writer = TableWriter::create(io, path, FILENUM, options).await?;
    for ((key, seq), (kind, value)) in entries {
        writer.add(key, seq.0, *kind, value).await?;
    }
    for tombstone in tombstones {
        writer.add_range_tombstone(&tombstone.start, &tombstone.end, tombstone.seq)?;
    }
    writer.finish().await
}

pub(super) async fn open<I: Io>(
    io: &I,
    path: &Path,
    size: u64,
    cache_bytes: u64,
) -> Result<Arc<Table<I::File>>> {
    let cache = BlockCache::new(cache_bytes);
    Ok(Arc::new(Table::open(io, path, FILENUM, size, cache).await?))
}
