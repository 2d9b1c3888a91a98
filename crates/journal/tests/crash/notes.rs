//! [`Notes`]: the machine under test, which remembers every edit that it was given.

use quipu_journal::Replayable;
use serde::{Deserialize, Serialize};

/// The numbers of all notes, each with the sum of its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    notes: Vec<(u64, u64)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Edit {
    Write { id: u64, text: Vec<u8> },
    Restore(Vec<(u64, u64)>),
}

/// A machine that can be told to make an edit which differs from all others.
pub(crate) trait Subject: Replayable<Output = u64> {
    /// Edit number `id`, of about so many bytes.
    fn edit(id: u64, bytes: usize) -> Self::Edit;
}

impl Subject for Notes {
    fn edit(id: u64, bytes: usize) -> Edit {
        // No zeros: a lost sector must not look like a surviving one.
        let text = (0..bytes as u64).map(|at| (id.wrapping_mul(31) + at * 7) as u8 | 1);
        Edit::Write {
            id,
            text: text.collect(),
        }
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

#[test]
fn notes_keep_the_laws() {
    quipu_journal::laws::check::<Notes>((0..20).map(|id| Notes::edit(id, 3 * id as usize)))
        .unwrap();
}
