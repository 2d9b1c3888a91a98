//! The limits: what one thread gets when it calls the operating system itself.
//!
//! The records are framed as any log frames them, length and checksum before the payload, so that
//! a limit is the least that a log has to do, not less.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::Path,
    time::Instant,
};

use quipu_io::sim::{DiskImage, Sim, SimOptions};

use crate::{
    Result,
    load::{self, Latencies, Load, Records, Replayed},
    measurement::Measurement,
    subject::{Prepared, Subject},
};

pub(crate) const SUBJECT: Subject = Subject {
    name: "raw",
    append_durable: Ok(append_durable),
    append_os: Ok(append_os),
    replay: Ok(Prepared {
        prepare: prepare_replay,
        measure: replay,
    }),
    snapshot_stall: Err("it has no state"),
    explore: Ok(boot_and_read),
    manifest_open: Err("it has no state"),
    manifest_flush: Ok(Prepared {
        prepare: |dir, load| zero(&create(dir)?, load.bytes(HEADER_BYTES as u64)),
        measure: overwrite_durable,
    }),
    store: Err("it is a log, not a store"),
};

/// Length and checksum, four bytes each.
const HEADER_BYTES: usize = 8;

/// How much a replay reads at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The least that a crash execution has to do.
fn boot_and_read(_dir: &Path, load: Load) -> Result<Measurement> {
    let mut image = DiskImage::empty(512);
    image.write("journal/segment", vec![1; 9000])?;
    let start = Instant::now();
    for _ in 0..load.appends {
        let sim = Sim::boot(image.clone(), SimOptions::default());
        let io = sim.io();
        let read = sim.block_on(async {
            let path = Path::new("journal/segment");
            let file = quipu_io::Io::open(&io, path, quipu_io::OpenOptions::ReadOnly).await?;
            quipu_io::File::read_at(&file, 0, 9000).await
        })??;
        if read.len() != 9000 {
            return Err("a file is not as it was written".into());
        }
    }
    Ok(Measurement::new(load.appends, start.elapsed()))
}

/// One thread, however many writers the load has, and one writer's part of it: the workload says
/// how many times this is its limit.
fn append_durable(dir: &Path, load: Load) -> Result<Measurement> {
    let load = Load { writers: 1, ..load };
    let file = create(dir)?;
    zero(&file, load.bytes(HEADER_BYTES as u64))?;
    append_and_sync(&file, load)
}

/// From the file's start, in each round again: to the disk it is the same what was there.
fn overwrite_durable(dir: &Path, load: Load) -> Result<Measurement> {
    let file = OpenOptions::new().write(true).open(dir.join(FILE_NAME))?;
    append_and_sync(&file, load)
}

fn append_and_sync(file: &File, load: Load) -> Result<Measurement> {
    load::append_from_threads(load, Latencies::Keep, |_| {
        let mut append = appender(file);
        move |record| {
            append(record)?;
            Ok(file.sync_data()?)
        }
    })
}

/// One thread writes the records of all writers. The file is allocated and not zeroed: the pages
/// of a zeroed file would be in the page cache already, which no growing log can have.
fn append_os(dir: &Path, load: Load) -> Result<Measurement> {
    let load = load.by_one_writer();
    let file = create(dir)?;
    let bytes = load.bytes(HEADER_BYTES as u64);
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
    file.sync_all()?;
    load::append_from_threads(load, Latencies::Skip, |_| appender(&file))
}

fn prepare_replay(dir: &Path, load: Load) -> Result<()> {
    let records = Records::new(load.record_bytes);
    let mut file = create(dir)?;
    let mut frames = Vec::new();
    for batch in load.batches() {
        frames.clear();
        batch.for_each(|index| encode(records.get(index), &mut frames));
        file.write_all(&frames)?;
    }
    Ok(file.sync_all()?)
}

fn replay(dir: &Path, load: Load) -> Result<Measurement> {
    let start = Instant::now();
    let file = File::open(dir.join(FILE_NAME))?;
    let mut state = Replayed::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut offset, mut kept) = (0, 0);
    loop {
        let read = file.read_at(&mut buffer[kept..], offset)?;
        if read == 0 {
            break;
        }
        offset += read as u64;
        let end = kept + read;
        let walked = walk(&buffer[..end], &mut state)?;
        buffer.copy_within(walked..end, 0);
        kept = end - walked;
    }
    let elapsed = start.elapsed();
    state.check(load)?;
    Ok(Measurement::new(load.total(), elapsed))
}

/// Applies the whole frames at the start of `bytes`, and says how many bytes they take.
fn walk(bytes: &[u8], state: &mut Replayed) -> Result<usize> {
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk()
        && let Some((checksum, after)) = after.split_first_chunk()
        && let Some((payload, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize)
    {
        if crc32c::crc32c(payload) != u32::from_le_bytes(*checksum) {
            return Err("a checksum does not match".into());
        }
        state.apply(payload);
        rest = after;
    }
    Ok(bytes.len() - rest.len())
}

/// Puts the record's frame at the end of `frames`.
fn encode(record: &[u8], frames: &mut Vec<u8>) {
    #[expect(clippy::cast_possible_truncation, reason = "records are small")]
    let length = record.len() as u32;
    frames.extend_from_slice(&length.to_le_bytes());
    frames.extend_from_slice(&crc32c::crc32c(record).to_le_bytes());
    frames.extend_from_slice(record);
}

/// Writes each record's frame behind the last one's, with one call.
fn appender(file: &File) -> impl FnMut(&[u8]) -> Result<()> {
    let (mut offset, mut frame) = (0, Vec::new());
    move |record| {
        frame.clear();
        encode(record, &mut frame);
        file.write_all_at(&frame, offset)?;
        offset += frame.len() as u64;
        Ok(())
    }
}

const FILE_NAME: &str = "raw.log";

fn create(dir: &Path) -> Result<File> {
    Ok(OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(dir.join(FILE_NAME))?)
}

/// Zeroes the file page by page: larger writes leave larger units in the page cache, and each later
/// sync of a small record then takes 5 to 20 % longer.
fn zero(file: &File, bytes: u64) -> Result<()> {
    const PAGE_BYTES: usize = 4096;
    for offset in (0..bytes).step_by(PAGE_BYTES) {
        file.write_all_at(&[0; PAGE_BYTES], offset)?;
    }
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load = Load {
        writers: 1,
        appends: 3,
        record_bytes: 100,
        state_bytes: 0,
        tables: 0,
    };

    fn frames() -> Vec<u8> {
        let records = Records::new(LOAD.record_bytes);
        let mut frames = Vec::new();
        (0..LOAD.total()).for_each(|index| encode(records.get(index), &mut frames));
        frames
    }

    /// Invariant: wherever a chunk ends, no edit is lost and none is applied twice.
    #[test]
    fn a_walk_in_two_chunks_applies_each_edit_once() {
        let frames = frames();
        for cut in 0..=frames.len() {
            let mut state = Replayed::default();
            let walked = walk(&frames[..cut], &mut state).unwrap();
            assert_eq!(
                walk(&frames[walked..], &mut state).unwrap(),
                frames.len() - walked
            );
            state.check(LOAD).unwrap();
        }
    }

    /// Invariant: a changed payload is an error, and a missing edit fails the check.
    #[test]
    fn damage_and_loss_are_noticed() {
        let mut frames = frames();
        let mut state = Replayed::default();
        walk(&frames[..frames.len() - 1], &mut state).unwrap();
        assert!(state.check(LOAD).is_err());
        *frames.last_mut().unwrap() ^= 1;
        assert!(walk(&frames, &mut Replayed::default()).is_err());
    }
}
