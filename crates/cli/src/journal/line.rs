//! What `dump --json` prints: one object for each item.
//!
//! The names are an interface: programs read them. A generation is text, because many readers of
//! JSON keep only 53 bits of a number.

use std::io::{self, Write};

use quipu_journal::{Frame, Item, Segment, Snapshot};
use serde::Serialize;

use super::excerpt::Excerpt;

#[derive(Debug, Serialize)]
struct Line<'a> {
    journal: &'a str,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Content<'a> {
    Segment {
        path: String,
        number: u64,
        generation: String,
        bytes: u64,
        first: u64,
        published_through: u64,
        predecessor: Option<Predecessor>,
        seal: Option<Seal>,
    },
    Frame {
        offset: u64,
        bytes: u64,
        first: u64,
        last: u64,
        watermark: u64,
        in_log: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        edits: Option<Vec<Edit>>,
    },
    End {
        offset: u64,
        bytes: u64,
        reason: Option<&'a str>,
    },
    Snapshot {
        path: String,
        seq: u64,
        parts: u64,
        bytes: u64,
    },
    Damage {
        text: String,
    },
}

#[derive(Debug, Serialize)]
struct Predecessor {
    number: u64,
    generation: String,
    end: u64,
    last: u64,
}

#[derive(Debug, Serialize)]
struct Seal {
    last: u64,
    end: u64,
    successor: Option<Successor>,
}

#[derive(Debug, Serialize)]
struct Successor {
    number: u64,
    generation: String,
}

#[derive(Debug, Serialize)]
struct Edit {
    seq: u64,
    bytes: usize,
    /// Its first bytes in hex, with `...` behind them if there are more.
    start: String,
}

/// Prints one item of the journal with this prefix.
pub(super) fn print(
    stdout: &mut impl Write,
    journal: &str,
    item: &Item,
    payload: bool,
) -> io::Result<()> {
    let content = match item {
        Item::Segment(found) => segment(found),
        Item::Frame(found) => frame(found, payload),
        &Item::End {
            offset,
            bytes,
            reason,
        } => Content::End {
            offset,
            bytes,
            reason,
        },
        Item::Snapshot(found) => snapshot(found),
        Item::Damage(error) => Content::Damage {
            text: error.to_string(),
        },
        // A later version of the library may come upon more; this one shows all there is today.
        _ => return Ok(()),
    };
    serde_json::to_writer(&mut *stdout, &Line { journal, content })?;
    writeln!(stdout)
}

fn segment(found: &Segment) -> Content<'_> {
    let hex = |generation: u64| format!("{generation:016x}");
    Content::Segment {
        path: found.path.display().to_string(),
        number: found.number,
        generation: hex(found.generation),
        bytes: found.bytes,
        first: found.first.get(),
        published_through: found.published_through.get(),
        predecessor: found.predecessor.map(|before| Predecessor {
            number: before.number,
            generation: hex(before.generation),
            end: before.end,
            last: before.last.get(),
        }),
        seal: found.sealed.map(|seal| Seal {
            last: seal.last.get(),
            end: seal.end,
            successor: seal.successor.map(|after| Successor {
                number: after.number,
                generation: hex(after.generation),
            }),
        }),
    }
}

fn frame(found: &Frame, payload: bool) -> Content<'_> {
    let edits = found.payloads().map(|(seq, bytes)| Edit {
        seq: seq.get(),
        bytes: bytes.len(),
        start: Excerpt(bytes).to_string(),
    });
    Content::Frame {
        offset: found.offset,
        bytes: found.bytes,
        first: found.first.get(),
        last: found.last.get(),
        watermark: found.watermark.get(),
        in_log: found.in_log,
        edits: payload.then(|| edits.collect()),
    }
}

fn snapshot(found: &Snapshot) -> Content<'_> {
    Content::Snapshot {
        path: found.path.display().to_string(),
        seq: found.contents.seq.get(),
        parts: found.contents.parts,
        bytes: found.contents.bytes,
    }
}
