//! Invariants: a writer refuses what would not be a table; what it says of a table is what is in it;
//! and range tombstones come back in order.

use std::cmp::Reverse;

use bytes::Bytes;
use quipu_io::{File, OpenOptions};

use super::super::{CacheStats, Compression, Found, MAX_KEY_BYTES, MAX_VALUE_BYTES, Properties};
use super::*;
use crate::Error;
use crate::manifest::KeyspaceId;

fn tombstone(start: &'static str, end: &'static str, seq: u64) -> RangeTombstone {
    RangeTombstone {
        start: start.into(),
        end: end.into(),
        seq,
    }
}

fn entries(keys: &[(&str, u64, &str)]) -> Entries {
    let entry = |&(key, seq, value): &(&str, u64, &str)| {
        let kind = if value == "-" {
            Kind::Delete
        } else {
            Kind::Put
        };
        let value = if value == "-" { "" } else { value };
        ((key.into(), Reverse(seq)), (kind, value.into()))
    };
    keys.iter().map(entry).collect()
}

#[test]
fn a_summary_says_what_is_in_the_table() {
    let sim = machine();
    let io = sim.io();
    let entries = entries(&[("b", 7, "seven"), ("b", 4, "-"), ("cc", 9, "nine")]);
    let tombstones = [
        tombstone("c", "k", 12),
        tombstone("a", "b\0", 3),
        tombstone("c", "k", 12),
    ];
    let options = TableOptions {
        created: 77,
        ..TableOptions::default()
    };
    run(&sim, async {
        let path = Path::new(PATH);
        let summary = write(&io, path, &entries, &tombstones, options)
            .await
            .unwrap();
        let table = open(&io, path, summary.size, 1 << 20).await.unwrap();
        assert_eq!((table.filenum(), table.path()), (FILENUM, path));
        assert_eq!(
            table.range_tombstones(),
            [tombstones[1].clone(), tombstones[0].clone()]
        );
        let expected = Properties {
            entries: 3,
            tombstones: 1,
            range_tombstones: 2,
            min_seq: 3,
            max_seq: 12,
            key_bytes: 4,
            value_bytes: 9,
            data_blocks: 1,
            partitions: 1,
            data_bytes: table.properties().data_bytes,
            created: 77,
            smallest: b"a".to_vec(),
            largest: b"k".to_vec(),
        };
        assert_eq!(table.properties(), &expected);
        let metadata = summary.metadata(KeyspaceId::new(5), 2);
        let counts = (
            metadata.entries,
            metadata.tombstones,
            metadata.min_seq,
            metadata.max_seq,
        );
        assert_eq!(counts, (5, 3, 3, 12));
        assert_eq!(
            (&metadata.smallest[..], &metadata.largest[..]),
            (&b"a"[..], &b"k"[..])
        );
        assert_eq!(
            (metadata.filenum, metadata.level, metadata.created),
            (FILENUM, 2, 77)
        );
        let file = io.open(path, OpenOptions::ReadOnly).await.unwrap();
        let content = file.read_at(0, 1 << 20).await.unwrap();
        assert_eq!(metadata.size, content.len() as u64);
        assert_eq!(metadata.checksum, u64::from(crc32c::crc32c(&content)));
        let found = table.get(b"b", 6).await.unwrap();
        let deleted = Found {
            kind: Kind::Delete,
            seq: 4,
            value: Bytes::new(),
        };
        assert_eq!(found, Some(deleted));
    });
}

#[test]
fn a_table_may_hold_nothing_but_range_tombstones() {
    let sim = machine();
    let io = sim.io();
    run(&sim, async {
        let path = Path::new(PATH);
        let tombstones = [tombstone("b", "d\0", 3), tombstone("a", "c", 4)];
        let options = TableOptions::default();
        let none = Entries::new();
        let writing = write(&io, path, &none, &tombstones, options);
        let summary = writing.await.unwrap();
        let properties = &summary.properties;
        assert_eq!(
            (&properties.smallest[..], &properties.largest[..]),
            (&b"a"[..], &b"d"[..])
        );
        let table = open(&io, path, summary.size, 1 << 20).await.unwrap();
        assert_eq!(table.get(b"b", u64::MAX).await.unwrap(), None);
        let mut iter = TableIter::new(Arc::clone(&table), IterOptions::default());
        assert!(!iter.seek_to_first().await.unwrap());
        assert!(!iter.seek_to_last().await.unwrap());
        assert!(!iter.seek(b"b", 1).await.unwrap());
        assert!(!iter.seek_for_prev(b"b", 1).await.unwrap());
        assert!(!iter.next().await.unwrap() && !iter.prev().await.unwrap());
        assert_eq!(table.range_tombstones().len(), 2);
    });
}

