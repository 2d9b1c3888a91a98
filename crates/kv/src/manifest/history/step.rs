//! [`Step`]: one edit, what it did, and the levels after it.

use std::collections::BTreeMap;
use std::fmt;

use quipu_journal::{Replayable, Seq};

use crate::manifest::{
    Accepted, FileNum, KeyspaceId, ManifestEdit, ManifestEditV1, ManifestState, Refusal,
    SstMetadata, Version,
};

/// What sort of change an edit is, judged by what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, derive_more::Display)]
#[non_exhaustive]
pub enum Kind {
    /// A stretch of the write-ahead log is in tables now.
    #[display("flush")]
    Flush,
    /// Tables came from somewhere else.
    #[display("ingest")]
    Ingest,
    /// Tables took the place of others.
    #[display("compaction")]
    Compaction,
    /// Tables changed their level, and nothing else.
    #[display("move")]
    Move,
    /// Tables went, and none came.
    #[display("removal")]
    Removal,
    /// A keyspace came.
    #[display("create keyspace")]
    CreateKeyspace,
    /// A keyspace went, with its tables.
    #[display("drop keyspace")]
    DropKeyspace,
    /// A state as a whole.
    #[display("snapshot")]
    Snapshot,
}

impl Kind {
    /// The kind of this edit.
    pub fn of(edit: &ManifestEdit) -> Kind {
        let ManifestEdit::V1(edit) = edit;
        match edit {
            ManifestEditV1::AddFile { flushed, .. } if flushed.is_empty() => Kind::Ingest,
            ManifestEditV1::AddFile { .. } => Kind::Flush,
            ManifestEditV1::Compaction { added, .. } if added.is_empty() => Kind::Removal,
            ManifestEditV1::Compaction { added, removed } if is_move(added, removed) => Kind::Move,
            ManifestEditV1::Compaction { .. } => Kind::Compaction,
            ManifestEditV1::CreateKeyspace { .. } => Kind::CreateKeyspace,
            ManifestEditV1::DropKeyspace { .. } => Kind::DropKeyspace,
            ManifestEditV1::Snapshot(_) => Kind::Snapshot,
        }
    }
}

fn is_move(added: &[SstMetadata], removed: &[FileNum]) -> bool {
    let mut coming: Vec<_> = added.iter().map(|table| table.filenum).collect();
    let mut going = removed.to_vec();
    coming.sort_unstable();
    going.sort_unstable();
    coming == going
}

/// One edit, what it did, and the levels after it.
///
/// As text it is one line: `compaction k0 L0 4 + L1 3 -> L1 5` made five tables of level 1 out of
/// four of level 0 and three of level 1, all of keyspace 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The edit's number.
    pub seq: Seq,
    /// What sort of change it is.
    pub kind: Kind,
    /// What it did; what it would have done if it was refused.
    pub changes: Vec<Change>,
    /// The name of the keyspace that came or went.
    pub name: Option<String>,
    /// Why it was refused, if it was. Nothing has changed then.
    pub refusal: Option<Refusal>,
    /// The levels after it.
    pub levels: Vec<LevelSize>,
}

/// What an edit did to one keyspace: how many tables went and came, by level.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// Tables that went. One that is not there is not counted: the edit was refused.
    pub removed: BTreeMap<u32, usize>,
    /// Tables that came.
    pub added: BTreeMap<u32, usize>,
}

/// What one level holds, of all keyspaces together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelSize {
    /// The level.
    pub level: u32,
    /// Its tables: at least one.
    pub tables: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl LevelSize {
    /// The levels of a version that hold tables, from 0 down.
    pub fn of(version: &Version) -> Vec<LevelSize> {
        let mut sizes = BTreeMap::new();
        for level in version.keyspaces().flat_map(|keyspace| keyspace.levels()) {
            let (tables, bytes) = sizes.entry(level.number()).or_insert((0, 0_u64));
            *tables += level.len();
            *bytes = bytes.saturating_add(level.bytes());
        }
        let sizes = sizes.into_iter();
        let sizes = sizes.map(|(level, (tables, bytes))| LevelSize {
            level,
            tables,
            bytes,
        });
        sizes.collect()
    }
}

