//! [`Retired`]: the files that no edit needs any more, and who may still be reading them.
//!
//! Invariants:
//! - A file gets here only by an edit that is durable, by having been on disk at open without any
//!   version naming it, or by never having been handed to an edit.
//! - It is given out only when no version that names it is held by anybody.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use quipu_io::planted::planted;

use super::filenum::FileNum;
use super::version::Version;

/// Superseded versions are looked through for dead ones when there are so many more than before.
const FIRST_LOOK: usize = 64;

/// Files on their way out.
#[derive(Debug, Default)]
pub(super) struct Retired(Mutex<Files>);

#[derive(Debug, Default)]
struct Files {
    /// Whether drops are noted: not while old edits are replayed, whose files went long ago or are
    /// found on disk.
    noting: bool,
    /// Superseded versions that somebody held at that time.
    held: Vec<Weak<Version>>,
    /// Look for dead ones when there are so many.
    look_at: usize,
    /// Dropped, and perhaps named by one of these.
    waiting: Vec<FileNum>,
    /// May go.
    free: BTreeSet<FileNum>,
}

impl Retired {
    /// Begins to note what is dropped; these numbers may go already.
    pub(super) fn start(&self, orphans: impl IntoIterator<Item = FileNum>) {
        let mut files = self.files();
        files.noting = true;
        files.look_at = FIRST_LOOK;
        files.free.extend(orphans);
    }

    /// Notes that an edit has dropped files, and which version it has superseded, if that was held.
    pub(super) fn supersede(&self, before: Option<Weak<Version>>, dropped: Vec<FileNum>) {
        let mut files = self.files();
        if !files.noting && !planted("what replay drops is given out again") {
            return;
        }
        if let Some(before) = before.filter(|_| !planted("versions do not pin files")) {
            files.held.push(before);
            if files.held.len() >= files.look_at {
                files.held.retain(|version| version.strong_count() > 0);
                files.look_at = (2 * files.held.len()).max(FIRST_LOOK);
            }
        }
        for filenum in &dropped {
            // Given up, and used all the same: now it waits like any other.
            files.free.remove(filenum);
        }
        files.waiting.extend(dropped);
    }

    /// Notes that this number will never be handed to an edit.
    pub(super) fn abandon(&self, filenum: FileNum) {
        if !planted("the file of a number that was given up stays for ever") {
            self.files().free.insert(filenum);
        }
    }

    /// Whether files were dropped that a version may still name which somebody holds.
    pub(super) fn is_waiting(&self) -> bool {
        !self.files().waiting.is_empty()
    }

    /// What may go now.
    pub(super) fn obsolete(&self, newest: &Version) -> Vec<FileNum> {
        let mut files = self.files();
        let held: Vec<Arc<Version>> = files.held.iter().filter_map(Weak::upgrade).collect();
        files.held.retain(|version| version.strong_count() > 0);
        let waiting = std::mem::take(&mut files.waiting);
        let is_held = |filenum: &FileNum| held.iter().any(|held| held.table(*filenum).is_some());
        let (waiting, free): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_held);
        files.waiting = waiting;
        files.free.extend(free);
        // A number that was given up can only be named if somebody else has used it.
        let is_named = |filenum: &FileNum| newest.table(*filenum).is_some();
        files
            .free
            .retain(|filenum| !is_named(filenum) || planted("a file that is named may go"));
        files.free.iter().copied().collect()
    }

    /// Notes that the files are gone.
    pub(super) fn forget(&self, deleted: &[FileNum]) {
        let mut files = self.files();
        for filenum in deleted {
            files.free.remove(filenum);
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use quipu_journal::Replayable;

    use super::*;
    use crate::manifest::{
        KeyspaceId, KeyspaceOptions, ManifestEdit, ManifestEditV1, ManifestState, SstMetadata,
    };

    /// A version pins its files, also one whose number was given up before it was used.
    #[test]
    fn a_number_that_was_given_up_and_used_is_pinned() {
        let mut state = ManifestState::initial();
        state.retired.start([]);
        let filenum = FileNum::new(0);
        let keyspace = KeyspaceId::new(0);
        let apply = |state: &mut ManifestState, edit| {
            state.apply(ManifestEdit::V1(edit)).unwrap();
        };
        let name = "users".to_owned();
        let options = KeyspaceOptions::default();
        apply(&mut state, ManifestEditV1::CreateKeyspace { name, options });
        state.retired.abandon(filenum);
        let files = vec![SstMetadata::new(filenum, keyspace, 0, *b"a", *b"b")];
        let flushed = Vec::new();
        apply(&mut state, ManifestEditV1::AddFile { files, flushed });
        let held = state.version().clone();
        let (added, removed) = (Vec::new(), vec![filenum]);
        apply(&mut state, ManifestEditV1::Compaction { added, removed });
        assert_eq!(state.retired.obsolete(state.version()), []);
        drop(held);
        assert_eq!(state.retired.obsolete(state.version()), [filenum]);
    }
}
