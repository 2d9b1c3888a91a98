//! [`Figures`]: a store in figures, under the names that [`Stats`](quipu_kv::Stats) gives them.

use std::fmt;
use std::io::{self, Write};

use indicatif::BinaryBytes;
use quipu_kv::Db;
use serde::{Serialize, Serializer};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Figures(Vec<(&'static str, Figure)>);

#[derive(Debug)]
enum Figure {
    Count(u64),
    Bytes(u64),
    Text(String),
}

impl Figures {
    pub(super) fn of(db: &Db) -> Figures {
        use Figure::{Bytes, Count, Text};
        let stats = db.stats();
        let version = db.version();
        let sum = |of: fn(&quipu_kv::manifest::SstMetadata) -> u64| {
            version.tables().map(|table| of(table)).sum()
        };
        Figures(vec![
            ("last_seq", Count(stats.last_seq)),
            ("replayed", Count(db.recovered().replayed)),
            ("memtable_bytes", Bytes(stats.memtable_bytes)),
            ("frozen_memtables", Count(stats.frozen_memtables as u64)),
            ("keyspaces", Count(version.keyspaces().count() as u64)),
            ("tables", Count(stats.tables as u64)),
            ("table_bytes", Bytes(stats.table_bytes)),
            ("entries", Count(sum(|table| table.entries))),
            ("tombstones", Count(sum(|table| table.tombstones))),
            ("log_bytes", Bytes(stats.log_bytes)),
            ("log_kept_bytes", Bytes(stats.log_kept_bytes)),
            ("flushes", Count(stats.flushes)),
            ("flushed_bytes", Bytes(stats.flushed_bytes)),
            ("compactions", Count(stats.compactions)),
            ("compacted_in", Bytes(stats.compacted_in)),
            ("compacted_out", Bytes(stats.compacted_out)),
            ("cache_bytes", Bytes(stats.cache.bytes)),
            ("cache_hits", Count(stats.cache.hits)),
            ("cache_misses", Count(stats.cache.misses)),
            ("snapshots", Count(stats.snapshots as u64)),
            ("slowed", Count(stats.slowed)),
            ("stalled", Count(stats.stalled)),
            ("pressure", Text(stats.pressure.to_string())),
            ("held_back", Text(or_none(stats.held_back))),
            ("failures", Count(stats.failures)),
            ("last_failure", Text(or_none(stats.last_failure))),
        ])
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Prints a line for each.
    pub(super) fn print(&self, stdout: &mut impl Write) -> io::Result<()> {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, figure) in &self.0 {
            writeln!(stdout, "{name:width$}  {figure}")?;
        }
        Ok(())
    }
}

fn or_none(text: Option<impl fmt::Display>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| text.to_string())
}

/// An object, with the figures in their order.
impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, figure)| (name, figure)))
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Figure::Count(number) | Figure::Bytes(number) => serializer.serialize_u64(*number),
            Figure::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Count(number) => write!(f, "{number}"),
            Figure::Bytes(number) if *number < 1024 => write!(f, "{number}"),
            Figure::Bytes(number) => write!(f, "{number} ({})", BinaryBytes(*number)),
            Figure::Text(text) => f.write_str(text),
        }
    }
}
