//! [`Finger`]: a place in a tree, from which one goes on in both directions.

use super::node::{Node, Subtree, child};
use super::{Item, Place, Tree};
use std::sync::Arc;

/// A place in a tree as it was when the finger was made: what is edited later it does not see.
///
/// It shares the nodes of the tree, so making one costs nothing, but as long as it lives, edits of
/// the tree copy their paths.
pub(crate) struct Finger<T: Item> {
    root: Option<Arc<Node<T>>>,
    /// The nodes from the root down to a leaf, with the entry that is meant in each. Empty if the
    /// finger points at no item.
    path: Vec<(Arc<Node<T>>, usize)>,
}

impl<T: Item> Finger<T> {
    /// A finger that points at no item yet.
    pub(crate) fn new(tree: &Tree<T>) -> Self {
        Finger {
            root: tree.root.as_ref().map(|root| root.node.clone()),
            path: Vec::new(),
        }
    }

    /// The item it points at.
    pub(crate) fn item(&self) -> Option<&T> {
        let (node, at) = self.path.last()?;
        match &**node {
            Node::Leaf(items) => items.get(*at),
            Node::Inner(_) => None,
        }
    }

    /// Goes to the first item that is not before the place.
    pub(crate) fn seek(&mut self, place: impl Place<T>) {
        self.descend(|node| match node {
            Node::Leaf(items) => items.before(&place),
            Node::Inner(children) => child(children, &place),
        });
        // The place may lie behind the last item of the leaf.
        if !self.path.is_empty() && self.item().is_none() {
            self.step(1);
        }
    }

    /// Goes to the last item that is before the place.
    pub(crate) fn seek_before(&mut self, place: impl Place<T>) {
        self.seek(place);
        match self.path.is_empty() {
            true => self.seek_last(),
            false => self.prev(),
        }
    }

    /// Goes to the first item.
    pub(crate) fn seek_first(&mut self) {
        self.descend(|_| 0);
    }

    /// Goes to the last item.
    pub(crate) fn seek_last(&mut self) {
        self.descend(|node| node.count().saturating_sub(1));
    }

    /// Goes to the next item, or behind the last.
    pub(crate) fn next(&mut self) {
        self.step(1);
    }

    /// Goes to the item before, or before the first.
    pub(crate) fn prev(&mut self) {
        self.step(-1);
    }

    fn descend(&mut self, choose: impl Fn(&Node<T>) -> usize) {
        self.path.clear();
        let mut next = self.root.clone();
        while let Some(node) = next {
            let at = choose(&node);
            next = below(&node, at);
            self.path.push((node, at));
        }
    }

    fn step(&mut self, by: isize) {
        while let Some((node, at)) = self.path.last_mut() {
            match at.checked_add_signed(by).filter(|at| *at < node.count()) {
                None => {
                    self.path.pop();
                }
                Some(to) => {
                    *at = to;
                    break;
                }
            }
        }
        // Down again, along the edge that is nearest.
        while let Some((node, at)) = self.path.last() {
            let Some(next) = below(node, *at) else {
                return;
            };
            let edge = if by > 0 {
                0
            } else {
                next.count().saturating_sub(1)
            };
            self.path.push((next, edge));
        }
    }
}

fn below<T: Item>(node: &Node<T>, at: usize) -> Option<Arc<Node<T>>> {
    match node {
        Node::Leaf(_) => None,
        Node::Inner(children) => Some(children.get(at)?.node.clone()),
    }
}

impl<T: Item> Subtree<T> {
    /// The first item that is not before the place.
    pub(super) fn at_or_after(&self, place: &impl Place<T>) -> Option<&T> {
        match &*self.node {
            Node::Leaf(items) => items.get(items.before(place)),
            Node::Inner(children) => {
                let at = child(children, place);
                let here = children.get(at)?.at_or_after(place);
                here.or_else(|| Some(&children.get(at + 1)?.first))
            }
        }
    }
}
