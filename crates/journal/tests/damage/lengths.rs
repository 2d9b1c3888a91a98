//! Numbers that lie although every checksum is right.

use quipu_io::Bytes;
use quipu_io::sim::{Sim, SimIo, SimOptions};
use quipu_journal::{Error, Journal};

use crate::DIR;
use crate::common::{Files, Map, last_seq, small_options};
use crate::judge;
use crate::scenes::{Scene, reopened};

/// One more frame behind the last one of the unclean scene, with checksums that are right.
fn with_frame(scene: &Scene, lengths: [u32; 2], first: u64, payload: &[u8]) -> Files {
    let mut files = scene.files.clone();
    let name = files.ending(".log").pop().unwrap();
    let mut content = files.0[&name].to_vec();
    let generation = judge::generation(&content);
    let end = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let at = end.next_multiple_of(8);
    let mut frame = vec![0; 40];
    frame.extend_from_slice(payload);
    frame.resize(frame.len().next_multiple_of(8), 0);
    let payload_sum = judge::sum(generation, &frame[40..]);
    frame[4..8].copy_from_slice(&payload_sum.to_le_bytes());
    frame[8..12].copy_from_slice(&lengths[0].to_le_bytes());
    frame[12..16].copy_from_slice(&lengths[1].to_le_bytes());
    frame[16..24].copy_from_slice(&first.to_le_bytes());
    frame[32..40].copy_from_slice(&(at as u64).to_le_bytes());
    let own = judge::sum(generation, &frame[4..40]);
    frame[..4].copy_from_slice(&own.to_le_bytes());
    content[at..at + frame.len()].copy_from_slice(&frame);
    files.0.insert(name, content.into());
    files
}

/// Opens, and gives the error or the last edit.
fn open_files(files: &Files) -> Result<u64, Error> {
    let sim = Sim::boot(files.to_image(DIR), SimOptions::default());
    let opened = sim.run(Journal::<Map, SimIo>::open(sim.io(), DIR, small_options()));
    let result = opened.unwrap().map(|journal| last_seq(&journal).get());
    if result.is_err() {
        assert!(Files::of_image(&mut sim.image(), DIR) == *files);
    }
    result
}

/// Lengths that lie although their checksums are right: an error or a torn tail, without the
/// allocation that they ask for.
#[test]
fn lengths_in_frames_are_not_believed() {
    let scene = reopened();
    let next = scene.states.len() as u64;
    let add = |len: u32| [&len.to_le_bytes()[..], &[0, 5]].concat();
    let good = with_frame(&scene, [6, 1], next, &add(2));
    assert_eq!(open_files(&good).unwrap(), next);
    for payload_bytes in [u32::MAX, u32::MAX - 7, 1 << 30, 60_000] {
        let files = with_frame(&scene, [payload_bytes, 1], next, &add(2));
        assert_eq!(open_files(&files).unwrap(), next - 1, "{payload_bytes}");
    }
    let set_of_2_pow_60 = [&[1, 0, 253][..], &(1u64 << 60).to_le_bytes()].concat();
    let set_of_2_pow_60 = [&11u32.to_le_bytes()[..], &set_of_2_pow_60].concat();
    for (lengths, first, payload) in [
        ([6, u32::MAX], next, add(2)),
        ([6, 2], next, add(2)),
        ([6, 1], next, add(u32::MAX)),
        ([6, 1], next, add(1)),
        ([6, 1], next + 1, add(2)),
        ([6, 1], u64::MAX - 1, add(2)),
        ([15, 1], next, set_of_2_pow_60),
    ] {
        let error = open_files(&with_frame(&scene, lengths, first, &payload)).unwrap_err();
        let is_typed = matches!(error, Error::Corrupt { .. } | Error::Decode { .. });
        assert!(is_typed, "{lengths:?} {first}: {error}");
    }
}

/// A snapshot of one part with these lengths, and checksums that are right.
fn snapshot_file(seq: u64, payload_bytes: u64, payload: &[u8]) -> Bytes {
    let generation = 99;
    let mut file = vec![0; 128];
    file[..8].copy_from_slice(b"QUIPUSNP");
    file[8..12].copy_from_slice(&1u32.to_le_bytes());
    file[12..14].copy_from_slice(&1u16.to_le_bytes());
    file[16..24].copy_from_slice(&99u64.to_le_bytes());
    file[24..32].copy_from_slice(&seq.to_le_bytes());
    file[32..36].copy_from_slice(b"\x03map");
    let own = judge::sum(generation, &file[..124]);
    file[124..].copy_from_slice(&own.to_le_bytes());
    let mut stored = payload.to_vec();
    stored.resize(stored.len().next_multiple_of(8), 0);
    let payload_sum = judge::sum(generation, &stored);
    file.extend(record(generation, payload_sum, payload_bytes, 0, 128));
    file.extend_from_slice(&stored);
    let rolling = crc32c::crc32c_append(0, &payload_sum.to_le_bytes());
    let at = file.len() as u64;
    file.extend(record(generation, rolling, 1, u64::MAX, at));
    file.into()
}

fn record(generation: u64, sum: u32, length: u64, index: u64, at: u64) -> Vec<u8> {
    let mut record = vec![0; 4];
    record.extend_from_slice(&sum.to_le_bytes());
    for number in [length, index, at] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    let own = judge::sum(generation, &record[4..]);
    record[..4].copy_from_slice(&own.to_le_bytes());
    record
}

#[test]
fn lengths_and_numbers_in_snapshots_are_not_believed() {
    let scene = reopened();
    let all = scene.states.len() as u64 - 1;
    let totals = [5, 1, 2, 3];
    let with = |seq: u64, file: Bytes| {
        let mut files = scene.files.clone();
        files.0.insert(format!("map-{seq:020}.snap"), file);
        open_files(&files)
    };
    for payload_bytes in [u64::MAX, u64::MAX - 1000, 1 << 60, 1 << 40, 5, 3] {
        // The log goes back to the first edit, so that a damaged snapshot is passed over.
        let opened = with(2, snapshot_file(2, payload_bytes, &totals));
        match payload_bytes {
            // Of the same size on disk, so that the checksum fits: the edit does not.
            3 | 5 => assert!(matches!(opened, Err(Error::Decode { .. })), "{opened:?}"),
            _ => assert_eq!(opened.unwrap(), all, "{payload_bytes}"),
        }
    }
    assert_eq!(with(2, snapshot_file(2, 4, &totals)).unwrap(), all);
    for seq in [all + 1, 1 << 63, u64::MAX - 1] {
        let error = with(seq, snapshot_file(seq, 4, &totals)).unwrap_err();
        assert!(error.is_corrupt(), "{seq}: {error}");
    }
    // No edit can follow this one, so no snapshot is named so.
    let opened = with(u64::MAX, snapshot_file(u64::MAX, 4, &totals));
    assert_eq!(opened.unwrap(), all);
}
