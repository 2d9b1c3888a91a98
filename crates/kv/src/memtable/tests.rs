//! Invariant: at any number, a memtable shows what a map of all versions shows.

use super::*;
use crate::batch::{WriteBatch, Writes};
use crate::entry::Kind;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Op {
    Put(u8, u16),
    Delete(u8),
    DeleteRange(u8, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..30u8, any::<u16>()).prop_map(|(key, value)| Op::Put(key, value)),
        2 => (0..30u8).prop_map(Op::Delete),
        1 => (0..30u8, 0..9u8).prop_map(|(from, len)| Op::DeleteRange(from, from + len)),
    ]
}

/// The keys of different lengths that a number stands for; some share their first 16 bytes.
fn key(number: u8) -> Vec<u8> {
    match number % 3 {
        0 => vec![number],
        1 => [&[7; 16][..], &[number]].concat(),
        _ => vec![7; usize::from(number)],
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_shows_what_a_map_of_versions_shows(
        batches in prop::collection::vec(prop::collection::vec(op(), 1..5), 1..40),
    ) {
        let memtable = MemTable::default();
        let mut states = vec![BTreeMap::<Vec<u8>, Vec<u8>>::new()];
        let mut frozen = Vec::new();
        for ops in batches {
            let mut batch = WriteBatch::new();
            for op in ops {
                let mut state = states.last().unwrap().clone();
                match op {
                    Op::Put(number, value) => {
                        batch.put(key(number), value.to_be_bytes());
                        state.insert(key(number), value.to_be_bytes().to_vec());
                    }
                    Op::Delete(number) => {
                        batch.delete(key(number));
                        state.remove(&key(number));
                    }
                    Op::DeleteRange(from, to) => {
                        let (from, to) = (key(from), key(to));
                        if from >= to {
                            continue;
                        }
                        batch.delete_range(&from, &to);
                        state.retain(|key, _| !(from.clone()..to.clone()).contains(key));
                    }
                }
                states.push(state);
            }
            let first = states.len() as u64 - batch.len() as u64;
            let payload = batch.seal(first);
            let mut writes = Writes::new(&payload).unwrap();
            let writes = std::iter::from_fn(|| writes.next().unwrap().map(|(_, write)| write));
            frozen.push((memtable.snapshot(), memtable.snapshot().entries.len()));
            memtable.insert(0, writes);
            prop_assert_eq!(memtable.snapshot().seqs.map_or(0, |(_, last)| last), states.len() as u64 - 1);
        }
        for (seq, state) in states.iter().enumerate() {
            for number in 0..40 {
                let (found, covering) = memtable.get(&key(number), seq as u64);
                let visible = found.filter(|found| found.seq > covering);
                let put = visible.filter(|found| found.kind == Kind::Put);
                let value = put.map(|found| found.value);
                prop_assert_eq!(value.as_deref(), state.get(&key(number)).map(|value| &value[..]));
            }
        }
        for (content, entries) in frozen {
            let mut walk = content.walk();
            walk.seek_first();
            let mut count = 0;
            while walk.item().is_some() {
                count += 1;
                walk.next();
            }
            prop_assert_eq!(count, entries);
        }
    }
}
