//! The nodes of a [`Tree`](super::Tree): how they split, and how they are filled again.

use super::entries::{Entries, Placed};
use super::{Item, Place, PlaceOf};
use std::mem;
use std::sync::Arc;

/// The most entries in a node. Tests have small nodes, and so deep trees.
pub(super) const CAPACITY: usize = if cfg!(test) { 4 } else { 32 };

/// The fewest entries in a node that is not at the right edge. A split leaves both halves well
/// above, so that a node does not split and merge by turns.
pub(super) const LEAST: usize = if CAPACITY < 6 { 2 } else { CAPACITY / 3 };

/// A node, and what is known of it without going into it. Who changes the node
/// brings that up to date.
#[derive(Clone)]
pub(super) struct Subtree<T: Item> {
    pub(super) first: T,
    pub(super) sum: T::Sum,
    pub(super) len: usize,
    pub(super) node: Arc<Node<T>>,
}

/// A node's entries, in order.
pub(super) enum Node<T: Item> {
    Leaf(Entries<T>),
    Inner(Entries<Subtree<T>>),
}

/// A subtree stands where its first item does.
impl<T: Item> Placed for Subtree<T> {
    type Item = T;

    fn item(&self) -> &T {
        &self.first
    }
}

/// What an insert has come to.
pub(super) enum Inserted<T: Item> {
    Replaced(T),
    Fitted,
    /// The subtree was full: this one belongs to the right of it.
    Split(Subtree<T>),
}

impl<T: Item> Subtree<T> {
    /// None if the node is empty: there is no such subtree.
    pub(super) fn new(node: Node<T>) -> Option<Self> {
        let (first, sum, len) = node.summary()?;
        let node = Arc::new(node);
        Some(Subtree {
            first,
            sum,
            len,
            node,
        })
    }

    pub(super) fn get(&self, place: &impl Place<T>) -> Option<&T> {
        let mut node = &self.node;
        loop {
            match &**node {
                Node::Leaf(items) => return items.get(found(items, place)?),
                Node::Inner(children) => node = &children.get(child(children, place))?.node,
            }
        }
    }

    /// `sum` is that of the item; `edge` says that this subtree is at the right edge of the tree.
    pub(super) fn insert(&mut self, item: T, sum: &T::Sum, edge: bool) -> Inserted<T> {
        let in_front = item.order(&self.first).is_lt().then(|| item.clone());
        let inserted = match Arc::make_mut(&mut self.node) {
            Node::Leaf(items) => {
                let at = items.before(&PlaceOf(&item));
                match items.get(at).is_some_and(|held| held.order(&item).is_eq()) {
                    true => Inserted::Replaced(items.change(at, |held| mem::replace(held, item))),
                    false => Inserted::or_split(put(items, at, item, edge).map(Node::Leaf)),
                }
            }
            Node::Inner(children) => {
                let at = child(children, &PlaceOf(&item));
                let last = at + 1 == children.len();
                match children.change(at, |child| child.insert(item, sum, edge && last)) {
                    Inserted::Split(right) => {
                        Inserted::or_split(put(children, at + 1, right, edge).map(Node::Inner))
                    }
                    done => done,
                }
            }
        };
        match inserted {
            Inserted::Fitted => self.grow(sum, in_front),
            _ => self.refresh(),
        }
        inserted
    }

    /// Learns of one more item without going to the others. `in_front` is that item, if it is the
    /// first now.
    fn grow(&mut self, sum: &T::Sum, in_front: Option<T>) {
        self.len += 1;
        match in_front {
            None => T::add(&mut self.sum, sum),
            Some(item) => {
                self.first = item;
                let rest = mem::replace(&mut self.sum, sum.clone());
                T::add(&mut self.sum, &rest);
            }
        }
    }

    /// Leaves the subtree with less than it may hold, or with nothing: its parent looks after it.
    pub(super) fn remove(&mut self, place: &impl Place<T>) -> Option<T> {
        let removed = match Arc::make_mut(&mut self.node) {
            Node::Leaf(items) => {
                let at = found(items, place)?;
                Some(items.remove(at))
            }
            Node::Inner(children) => {
                let at = child(children, place);
                let removed = children.change(at, |child| child.remove(place));
                fill(children, at);
                removed
            }
        };
        self.refresh();
        removed
    }

