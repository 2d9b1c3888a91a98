//! [`State`]: what a stretch of writes comes to, in the plainest way.

use std::collections::BTreeMap;

use crate::manifest::KeyspaceId;

/// The pairs of one keyspace that a reader has found.
pub(super) type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a reader has found, for each keyspace that there is.
pub(super) type Found = BTreeMap<KeyspaceId, Pairs>;

/// Pairs, each value with the time at which it was written.
type Timed = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

/// What is written by one batch: it counts as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Commit {
    /// Its writes, in order.
    pub(super) writes: Vec<(KeyspaceId, Edit)>,
    /// When it was issued, in milliseconds since 1970.
    pub(super) time: u64,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

/// A map for each keyspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    spaces: BTreeMap<KeyspaceId, Timed>,
}

impl State {
    /// What these commits come to.
    pub(super) fn of<'a>(commits: impl IntoIterator<Item = &'a Commit>) -> State {
        let mut state = State::default();
        commits.into_iter().for_each(|commit| state.apply(commit));
        state
    }

    pub(super) fn apply(&mut self, commit: &Commit) {
        for (keyspace, edit) in &commit.writes {
            let space = self.spaces.entry(*keyspace).or_default();
            match edit {
                Edit::Put(key, value) => {
                    space.insert(key.clone(), (value.clone(), commit.time));
                }
                Edit::Delete(key) => drop(space.remove(key)),
                Edit::DeleteRange(start, end) => {
                    space.retain(|key, _| key < start || key >= end);
                }
            }
        }
    }

    /// Whether this is what was found of all keyspaces that there are. What was written up to `expired`
    /// may be gone.
    pub(super) fn fits(&self, found: &Found, expired: Option<u64>) -> bool {
        found
            .iter()
            .all(|(keyspace, pairs)| self.fits_space(*keyspace, pairs, expired))
    }

    /// The same of one keyspace.
    pub(super) fn fits_space(
        &self,
        keyspace: KeyspaceId,
        pairs: &Pairs,
        expired: Option<u64>,
    ) -> bool {
        let Some(space) = self.spaces.get(&keyspace) else {
            return pairs.is_empty();
        };
        pairs.keys().all(|key| space.contains_key(key))
            && space.iter().all(|(key, (value, time))| {
                let found = pairs.get(key);
                let may_be_gone = expired.is_some_and(|expired| *time <= expired);
                found == Some(value) || found.is_none() && may_be_gone
            })
    }

    /// Whether this is what was found under a key.
    pub(super) fn fits_key(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        found: Option<&[u8]>,
        expired: Option<u64>,
    ) -> bool {
        let space = self.spaces.get(&keyspace);
        match (space.and_then(|space| space.get(key)), found) {
            (None, found) => found.is_none(),
            (Some((value, _)), Some(found)) => *value == found,
            (Some((_, time)), None) => expired.is_some_and(|expired| *time <= expired),
        }
    }

    /// Whether these are the pairs between two keys.
    pub(super) fn fits_span(
        &self,
        keyspace: KeyspaceId,
        is_inside: impl Fn(&[u8]) -> bool,
        pairs: &Pairs,
        expired: Option<u64>,
    ) -> bool {
        let mut inside = State::default();
        let space = self.spaces.get(&keyspace).cloned().unwrap_or_default();
        let space = space.into_iter().filter(|(key, _)| is_inside(key));
        inside.spaces.insert(keyspace, space.collect());
        inside.fits_space(keyspace, pairs, expired)
    }

    /// In words.
    pub(super) fn told(&self, keyspace: KeyspaceId) -> String {
        let space = self.spaces.get(&keyspace).cloned().unwrap_or_default();
        let pairs = space.into_iter().map(|(key, (value, _))| (key, value));
        told(&pairs.collect())
    }
}

impl Commit {
    /// What of it is of one keyspace.
    pub(super) fn of_space(&self, keyspace: KeyspaceId) -> Commit {
        let writes = self.writes.iter();
        Commit {
            writes: writes.filter(|(id, _)| *id == keyspace).cloned().collect(),
            time: self.time,
        }
    }

    /// The same without its last writes.
    pub(super) fn first(&self, writes: usize) -> Commit {
        Commit {
            writes: self.writes[..writes].to_vec(),
            time: self.time,
        }
    }
}

/// Pairs, in words: each value by the number that it begins with.
pub(super) fn told(pairs: &Pairs) -> String {
    let pairs = pairs.iter().map(|(key, value)| {
        let number = value
            .first_chunk()
            .map_or(0, |head| u32::from_le_bytes(*head));
        format!("{}: value {number}", key.escape_ascii())
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}