impl Step {
    /// Applies an edit to the state that it comes after, and tells what it did.
    pub fn apply(state: &mut ManifestState, seq: Seq, edit: ManifestEdit) -> Step {
        let kind = Kind::of(&edit);
        let mut changes = Changes::of(&edit, state.version());
        let name = keyspace_name(&edit, state.version());
        let refusal = match state.apply(edit) {
            Ok(Accepted::Created { keyspace }) => {
                changes.of_keyspace(keyspace);
                None
            }
            Ok(Accepted::Recorded { .. }) => None,
            Err(refusal) => Some(refusal),
        };
        Step {
            seq,
            kind,
            changes: changes.0.into_values().collect(),
            name,
            refusal,
            levels: LevelSize::of(state.version()),
        }
    }

    /// A state as a whole, as of this edit: what a history begins with whose first edits are pruned.
    pub fn snapshot(version: &Version, seq: Seq) -> Step {
        Step {
            seq,
            kind: Kind::Snapshot,
            changes: Vec::new(),
            name: None,
            refusal: None,
            levels: LevelSize::of(version),
        }
    }
}

fn keyspace_name(edit: &ManifestEdit, before: &Version) -> Option<String> {
    let ManifestEdit::V1(edit) = edit;
    match edit {
        ManifestEditV1::CreateKeyspace { name, .. } => Some(name.clone()),
        ManifestEditV1::DropKeyspace { keyspace } => {
            Some(before.keyspace(*keyspace)?.name().to_owned())
        }
        _ => None,
    }
}

/// Changes in the order of keyspaces.
struct Changes(BTreeMap<KeyspaceId, Change>);

impl Changes {
    fn of(edit: &ManifestEdit, before: &Version) -> Changes {
        let ManifestEdit::V1(edit) = edit;
        let mut changes = Changes(BTreeMap::new());
        match edit {
            ManifestEditV1::AddFile { files, flushed } => {
                changes.add(files);
                for stretch in flushed {
                    changes.of_keyspace(stretch.keyspace);
                }
            }
            ManifestEditV1::Compaction { added, removed } => {
                let tables = removed.iter().filter_map(|filenum| before.table(*filenum));
                for table in tables {
                    let change = changes.of_keyspace(table.keyspace);
                    *change.removed.entry(table.level).or_default() += 1;
                }
                changes.add(added);
            }
            ManifestEditV1::DropKeyspace { keyspace } => {
                let change = changes.of_keyspace(*keyspace);
                let levels = before.keyspace(*keyspace).into_iter();
                let levels = levels.flat_map(|keyspace| keyspace.levels());
                change.removed = levels.map(|level| (level.number(), level.len())).collect();
            }
            ManifestEditV1::CreateKeyspace { .. } | ManifestEditV1::Snapshot(_) => {}
        }
        changes
    }

    fn add(&mut self, tables: &[SstMetadata]) {
        for table in tables {
            let change = self.of_keyspace(table.keyspace);
            *change.added.entry(table.level).or_default() += 1;
        }
    }

    fn of_keyspace(&mut self, keyspace: KeyspaceId) -> &mut Change {
        self.0.entry(keyspace).or_insert_with(|| Change {
            keyspace,
            removed: BTreeMap::new(),
            added: BTreeMap::new(),
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.refusal.is_some() {
            f.write_str("refused: ")?;
        }
        write!(f, "{}", self.kind)?;
        let mut name = self.name.as_ref();
        for (index, change) in self.changes.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { ", " })?;
            write!(f, "k{}", change.keyspace)?;
            if let Some(name) = name.take() {
                write!(f, " {name:?}")?;
            }
            self.write_tables(f, change)?;
        }
        // It has no number where its creation was refused.
        name.map_or(Ok(()), |name| write!(f, " {name:?}"))
    }
}

impl Step {
    fn write_tables(&self, f: &mut fmt::Formatter<'_>, change: &Change) -> fmt::Result {
        write_counts(f, &change.removed)?;
        match self.kind {
            // A flush may find that all of its entries are obsolete.
            Kind::Flush if change.added.is_empty() => f.write_str(" -> nothing"),
            _ if change.added.is_empty() => Ok(()),
            _ => {
                f.write_str(" ->")?;
                write_counts(f, &change.added)
            }
        }
    }
}

fn write_counts(f: &mut fmt::Formatter<'_>, levels: &BTreeMap<u32, usize>) -> fmt::Result {
    for (index, (level, tables)) in levels.iter().enumerate() {
        f.write_str(if index == 0 { " " } else { " + " })?;
        write!(f, "L{level} {tables}")?;
    }
    Ok(())
}
