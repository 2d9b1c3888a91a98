//! The oracles of the manifest: what must hold of its versions, of its numbers and of what may be
//! deleted. Pure functions of what was issued and what is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use quipu_journal::check::oracles::{ANSWERS, BOUNDED, FOLD};
use quipu_journal::check::{Oracle, Verdict};

use super::history::ManifestHistory;
use super::reference::{Reference, have_a_key_in_common};
use crate::manifest::{FileNum, ManifestEditV1, SstMetadata, Version};

/// Oracle M1: every table of a version is on disk, whole, as it was recorded.
pub const WHOLE: Oracle = Oracle {
    id: "M1",
    rule: "every table of a version is on disk, whole, as it was recorded",
};

/// Oracle M2: no file goes that a version names which is held, or which a crash could bring back.
pub const DELETED: Oracle = Oracle {
    id: "M2",
    rule: "no file goes that a version names which is held, or which a crash could bring back",
};

/// Oracle M3: what a compaction takes goes when what it brings comes.
pub const TOGETHER: Oracle = Oracle {
    id: "M3",
    rule: "what a compaction takes goes when what it brings comes",
};

/// Oracle M4: no number of a file, a keyspace or an entry is given twice.
pub const NUMBERS: Oracle = Oracle {
    id: "M4",
    rule: "no number of a file, a keyspace or an entry is given twice",
};

/// Oracle M5: the log is kept from where a keyspace needs it.
pub const FLOOR: Oracle = Oracle {
    id: "M5",
    rule: "the log is kept from where a keyspace needs it",
};

/// Oracle M6: tables of a sorted level have no key in common.
pub const SHAPE: Oracle = Oracle {
    id: "M6",
    rule: "tables of a sorted level have no key in common",
};

/// Oracle M7: the last sequence number is that of any table, or higher.
pub const LAST_SEQ: Oracle = Oracle {
    id: "M7",
    rule: "the last sequence number is that of any table, or higher",
};

/// All oracles of the manifest that are its own.
pub const ALL: &[Oracle] = &[WHOLE, DELETED, TOGETHER, NUMBERS, FLOOR, SHAPE, LAST_SEQ];

/// All that can be said of a version that shows as many edits as the reference has. `line` are all
/// edits that were issued.
pub fn check(
    history: &ManifestHistory,
    line: &[ManifestEditV1],
    reference: &Reference,
    version: &Version,
) -> Verdict {
    compactions_are_whole(line, reference.accepted.len(), version)?;
    levels_keep_their_shape(version)?;
    if !history.edits.is_damaged {
        the_log_is_kept(history, reference, version)?;
    }
    the_last_sequence_covers_all(reference, version)?;
    keyspaces_keep_their_numbers(reference, version)?;
    the_version_is_what_the_edits_say(reference, version)
}

/// Oracle M1, of what an open says.
pub fn nothing_is_missing(missing: &[FileNum]) -> Verdict {
    match missing {
        [] => Ok(()),
        missing => WHOLE.broken(format!("open misses {missing:?}")),
    }
}

/// Oracle M1, of one table: whether its file was found and is whole.
pub fn a_table_is_whole(table: &SstMetadata, is_whole: Result<bool, String>) -> Verdict {
    let filenum = table.filenum;
    match is_whole {
        Ok(true) => Ok(()),
        Ok(false) => WHOLE.broken(format!("table {filenum} is not what was recorded")),
        Err(error) => WHOLE.broken(format!("table {filenum}: {error}")),
    }
}

/// Oracle M2, and 14: what an open says that may go is what is on disk and not named.
pub fn orphans_are_what_nothing_names(
    found: &[FileNum],
    orphans: &[FileNum],
    obsolete: &[FileNum],
    version: &Version,
) -> Verdict {
    for listed in [orphans, obsolete] {
        if let Some(named) = listed.iter().find(|filenum| is_named(version, **filenum)) {
            return DELETED.broken(format!("open lets table {named} go"));
        }
        let unnamed = found.iter().filter(|filenum| !is_named(version, **filenum));
        if !unnamed.eq(listed) {
            return BOUNDED.broken(format!("of {found:?}, open lets {listed:?} go"));
        }
    }
    Ok(())
}

/// Oracle M2: no state that a crash may leave now, and no version that is held, names one of these.
pub fn may_go(
    history: &ManifestHistory,
    line: &[ManifestEditV1],
    held: &[Arc<Version>],
    obsolete: &[FileNum],
) -> Verdict {
    let durable = history.edits.acknowledged.min(line.len());
    let mut state = Reference::of(&line[..durable]);
    for at in durable..=line.len() {
        let named = |filenum: &&FileNum| state.tables.contains_key(filenum);
        if let Some(filenum) = obsolete.iter().find(named) {
            return DELETED.broken(format!("table {filenum} may go, and edit {at} needs it"));
        }
        line.get(at).into_iter().for_each(|edit| state.apply(edit));
    }
    for version in held {
        if let Some(filenum) = obsolete.iter().find(|filenum| is_named(version, **filenum)) {
            let number = version.number();
            return DELETED.broken(format!(
                "table {filenum} may go, and version {number} is held"
            ));
        }
    }
    Ok(())
}

