//! okaywal: a write-ahead log whose commits each wait for a sync, shared among the waiting threads.
//!
//! For a fair comparison its one file is made large enough for the whole run. Otherwise okaywal,
//! by default every 768 KiB, would start a checkpoint, which throws the records away.

use std::{
    io::Read,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use okaywal::{
    Configuration, Entry, EntryId, LogManager, LogVoid, ReadChunkResult, SegmentReader,
    WriteAheadLog,
};

use crate::{
    Result,
    load::{self, Latencies, Load, Records, Replayed},
    measurement::Measurement,
    subject::{Prepared, Subject},
};

pub(crate) const SUBJECT: Subject = Subject {
    name: "okaywal",
    append_durable: Ok(append_durable),
    append_os: Err("its commits always sync"),
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

/// More than what one record takes beside its bytes: entry, chunk, checksum, end of entry.
const OVERHEAD_BYTES: u64 = 32;

fn append_durable(dir: &Path, load: Load) -> Result<Measurement> {
    let wal = configuration(dir, load)?.open(LogVoid)?;
    load::append_from_threads(load, Latencies::Keep, |_| {
        |record| {
            let mut entry = wal.begin_entry()?;
            entry.write_chunk(record)?;
            entry.commit()?;
            Ok(())
        }
    })
}

/// A chunk is an edit, an entry is a batch of them: one entry per edit would be slower to read.
fn prepare_replay(dir: &Path, load: Load) -> Result<()> {
    let wal = configuration(dir, load)?.open(LogVoid)?;
    let records = Records::new(load.record_bytes);
    for batch in load.batches() {
        let mut entry = wal.begin_entry()?;
        for index in batch {
            entry.write_chunk(records.get(index))?;
        }
        entry.commit()?;
    }
    Ok(wal.shutdown()?)
}

fn replay(dir: &Path, load: Load) -> Result<Measurement> {
    let start = Instant::now();
    let manager = Replaying::default();
    let state = Arc::clone(&manager.state);
    let wal: WriteAheadLog = configuration(dir, load)?.open(manager)?;
    let elapsed = start.elapsed();
    state
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .check(load)?;
    wal.shutdown()?;
    Ok(Measurement::new(load.total(), elapsed))
}

/// One file for everything, so that no checkpoint begins.
fn configuration(dir: &Path, load: Load) -> Result<Configuration> {
    let bytes = load.bytes(OVERHEAD_BYTES).next_multiple_of(1 << 20);
    Ok(Configuration::default_for(dir)
        .preallocate_bytes(u32::try_from(bytes)?)
        .checkpoint_after_bytes(bytes))
}

/// Applies each chunk that is recovered.
#[derive(Debug, Default)]
struct Replaying {
    state: Arc<Mutex<Replayed>>,
    chunk: Vec<u8>,
}

impl LogManager for Replaying {
    fn recover(&mut self, entry: &mut Entry<'_>) -> std::io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            self.chunk.clear();
            chunk.read_to_end(&mut self.chunk)?;
            if !chunk.check_crc()? {
                return Err(std::io::Error::other("a checksum does not match"));
            }
            state.apply(&self.chunk);
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: EntryId,
        _entries: &mut SegmentReader,
        _wal: &WriteAheadLog,
    ) -> std::io::Result<()> {
        Ok(())
    }
}
