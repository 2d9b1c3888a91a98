//! Whether an edit fits a version: all that `apply` refuses.
//!
//! Invariant: what is judged depends on the version, the numbers and the edit alone, so replay
//! refuses what was refused. **To refuse more, or less, is a change of the format**: old edits would
//! be judged anew.

use std::collections::{BTreeMap, BTreeSet};

use quipu_io::planted::planted;

use super::edit::{Flushed, ManifestEditV1};
use super::filenum::{FileNum, Numbers};
use super::keyspace::KeyspaceOptions;
use super::refusal::Refusal;
use super::table::SstMetadata;
use super::version::Version;

type Verdict = Result<(), Refusal>;

/// Says no, and why, before anything is changed.
pub(super) fn judge(version: &Version, numbers: &Numbers, edit: &ManifestEditV1) -> Verdict {
    match edit {
        ManifestEditV1::AddFile { files, flushed } => {
            judge_tables(version, numbers, files, &[])?;
            judge_flushed(version, flushed)
        }
        ManifestEditV1::Compaction { added, removed } => {
            judge_tables(version, numbers, added, removed)
        }
        ManifestEditV1::CreateKeyspace { name, options } => judge_new(version, name, options),
        ManifestEditV1::DropKeyspace { keyspace } => match version.keyspace(*keyspace) {
            Some(_) => Ok(()),
            None => Err(Refusal::UnknownKeyspace {
                keyspace: *keyspace,
            }),
        },
        // Made by the machine itself, out of a state that it was in.
        ManifestEditV1::Snapshot(_) => Ok(()),
    }
}

fn judge_tables(
    version: &Version,
    numbers: &Numbers,
    added: &[SstMetadata],
    removed: &[FileNum],
) -> Verdict {
    let mut going = BTreeSet::new();
    for filenum in removed {
        let filenum = *filenum;
        if version.table(filenum).is_none() {
            return Err(Refusal::UnknownFile { filenum });
        }
        if !going.insert(filenum) {
            return Err(Refusal::NamedTwice { filenum });
        }
    }
    let mut coming = BTreeSet::new();
    for table in added {
        judge_table(version, table)?;
        let filenum = table.filenum;
        if !coming.insert(filenum) {
            return Err(Refusal::NamedTwice { filenum });
        }
        let moved = version.table(filenum).filter(|_| going.contains(&filenum));
        match moved {
            Some(before) if table.is_moved_from(before) => {}
            Some(_) => return Err(Refusal::MovedAndChanged { filenum }),
            None if numbers.is_free(filenum) => {}
            None => return Err(Refusal::NumberUsed { filenum }),
        }
    }
    judge_shape(version, added, &going)
}

/// A table for itself.
fn judge_table(version: &Version, table: &SstMetadata) -> Verdict {
    let filenum = table.filenum;
    if version.keyspace(table.keyspace).is_none() {
        return Err(Refusal::UnknownKeyspace {
            keyspace: table.keyspace,
        });
    }
    for (fits, range) in [
        (table.smallest <= table.largest, "keys"),
        (table.min_seq <= table.max_seq, "sequence numbers"),
        (table.min_timestamp <= table.max_timestamp, "timestamps"),
    ] {
        if !fits {
            return Err(Refusal::EmptyRange { filenum, range });
        }
    }
    Ok(())
}

/// No two tables of a sorted level may overlap, neither of the new ones nor a new one and one that
/// stays.
fn judge_shape(version: &Version, added: &[SstMetadata], going: &BTreeSet<FileNum>) -> Verdict {
    let mut levels: BTreeMap<_, Vec<&SstMetadata>> = BTreeMap::new();
    for table in added {
        let keyspace = version.keyspace(table.keyspace);
        if keyspace.is_some_and(|keyspace| keyspace.is_sorted(table.level)) {
            let level = levels.entry((table.keyspace, table.level)).or_default();
            level.push(table);
        }
    }
    for ((keyspace, number), mut tables) in levels {
        let overlap = |table: &SstMetadata, other: &SstMetadata| Refusal::Overlap {
            filenum: table.filenum,
            other: other.filenum,
            level: number,
        };
        let level = version
            .keyspace(keyspace)
            .and_then(|keyspace| keyspace.level(number));
        for table in &tables {
            let keys = &*table.smallest..=&*table.largest;
            let beside = level.map(|level| level.overlapping(keys));
            let mut beside = beside.into_iter().flatten();
            if let Some(other) = beside.find(|other| !going.contains(&other.filenum))
                && !planted("a level's own tables are not looked at for overlaps")
            {
                return Err(overlap(table, other));
            }
        }
        tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        for pair in tables.windows(2) {
            if pair[0].overlaps(pair[1]) {
                return Err(overlap(pair[1], pair[0]));
            }
        }
    }
    Ok(())
}

fn judge_flushed(version: &Version, flushed: &[Flushed]) -> Verdict {
    let mut reached = BTreeMap::new();
    for stretch in flushed {
        let Flushed {
            keyspace,
            after,
            through,
        } = *stretch;
        let Some(found) = version.keyspace(keyspace) else {
            return Err(Refusal::UnknownKeyspace { keyspace });
        };
        let flushed_through = reached
            .insert(keyspace, through)
            .unwrap_or_else(|| found.flushed_through());
        if after != flushed_through && !planted("flushes are recorded in any order") {
            return Err(Refusal::FlushOutOfOrder {
                keyspace,
                after,
                flushed_through,
            });
        }
        if through < after {
            return Err(Refusal::FlushedBack {
                keyspace,
                after,
                through,
            });
        }
    }
    Ok(())
}

fn judge_new(version: &Version, name: &str, options: &KeyspaceOptions) -> Verdict {
    if let Some(keyspace) = version.keyspace_named(name) {
        return Err(Refusal::KeyspaceExists {
            name: name.to_owned(),
            keyspace: keyspace.id(),
        });
    }
    if version.next_keyspace == u32::MAX {
        return Err(Refusal::KeyspacesExhausted);
    }
    if options.flushed_through < version.wal_floor
        && !planted("a new keyspace may need what the log has dropped")
    {
        return Err(Refusal::BehindFloor {
            flushed_through: options.flushed_through,
            wal_floor: version.wal_floor,
        });
    }
    Ok(())
}
