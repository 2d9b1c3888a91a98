//! The ways through a [`Tree`](super::Tree), always in order.

use super::Item;
use super::node::{Node, Subtree};
use std::iter::FusedIterator;
use std::sync::Arc;
use std::{iter, slice, vec};

/// All items by reference.
pub(crate) struct Iter<'a, T: Item> {
    front: Cursor<'a, T>,
    back: Cursor<'a, T>,
    /// The cursors do not see each other: this is how they know where to stop.
    left: usize,
}

/// All items, cloned out of nodes that others hold too and moved out of those that none does.
pub(crate) struct IntoIter<T: Item> {
    above: Vec<vec::IntoIter<Subtree<T>>>,
    leaf: vec::IntoIter<T>,
    left: usize,
}

/// What is still to come of a leaf, and of each node above it.
struct Cursor<'a, T: Item> {
    above: Vec<slice::Iter<'a, Subtree<T>>>,
    leaf: slice::Iter<'a, T>,
}

/// The end of the tree that a cursor comes from.
#[derive(Clone, Copy)]
enum End {
    Front,
    Back,
}

/// The items that are kept, from subtrees whose sum may hold one.
pub(super) fn select<'a, T: Item>(
    root: Option<&'a Subtree<T>>,
    may_hold: impl Fn(&T::Sum) -> bool + 'a,
    keep: impl Fn(&T) -> bool + 'a,
) -> impl Iterator<Item = &'a T> + 'a {
    let mut cursor = Cursor::new(root);
    iter::from_fn(move || {
        loop {
            let item = cursor.next(End::Front, &may_hold)?;
            if keep(item) {
                return Some(item);
            }
        }
    })
}

impl<'a, T: Item> Iter<'a, T> {
    pub(super) fn new(root: Option<&'a Subtree<T>>) -> Self {
        Iter {
            front: Cursor::new(root),
            back: Cursor::new(root),
            left: root.map_or(0, |root| root.len),
        }
    }
}

impl<'a, T: Item> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.left = self.left.checked_sub(1)?;
        self.front.next(End::Front, |_| true)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Item> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.back.next(End::Back, |_| true)
    }
}

impl<T: Item> ExactSizeIterator for Iter<'_, T> {}
impl<T: Item> FusedIterator for Iter<'_, T> {}

impl<T: Item> IntoIter<T> {
    pub(super) fn new(root: Option<Subtree<T>>) -> Self {
        IntoIter {
            left: root.as_ref().map_or(0, |root| root.len),
            above: vec![Vec::from_iter(root).into_iter()],
            leaf: Vec::new().into_iter(),
        }
    }
}

impl<T: Item> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(item) = self.leaf.next() {
                self.left = self.left.saturating_sub(1);
                return Some(item);
            }
            match self.above.last_mut()?.next() {
                None => drop(self.above.pop()),
                Some(subtree) => match Arc::unwrap_or_clone(subtree.node) {
                    Node::Leaf(items) => self.leaf = items.into_vec().into_iter(),
                    Node::Inner(children) => self.above.push(children.into_vec().into_iter()),
                },
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Item> ExactSizeIterator for IntoIter<T> {}
impl<T: Item> FusedIterator for IntoIter<T> {}

impl<'a, T: Item> Cursor<'a, T> {
    fn new(root: Option<&'a Subtree<T>>) -> Self {
        Cursor {
            above: root
                .map(slice::from_ref)
                .map(<[_]>::iter)
                .into_iter()
                .collect(),
            leaf: [].iter(),
        }
    }

    /// The next item, of those in subtrees whose sum lets it enter.
    fn next(&mut self, end: End, enter: impl Fn(&T::Sum) -> bool) -> Option<&'a T> {
        loop {
            if let Some(item) = end.next(&mut self.leaf) {
                return Some(item);
            }
            match end.next(self.above.last_mut()?) {
                None => drop(self.above.pop()),
                Some(subtree) if !enter(&subtree.sum) => {}
                Some(subtree) => match &*subtree.node {
                    Node::Leaf(items) => self.leaf = items.iter(),
                    Node::Inner(children) => self.above.push(children.iter()),
                },
            }
        }
    }
}

impl End {
    fn next<'a, E>(self, entries: &mut slice::Iter<'a, E>) -> Option<&'a E> {
        match self {
            End::Front => entries.next(),
            End::Back => entries.next_back(),
        }
    }
}
