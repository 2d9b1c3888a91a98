//! A history whose every prefix can be told from any other: each batch writes its number to two
//! keyspaces, so a store that shows a part of a batch, or a batch without an earlier one, is found out.

use std::collections::BTreeMap;

use bytes::Bytes;
use quipu_io::sim::{Profile, Sim, SimIo, SimOptions};
use quipu_kv::{
    Db, Durability, KeyspaceHandle, Options, Result, Scan, SimpleLeveledOptions, Strategy,
    TieredOptions, TimeWindowOptions, WriteBatch,
};

pub(crate) type Pairs = BTreeMap<Vec<u8>, Bytes>;

/// Keys that one writer writes over and over.
const KEYS: u32 = 23;

pub(crate) fn strategies() -> [Strategy; 4] {
    [
        Strategy::Leveled(Default::default()),
        Strategy::SimpleLeveled(SimpleLeveledOptions::default()),
        Strategy::Tiered(TieredOptions::default()),
        Strategy::TimeWindow(TimeWindowOptions::default()),
    ]
}

/// Small in all things, so that a short history has many flushes and compactions.
pub(crate) fn small(strategy: Strategy, wal: bool) -> Options {
    let mut options = Options::default();
    options.wal = wal;
    options.memtable_bytes = 3000;
    options.log.zero_ahead_bytes = 0;
    options.log.allocation_bytes = 4096;
    options.log.segment_bytes = 16 << 10;
    options.manifest.log.zero_ahead_bytes = 0;
    options.manifest.log.allocation_bytes = 4096;
    options.compaction.table_bytes = 4000;
    options.compaction.strategy = strategy;
    options
}

/// Writes batch after batch for one writer.
pub(crate) struct Writer {
    pub(crate) db: Db<SimIo>,
    pub(crate) other: KeyspaceHandle<SimIo>,
    pub(crate) writer: u32,
}

impl Writer {
    pub(crate) async fn write(&self, number: u32) -> Result<()> {
        let mut batch = WriteBatch::new();
        let key = format!("{}/{:03}", self.writer, number % KEYS);
        let value = vec![(number % 251) as u8; 40 + (number % 60) as usize];
        batch.put(&key, &value);
        batch.put_in(self.other.id(), &key, &value);
        // The second half of the batch says how far the history has come.
        let counter = format!("{}/count", self.writer);
        batch.put(&counter, number.to_be_bytes());
        batch.put_in(self.other.id(), &counter, number.to_be_bytes());
        // The two keyspaces do not fill up at the same time.
        batch.put(pad(self.writer), vec![1; 70]);
        self.db.write(batch, Durability::Disk).await
    }
}

fn pad(writer: u32) -> String {
    format!("{writer}/pad")
}

/// What both keyspaces hold after so many batches of each writer.
pub(crate) fn model(counts: &[u32]) -> Pairs {
    let mut pairs = Pairs::new();
    for (writer, count) in counts.iter().enumerate() {
        for number in 1..=*count {
            let key = format!("{writer}/{:03}", number % KEYS);
            let value = vec![(number % 251) as u8; 40 + (number % 60) as usize];
            pairs.insert(key.into(), value.into());
            let counter = format!("{writer}/count");
            pairs.insert(counter.into(), number.to_be_bytes().to_vec().into());
        }
    }
    pairs
}

pub(crate) async fn collect(mut scan: Scan<SimIo>) -> Pairs {
    let mut pairs = Pairs::new();
    while let Some((key, value)) = scan.next().await.unwrap() {
        pairs.insert(key.to_vec(), Bytes::copy_from_slice(value));
    }
    pairs
}

/// How far the history of each writer has come, of which the store must be a prefix.
pub(crate) async fn counts(db: &Db<SimIo>, writers: u32) -> Vec<u32> {
    let mut counts = Vec::new();
    for writer in 0..writers {
        let count = db.get(format!("{writer}/count")).await.unwrap();
        let count = count.map_or(0, |bytes| u32::from_be_bytes(bytes[..].try_into().unwrap()));
        counts.push(count);
    }
    let expected = model(&counts);
    let mut found = collect(db.scan(..).unwrap()).await;
    for (writer, count) in (0..writers).zip(&counts) {
        let is_padded = found.remove(pad(writer).as_bytes()).is_some();
        assert_eq!(is_padded, *count > 0);
    }
    assert!(found == expected, "{counts:?}");
    let found = match db.keyspace("other") {
        Some(other) => collect(other.scan(..).unwrap()).await,
        None => Pairs::new(),
    };
    assert!(found == expected, "another keyspace at {counts:?}");
    counts
}

/// A machine after a loss of power.
pub(crate) fn boot(image: quipu_io::sim::DiskImage, seed: u64) -> Sim {
    let profile = [Profile::Posix, Profile::Ext4Ordered][usize::from(seed.is_multiple_of(2))];
    let options = SimOptions {
        profile,
        ..SimOptions::seeded(seed)
    };
    Sim::boot(image, options)
}
