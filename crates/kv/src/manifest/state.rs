//! [`ManifestState`]: the state machine. The newest version, the numbers that were used, and what
//! each edit makes of them.
//!
//! Invariants:
//! - An edit that is refused changes nothing ([`judge`]); one that is not is applied whole.
//! - The state is what the edits say. What depends on who reads at the moment ([`Retired`]) decides
//!   nothing in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use quipu_io::planted::planted;
use quipu_journal::Replayable;

use super::edit::{Counters, Flushed, KeyspaceRecord, ManifestEdit, ManifestEditV1, SnapshotPart};
use super::filenum::{FileNum, Numbers};
use super::judge::judge;
use super::keyspace::{ById, ByName, Keyspace, KeyspaceId, KeyspaceOptions};
use super::refusal::Refusal;
use super::retired::Retired;
use super::table::{ByNumber, SstMetadata};
use super::version::Version;
use crate::tree::Tree;

/// The tables of one part of a snapshot: some 100 kB.
const TABLES_OF_A_PART: usize = 1024;

/// The manifest as a state machine, for those who look into its journal: a
/// [`Reader`](quipu_journal::Reader) of it shows what the tables were at any edit that is retained.
///
/// To write, open a [`Manifest`](super::Manifest).
#[derive(Debug, Default)]
pub struct ManifestState {
    version: Arc<Version>,
    pub(super) numbers: Numbers,
    pub(super) retired: Retired,
}

/// What an edit did that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accepted {
    /// It is part of the version with this number.
    Recorded {
        /// The number.
        version: u64,
    },
    /// It made this keyspace.
    Created {
        /// The keyspace.
        keyspace: KeyspaceId,
    },
}

impl ManifestState {
    /// The newest version.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The lowest number above all that an edit has named.
    pub fn next_filenum(&self) -> FileNum {
        FileNum::new(self.numbers.next())
    }

    /// The state of another manifest, that begins as this version: one whose tables hold all that was
    /// written, also where no flush has said so of each keyspace.
    pub(super) fn copy(&self, version: &Version) -> ManifestState {
        let mut version = version.clone();
        let through = version.last_seq;
        let behind = version.keyspaces().map(|keyspace| Flushed {
            keyspace: keyspace.id,
            after: keyspace.flushed_through(),
            through: through.max(keyspace.flushed_through()),
        });
        let behind: Vec<Flushed> = behind.collect();
        version.flush(&behind);
        version.raise_floor();
        ManifestState {
            version: Arc::new(version),
            numbers: self.numbers.clone(),
            retired: Retired::default(),
        }
    }

    fn change(&mut self, edit: ManifestEditV1) -> (Accepted, Vec<FileNum>) {
        let version = Arc::make_mut(&mut self.version);
        let mut dropped = Vec::new();
        if let ManifestEditV1::Snapshot(part) = edit {
            version.restore(part, &mut self.numbers);
            let version = version.number;
            return (Accepted::Recorded { version }, dropped);
        }
        version.number += 1;
        let mut accepted = Accepted::Recorded {
            version: version.number,
        };
        match edit {
            ManifestEditV1::AddFile { files, flushed } => {
                if !files.is_empty() || !planted("a flush without tables moves nothing") {
                    version.flush(&flushed);
                }
                version.add(files, &mut self.numbers);
            }
            ManifestEditV1::Compaction { added, removed } => {
                dropped = version.remove(&removed);
                let staying: BTreeSet<_> = added.iter().map(|table| table.filenum).collect();
                dropped.retain(|filenum| !staying.contains(filenum));
                version.add(added, &mut self.numbers);
            }
            ManifestEditV1::CreateKeyspace { name, options } => {
                let keyspace = version.create(&name, options);
                accepted = Accepted::Created { keyspace };
            }
            ManifestEditV1::DropKeyspace { keyspace } => {
                dropped = version.drop_keyspace(keyspace);
                if planted("the files of a dropped keyspace stay for ever") {
                    dropped.clear();
                }
            }
            ManifestEditV1::Snapshot(_) => {}
        }
        version.raise_floor();
        (accepted, dropped)
    }