/// Oracle M2: who does not know what is durable lets nothing go.
pub fn nothing_may_go_in_doubt(obsolete: &[FileNum]) -> Verdict {
    match obsolete {
        [] => Ok(()),
        obsolete => DELETED.broken(format!("an edit is in doubt, and {obsolete:?} may go")),
    }
}

/// Oracle 14: every file is named by a version that somebody may read, or will be recorded, or may go.
pub fn nothing_is_left_over(left: &BTreeSet<FileNum>) -> Verdict {
    match left.first() {
        None => Ok(()),
        Some(filenum) => BOUNDED.broken(format!("nobody needs file {filenum}, and it stays")),
    }
}

/// Oracle M3: each compaction of the line is there or is not, in a version that shows so many edits.
pub fn compactions_are_whole(line: &[ManifestEditV1], shown: usize, version: &Version) -> Verdict {
    // How many edits bring a table, and in how many compactions it is.
    let mut brought: BTreeMap<FileNum, usize> = BTreeMap::new();
    let mut touched = brought.clone();
    let mut dropped = BTreeSet::new();
    for edit in line {
        if let ManifestEditV1::DropKeyspace { keyspace } = edit {
            dropped.insert(*keyspace);
        }
        let new: BTreeSet<_> = added(edit).iter().map(|table| table.filenum).collect();
        for filenum in &new {
            *brought.entry(*filenum).or_default() += 1;
        }
        if let ManifestEditV1::Compaction { removed, .. } = edit {
            for filenum in new
                .iter()
                .chain(removed.iter().filter(|old| !new.contains(old)))
            {
                *touched.entry(*filenum).or_default() += 1;
            }
        }
    }
    for (at, edit) in line.iter().enumerate() {
        let ManifestEditV1::Compaction { added, removed } = edit else {
            continue;
        };
        if added.iter().any(|table| dropped.contains(&table.keyspace)) {
            continue;
        }
        // A table that another compaction touches as well says nothing about this one, and neither does
        // a number that a refused edit had before another.
        let is_alone = |filenum: &&FileNum| touched.get(filenum) == Some(&1);
        let is_new = |filenum: &&FileNum| brought.get(filenum) == Some(&1);
        let new: Vec<_> = added.iter().map(|table| table.filenum).collect();
        let outputs = new.iter().filter(|new| !removed.contains(new));
        let outputs: Vec<_> = outputs.filter(is_alone).filter(is_new).collect();
        let inputs = removed.iter().filter(|old| !new.contains(old));
        let was_there = |filenum: &&FileNum| is_added(&line[..shown], **filenum);
        let inputs: Vec<_> = inputs.filter(is_alone).filter(was_there).collect();
        let here = |filenums: &[&FileNum]| {
            let here = filenums
                .iter()
                .filter(|filenum| is_named(version, ***filenum));
            here.count()
        };
        let (came, stayed) = (here(&outputs), here(&inputs));
        let is_done = came == outputs.len() && stayed == 0;
        let is_not_done = came == 0 && stayed == inputs.len();
        if !is_done && !is_not_done {
            let (edit, of_outputs, of_inputs) = (at + 1, outputs.len(), inputs.len());
            return TOGETHER.broken(format!(
                "of compaction {edit}, {came} of {of_outputs} outputs are there, and {stayed} of \
                 {of_inputs} inputs"
            ));
        }
    }
    Ok(())
}

fn is_added(line: &[ManifestEditV1], filenum: FileNum) -> bool {
    let mut tables = line.iter().flat_map(added);
    tables.any(|table| table.filenum == filenum)
}

/// The tables that an edit brings.
pub(super) fn added(edit: &ManifestEditV1) -> &[SstMetadata] {
    match edit {
        ManifestEditV1::AddFile { files, .. } => files,
        ManifestEditV1::Compaction { added, .. } => added,
        _ => &[],
    }
}

/// Oracle M4: a number is handed out that no edit has given to a table, and that was not `seen`: no
/// file bore it at open, and nobody was given it since.
pub fn a_number_is_new(
    filenum: FileNum,
    line: &[ManifestEditV1],
    seen: &BTreeSet<FileNum>,
) -> Verdict {
    if seen.contains(&filenum) {
        return NUMBERS.broken(format!("{filenum} is in use, and is handed out"));
    }
    if Reference::of(line).named.contains(&filenum) {
        return NUMBERS.broken(format!("{filenum} was a table, and is handed out"));
    }
    Ok(())
}

/// Oracle M4: a store that goes on above the manifest's last sequence number, and above what its log
/// still holds, gives none twice.
pub fn sequence_goes_on(history: &ManifestHistory, version: &Version) -> Verdict {
    let is_cut = history.log_floor >= history.log_last;
    if is_cut && version.last_seq() < history.log_last {
        return NUMBERS.broken(format!(
            "entry {} was written, and the store goes on behind {}",
            history.log_last,
            version.last_seq()
        ));
    }
    Ok(())
}

