//! Invariant: a table answers as the map of its entries does, whatever the entries and the options.

use std::cmp::Reverse;
use std::ops::Bound;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use quipu_io::{DiskIo, File};

use super::super::Compression;
use super::*;

/// Keys of few letters, so that they share prefixes, and some versions of each.
fn entries(most: usize) -> impl Strategy<Value = Entries> {
    let letter = prop_oneof![4 => Just(b'a'), 3 => Just(b'b'), 1 => Just(0), 1 => Just(0xff)];
    let key = vec(letter, 0..8);
    let seq = prop_oneof![8 => 0u64..6, 1 => any::<u64>()].prop_map(Reverse);
    let value = prop_oneof![
        2 => Just((Kind::Delete, Vec::new())),
        8 => vec(any::<u8>(), 0..20).prop_map(|value| (Kind::Put, value)),
        1 => vec(any::<u8>(), 100..600).prop_map(|value| (Kind::Put, value)),
        1 => (0usize..600).prop_map(|len| (Kind::Put, vec![7; len])),
    ];
    btree_map((key, seq), value, 1..most)
}

fn options() -> impl Strategy<Value = TableOptions> {
    let compression = proptest::sample::select(Compression::all());
    (1usize..600, 1usize..20, 0u32..20, 1usize..2000, compression).prop_map(
        |(block_bytes, restart_interval, filter_bits_per_key, partition_bytes, compression)| {
            TableOptions {
                block_bytes,
                restart_interval,
                filter_bits_per_key,
                partition_bytes,
                compression,
                created: 5,
            }
        },
    )
}

fn iter_options() -> impl Strategy<Value = IterOptions> {
    (any::<bool>(), prop_oneof![Just(0), 1usize..4096]).prop_map(|(fill_cache, readahead)| {
        IterOptions {
            fill_cache,
            readahead,
        }
    })
}

#[derive(Clone, Debug)]
enum Step {
    First,
    Last,
    Next,
    Prev,
    Seek(Vec<u8>, u64),
    SeekForPrev(Vec<u8>, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let letter = prop_oneof![4 => Just(b'a'), 3 => Just(b'b'), 1 => Just(0), 1 => Just(0xff)];
    let key = vec(letter, 0..9);
    let sought = (key, prop_oneof![8 => 0u64..7, 1 => Just(u64::MAX)]);
    let step = prop_oneof![
        1 => Just(Step::First),
        1 => Just(Step::Last),
        12 => Just(Step::Next),
        12 => Just(Step::Prev),
        3 => sought.clone().prop_map(|(key, seq)| Step::Seek(key, seq)),
        3 => sought.prop_map(|(key, seq)| Step::SeekForPrev(key, seq)),
    ];
    vec(step, 1..60)
}

/// The walk that a map's ranges are.
struct Walk<'a> {
    entries: &'a Entries,
    at: Option<&'a Version>,
}

impl<'a> Walk<'a> {
    fn step(&mut self, step: &Step) {
        let entries = self.entries;
        self.at = match step {
            Step::First => entries.keys().next(),
            Step::Last => entries.keys().next_back(),
            Step::Next => self.at.and_then(|at| {
                let behind = (Bound::Excluded(at), Bound::Unbounded);
                entries.range(behind).next().map(|(version, _)| version)
            }),
            Step::Prev => self
                .at
                .and_then(|at| entries.range(..at).next_back().map(|(at, _)| at)),
            Step::Seek(key, seq) => {
                let from = (key.clone(), Reverse(*seq));
                entries.range(from..).next().map(|(at, _)| at)
            }
            Step::SeekForPrev(key, seq) => {
                let to = (key.clone(), Reverse(*seq));
                entries.range(..=to).next_back().map(|(at, _)| at)
            }
        };
    }
}

async fn take<F: File>(iter: &mut TableIter<F>, step: &Step) -> Result<bool> {
    match step {
        Step::First => iter.seek_to_first().await,
        Step::Last => iter.seek_to_last().await,
        Step::Next => iter.next().await,
        Step::Prev => iter.prev().await,
        Step::Seek(key, seq) => iter.seek(key, *seq).await,
        Step::SeekForPrev(key, seq) => iter.seek_for_prev(key, *seq).await,
    }
}

fn assert_stands<F: File>(iter: &TableIter<F>, walk: &Walk<'_>, step: &Step) {
    assert_eq!(iter.is_valid(), walk.at.is_some(), "{step:?}");
    let Some(at) = walk.at else { return };
    let (kind, value) = &walk.entries[at];
    assert_eq!((iter.key(), iter.seq()), (&at.0[..], at.1.0), "{step:?}");
    assert_eq!((iter.kind(), iter.value()), (*kind, &value[..]));
    assert_eq!(iter.value_bytes(), value);
}

