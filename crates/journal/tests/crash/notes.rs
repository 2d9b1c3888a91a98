//! Edits of the machine under test.

use quipu_journal::check::{Edit, JournalProgram, Notes};
use quipu_journal::{Options, laws};

/// A note of so many bytes, none of them zero: a lost sector must not look like a surviving one.
pub(crate) fn note(id: u64, bytes: usize) -> Edit {
    let text = (0..bytes as u64).map(|at| (id.wrapping_mul(31) + at * 7) as u8 | 1);
    Edit::Write {
        id,
        text: text.collect(),
    }
}

pub(crate) fn notes(options: &Options) -> JournalProgram<Notes> {
    JournalProgram::new(Notes::edit).with(options.clone())
}

#[test]
fn notes_keep_the_laws() {
    laws::check::<Notes>((0..20).map(|id| note(id, 3 * id as usize))).unwrap();
}
