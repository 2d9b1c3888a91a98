//! A persistent, ordered, summed B+tree: the index that versions of the
//! manifest and memtables stand on.
//!
//! A clone is one more reference to the root, and stays what it is: an edit changes in place the
//! nodes that nobody else holds, and copies the others on its path, so it costs O(log n) whoever
//! looks on. Of each subtree its [`Sum`](Item::Sum) is known, and [`Tree::select`] goes only where
//! the sum allows a match: with the hull of intervals for a sum, the tree is an interval tree.
//!
//! Invariants:
//! - The items ascend strictly by [`Item::order`], and all leaves are at the same depth.
//! - A node holds at most [`node::CAPACITY`] entries, and at least [`node::LEAST`]. Those at the
//!   right edge, the root among them, may hold fewer: ascending inserts leave full nodes behind.
//! - No node is empty, and a root that is not a leaf has at least two children.
//! - What is known of a subtree is exact: nothing in the tree holds an item that was removed.

mod entries;
mod finger;
mod iter;
mod node;
#[cfg(test)]
mod tests;

use entries::Entries;
pub(crate) use finger::Finger;
pub(crate) use iter::{IntoIter, Iter};
use node::{Inserted, Node, Subtree};
use std::cmp::Ordering;
use std::fmt;

/// What a [`Tree`] holds: cheap to clone, such as an [`Arc`](std::sync::Arc) of something.
pub(crate) trait Item: Clone + Send + Sync + 'static {
    /// What is known of a subtree without going into it.
    type Sum: Clone + Send + Sync + 'static;

    /// A few bytes that tell most items apart; `()` where there are none.
    type Head: Copy + Ord + Send + Sync + 'static;

    /// Of two items with different heads, the one with the lower head comes first.
    fn head(&self) -> Self::Head;

    /// A total order; two items that compare as equal take the same place.
    fn order(&self, other: &Self) -> Ordering;

    /// The sum of this item alone.
    fn sum(&self) -> Self::Sum;

    /// Adds the sum of what stands to the right of the first item that is summed up. The order of
    /// the others must not matter.
    fn add(sum: &mut Self::Sum, other: &Self::Sum);
}

/// A place in the order of items: where something is sought.
pub(crate) trait Place<T: Item> {
    /// The head of an item at this place.
    fn head(&self) -> T::Head;

    /// How an item compares to what is sought.
    fn compare(&self, item: &T) -> Ordering;
}

/// Where items have no heads, how they compare is all.
impl<T: Item<Head = ()>, F: Fn(&T) -> Ordering> Place<T> for F {
    fn head(&self) {}

    fn compare(&self, item: &T) -> Ordering {
        self(item)
    }
}

/// The place of an item.
struct PlaceOf<'a, T>(&'a T);

impl<T: Item> Place<T> for PlaceOf<'_, T> {
    fn head(&self) -> T::Head {
        self.0.head()
    }

    fn compare(&self, item: &T) -> Ordering {
        item.order(self.0)
    }
}

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct Tree<T: Item> {
    root: Option<Subtree<T>>,
}

impl<T: Item> Tree<T> {
    pub(crate) fn len(&self) -> usize {
        self.root.as_ref().map_or(0, |root| root.len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The sum of all items, of which an empty tree has none.
    pub(crate) fn sum(&self) -> Option<&T::Sum> {
        self.root.as_ref().map(|root| &root.sum)
    }

    /// Finds an item.
    pub(crate) fn get(&self, place: impl Place<T>) -> Option<&T> {
        self.root.as_ref()?.get(&place)
    }

    /// The first item that is not before the place.
    pub(crate) fn at_or_after(&self, place: impl Place<T>) -> Option<&T> {
        self.root.as_ref()?.at_or_after(&place)
    }

    /// Puts an item at its place, and returns the one that was there.
    pub(crate) fn insert(&mut self, item: T) -> Option<T> {
        let Some(root) = &mut self.root else {
            self.root = Subtree::new(Node::Leaf(Entries::new([item])));
            return None;
        };
        let sum = item.sum();
        match root.insert(item, &sum, true) {
            Inserted::Replaced(before) => Some(before),
            Inserted::Fitted => None,
            Inserted::Split(right) => {
                let halves = self.root.take().into_iter().chain([right]);
                self.root = Subtree::new(Node::Inner(Entries::new(halves)));
                None
            }
        }
    }

    /// Takes out the item that [`get`](Self::get) finds.
    pub(crate) fn remove(&mut self, place: impl Place<T>) -> Option<T> {
        self.root.as_ref()?.get(&place)?; // Nothing is copied when there is nothing to remove.
        let root = self.root.as_mut()?;
        let removed = root.remove(&place);
        while let Some(root) = &self.root {
            match &*root.node {
                Node::Leaf(items) if items.is_empty() => self.root = None,
                Node::Inner(children) if children.len() < 2 => {
                    self.root = children.first().cloned();
                }
                _ => break,
            }
        }
        removed
    }

    /// All items in order, from either end.
    pub(crate) fn iter(&self) -> Iter<'_, T> {
        Iter::new(self.root.as_ref())
    }

    /// The items that are kept, in order, looking only into subtrees whose sum may hold one: of a
    /// subtree that holds an item to keep, `may_hold` must say so.
    pub(crate) fn select<'a>(
        &'a self,
        may_hold: impl Fn(&T::Sum) -> bool + 'a,
        keep: impl Fn(&T) -> bool + 'a,
    ) -> impl Iterator<Item = &'a T> + 'a {
        iter::select(self.root.as_ref(), may_hold, keep)
    }
}

impl<T: Item> Default for Tree<T> {
    fn default() -> Self {
        Tree { root: None }
    }
}

impl<T: Item> fmt::Debug for Tree<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T: Item> IntoIterator for Tree<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    /// All items in order, from nodes that it shares or owns, whatever is edited meanwhile. It lets
    /// go of what it has passed.
    fn into_iter(self) -> IntoIter<T> {
        IntoIter::new(self.root)
    }
}
