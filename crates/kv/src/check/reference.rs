//! [`Reference`]: what edits come to, found in the plainest way.
//!
//! Invariant: nothing of the manifest's own code decides here. An edit is done on a copy, step by step
//! and whatever it costs; where a step is not possible, or the result is not a legal one, the copy is
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{FileNum, Flushed, KeyspaceId, KeyspaceOptions, ManifestEditV1, SstMetadata};

/// What some edits have come to.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// The tables.
    pub tables: BTreeMap<FileNum, SstMetadata>,
    /// The keyspaces, with their names.
    pub keyspaces: BTreeMap<KeyspaceId, (String, KeyspaceOptions)>,
    /// All numbers that an edit has ever given to a table.
    pub named: BTreeSet<FileNum>,
    /// How many keyspaces there have ever been.
    pub created: u32,
    /// The highest sequence number that there has ever been.
    pub last_seq: u64,
    /// The log is in tables up to here.
    pub wal_floor: u64,
    /// Of each edit, whether it was accepted.
    pub accepted: Vec<bool>,
}

impl Reference {
    /// After these edits.
    pub fn of(edits: &[ManifestEditV1]) -> Reference {
        let mut reference = Reference::default();
        for edit in edits {
            reference.apply(edit);
        }
        reference
    }

    /// Does an edit, or refuses it.
    pub fn apply(&mut self, edit: &ManifestEditV1) {
        let mut next = self.clone();
        let accepted = next.change(edit).is_some() && next.is_legal();
        if accepted {
            let lowest = next.keyspaces.values().map(|(_, of)| of.flushed_through);
            next.wal_floor = next.wal_floor.max(lowest.min().unwrap_or(0));
            *self = next;
        }
        self.accepted.push(accepted);
    }

    /// How many edits were accepted.
    pub fn version(&self) -> u64 {
        self.accepted.iter().filter(|accepted| **accepted).count() as u64
    }

    /// `None` where something is not possible.
    fn change(&mut self, edit: &ManifestEditV1) -> Option<()> {
        match edit {
            ManifestEditV1::AddFile { files, flushed } => {
                files.iter().try_for_each(|table| self.add(table))?;
                flushed.iter().try_for_each(|stretch| self.flush(stretch))
            }
            ManifestEditV1::Compaction { added, removed } => {
                let mut gone = BTreeMap::new();
                for filenum in removed {
                    gone.insert(*filenum, self.tables.remove(filenum)?);
                }
                for table in added {
                    match gone.remove(&table.filenum) {
                        None => self.add(table)?,
                        Some(mut before) => {
                            before.level = table.level;
                            (before == *table).then_some(())?;
                            self.tables.insert(before.filenum, before);
                        }
                    }
                }
                Some(())
            }
            ManifestEditV1::CreateKeyspace { name, options } => {
                let is_taken = self.keyspaces.values().any(|(other, _)| other == name);
                let is_behind = options.flushed_through < self.wal_floor;
                (!is_taken && !is_behind).then_some(())?;
                let id = KeyspaceId::new(self.created);
                self.created += 1;
                self.last_seq = self.last_seq.max(options.flushed_through);
                self.keyspaces.insert(id, (name.clone(), options.clone()));
                Some(())
            }
            ManifestEditV1::DropKeyspace { keyspace } => {
                self.keyspaces.remove(keyspace)?;
                self.tables.retain(|_, table| table.keyspace != *keyspace);
                Some(())
            }
            ManifestEditV1::Snapshot(_) => None,
        }
    }

    fn add(&mut self, table: &SstMetadata) -> Option<()> {
        self.named.insert(table.filenum).then_some(())?;
        self.last_seq = self.last_seq.max(table.max_seq);
        self.tables.insert(table.filenum, table.clone());
        Some(())
    }

    fn flush(&mut self, stretch: &Flushed) -> Option<()> {
        let (_, options) = self.keyspaces.get_mut(&stretch.keyspace)?;
        let joins = stretch.after == options.flushed_through && stretch.after <= stretch.through;
        joins.then_some(())?;
        options.flushed_through = stretch.through;
        self.last_seq = self.last_seq.max(stretch.through);
        Some(())
    }

    /// Whether all tables may be there together.
    fn is_legal(&self) -> bool {
        self.tables.values().all(|table| {
            let keyspace = self.keyspaces.get(&table.keyspace);
            let is_sorted = keyspace
                .and_then(|(_, options)| options.sorted_from)
                .is_some_and(|first| table.level >= first);
            let is_beside = |other: &&SstMetadata| {
                other.filenum != table.filenum
                    && (other.keyspace, other.level) == (table.keyspace, table.level)
            };
            let mut beside = self.tables.values().filter(is_beside);
            keyspace.is_some()
                && table.smallest <= table.largest
                && table.min_seq <= table.max_seq
                && table.min_timestamp <= table.max_timestamp
                && !(is_sorted && beside.any(|other| have_a_key_in_common(table, other)))
        })
    }
}

/// Whether two tables may both hold a key.
pub(super) fn have_a_key_in_common(one: &SstMetadata, other: &SstMetadata) -> bool {
    !(one.largest < other.smallest || other.largest < one.smallest)
}
