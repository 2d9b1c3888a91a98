//! [`ManifestHistory`]: what was issued to a manifest, and what the store around it relies on.

use quipu_journal::check::{History, Verdict};
use quipu_journal::laws;

use super::oracles::FOLD;
use crate::manifest::{ManifestEdit, ManifestEditV1, ManifestState, Version};

/// What has happened to a manifest since its disk was new.
///
/// The write-ahead log of the store is only thought of: it loses nothing, and is cut as far as the
/// manifest allows.
#[derive(Clone, Debug, Default)]
pub struct ManifestHistory {
    /// The edits, as the journal's own oracles need them.
    pub edits: History,
    /// The last sequence number that was given to an entry.
    pub log_last: u64,
    /// The log is cut up to here: the highest floor that was ever shown.
    pub log_floor: u64,
}

impl AsRef<History> for ManifestHistory {
    fn as_ref(&self) -> &History {
        &self.edits
    }
}

impl AsMut<History> for ManifestHistory {
    fn as_mut(&mut self) -> &mut History {
        &mut self.edits
    }
}

impl ManifestHistory {
    /// All edits that were issued and may be there, in order.
    pub fn line(&self) -> Verdict<Vec<ManifestEditV1>> {
        let line = self.edits.line.iter();
        line.map(|issued| match laws::golden::<ManifestState>(&issued.edit) {
            Ok(ManifestEdit::V1(edit)) => Ok(edit),
            Err(error) => FOLD.broken(error.to_string()),
        })
        .collect()
    }

    /// Cuts the log as far as this version allows.
    pub fn cut_log(&mut self, version: &Version) {
        self.log_floor = self.log_floor.max(version.wal_floor());
    }

    /// So many new entries are in the log. Gives the sequence number of the last.
    pub fn write(&mut self, entries: u64) -> u64 {
        self.log_last += entries;
        self.log_last
    }
}
