//! [`StoreHistory`]: the line of what was written, and how much of it was promised and shown.
//!
//! The line is the order in which commits count: those that the last open showed, and behind them those
//! that were issued since, in the order of the calls. One that was refused leaves the line. Behind the
//! line stand those of writers at the same time, whose order is not known yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::checkpoint::Made;
use super::oracles::{self, Shown};
use super::state::{Commit, State};
use crate::manifest::KeyspaceId;
use quipu_journal::check::Verdict;

/// Commits in an order.
pub(super) type Line = Vec<Arc<Commit>>;

/// What has happened to a store since its disk was new.
#[derive(Clone, Debug, Default)]
pub struct StoreHistory {
    pub(super) line: Line,
    /// So many commits of the line were shown by an open.
    pub(super) shown: usize,
    /// So many are promised to be durable.
    pub(super) durable: usize,
    /// Who writes at the same time, behind the line.
    pub(super) writers: Vec<Writer>,
    /// The keyspaces beside the default one, by their places.
    pub(super) spaces: BTreeMap<usize, Space>,
    /// The number of the last write of so many commits, where it is known and the log has it.
    pub(super) seqs: BTreeMap<usize, u64>,
    /// What was written up to here, in milliseconds since 1970, may have expired.
    pub(super) expired: Option<u64>,
    /// A store is open, or was before a crash, that drops what has expired; and whether by a clock that may be
    /// wrong.
    pub(super) expiring: Option<bool>,
    /// The disk itself has done damage: promises may be broken, but nothing wrong may be shown.
    pub(super) is_damaged: bool,
    /// Opens that have answered.
    pub(super) opens: u64,
    /// Checkpoints that were begun, and the one that was made last.
    pub(super) checkpoints: u64,
    pub(super) checkpoint: Option<Made>,
    values: u32,
}

/// One of some who write at the same time.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    pub(super) commits: Line,
    /// So many of them were answered, and are durable.
    pub(super) answered: usize,
}

/// What is known of a keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Creating,
    There(KeyspaceId),
    Dropping(KeyspaceId),
}

impl StoreHistory {
    /// A value of so many bytes that is no other's.
    pub(super) fn value(&mut self, bytes: usize) -> Vec<u8> {
        self.values += 1;
        let mut value = self.values.to_le_bytes().to_vec();
        value.resize(value.len() + bytes, value[0] | 1);
        value
    }

    /// The keyspaces that are surely there, the default one first.
    pub(super) fn keyspaces(&self) -> Vec<KeyspaceId> {
        let others = self.spaces.values().filter_map(|space| match space {
            Space::There(id) => Some(*id),
            Space::Creating | Space::Dropping(_) => None,
        });
        [KeyspaceId::DEFAULT].into_iter().chain(others).collect()
    }

    /// All lines that may be found, if so many commits are surely there; the longest first.
    pub(super) fn legal(&self, at_least: usize) -> Vec<Line> {
        let mut lines = self.interleaved();
        if self.is_damaged || self.writers.iter().all(|writer| writer.answered == 0) {
            let shorter = (at_least.min(self.line.len())..self.line.len()).rev();
            lines.extend(shorter.map(|len| self.line[..len].to_vec()));
        }
        lines
    }

    /// The line, and behind it what the writers may have come to, in all orders.
    fn interleaved(&self) -> Vec<Line> {
        let mut lines = vec![(self.line.clone(), vec![0; self.writers.len()])];
        let mut at = 0;
        while let Some((line, counts)) = lines.get(at).cloned() {
            for (index, writer) in self.writers.iter().enumerate() {
                if let Some(commit) = writer.commits.get(counts[index]) {
                    let (mut longer, mut counts) = (line.clone(), counts.clone());
                    longer.push(commit.clone());
                    counts[index] += 1;
                    lines.push((longer, counts));
                }
            }
            at += 1;
        }
        let is_legal = |counts: &[usize]| {
            let mut both = counts.iter().zip(&self.writers);
            both.all(|(count, writer)| self.is_damaged || *count >= writer.answered)
        };
        let legal = lines.into_iter().rev();
        let legal = legal.filter(|(_, counts)| is_legal(counts));
        legal.map(|(line, _)| line).collect()
    }

    /// Holds what an open has shown against the history, and goes on from there.
    pub(super) fn reopen(&mut self, shown: &Shown) -> Verdict {
        self.line = oracles::check(self, shown)?;
        (self.shown, self.durable) = (self.line.len(), self.line.len());
        self.seqs = BTreeMap::from([(self.line.len(), shown.last_seq)]);
        self.writers.clear();
        self.opens += 1;
        Ok(())
    }

    /// What the whole line comes to.
    pub(super) fn state(&self) -> State {
        State::of(self.line.iter().map(|commit| &**commit))
    }
}
