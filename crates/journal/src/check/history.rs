//! [`History`]: what was issued, what was promised, and what opens have shown.
//!
//! The line is the order in which edits must be found: those that the last open showed, and behind
//! them those that were issued since, in the order of the calls. An edit that was refused leaves
//! the line, for its number goes to the next one.

use std::sync::Arc;

use super::oracles::{self, Shown};
use super::violation::Verdict;
use crate::Replayable;

/// An edit as it was encoded.
pub type Encoded = Arc<[u8]>;

/// An edit that was handed to the journal.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its bytes.
    pub edit: Encoded,
    /// Edits of one append or batch have the same.
    pub group: u64,
}

/// What has happened to a journal since its disk was new.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Everything that was issued and may be there, in order.
    pub line: Vec<Issued>,
    /// So many edits of the line were shown by an open that answered, or by a read.
    pub shown: usize,
    /// So many edits of the line are promised to be durable.
    pub acknowledged: usize,
    /// What was issued and then cut by a recovery or refused: it may never come back.
    pub gone: Vec<Encoded>,
    /// Opens that have answered.
    pub opens: u64,
    /// The highest floor that an open has shown.
    pub floor: u64,
    /// The disk itself has done damage, which may show at any later time: promises may be broken, but not in silence where it can be told,
    /// and nothing wrong may be shown.
    pub is_damaged: bool,
    groups: u64,
    issued: u64,
}

/// A history is the journal's part of itself.
impl AsRef<History> for History {
    fn as_ref(&self) -> &History {
        self
    }
}

impl AsMut<History> for History {
    fn as_mut(&mut self) -> &mut History {
        self
    }
}

impl History {
    /// A number that no edit has had.
    pub fn next_id(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    /// Notes edits that are about to be appended together. Gives the number of the group.
    pub fn issue(&mut self, edits: impl IntoIterator<Item = Vec<u8>>) -> u64 {
        self.groups += 1;
        let group = self.groups;
        self.line.extend(edits.into_iter().map(|edit| Issued {
            edit: edit.into(),
            group,
        }));
        group
    }

    /// Notes that a group was refused: it was not written and never will be.
    pub fn refuse(&mut self, group: u64) {
        let (refused, kept): (Vec<_>, Vec<_>) = self
            .line
            .drain(..)
            .partition(|issued| issued.group == group);
        self.line = kept;
        self.gone
            .extend(refused.into_iter().map(|issued| issued.edit));
    }

    /// Where the edits of a group begin in the line, counted from 0.
    pub fn place(&self, group: u64) -> Option<usize> {
        self.line.iter().position(|issued| issued.group == group)
    }

    /// Notes the answer that a group begins with edit `first`, and is durable or not.
    pub fn acknowledge(&mut self, group: u64, first: u64, durable: bool) -> Verdict {
        oracles::answers_are_in_order(self.place(group), first)?;
        if durable {
            let edits = self.line.iter().filter(|issued| issued.group == group);
            let last = first as usize - 1 + edits.count();
            self.acknowledged = self.acknowledged.max(last);
        }
        Ok(())
    }

    /// Notes that everything is promised to be durable: a sync, or a clean close.
    pub fn acknowledge_all(&mut self) {
        self.acknowledged = self.line.len();
    }

    /// Notes that so many edits were visible to a reader: only durable ones ever are.
    pub fn show(&mut self, edits: u64) {
        self.shown = self.shown.max(edits as usize);
    }

    /// Holds what an open has shown against the history, and goes on from there.
    pub fn reopen<S: Replayable>(&mut self, shown: &Shown) -> Verdict {
        oracles::check::<S>(self, shown)?;
        self.continue_from(shown);
        Ok(())
    }

    /// What an open has shown is durable; the rest is gone for ever.
    pub fn continue_from(&mut self, shown: &Shown) {
        let cut = self.line.drain(shown.last as usize..);
        self.gone.extend(cut.map(|issued| issued.edit));
        self.shown = self.line.len();
        self.acknowledged = self.line.len();
        self.floor = self.floor.max(shown.floor);
        self.opens += 1;
    }
}