    fn counters(&self) -> Counters {
        let (next_filenum, free_filenums) = self.numbers.to_parts();
        Counters {
            version: self.version.number,
            next_filenum: if planted("a snapshot forgets the numbers that are gone") {
                let last = self.version.tables().next_back();
                last.map_or(0, |table| table.filenum.get() + 1)
            } else {
                next_filenum
            },
            free_filenums,
            next_keyspace: self.version.next_keyspace,
            last_seq: if planted("a snapshot forgets the last sequence number") {
                let seqs = self.version.tables().map(|table| table.max_seq);
                seqs.max().unwrap_or_default()
            } else {
                self.version.last_seq
            },
            wal_floor: self.version.wal_floor,
        }
    }

    /// Everything but the tables.
    fn frame(&self) -> SnapshotPart {
        let keyspaces = self.version.keyspaces();
        let keyspaces = keyspaces.filter(|keyspace| {
            !keyspace.is_empty() || !planted("a snapshot leaves out keyspaces without tables")
        });
        let keyspaces = keyspaces.map(|keyspace| KeyspaceRecord {
            id: keyspace.id,
            name: keyspace.name.to_string(),
            options: keyspace.options.clone(),
        });
        SnapshotPart {
            counters: Some(self.counters()),
            keyspaces: keyspaces.collect(),
            tables: Vec::new(),
        }
    }
}

impl Replayable for ManifestState {
    type Edit = ManifestEdit;
    type Output = Result<Accepted, Refusal>;

    fn filename_prefix() -> &'static str {
        "manifest"
    }

    fn initial() -> Self {
        ManifestState::default()
    }

    fn apply(&mut self, edit: ManifestEdit) -> Self::Output {
        let ManifestEdit::V1(edit) = edit;
        let verdict = judge(&self.version, &self.numbers, &edit);
        if verdict.is_err() && planted("a refused edit is half applied") {
            let version = Arc::make_mut(&mut self.version);
            match &edit {
                ManifestEditV1::Compaction { removed, .. } => drop(version.remove(removed)),
                ManifestEditV1::AddFile { flushed, .. } => version.flush(flushed),
                _ => {}
            }
        }
        verdict?;
        // Nobody new can come to hold it while the state is being changed.
        let held = Arc::strong_count(&self.version) > 1;
        let before = held.then(|| Arc::downgrade(&self.version));
        let (accepted, dropped) = self.change(edit);
        self.retired.supersede(before, dropped);
        Ok(accepted)
    }

    fn snapshot(&self) -> ManifestEdit {
        let mut part = self.frame();
        let tables = self.version.keyspaces().flat_map(Keyspace::tables);
        part.tables = tables.map(|table| (**table).clone()).collect();
        ManifestEdit::V1(ManifestEditV1::Snapshot(part))
    }

    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = ManifestEdit> + Send> {
        // The trees and not the version: nothing is read from the files that it names. In the order
        // of keys, in which they are put together again at the least cost.
        let keyspaces: Vec<_> = self.version.keyspaces().cloned().collect();
        let mut tables = keyspaces.into_iter().flat_map(Keyspace::into_tables);
        let parts = std::iter::from_fn(move || {
            let some = tables.by_ref().take(TABLES_OF_A_PART);
            let part: Vec<_> = some.map(|table| (*table).clone()).collect();
            (!part.is_empty()).then(|| SnapshotPart {
                tables: part,
                ..SnapshotPart::default()
            })
        });
        let parts = std::iter::once(self.frame()).chain(parts);
        Box::new(parts.map(|part| ManifestEdit::V1(ManifestEditV1::Snapshot(part))))
    }
}

/// What the edits do to a version, once they are judged.
impl Version {
    fn add(&mut self, tables: Vec<SstMetadata>, numbers: &mut Numbers) {
        for table in &tables {
            numbers.name(table.filenum);
            self.last_seq = self.last_seq.max(table.max_seq);
        }
        self.insert(tables);
    }

