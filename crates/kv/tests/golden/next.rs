//! How the format evolves: a release whose edits have a second version.
//!
//! Version 2 gives tables a tag. It is one more variant at the end of the edit, and what it adds to
//! the state has a part of its own in snapshots; everything of version 1 stays as it was.

use std::collections::BTreeMap;

use quipu_journal::Replayable;
use quipu_kv::manifest::{FileNum, ManifestEdit, ManifestEditV1, ManifestState};
use serde::{Deserialize, Serialize};

/// What [`ManifestEdit`] would become.
#[derive(Serialize, Deserialize)]
pub(crate) enum NextEdit {
    V1(ManifestEditV1),
    V2(NextEditV2),
}

#[derive(Serialize, Deserialize)]
pub(crate) enum NextEditV2 {
    Tag { filenum: FileNum, tag: String },
}

pub(crate) fn tag(filenum: u64, tag: &str) -> NextEdit {
    NextEdit::V2(NextEditV2::Tag {
        filenum: FileNum::new(filenum),
        tag: tag.to_owned(),
    })
}

/// What [`ManifestState`] would become.
pub(crate) struct Next {
    pub(crate) first: ManifestState,
    pub(crate) tags: BTreeMap<FileNum, String>,
}

impl Replayable for Next {
    type Edit = NextEdit;
    type Output = bool;

    fn filename_prefix() -> &'static str {
        ManifestState::filename_prefix()
    }

    fn initial() -> Self {
        Next {
            first: ManifestState::initial(),
            tags: BTreeMap::new(),
        }
    }

    fn apply(&mut self, edit: NextEdit) -> bool {
        match edit {
            NextEdit::V1(edit) => self.first.apply(ManifestEdit::V1(edit)).is_ok(),
            NextEdit::V2(NextEditV2::Tag { filenum, tag }) => {
                let found = self.first.version().table(filenum).is_some();
                if found {
                    self.tags.insert(filenum, tag);
                }
                found
            }
        }
    }

    fn snapshot(&self) -> NextEdit {
        unreachable!("it has parts")
    }

    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = NextEdit> + Send> {
        let first = self.first.snapshot_parts().filter_map(|part| match part {
            ManifestEdit::V1(part) => Some(NextEdit::V1(part)),
            _ => None,
        });
        let tags = self.tags.clone().into_iter();
        let tags = tags.map(|(filenum, tag)| NextEdit::V2(NextEditV2::Tag { filenum, tag }));
        Box::new(first.chain(tags))
    }
}
