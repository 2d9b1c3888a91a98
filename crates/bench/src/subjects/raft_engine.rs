//! raft-engine: the log of TiKV, many Raft groups in one log with group commit among threads.
//!
//! What is set apart from its defaults, so that it does the same work as the others and no more:
//! compression is off (the records would not compress), and nothing is purged. Each writer has a
//! Raft group of its own. It allocates its files in steps of 2 MiB by itself.

use std::{path::Path, time::Instant};

use protobuf::descriptor::UninterpretedOption;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::{
    Result,
    load::{self, Latencies, Load, Records, Replayed},
    measurement::Measurement,
    subject::{Prepared, Subject},
};

pub(crate) const SUBJECT: Subject = Subject {
    name: "raft-engine",
    append_durable: Ok(append_durable),
    append_os: Ok(append_os),
    replay: Ok(Prepared {
        prepare: prepare_replay,
        measure: replay,
    }),
    snapshot_stall: Err("it has no state"),
    explore: Err("it does not run in the simulator"),
    manifest_open: Err("it is a log, not a manifest"),
    manifest_flush: Err("it is a log, not a manifest"),
    store: Err("it is a log, not a store"),
};

/// The group of the log that is replayed.
const GROUP: u64 = 1;

/// The first index of a group.
const FIRST: u64 = 1;

fn append_durable(dir: &Path, load: Load) -> Result<Measurement> {
    append(dir, load, true, Latencies::Keep)
}

fn append_os(dir: &Path, load: Load) -> Result<Measurement> {
    append(dir, load, false, Latencies::Skip)
}

fn append(dir: &Path, load: Load, sync: bool, latencies: Latencies) -> Result<Measurement> {
    let engine = open(dir)?;
    load::append_from_threads(load, latencies, |writer| {
        let (engine, group) = (&engine, writer + 1);
        let (mut batch, mut index) = (LogBatch::default(), FIRST);
        move |record| {
            batch.add_entries::<Log>(group, &[entry(index, record)])?;
            engine.write(&mut batch, sync)?;
            index += 1;
            Ok(())
        }
    })
}

fn prepare_replay(dir: &Path, load: Load) -> Result<()> {
    let engine = open(dir)?;
    let records = Records::new(load.record_bytes);
    for indices in load.batches() {
        let entries: Vec<_> = indices
            .map(|index| entry(FIRST + index, records.get(index)))
            .collect();
        let mut batch = LogBatch::default();
        batch.add_entries::<Log>(GROUP, &entries)?;
        // Each with a sync: `Engine::sync` writes an empty batch, and those do nothing.
        engine.write(&mut batch, true)?;
    }
    Ok(())
}

/// Opening rebuilds only an index; a state machine then has to fetch each entry.
fn replay(dir: &Path, load: Load) -> Result<Measurement> {
    let start = Instant::now();
    let engine = open(dir)?;
    let opened = start.elapsed();
    let mut state = Replayed::default();
    let mut entries = Vec::new();
    for indices in load.batches() {
        let (first, end) = (FIRST + indices.start, FIRST + indices.end);
        engine.fetch_entries_to::<Log>(GROUP, first, end, None, &mut entries)?;
        entries
            .drain(..)
            .for_each(|entry| state.apply(entry.get_string_value()));
    }
    let elapsed = start.elapsed();
    state.check(load)?;
    let mut measurement = Measurement::new(load.total(), elapsed);
    measurement
        .details
        .insert("open_only_ms".into(), opened.as_secs_f64() * 1e3);
    Ok(measurement)
}

fn open(dir: &Path) -> Result<Engine> {
    let dir = dir
        .to_str()
        .ok_or("raft-engine needs a directory whose name is UTF-8")?;
    Ok(Engine::open(Config {
        dir: dir.to_owned(),
        batch_compression_threshold: ReadableSize(0),
        ..Config::default()
    })?)
}

/// raft-engine keeps protobuf messages that know their index. This one, of the protobuf crate
/// itself, has an integer and a byte string, as Raft's own entry does: no code is generated for it.
#[derive(Debug)]
struct Log;

impl MessageExt for Log {
    type Entry = UninterpretedOption;

    fn index(entry: &Self::Entry) -> u64 {
        entry.get_positive_int_value()
    }
}

fn entry(index: u64, record: &[u8]) -> UninterpretedOption {
    let mut entry = UninterpretedOption::new();
    entry.set_positive_int_value(index);
    entry.set_string_value(record.to_vec());
    entry
}