async fn assert_answers<F: File>(table: &Arc<Table<F>>, entries: &Entries, options: IterOptions) {
    let mut iter = TableIter::new(Arc::clone(table), options);
    let mut walk = Walk { entries, at: None };
    for (edge, step) in [(Step::First, Step::Next), (Step::Last, Step::Prev)] {
        walk.step(&edge);
        assert!(take(&mut iter, &edge).await.unwrap());
        for _ in entries {
            assert_stands(&iter, &walk, &step);
            walk.step(&step);
            take(&mut iter, &step).await.unwrap();
        }
        assert!(!iter.is_valid());
    }
    let neighbours = |(key, seq): &Version| {
        let longer = [&key[..], b"\0"].concat();
        let shorter = key[..key.len().saturating_sub(1)].to_vec();
        let seqs = [
            seq.0.saturating_sub(1),
            seq.0,
            seq.0.saturating_add(1),
            0,
            u64::MAX,
        ];
        let keys = [key.clone(), longer, shorter];
        keys.into_iter()
            .flat_map(move |key| seqs.map(|seq| (key.clone(), seq)))
    };
    for (key, seq) in entries.keys().flat_map(neighbours) {
        let newest = entries.range((key.clone(), Reverse(seq))..).next();
        let newest = newest.filter(|((found, _), _)| *found == key);
        let expected = newest.map(|((_, seq), (kind, value))| (*kind, seq.0, value.clone()));
        let found = table.get(&key, seq).await.unwrap();
        let found = found.map(|found| (found.kind, found.seq, found.value.to_vec()));
        assert_eq!(found, expected, "{key:?} {seq}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_table_answers_as_a_map_does(
        entries in entries(120),
        options in options(),
        iter_options in iter_options(),
        cache_bytes in prop_oneof![Just(0u64), Just(1 << 20)],
        steps in steps(),
    ) {
        let sim = machine();
        let io = sim.io();
        run(&sim, async {
            let path = Path::new(PATH);
            let summary = write(&io, path, &entries, &[], options).await.unwrap();
            let table = open(&io, path, summary.size, cache_bytes).await.unwrap();
            assert_answers(&table, &entries, iter_options).await;
            // Once more, from the cache.
            assert_answers(&table, &entries, iter_options).await;
            let mut iter = TableIter::new(Arc::clone(&table), iter_options);
            let mut walk = Walk { entries: &entries, at: None };
            for step in &steps {
                walk.step(step);
                assert_eq!(take(&mut iter, step).await.unwrap(), walk.at.is_some());
                assert_stands(&iter, &walk, step);
            }
            assert_eq!(table.properties(), &summary.properties);
        });
    }
}

#[test]
fn a_large_table_answers_as_a_map_does_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(PATH);
    let mut entries = Entries::new();
    for key in 0..30_000u32 {
        let value = key.to_be_bytes().repeat(key as usize % 40);
        for seq in 0..=u64::from(key % 97 == 0) {
            let version = (format!("key{:08}", key * 7).into_bytes(), Reverse(seq));
            entries.insert(version, (Kind::Put, value.clone()));
        }
    }
    smol::block_on(async {
        let io = DiskIo::new().unwrap();
        let options = TableOptions::default();
        let summary = write(&io, &path, &entries, &[], options).await.unwrap();
        assert!(summary.properties.partitions > 2, "{summary:?}");
        for cache_bytes in [1 << 16, 8 << 20] {
            let table = open(&io, &path, summary.size, cache_bytes).await.unwrap();
            assert_answers(&table, &entries, IterOptions::default()).await;
        }
    });
}

/// Of the steps that wait for the disk, each is dropped once before it is taken.
#[test]
fn a_step_that_was_dropped_can_be_taken_again() {
    let sim = machine();
    let io = sim.io();
    let entries: Entries = (0..400u32)
        .map(|key| {
            (
                (key.to_be_bytes().to_vec(), Reverse(1)),
                (Kind::Put, vec![7; 40]),
            )
        })
        .collect();
    run(&sim, async {
        let options = TableOptions {
            block_bytes: 200,
            partition_bytes: 300,
            compression: Compression::None,
            ..TableOptions::default()
        };
        let path = Path::new(PATH);
        let summary = write(&io, path, &entries, &[], options).await.unwrap();
        let table = open(&io, path, summary.size, 0).await.unwrap();
        for readahead in [0, 1024] {
            let options = IterOptions {
                fill_cache: false,
                readahead,
            };
            let mut iter = TableIter::new(Arc::clone(&table), options);
            let mut dropped = 0;
            iter.seek_to_first().await.unwrap();
            for (key, _) in entries.keys() {
                assert_eq!(iter.key(), key);
                if smol::future::poll_once(iter.next()).await.is_none() {
                    dropped += 1;
                    assert!(!iter.is_valid());
                    iter.next().await.unwrap();
                }
            }
            assert!(!iter.is_valid());
            iter.seek_to_last().await.unwrap();
            for (key, _) in entries.keys().rev() {
                assert_eq!(iter.key(), key);
                if smol::future::poll_once(iter.prev()).await.is_none() {
                    dropped += 1;
                    iter.prev().await.unwrap();
                }
            }
            assert!(!iter.is_valid());
            assert!(dropped > 20, "{dropped}");
        }
    });
}