    /// Learns again what is known of the node. Nothing is, of an empty one, and it will not stay.
    fn refresh(&mut self) {
        if let Some((first, sum, len)) = self.node.summary() {
            self.first = first;
            self.sum = sum;
            self.len = len;
        }
    }
}

impl<T: Item> Node<T> {
    pub(super) fn count(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(children) => children.len(),
        }
    }

    /// The first item, the sum and the number of all items, if there is one.
    fn summary(&self) -> Option<(T, T::Sum, usize)> {
        match self {
            Node::Leaf(items) => {
                let (first, rest) = items.split_first()?;
                let mut sum = first.sum();
                rest.iter().for_each(|item| T::add(&mut sum, &item.sum()));
                Some((first.clone(), sum, items.len()))
            }
            Node::Inner(children) => {
                let (first, rest) = children.split_first()?;
                let mut sum = first.sum.clone();
                rest.iter().for_each(|child| T::add(&mut sum, &child.sum));
                let len = children.iter().map(|child| child.len).sum();
                Some((first.first.clone(), sum, len))
            }
        }
    }
}

impl<T: Item> Clone for Node<T> {
    fn clone(&self) -> Self {
        match self {
            Node::Leaf(items) => Node::Leaf(items.clone()),
            Node::Inner(children) => Node::Inner(children.clone()),
        }
    }
}

impl<T: Item> Inserted<T> {
    fn or_split(right: Option<Node<T>>) -> Self {
        match right.and_then(Subtree::new) {
            Some(right) => Inserted::Split(right),
            None => Inserted::Fitted,
        }
    }
}

/// The item at a place, if there is one.
fn found<T: Item>(items: &Entries<T>, place: &impl Place<T>) -> Option<usize> {
    let at = items.before(place);
    place.compare(items.get(at)?).is_eq().then_some(at)
}

/// The child that has the place that is sought: the last one that does not begin behind it.
pub(super) fn child<T: Item>(children: &Entries<Subtree<T>>, place: &impl Place<T>) -> usize {
    children.until(place).saturating_sub(1)
}

/// Puts an entry into a node, and returns the right part if the node had to split: half of it, or,
/// at the right edge, only the new entry.
fn put<E: Placed>(node: &mut Entries<E>, at: usize, entry: E, edge: bool) -> Option<Entries<E>> {
    if node.len() < CAPACITY {
        node.insert(at, entry);
        return None;
    }
    if edge && at == node.len() {
        return Some(Entries::new([entry]));
    }
    let middle = node.len() / 2;
    let mut right = node.split_off(middle);
    match at.checked_sub(middle) {
        Some(at) => right.insert(at, entry),
        None => node.insert(at, entry),
    }
    Some(right)
}

/// Looks after a child from which an item was removed: an empty one goes, and one that holds too
/// little shares with a sibling, if there is one.
fn fill<T: Item>(children: &mut Entries<Subtree<T>>, at: usize) {
    let count = children[at].node.count();
    if count == 0 {
        children.remove(at);
    } else if count < LEAST && children.len() > 1 {
        let at = at.saturating_sub(1);
        let right = Arc::unwrap_or_clone(children.remove(at + 1).node);
        let right = children.change(at, |left| {
            let right = match (Arc::make_mut(&mut left.node), right) {
                (Node::Leaf(left), Node::Leaf(right)) => share(left, right).map(Node::Leaf),
                (Node::Inner(left), Node::Inner(right)) => share(left, right).map(Node::Inner),
                (_, right) => Some(right), // Not at the same depth, which cannot be.
            };
            left.refresh();
            right
        });
        if let Some(right) = right.and_then(Subtree::new) {
            children.insert(at + 1, right);
        }
    }
}

/// Moves all entries to the left, if they fit, or else as many as make both sides even.
fn share<E: Placed>(left: &mut Entries<E>, mut right: Entries<E>) -> Option<Entries<E>> {
    let all = left.len() + right.len();
    if all <= CAPACITY {
        left.append(right);
        return None;
    }
    match (all / 2).checked_sub(left.len()) {
        Some(missing) => {
            let rest = right.split_off(missing);
            left.append(right);
            Some(rest)
        }
        None => {
            let mut moved = left.split_off(all / 2);
            moved.append(right);
            Some(moved)
        }
    }
}
