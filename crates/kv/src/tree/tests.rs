//! Invariants: a tree is a map in order, whatever its history; a clone never changes; an edit copies
//! only a path; and `select` finds what a filter finds, without going into what cannot match.

use super::node::{CAPACITY, LEAST, Node, Subtree};
use super::{Finger, Item, Place, Tree};
use proptest::prelude::*;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// An interval; its sum is the hull, and what tells the order in which sums were added.
#[derive(Debug, PartialEq)]
struct Span {
    key: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Hull {
    low: u32,
    high: u32,
    /// The first key, and a digest of all that no two sets of keys are likely to share.
    first: u32,
    digest: u64,
}

type Spans = Tree<Arc<Span>>;
type Model = BTreeMap<u32, Arc<Span>>;

impl Item for Arc<Span> {
    type Sum = Hull;
    /// Some items have the same.
    type Head = u32;

    fn head(&self) -> u32 {
        self.key / 4
    }

    fn order(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }

    fn sum(&self) -> Hull {
        Hull {
            low: self.key,
            high: self.end,
            first: self.key,
            digest: (u64::from(self.key) + 1).wrapping_pow(7),
        }
    }

    fn add(sum: &mut Hull, other: &Hull) {
        sum.low = sum.low.min(other.low);
        sum.high = sum.high.max(other.high);
        sum.digest = sum.digest.wrapping_add(other.digest);
    }
}

impl Hull {
    fn overlaps(&self, range: &RangeInclusive<u32>) -> bool {
        self.low <= *range.end() && *range.start() <= self.high
    }
}

fn span(key: u32, width: u32) -> Arc<Span> {
    let end = key.saturating_add(width);
    Arc::new(Span { key, end })
}

/// The place of a key.
struct At(u32);

impl Place<Arc<Span>> for At {
    fn head(&self) -> u32 {
        self.0 / 4
    }

    fn compare(&self, span: &Arc<Span>) -> Ordering {
        span.key.cmp(&self.0)
    }
}

fn tree(keys: impl IntoIterator<Item = u32>) -> Spans {
    let mut tree = Tree::default();
    for key in keys {
        tree.insert(span(key, key % 7));
    }
    tree
}

/// Checks the structure below, and returns its depth.
fn check(subtree: &Subtree<Arc<Span>>, root: bool, edge: bool) -> usize {
    let count = subtree.node.count();
    let least = match (&*subtree.node, root, edge) {
        (Node::Inner(_), true, _) => 2,
        (_, _, true) => 1,
        _ => LEAST,
    };
    assert!((least..=CAPACITY).contains(&count), "{count} entries");
    let known = Subtree::new(Node::clone(&subtree.node)).unwrap();
    assert!(Arc::ptr_eq(&subtree.first, &known.first), "first item");
    assert_eq!(subtree.sum, known.sum);
    assert_eq!(subtree.len, known.len);
    match &*subtree.node {
        Node::Leaf(items) => {
            assert!(items.is_sorted_by(|a, b| a.order(b).is_lt()));
            items.check();
            1
        }
        Node::Inner(children) => {
            children.check();
            let last = count - 1;
            let depths = children.iter().enumerate();
            let depths = depths.map(|(i, child)| check(child, false, edge && i == last));
            let depths = BTreeSet::from_iter(depths);
            assert_eq!(depths.len(), 1, "leaves at the same depth");
            1 + depths.first().unwrap()
        }
    }
}

fn depth(tree: &Spans) -> usize {
    tree.root.as_ref().map_or(0, |root| check(root, true, true))
}

fn check_equal(tree: &Spans, model: &Model) {
    depth(tree);
    assert_eq!(tree.len(), model.len());
    assert_eq!(tree.is_empty(), model.is_empty());
    assert!(tree.iter().eq(model.values()));
    assert!(tree.iter().rev().eq(model.values().rev()));
    assert!(tree.clone().into_iter().eq(model.values().cloned()));
    let sum = model.values().map(Item::sum).reduce(|mut sum, right| {
        <Arc<Span>>::add(&mut sum, &right);
        sum
    });
    assert_eq!(tree.sum(), sum.as_ref());
}

#[derive(Clone, Debug)]
enum Step {
    Insert {
        key: u32,
        width: u32,
    },
    /// Behind all others, a few.
    Append(u32),
    Remove(u32),
    /// All of them, one by one.
    RemoveRange(RangeInclusive<u32>),
    Clone,
    /// One of the clones that live.
    Drop(prop::sample::Index),
}

const KEYS: u32 = 150;

fn range() -> impl Strategy<Value = RangeInclusive<u32>> {
    (0..KEYS, 0..KEYS).prop_map(|(from, to)| from..=to)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0..KEYS, 0..KEYS).prop_map(|(key, width)| Step::Insert { key, width }),
        4 => (1..20u32).prop_map(Step::Append),
        25 => (0..KEYS).prop_map(Step::Remove),
        1 => range().prop_map(Step::RemoveRange),
        3 => Just(Step::Clone),
        2 => any::<prop::sample::Index>().prop_map(Step::Drop),
    ]
}

