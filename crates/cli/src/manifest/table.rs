//! A table of the manifest: as text where it is named among others, and for a program.

use std::fmt;

use indicatif::BinaryBytes;
use quipu_kv::manifest::SstMetadata;
use quipu_kv::manifest::history::LevelSize;
use serde::Serialize;

use crate::key::hex;
use crate::levels::Keys;

/// What tells a table at a glance: `000017 k0 L0 203.13 KiB ["ada".."grace"]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glance<'a>(pub(super) &'a SstMetadata);

impl fmt::Display for Glance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.0;
        write!(
            f,
            "{} k{} L{} {} {}",
            table.filenum,
            table.keyspace,
            table.level,
            BinaryBytes(table.size),
            Keys(table)
        )
    }
}

/// All that the manifest knows of a table. The checksum is text, because many readers of JSON keep
/// only 53 bits of a number.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    filenum: u64,
    keyspace: u32,
    level: u32,
    size: u64,
    entries: u64,
    tombstones: u64,
    smallest: String,
    largest: String,
    min_seq: u64,
    max_seq: u64,
    min_timestamp: u64,
    max_timestamp: u64,
    checksum: String,
    created: u64,
}

impl Table {
    pub(super) fn new(table: &SstMetadata) -> Table {
        Table {
            filenum: table.filenum.get(),
            keyspace: table.keyspace.get(),
            level: table.level,
            size: table.size,
            entries: table.entries,
            tombstones: table.tombstones,
            smallest: hex(&table.smallest),
            largest: hex(&table.largest),
            min_seq: table.min_seq,
            max_seq: table.max_seq,
            min_timestamp: table.min_timestamp,
            max_timestamp: table.max_timestamp,
            checksum: format!("{:016x}", table.checksum),
            created: table.created,
        }
    }
}

/// What a level holds.
#[derive(Debug, Serialize)]
pub(super) struct Level {
    level: u32,
    tables: usize,
    bytes: u64,
}

impl Level {
    pub(super) fn new(size: &LevelSize) -> Level {
        Level {
            level: size.level,
            tables: size.tables,
            bytes: size.bytes,
        }
    }
}
