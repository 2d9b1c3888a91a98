//! A second reading of the format: checksums, positions and proofs, read from the bytes of a directory
//! as the document describes them. It shares no code with the journal's own.

use crate::common::Files;
use crate::{FRAMES, SEAL};

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub(crate) fn sum(generation: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&generation.to_le_bytes()), bytes)
}

pub(crate) fn generation(segment: &[u8]) -> u64 {
    u64_at(segment, 24)
}

struct Segment {
    first: u64,
    /// The highest number that anything intact in it proves.
    proven: u64,
    names_successor: bool,
    /// The last edit of its intact frames, and where they end.
    last: u64,
    end: usize,
    /// The last byte that is not zero, and one.
    used: usize,
}

fn read(bytes: &[u8]) -> Option<Segment> {
    if bytes.len() < FRAMES || &bytes[..8] != b"QUIPULOG" {
        return None;
    }
    let generation = generation(bytes);
    if sum(generation, &bytes[..156]) != u32_at(bytes, 156) {
        return None;
    }
    let first = u64_at(bytes, 32);
    let mut segment = Segment {
        first,
        proven: u64_at(bytes, 80).max(first - 1),
        names_successor: false,
        last: first - 1,
        end: FRAMES,
        used: bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1,
    };
    let seal = &bytes[SEAL..SEAL + 64];
    if &seal[..8] == b"QUIPSEAL" && sum(generation, &seal[..60]) == u32_at(seal, 60) {
        segment.proven = segment.proven.max(u64_at(seal, 24));
        segment.names_successor = u64_at(seal, 40) != 0;
    }
    for at in (FRAMES..bytes.len().saturating_sub(39)).step_by(8) {
        let header = &bytes[at..at + 40];
        if u64_at(header, 32) != at as u64 || sum(generation, &header[4..]) != u32_at(header, 0) {
            continue;
        }
        segment.proven = segment.proven.max(u64_at(header, 24));
        let end = at + 40 + (u32_at(header, 8) as usize).next_multiple_of(8);
        let payload = bytes.get(at + 40..end);
        if at == segment.end
            && payload.is_some_and(|payload| sum(generation, payload) == u32_at(header, 4))
        {
            segment.end = end;
            segment.last = u64_at(header, 16) + u64::from(u32_at(header, 12)) - 1;
        }
    }
    Some(segment)
}

/// A prefix that may be shown, and what has to be reported as dropped.
pub(crate) struct Prefix {
    pub(crate) last: u64,
    pub(crate) discarded: Option<(String, usize, usize)>,
}

/// The only prefix that may be shown of these files; `None` if less than all is an error.
pub(crate) fn prefix(files: &Files) -> Option<Prefix> {
    let names = files.ending(".log");
    let mut proven = 0;
    for name in files.ending(".snap") {
        proven = proven.max(name["map-".len()..][..20].parse().unwrap());
    }
    let mut last = None;
    for name in &names {
        let segment = read(&files.0[name])?;
        proven = proven.max(segment.proven);
        last = Some((name, segment));
    }
    let (name, segment) = last?;
    if segment.names_successor || proven > segment.last || segment.first == 0 {
        return None;
    }
    let discarded = (segment.used > segment.end)
        .then(|| (name.clone(), segment.end, segment.used - segment.end));
    Some(Prefix {
        last: segment.last,
        discarded,
    })
}
