//! `quipu journal verify`: reads all that counts, and judges it.

use std::io::{self, Write};

use quipu_io::DiskIo;
use quipu_journal::Verified;
use serde::Serialize;

use super::Common;
use crate::count::Count;
use crate::failure::Failure;
use crate::progress::{Bar, Unit};

/// Check that everything that is proven durable is there and intact
///
/// Reads every byte that counts. Each finding is one line on stderr that begins with "error:", and
/// the exit code is then 1. Bytes behind the last proven edit of a journal that was not closed are no
/// finding, torn or not: damage there cannot be told from a write that a crash cut short.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Result<(), Failure> {
    let common = &args.common;
    let mut findings = Vec::new();
    for prefix in common.journals(io).await? {
        let mut bar = Bar::new(io, Unit::Bytes, format!("journal {prefix}"), !common.json);
        let verified = quipu_journal::verify(io.clone(), &common.dir, &prefix, |progress| {
            bar.reach(progress.done, progress.total);
        })
        .await;
        bar.clear();
        match verified {
            Ok(verified) => {
                print(stdout, common.json, &prefix, &verified)?;
                findings.extend(verified.findings);
            }
            Err(error) => findings.push(error),
        }
    }
    Failure::unless_empty(findings)
}

/// Prints the result for one journal at once: the next one may take long.
fn print(stdout: &mut impl Write, json: bool, prefix: &str, verified: &Verified) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *stdout, &Line::new(prefix, verified))?;
        writeln!(stdout)?;
    } else {
        print_sentence(stdout, prefix, verified)?;
    }
    stdout.flush()
}

fn print_sentence(stdout: &mut impl Write, prefix: &str, verified: &Verified) -> io::Result<()> {
    write!(stdout, "journal {prefix}: ")?;
    if verified.is_sound() {
        write!(stdout, "sound, ")?;
    } else {
        let findings = Count(verified.findings.len() as u64, "finding");
        write!(stdout, "not sound, {findings}; intact are ")?;
    }
    write!(stdout, "{}", Count(verified.edits, "edit"))?;
    if verified.edits > 0 {
        write!(stdout, " ({} to {})", verified.first_seq, verified.last_seq)?;
    }
    write!(
        stdout,
        " in {}, {}",
        Count(verified.segments as u64, "segment"),
        Count(verified.snapshots.len() as u64, "snapshot")
    )?;
    if verified.unproven_edits > 0 {
        let unproven = Count(verified.unproven_edits, "intact edit");
        write!(
            stdout,
            "; then {unproven} that nothing on disk proves durable yet"
        )?;
    }
    writeln!(stdout)
}

/// The result for one journal, for a program.
#[derive(Debug, Serialize)]
struct Line<'a> {
    journal: &'a str,
    sound: bool,
    findings: Vec<String>,
    segments: usize,
    edits: u64,
    /// Absent without edits.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
    unproven_edits: u64,
    snapshots: Vec<Snapshot>,
}

#[derive(Debug, Serialize)]
struct Snapshot {
    seq: u64,
    parts: u64,
    bytes: u64,
}

impl<'a> Line<'a> {
    fn new(journal: &'a str, verified: &Verified) -> Line<'a> {
        let any = verified.edits > 0;
        Line {
            journal,
            sound: verified.is_sound(),
            findings: verified.findings.iter().map(ToString::to_string).collect(),
            segments: verified.segments,
            edits: verified.edits,
            first: any.then(|| verified.first_seq.get()),
            last: any.then(|| verified.last_seq.get()),
            unproven_edits: verified.unproven_edits,
            snapshots: verified
                .snapshots
                .iter()
                .map(|snapshot| Snapshot {
                    seq: snapshot.seq.get(),
                    parts: snapshot.parts,
                    bytes: snapshot.bytes,
                })
                .collect(),
        }
    }
}
