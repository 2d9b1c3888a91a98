//! What `dump` shows to people: a block for each file.

use std::io::{self, Write};

use indicatif::BinaryBytes;
use quipu_journal::{Frame, Item, Segment, Snapshot};

use super::excerpt::Excerpt;
use crate::count::Count;

/// Begins the page of the journal with this prefix, the `index`-th.
pub(super) fn heading(stdout: &mut impl Write, index: usize, prefix: &str) -> io::Result<()> {
    if index > 0 {
        writeln!(stdout)?;
    }
    writeln!(stdout, "journal {prefix}")
}

pub(super) fn print(stdout: &mut impl Write, item: &Item, payload: bool) -> io::Result<()> {
    match item {
        Item::Segment(segment) => print_segment(stdout, segment),
        Item::Frame(frame) => print_frame(stdout, frame, payload),
        Item::End {
            offset,
            bytes,
            reason,
        } => print_end(stdout, *offset, *bytes, *reason),
        Item::Snapshot(snapshot) => print_snapshot(stdout, snapshot),
        Item::Damage(error) => writeln!(stdout, "\ndamage: {error}"),
        // A later version of the library may come upon more; this one shows all there is today.
        _ => Ok(()),
    }
}

fn print_segment(stdout: &mut impl Write, segment: &Segment) -> io::Result<()> {
    let path = segment.path.display();
    let size = BinaryBytes(segment.bytes);
    writeln!(stdout, "\nsegment {}: {path}, {size}", segment.number)?;
    writeln!(stdout, "  generation   {:016x}", segment.generation)?;
    writeln!(
        stdout,
        "  edits        from {}, published through {}",
        segment.first, segment.published_through
    )?;
    match segment.predecessor {
        None => writeln!(stdout, "  predecessor  none")?,
        Some(before) => writeln!(
            stdout,
            "  predecessor  segment {} ({:016x}), ends at {} with edit {}",
            before.number, before.generation, before.end, before.last
        )?,
    }
    match segment.sealed {
        None => write!(stdout, "  seal         none")?,
        Some(seal) => write!(
            stdout,
            "  seal         durable through edit {}, offset {}",
            seal.last, seal.end
        )?,
    }
    if let Some(after) = segment.sealed.and_then(|seal| seal.successor) {
        let (number, generation) = (after.number, after.generation);
        write!(stdout, "; followed by segment {number} ({generation:016x})")?;
    }
    writeln!(
        stdout,
        "\n  {:>12} {:>10} {:>7} {:>12} {:>12} {:>16}",
        "offset", "bytes", "edits", "first", "last", "durable through"
    )
}

fn print_frame(stdout: &mut impl Write, frame: &Frame, payload: bool) -> io::Result<()> {
    let edits = frame.last.get() - frame.first.get() + 1;
    // `Seq` is turned into a number, because only that can be aligned.
    let (first, last) = (frame.first.get(), frame.last.get());
    let watermark = frame.watermark.get();
    let note = if frame.in_log { "" } else { "  not in the log" };
    writeln!(
        stdout,
        "  {:>12} {:>10} {edits:>7} {first:>12} {last:>12} {watermark:>16}{note}",
        frame.offset, frame.bytes
    )?;
    if payload {
        for (seq, bytes) in frame.payloads() {
            let size = Count(bytes.len() as u64, "byte");
            writeln!(stdout, "{:15}edit {seq}, {size}: {}", "", Excerpt(bytes))?;
        }
    }
    Ok(())
}

fn print_end(
    stdout: &mut impl Write,
    offset: u64,
    bytes: u64,
    reason: Option<&str>,
) -> io::Result<()> {
    write!(stdout, "  {offset:>12} end")?;
    if bytes > 0 {
        // Torn, given up or damaged: only `verify` can tell.
        let bytes = Count(bytes, "byte");
        write!(stdout, " of the intact frames, {bytes} follow")?;
    }
    if let Some(reason) = reason {
        write!(stdout, ": {reason}")?;
    }
    writeln!(stdout)
}

fn print_snapshot(stdout: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    let contents = &snapshot.contents;
    writeln!(
        stdout,
        "\nsnapshot of edit {}: {}, {}, {}",
        contents.seq,
        snapshot.path.display(),
        BinaryBytes(contents.bytes),
        Count(contents.parts, "part")
    )
}