/// Oracle M4, of keyspaces.
pub fn keyspaces_keep_their_numbers(reference: &Reference, version: &Version) -> Verdict {
    let found = version
        .keyspaces()
        .map(|keyspace| (keyspace.id(), keyspace.name()));
    let expected = reference.keyspaces.iter();
    let expected = expected.map(|(id, (name, _))| (*id, name.as_str()));
    let (found, expected): (Vec<_>, Vec<_>) = (found.collect(), expected.collect());
    if found != expected {
        return NUMBERS.broken(format!(
            "the keyspaces are {found:?} instead of {expected:?}"
        ));
    }
    Ok(())
}

/// Oracle M5: no keyspace needs what is cut off the log, and the floor is where it has to be.
pub fn the_log_is_kept(
    history: &ManifestHistory,
    reference: &Reference,
    version: &Version,
) -> Verdict {
    for keyspace in version.keyspaces() {
        let (id, through) = (keyspace.id(), keyspace.flushed_through());
        for (what, floor) in [("is", history.log_floor), ("may be", version.wal_floor())] {
            if through < floor {
                return FLOOR.broken(format!(
                    "keyspace {id} needs the log behind {through}, which {what} cut up to {floor}"
                ));
            }
        }
        let expected = reference.keyspaces.get(&id);
        let expected = expected.map(|(_, options)| options.flushed_through);
        if expected.is_some_and(|expected| expected != through) {
            return FLOOR.broken(format!(
                "keyspace {id} is in tables up to {expected:?}, and counts as flushed through \
                 {through}"
            ));
        }
    }
    let (floor, expected) = (version.wal_floor(), reference.wal_floor);
    if floor != expected || floor < history.log_floor {
        let cut = history.log_floor;
        return FLOOR.broken(format!(
            "the floor is {floor} instead of {expected}, and the log is cut up to {cut}"
        ));
    }
    Ok(())
}

/// Oracle M6, each table against each.
pub fn levels_keep_their_shape(version: &Version) -> Verdict {
    for keyspace in version.keyspaces() {
        let sorted = keyspace
            .levels()
            .filter(|level| keyspace.is_sorted(level.number()));
        for level in sorted {
            let tables: Vec<_> = level.tables().collect();
            for (at, table) in tables.iter().enumerate() {
                let mut behind = tables[at + 1..].iter();
                if let Some(other) = behind.find(|other| have_a_key_in_common(table, other)) {
                    return SHAPE.broken(format!(
                        "level {} has {} and {}, which overlap",
                        level.number(),
                        table.filenum,
                        other.filenum
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Oracle M7, of all tables that there have ever been.
pub fn the_last_sequence_covers_all(reference: &Reference, version: &Version) -> Verdict {
    let (last, expected) = (version.last_seq(), reference.last_seq);
    if last < expected {
        return LAST_SEQ.broken(format!(
            "entry {expected} is in a table, the last is {last}"
        ));
    }
    Ok(())
}

/// Oracle 5, against what the edits come to in the plainest way.
pub fn the_version_is_what_the_edits_say(reference: &Reference, version: &Version) -> Verdict {
    let by_number = version.tables().map(|table| &**table);
    if !by_number.eq(reference.tables.values()) {
        return FOLD.broken("the tables are not those of the edits");
    }
    for keyspace in version.keyspaces() {
        let mut levels: Vec<_> = keyspace.tables().map(|table| &**table).collect();
        levels.sort_by_key(|table| table.filenum);
        let expected = reference.tables.values();
        let expected = expected.filter(|table| table.keyspace == keyspace.id());
        let placed = keyspace
            .levels()
            .all(|level| level.tables().all(|table| table.level == level.number()));
        if !placed || !expected.eq(levels) {
            let id = keyspace.id();
            return FOLD.broken(format!(
                "the levels of keyspace {id} are not those of the edits"
            ));
        }
    }
    let options = version.keyspaces().map(|keyspace| keyspace.sorted_from());
    let expected = reference.keyspaces.values();
    if !options.eq(expected.map(|(_, options)| options.sorted_from)) {
        return FOLD.broken("the options of keyspaces are not those of the edits");
    }
    let found = (version.number(), version.last_seq());
    let expected = (reference.version(), reference.last_seq);
    if found != expected {
        return FOLD.broken(format!(
            "version and last sequence number are {found:?} instead of {expected:?}"
        ));
    }
    Ok(())
}

/// Oracle 13: an edit is refused that does not fit, and no other.
pub fn the_answer_is_right(expected: Option<&bool>, accepted: bool) -> Verdict {
    if expected == Some(&accepted) {
        return Ok(());
    }
    ANSWERS.broken(match accepted {
        true => "an edit was accepted that does not fit",
        false => "an edit was refused that fits",
    })
}

fn is_named(version: &Version, filenum: FileNum) -> bool {
    version.table(filenum).is_some()
}