#[test]
fn what_would_not_be_a_table_is_refused() {
    let sim = machine();
    let io = sim.io();
    let is_refused = |result: Result<()>| matches!(result, Err(Error::InvalidTable { .. }));
    run(&sim, async {
        let path = Path::new(PATH);
        let options = TableOptions::default();
        let mut writer = TableWriter::create(&io, path, FILENUM, options)
            .await
            .unwrap();
        assert!(writer.is_empty());
        assert!(is_refused(writer.add_range_tombstone(b"a", b"a", 1)));
        let taken = TableWriter::create(&io, path, FILENUM, options).await;
        assert!(matches!(taken, Err(Error::Io { .. })));
        writer.add(b"b", 5, Kind::Put, b"").await.unwrap();
        for (key, seq) in [(&b"a"[..], 5), (b"", 1), (b"b", 5), (b"b", 6)] {
            assert!(is_refused(writer.add(key, seq, Kind::Put, b"").await));
        }
        writer.add(b"b", 4, Kind::Put, b"").await.unwrap();
        let long = vec![b'b'; MAX_KEY_BYTES + 1];
        let refused = writer.add(&long, 1, Kind::Put, b"").await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
        let large = vec![0; MAX_VALUE_BYTES + 1];
        let refused = writer.add(b"c", 1, Kind::Put, &large).await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
        writer.add(&long[1..], 1, Kind::Put, b"").await.unwrap();
        assert!(!writer.is_empty());
        let estimated = writer.estimated_bytes();
        let summary = writer.finish().await.unwrap();
        assert_eq!(summary.properties.entries, 3);
        assert!(estimated > 1 << 16 && estimated <= summary.size);
        let other = Path::new("8.sst");
        let empty = TableWriter::create(&io, other, FILENUM, options)
            .await
            .unwrap();
        assert!(is_refused(empty.finish().await.map(drop)));
    });
}

#[test]
fn a_second_look_is_answered_from_the_cache() {
    let sim = machine();
    let io = sim.io();
    run(&sim, async {
        let path = Path::new(PATH);
        let entries = entries(&[("a", 1, "one"), ("b", 2, "two")]);
        let options = TableOptions::default();
        let summary = write(&io, path, &entries, &[], options).await.unwrap();
        let cache = BlockCache::new(1 << 20);
        let opening = Table::open(&io, path, FILENUM, summary.size, Arc::clone(&cache));
        let table = opening.await.unwrap();
        for (hits, misses) in [(0, 2), (2, 2), (4, 2)] {
            assert!(table.get(b"a", 9).await.unwrap().is_some());
            let stats: CacheStats = cache.stats();
            assert_eq!((stats.hits, stats.misses), (hits, misses));
        }
        // The filter knows that it is not there, and no data block is looked at.
        assert_eq!(table.get(b"ab", 9).await.unwrap(), None);
        assert_eq!((cache.stats().hits, cache.stats().blocks), (5, 2));
    });
}

#[test]
fn a_table_whose_write_failed_is_never_finished() {
    let sim = machine();
    let io = sim.io();
    run(&sim, async {
        let path = Path::new(PATH);
        let options = TableOptions {
            compression: Compression::None,
            ..TableOptions::default()
        };
        let mut writer = TableWriter::create(&io, path, FILENUM, options)
            .await
            .unwrap();
        sim.faults().full_after(100_000);
        let mut failures = 0;
        for key in 0..2_000u32 {
            let key = key.to_be_bytes();
            let value: Vec<u8> = (0..150u32)
                .flat_map(|i| (i.pow(3) ^ 7).to_le_bytes())
                .collect();
            match writer.add(&key, 1, Kind::Put, &value).await {
                Ok(()) => {}
                Err(Error::NoSpace { .. }) if failures == 0 => failures += 1,
                Err(Error::InvalidTable { .. }) if failures > 0 => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(failures, 1);
        sim.faults().full_after(u64::MAX);
        let finished = writer.finish().await;
        assert!(matches!(finished, Err(Error::InvalidTable { .. })));
    });
}

/// The store runs all of this in tasks, on any backend. That it compiles is the test.
#[test]
fn what_waits_can_change_threads() {
    fn is_send(_: impl Send) {}
    async fn all<I: Io>(io: &I, options: TableOptions) -> Result<()> {
        let path = Path::new(PATH);
        let mut writer = TableWriter::create(io, path, FILENUM, options).await?;
        writer.add(b"key", 1, Kind::Put, b"value").await?;
        let size = writer.finish().await?.size;
        let table = open(io, path, size, 0).await?;
        table.get(b"key", 1).await?;
        let mut iter = TableIter::new(table, IterOptions::default());
        iter.seek(b"key", 1).await?;
        iter.seek_for_prev(b"key", 1).await?;
        while iter.next().await? || iter.prev().await? {}
        Ok(())
    }
    fn check<I: Io>(io: &I) {
        is_send(all(io, TableOptions::default()));
    }
    check(&machine().io());
}