/// A tree and what it must hold, and its clones with what they must hold for ever.
#[derive(Default)]
struct World {
    tree: Spans,
    model: Model,
    clones: Vec<(Spans, Model)>,
}

impl World {
    fn run(&mut self, step: Step) {
        match step {
            Step::Insert { key, width } => self.insert(key, width),
            Step::Append(count) => {
                for _ in 0..count {
                    let next = self.model.last_key_value().map_or(0, |(key, _)| key + 1);
                    self.insert(next, 3);
                }
            }
            Step::Remove(key) => self.remove(key),
            Step::RemoveRange(keys) => keys.for_each(|key| self.remove(key)),
            Step::Clone => self.clones.push((self.tree.clone(), self.model.clone())),
            Step::Drop(_) if self.clones.is_empty() => {}
            Step::Drop(which) => drop(self.clones.swap_remove(which.index(self.clones.len()))),
        }
    }

    fn insert(&mut self, key: u32, width: u32) {
        let span = span(key, width);
        let before = self.model.insert(key, Arc::clone(&span));
        assert_eq!(self.tree.insert(span), before);
        depth(&self.tree);
    }

    fn remove(&mut self, key: u32) {
        let held = self.model.remove(&key);
        assert_eq!(self.tree.get(At(key)), held.as_ref());
        assert_eq!(self.tree.remove(At(key)), held);
        assert_eq!(self.tree.get(At(key)), None);
        depth(&self.tree);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_history_makes_the_map_that_it_describes(
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let mut world = World::default();
        for step in steps {
            world.run(step);
            check_equal(&world.tree, &world.model);
        }
        for (tree, model) in &world.clones {
            check_equal(tree, model);
        }
        for (tree, model) in world.clones {
            assert!(tree.into_iter().eq(model.into_values())); // moved, where it is the last
        }
    }

    #[test]
    fn select_finds_what_a_filter_finds(
        spans in prop::collection::vec((0..KEYS, 0..KEYS / 4), 0..200),
        ranges in prop::collection::vec(range(), 1..20),
    ) {
        let mut tree = Tree::default();
        let mut model = Model::new();
        for (key, width) in spans {
            tree.insert(span(key, width));
            model.insert(key, span(key, width));
        }
        for range in ranges {
            let filtered = model.values().filter(|span| span.sum().overlaps(&range));
            let keep = |span: &Arc<Span>| span.sum().overlaps(&range);
            assert!(tree.select(|hull| hull.overlaps(&range), keep).eq(filtered));
        }
    }

    #[test]
    fn a_finger_goes_where_a_map_goes(
        keys in prop::collection::btree_set(0..KEYS, 0..150),
        walks in prop::collection::vec((0..KEYS, prop::collection::vec(any::<bool>(), 0..12)), 1..20),
    ) {
        let mut tree = tree(keys.iter().copied());
        let mut finger = Finger::new(&tree);
        // What comes later it does not see.
        (KEYS..KEYS + 40).for_each(|key| drop(tree.insert(span(key, 0))));
        let key = |finger: &Finger<Arc<Span>>| finger.item().map(|span| span.key);
        for (from, steps) in walks {
            let behind = tree.at_or_after(At(from)).map(|span| span.key);
            assert_eq!(behind, keys.range(from..).next().copied().or(Some(KEYS)));
            finger.seek_before(At(from));
            let mut expected = keys.range(..from).next_back().copied();
            assert_eq!(key(&finger), expected);
            finger.seek(At(from));
            expected = keys.range(from..).next().copied();
            for forward in steps {
                assert_eq!(key(&finger), expected);
                let Some(now) = expected else { break };
                if forward {
                    finger.next();
                    expected = keys.range(now + 1..).next().copied();
                } else {
                    finger.prev();
                    expected = keys.range(..now).next_back().copied();
                }
            }
            finger.seek_first();
            assert_eq!(key(&finger), keys.first().copied());
            finger.seek_last();
            assert_eq!(key(&finger), keys.last().copied());
        }
    }

    #[test]
    fn both_ends_of_an_iterator_meet(len in 0..200u32, fronts in prop::collection::vec(any::<bool>(), 200)) {
        let tree = tree(0..len);
        let (mut iter, mut keys) = (tree.iter(), 0..len);
        for front in fronts {
            assert_eq!(iter.len(), keys.len());
            let (span, key) = if front {
                (iter.next(), keys.next())
            } else {
                (iter.next_back(), keys.next_back())
            };
            assert_eq!(span.map(|span| span.key), key);
        }
    }
}

/// The addresses of all nodes.
fn nodes(tree: &Spans) -> BTreeSet<*const Node<Arc<Span>>> {
    let mut found = BTreeSet::new();
    let mut open = Vec::from_iter(&tree.root);
    while let Some(subtree) = open.pop() {
        found.insert(Arc::as_ptr(&subtree.node));
        if let Node::Inner(children) = &*subtree.node {
            open.extend(children.iter());
        }
    }
    found
}

/// A permutation of `0..count`, of which 7919 must not be a divisor.
fn shuffled(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |key| key * 7_919 % count)
}

