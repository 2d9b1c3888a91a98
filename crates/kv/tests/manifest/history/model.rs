//! [`Model`]: what the manifest has to show, as plain as it can be.

use std::collections::{BTreeMap, BTreeSet};

use quipu_kv::manifest::{FileNum, KeyspaceId, SstMetadata, Version};

use super::rocksdb::Edit;

/// The live tables in a map, and all numbers that were ever named.
#[derive(Default)]
pub(crate) struct Model {
    tables: BTreeMap<FileNum, SstMetadata>,
    named: BTreeSet<FileNum>,
    /// Handed out in this life, and not named.
    handed_out: BTreeSet<FileNum>,
    /// What a table that was being written has left on disk.
    half_written: Option<FileNum>,
    pub(crate) recorded: u64,
    pub(crate) flushed_through: u64,
    last_seq: u64,
}

impl Model {
    /// The numbers of the files on disk at the beginning of a life. In every tenth there is one that
    /// the last life was writing.
    pub(crate) fn found(&mut self) -> Vec<FileNum> {
        let handed_out = std::mem::take(&mut self.handed_out);
        let unfinished = handed_out
            .last()
            .filter(|_| self.recorded.is_multiple_of(10));
        self.half_written = unfinished.copied();
        let live = self.tables.keys().copied();
        live.chain(self.half_written).collect()
    }

    /// The numbers of the live tables.
    pub(crate) fn live(&self) -> Vec<u64> {
        self.tables.keys().map(|filenum| filenum.get()).collect()
    }

    /// Files that no version names.
    pub(crate) fn orphans(&self) -> Vec<FileNum> {
        self.half_written.into_iter().collect()
    }

    /// Takes note of a number that was handed out, which must be nobody's.
    pub(crate) fn hand_out(&mut self, filenum: FileNum) {
        assert!(!self.named.contains(&filenum), "{filenum} was named before");
        assert_ne!(Some(filenum), self.half_written, "a file has the number");
        assert!(self.handed_out.insert(filenum), "{filenum} comes twice");
    }

    pub(crate) fn apply(&mut self, edit: &Edit) {
        for number in &edit.remove {
            self.tables.remove(&FileNum::new(*number)).unwrap();
        }
        for table in edit.tables() {
            self.handed_out.remove(&table.filenum);
            self.named.insert(table.filenum);
            self.last_seq = self.last_seq.max(table.max_seq);
            self.tables.insert(table.filenum, table);
        }
        if edit.remove.is_empty() {
            self.flushed_through = edit.last_seq;
            self.last_seq = self.last_seq.max(edit.last_seq);
        }
        self.recorded += 1;
    }

    /// Whether the version shows the same.
    pub(crate) fn check(&self, version: &Version) {
        assert_eq!(version.number(), self.recorded);
        assert!(
            version
                .tables()
                .map(|table| &**table)
                .eq(self.tables.values())
        );
        assert_eq!(version.len(), self.tables.len());
        let bytes: u64 = self.tables.values().map(|table| table.size).sum();
        assert_eq!(version.bytes(), bytes);
        assert_eq!(version.last_seq(), self.last_seq);
        assert_eq!(version.wal_floor(), self.flushed_through);
        if self.recorded > 0 {
            self.check_levels(version);
        }
    }

    fn check_levels(&self, version: &Version) {
        let mut levels: BTreeMap<u32, Vec<&SstMetadata>> = BTreeMap::new();
        for table in self.tables.values() {
            levels.entry(table.level).or_default().push(table);
        }
        for tables in levels.values_mut() {
            tables.sort_by_key(|table| (&table.smallest, table.filenum));
        }
        let keyspace = version.keyspace(KeyspaceId::new(0)).unwrap();
        let numbers = keyspace.levels().map(|level| level.number());
        assert!(numbers.eq(levels.keys().copied()));
        for (level, tables) in keyspace.levels().zip(levels.values()) {
            assert!(
                level
                    .tables()
                    .map(|table| &**table)
                    .eq(tables.iter().copied())
            );
            assert_eq!(level.len(), tables.len());
            let bytes: u64 = tables.iter().map(|table| table.size).sum();
            assert_eq!(level.bytes(), bytes);
        }
        // At the edges of a table the queries are most easily wrong.
        for edge in self.tables.values().take(3).map(|table| &*table.largest) {
            let found = keyspace.overlapping(edge..=edge);
            let all = levels.values().flatten().copied();
            let expected = all.filter(|table| *table.smallest <= *edge && *edge <= *table.largest);
            assert!(found.map(|table| &**table).eq(expected));
        }
    }
}