    fn insert(&mut self, tables: Vec<SstMetadata>) {
        let tables: Vec<_> = tables.into_iter().map(Arc::new).collect();
        for run in tables.chunk_by(|a, b| a.keyspace == b.keyspace) {
            self.change_keyspace(run[0].keyspace, |keyspace| keyspace.insert(run));
        }
        for table in tables {
            self.tables.insert(ByNumber::new(table));
        }
    }

    fn remove(&mut self, removed: &[FileNum]) -> Vec<FileNum> {
        let mut dropped = Vec::with_capacity(removed.len());
        for filenum in removed {
            if let Some(ByNumber { table, .. }) = self.tables.remove(ByNumber::place(*filenum)) {
                self.change_keyspace(table.keyspace, |keyspace| keyspace.remove(&table));
                dropped.push(*filenum);
            }
        }
        dropped
    }

    fn flush(&mut self, flushed: &[Flushed]) {
        for stretch in flushed {
            self.last_seq = self.last_seq.max(stretch.through);
            self.change_keyspace(stretch.keyspace, |keyspace| {
                keyspace.options.flushed_through = stretch.through;
            });
        }
    }

    fn create(&mut self, name: &str, options: KeyspaceOptions) -> KeyspaceId {
        let last = self.keyspaces.iter().next_back();
        let id = if planted("the number of a dropped keyspace is given again") {
            KeyspaceId::new(last.map_or(0, |last| last.0.id.get() + 1))
        } else {
            KeyspaceId::new(self.next_keyspace)
        };
        self.next_keyspace += 1;
        self.last_seq = self.last_seq.max(options.flushed_through);
        self.put_keyspace(id, name, options);
        id
    }

    fn put_keyspace(&mut self, id: KeyspaceId, name: &str, options: KeyspaceOptions) {
        let name: Arc<str> = name.into();
        self.names.insert(ByName(name.clone(), id));
        self.keyspaces.insert(ById(Arc::new(Keyspace {
            id,
            name,
            options,
            levels: Tree::default(),
        })));
    }

    fn drop_keyspace(&mut self, id: KeyspaceId) -> Vec<FileNum> {
        let mut dropped = Vec::new();
        if let Some(ById(keyspace)) = self.keyspaces.remove(|other: &ById| other.0.id.cmp(&id)) {
            self.names
                .remove(|other: &ByName| other.0.cmp(&keyspace.name));
            for table in keyspace.tables() {
                self.tables.remove(ByNumber::place(table.filenum));
                dropped.push(table.filenum);
            }
        }
        dropped
    }

    /// Takes the keyspace out while it is changed, so that it is not copied when nobody shares it.
    fn change_keyspace(&mut self, id: KeyspaceId, change: impl FnOnce(&mut Keyspace)) {
        if let Some(ById(mut keyspace)) = self.keyspaces.remove(|other: &ById| other.0.id.cmp(&id))
        {
            change(Arc::make_mut(&mut keyspace));
            self.keyspaces.insert(ById(keyspace));
        }
    }

    fn raise_floor(&mut self) {
        let lowest = self.keyspaces.sum().copied();
        let floor = if planted("the floor is that of the furthest keyspace") {
            self.keyspaces().map(Keyspace::flushed_through).max()
        } else {
            lowest
        };
        self.wal_floor = if planted("the floor falls with the last keyspace") {
            floor.unwrap_or_default()
        } else {
            self.wal_floor.max(floor.unwrap_or_default())
        };
    }

    fn restore(&mut self, part: SnapshotPart, numbers: &mut Numbers) {
        if let Some(counters) = part.counters {
            self.number = counters.version;
            self.next_keyspace = counters.next_keyspace;
            self.last_seq = counters.last_seq;
            self.wal_floor = counters.wal_floor;
            *numbers = Numbers::from_parts(counters.next_filenum, counters.free_filenums);
        }
        for mut keyspace in part.keyspaces {
            if planted("a snapshot is restored without the positions of flushes") {
                keyspace.options.flushed_through = 0;
            }
            self.put_keyspace(keyspace.id, &keyspace.name, keyspace.options);
        }
        self.insert(part.tables);
    }
}