#[test]
fn an_edit_copies_only_a_path() {
    let mut tree = tree(shuffled(10_000).filter(|key| key % 2 == 0));
    for key in shuffled(10_000).step_by(7) {
        let before = tree.clone();
        let removed = tree.remove(At(key)).is_some();
        if !removed {
            tree.insert(span(key, 1));
        }
        let (was, is) = (nodes(&before), nodes(&tree));
        let copied = is.difference(&was).count();
        // On each level the node and one sibling, with a root above for an insert.
        assert!(copied <= 2 * depth(&before) + 1, "{copied} nodes copied");
        assert!(is.len() > 1_000, "and the others shared");
    }
}

#[test]
fn an_edit_that_nobody_looks_on_copies_nothing() {
    let mut tree = tree(0..1_000);
    let before = nodes(&tree);
    tree.insert(span(500, 9));
    assert_eq!(nodes(&tree), before);
}

#[test]
fn a_removal_of_nothing_copies_nothing() {
    let mut tree = tree((0..1_000).map(|key| key * 2));
    let before = tree.clone();
    assert_eq!(tree.remove(At(501)), None);
    assert_eq!(nodes(&tree), nodes(&before));
}

#[test]
fn what_was_removed_is_held_by_nobody() {
    let spans = Vec::from_iter((0..500).map(|key| span(key, 1)));
    let mut tree = Tree::default();
    for span in &spans {
        tree.insert(Arc::clone(span));
    }
    for key in shuffled(500) {
        tree.remove(At(key));
        assert_eq!(Arc::strong_count(&spans[key as usize]), 1);
    }
    assert!(tree.is_empty());
}

#[test]
fn an_owned_iterator_lets_go_of_what_it_has_passed() {
    let spans = Vec::from_iter((0..500).map(|key| span(key, 1)));
    let mut tree = Tree::default();
    for span in &spans {
        tree.insert(Arc::clone(span));
    }
    let mut iter = tree.into_iter();
    assert_eq!(iter.by_ref().nth(399), Some(Arc::clone(&spans[399])));
    let held = spans.iter().take_while(|span| Arc::strong_count(span) == 1);
    assert!(held.count() > 390);
    assert_eq!(iter.len(), 100);
}

#[test]
fn ascending_inserts_leave_full_nodes() {
    let tree = tree(0..4_096);
    assert_eq!(depth(&tree), 6); // 4 to the power of 6
    assert_eq!(nodes(&tree).len(), 1_024 + 256 + 64 + 16 + 4 + 1);
}

#[test]
fn select_looks_only_where_the_sum_allows_a_match() {
    let tree = tree(0..4_096);
    let asked = Cell::new(0);
    let overlaps = |hull: &Hull| {
        asked.set(asked.get() + 1);
        hull.overlaps(&(2_000..=2_000))
    };
    let found = tree.select(overlaps, |span| overlaps(&span.sum()));
    assert!(found.count() >= 1);
    // A span is at most 6 wide, so three nodes at most are entered on each level.
    assert!(
        asked.get() <= 3 * CAPACITY * depth(&tree),
        "{}",
        asked.get()
    );
}

/// A place that says something else each time it is asked.
struct Fickle(Cell<u32>);

impl Fickle {
    fn next(&self) -> u32 {
        self.0
            .set(self.0.get().wrapping_mul(48_271).wrapping_add(11));
        self.0.get() >> 16
    }
}

impl Place<Arc<Span>> for &Fickle {
    fn head(&self) -> u32 {
        self.next() % 250
    }

    fn compare(&self, _: &Arc<Span>) -> Ordering {
        self.next().cmp(&(1 << 15))
    }
}

#[test]
fn an_order_that_contradicts_itself_does_not_panic() {
    let mut tree = tree(shuffled(1_000));
    let place = Fickle(Cell::new(0));
    for _ in 0..10_000 {
        tree.get(&place);
        tree.remove(&place);
    }
    tree.iter().count();
}
