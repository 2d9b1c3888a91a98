//! [`Entries`]: what a node holds, and beside it what tells most entries apart.
//!
//! A search looks at few bytes of many entries. Where those stand side by side, a node's are in some
//! lines of the processor's cache, and not in one for each entry.
//!
//! Invariants: there is one head for each entry, and it is that entry's. Room is allocated at once for
//! as many as a node may hold.

use super::node::CAPACITY;
use super::{Item, Place};
use std::ops::Deref;

/// What has a place in the order of items.
pub(super) trait Placed {
    type Item: Item;

    /// The item that decides its place.
    fn item(&self) -> &Self::Item;
}

impl<T: Item> Placed for T {
    type Item = T;

    fn item(&self) -> &T {
        self
    }
}

type Head<E> = <<E as Placed>::Item as Item>::Head;

/// See the [module](self).
pub(super) struct Entries<E: Placed> {
    heads: Vec<Head<E>>,
    entries: Vec<E>,
}

impl<E: Placed> Entries<E> {
    pub(super) fn new(of: impl IntoIterator<Item = E>) -> Self {
        let mut entries = Vec::with_capacity(CAPACITY);
        entries.extend(of);
        let mut heads = Vec::with_capacity(CAPACITY);
        heads.extend(entries.iter().map(|entry| entry.item().head()));
        Entries { heads, entries }
    }

    /// How many are before the place.
    pub(super) fn before(&self, place: &impl Place<E::Item>) -> usize {
        self.position(place, |entry| place.compare(entry.item()).is_lt())
    }

    /// How many are before the place, or at it.
    pub(super) fn until(&self, place: &impl Place<E::Item>) -> usize {
        self.position(place, |entry| place.compare(entry.item()).is_le())
    }

    /// Goes by the heads, and to those entries only that have the head of the place.
    fn position(&self, place: &impl Place<E::Item>, is_passed: impl Fn(&E) -> bool) -> usize {
        let head = place.head();
        let start = self.heads.partition_point(|held| *held < head);
        let alike = self.heads[start..].partition_point(|held| *held == head);
        start + self.entries[start..start + alike].partition_point(is_passed)
    }

    pub(super) fn insert(&mut self, at: usize, entry: E) {
        self.heads.insert(at, entry.item().head());
        self.entries.insert(at, entry);
    }

    pub(super) fn remove(&mut self, at: usize) -> E {
        self.heads.remove(at);
        self.entries.remove(at)
    }

    /// Changes an entry.
    pub(super) fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut E) -> R) -> R {
        let changed = change(&mut self.entries[at]);
        self.heads[at] = self.entries[at].item().head();
        changed
    }

    /// Takes out those from `at` on.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        self.heads.truncate(at);
        Entries::new(self.entries.drain(at..))
    }

    /// Moves all of `right`, which come behind these, to here.
    pub(super) fn append(&mut self, mut right: Self) {
        self.heads.append(&mut right.heads);
        self.entries.append(&mut right.entries);
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let heads = self.entries.iter().map(|entry| entry.item().head());
        assert!(
            self.heads.iter().copied().eq(heads),
            "heads of other entries"
        );
        assert_eq!(self.entries.capacity(), CAPACITY);
    }

    pub(super) fn into_vec(self) -> Vec<E> {
        self.entries
    }
}

impl<E: Placed> Deref for Entries<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.entries
    }
}

impl<E: Placed + Clone> Clone for Entries<E> {
    fn clone(&self) -> Self {
        Entries::new(self.entries.iter().cloned())
    }
}
