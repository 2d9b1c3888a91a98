//! [`Notes`]: a machine that remembers every edit it was given, for checking the journal itself.

use arbitrary::Unstructured;
use serde::{Deserialize, Serialize};

use crate::Replayable;

/// The numbers of all notes, each with the sum of its text.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    notes: Vec<(u64, u64)>,
}

/// An edit of [`Notes`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Edit {
    /// Write a note.
    Write {
        /// Which.
        id: u64,
        /// What it says.
        text: Vec<u8>,
    },
    /// A part of a snapshot.
    Restore(Vec<(u64, u64)>),
}

impl Notes {
    /// A note of all the bytes there are.
    pub fn edit(bytes: &mut Unstructured<'_>) -> arbitrary::Result<Edit> {
        let id = bytes.arbitrary()?;
        let rest = bytes.len();
        let text = bytes.bytes(rest)?.to_vec();
        Ok(Edit::Write { id, text })
    }
}

impl Replayable for Notes {
    type Edit = Edit;
    /// How many notes there are now.
    type Output = u64;

    fn filename_prefix() -> &'static str {
        "notes"
    }

    fn initial() -> Self {
        Notes::default()
    }

    fn apply(&mut self, edit: Edit) -> u64 {
        match edit {
            Edit::Write { id, text } => {
                let sum = text
                    .iter()
                    .fold(id, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte));
                self.notes.push((id, sum));
            }
            Edit::Restore(notes) => self.notes.extend(notes),
        }
        self.notes.len() as u64
    }

    fn snapshot(&self) -> Edit {
        Edit::Restore(self.notes.clone())
    }

    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = Edit> + Send> {
        let parts: Vec<_> = self.notes.chunks(4).map(|part| part.to_vec()).collect();
        Box::new(parts.into_iter().map(Edit::Restore))
    }
}
