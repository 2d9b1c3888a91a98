//! [`History`]: what was issued, what was promised, and what opens have shown.
//!
//! The line is the order in which edits must be found: those that the last open showed, and behind
//! them those that were issued since, in the order of the calls. An edit that was refused leaves
//! the line, for its number goes to the next one.

use std::sync::Arc;

use crate::oracles::{self, Shown, Violation};

/// An edit as it was encoded.
pub(crate) type Encoded = Arc<[u8]>;

#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) edit: Encoded,
    /// Edits of one append or batch have the same.
    pub(crate) group: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) line: Vec<Issued>,
    /// So many edits of the line were shown by an open that answered.
    pub(crate) shown: usize,
    /// So many edits of the line are promised to be durable.
    pub(crate) acknowledged: usize,
    /// What was issued and then cut by a recovery or refused: it may never come back.
    pub(crate) gone: Vec<Encoded>,
    /// Opens that have answered.
    pub(crate) opens: u64,
    /// The highest floor that an open has shown.
    pub(crate) floor: u64,
    /// Answered cleanly, and nothing since.
    pub(crate) closed: bool,
    groups: u64,
    issued: u64,
}

impl History {
    /// A number that no edit has had.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    /// Notes edits that are about to be appended together. Gives the number of the group.
    pub(crate) fn issue(&mut self, edits: impl IntoIterator<Item = Vec<u8>>) -> u64 {
        self.groups += 1;
        let group = self.groups;
        self.closed = false;
        self.line.extend(edits.into_iter().map(|edit| Issued {
            edit: edit.into(),
            group,
        }));
        group
    }

    /// Notes that a group was refused: it was not written and never will be.
    pub(crate) fn refuse(&mut self, group: u64) {
        let (refused, kept) = self
            .line
            .drain(..)
            .partition(|issued| issued.group == group);
        self.line = kept;
        let refused: Vec<Issued> = refused;
        self.gone
            .extend(refused.into_iter().map(|issued| issued.edit));
    }

    /// Notes the answer that a group begins with edit `first`, and is durable or not.
    pub(crate) fn acknowledge(
        &mut self,
        group: u64,
        first: u64,
        durable: bool,
    ) -> Result<(), Violation> {
        let place = self.line.iter().position(|issued| issued.group == group);
        oracles::answers_are_in_order(place, first)?;
        if durable {
            let edits = self.line.iter().filter(|issued| issued.group == group);
            self.acknowledged = self.acknowledged.max(first as usize - 1 + edits.count());
        }
        Ok(())
    }

    /// Notes that everything is promised to be durable: a sync, or a clean close.
    pub(crate) fn acknowledge_all(&mut self) {
        self.acknowledged = self.line.len();
    }

    /// Holds what an open has shown against the history, and goes on from there.
    pub(crate) fn reopen<S: quipu_journal::Replayable>(
        &mut self,
        shown: &Shown,
    ) -> Result<(), Violation> {
        oracles::check::<S>(self, shown)?;
        self.continue_from(shown);
        Ok(())
    }

    /// What an open has shown is durable; the rest is gone for ever.
    pub(crate) fn continue_from(&mut self, shown: &Shown) {
        let cut = self.line.drain(shown.last as usize..);
        self.gone.extend(cut.map(|issued| issued.edit));
        self.shown = self.line.len();
        self.acknowledged = self.line.len();
        self.floor = self.floor.max(shown.floor);
        self.opens += 1;
    }
}
