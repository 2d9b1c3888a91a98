//! `quipu manifest dump`: every edit that is retained, and what the manifest made of it.

use std::io::{self, Write};

use quipu_io::DiskIo;
use quipu_journal::Seq;
use quipu_kv::manifest::history::{Kind, Step};
use quipu_kv::manifest::{
    Flushed, KeyspaceId, ManifestEdit, ManifestEditV1, ManifestState, Refusal, SnapshotPart,
    Version,
};
use serde::Serialize;

use super::Common;
use super::table::{Glance, Table};
use crate::count::Count;
use crate::failure::Failure;

/// Show the edits that are retained, and which of them were refused
///
/// "+" is a table that came, "-" one that went, ">" one that changed its level. An edit that the
/// manifest refused is in its journal and has changed nothing; the reason stands in its first line.
/// Edits before the oldest state that is retained have no verdict: whether they were refused cannot
/// be known.
///
/// What is shown is proven to be durable: see "quipu manifest --help".
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,

    /// Only this edit and later ones
    #[arg(
        long,
        value_name = "SEQ",
        default_value_t = 0,
        hide_default_value = true
    )]
    from: u64,

    /// Stop after this many edits
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// What became of an edit.
enum Verdict {
    Accepted {
        /// The keyspace that it made.
        created: Option<KeyspaceId>,
    },
    Refused(Refusal),
    /// The state that it met is not retained.
    Unknown,
}

pub(super) async fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Result<(), Failure> {
    let mut reader = args.common.open(io).await?;
    let (start, mut state) = reader.replay_oldest().await?;
    let mut selection = Selection {
        from: args.from,
        left: args.limit.unwrap_or(u64::MAX),
        any: false,
    };
    let json = args.common.json;
    if start > Seq::ZERO {
        let mut earlier = args.common.open(io).await?;
        while selection.left > 0
            && let Some((seq, edit)) = earlier.next().await?
            && seq <= start
        {
            if selection.wants(seq) {
                let nothing = ManifestState::default();
                print(
                    stdout,
                    json,
                    seq,
                    &edit,
                    nothing.version(),
                    &Verdict::Unknown,
                )?;
            }
        }
        if !json {
            let tables = Count(state.version().len() as u64, "table");
            writeln!(stdout, "snapshot of edit {start}: {tables}")?;
        }
    }
    while selection.left > 0
        && let Some((seq, edit)) = reader.next().await?
    {
        let before = state.version().clone();
        let step = Step::apply(&mut state, seq, edit.clone());
        if selection.wants(seq) {
            let verdict = Verdict::of(step);
            print(stdout, json, seq, &edit, &before, &verdict)?;
        }
    }
    if !selection.any && !json {
        writeln!(stdout, "no edits")?;
    }
    Ok(())
}

impl Verdict {
    fn of(step: Step) -> Verdict {
        let created = step.changes.first().map(|change| change.keyspace);
        match step.refusal {
            Some(refusal) => Verdict::Refused(refusal),
            None => Verdict::Accepted {
                created: created.filter(|_| step.kind == Kind::CreateKeyspace),
            },
        }
    }
}

/// Which edits are shown.
struct Selection {
    from: u64,
    left: u64,
    /// Whether one was.
    any: bool,
}

impl Selection {
    fn wants(&mut self, seq: Seq) -> bool {
        let wanted = seq.get() >= self.from && self.left > 0;
        self.left -= u64::from(wanted);
        self.any |= wanted;
        wanted
    }
}

fn print(
    stdout: &mut impl Write,
    json: bool,
    seq: Seq,
    edit: &ManifestEdit,
    before: &Version,
    verdict: &Verdict,
) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *stdout, &Line::new(seq, edit, verdict))?;
        return writeln!(stdout);
    }
    let mut items = describe(edit, before);
    match verdict {
        Verdict::Accepted { created: None } => {}
        Verdict::Accepted {
            created: Some(keyspace),
        } => items[0].insert_str(0, &format!("k{keyspace} ")),
        Verdict::Refused(refusal) => items.insert(0, format!("REFUSED: {refusal}")),
        Verdict::Unknown => items.insert(0, "verdict unknown".into()),
    }
    let mut items = items.iter();
    // `Seq` is turned into a number, because only that can be aligned.
    let first = items.next().map_or("", String::as_str);
    writeln!(
        stdout,
        "{:>8}  {:<15}  {first}",
        seq.get(),
        Kind::of(edit).to_string()
    )?;
    for item in items {
        writeln!(stdout, "{:>27}{item}", "")?;
    }
    Ok(())
}

/// What an edit names, item by item.
fn describe(edit: &ManifestEdit, before: &Version) -> Vec<String> {
    let ManifestEdit::V1(edit) = edit else {
        return vec!["of a newer format than this program knows".into()];
    };
    match edit {
        ManifestEditV1::AddFile { files, flushed } => {
            let files = files.iter().map(|table| format!("+ {}", Glance(table)));
            let flushed = flushed.iter().map(|stretch| {
                let Flushed {
                    keyspace,
                    after,
                    through,
                } = stretch;
                format!("flushed k{keyspace} behind {after} through {through}")
            });
            files.chain(flushed).collect()
        }
        ManifestEditV1::Compaction { added, removed } => {
            let stays = |filenum| added.iter().any(|table| table.filenum == filenum);
            let going = removed.iter().filter(|filenum| !stays(**filenum));
            let going = going.map(|filenum| match before.table(*filenum) {
                Some(table) => format!("- {}", Glance(table)),
                None => format!("- {filenum}"),
            });
            let coming = added.iter().map(|table| {
                let moved = removed.contains(&table.filenum);
                match before.table(table.filenum).filter(|_| moved) {
                    Some(from) => format!("> {}, from L{}", Glance(table), from.level),
                    None if moved => format!("> {}", Glance(table)),
                    None => format!("+ {}", Glance(table)),
                }
            });
            going.chain(coming).collect()
        }
        ManifestEditV1::CreateKeyspace { name, options } => {
            let sorted = match options.sorted_from {
                Some(level) => format!("sorted from L{level} on"),
                None => "no level is sorted".into(),
            };
            let through = options.flushed_through;
            vec![
                format!("{name:?}, {sorted}"),
                format!("flushed through {through}"),
            ]
        }
        ManifestEditV1::DropKeyspace { keyspace } => vec![match before.keyspace(*keyspace) {
            Some(found) => {
                let tables = Count(found.len() as u64, "table");
                format!("k{keyspace} {:?}, {tables}", found.name())
            }
            None => format!("k{keyspace}"),
        }],
        ManifestEditV1::Snapshot(SnapshotPart {
            keyspaces, tables, ..
        }) => vec![format!(
            "{}, {}",
            Count(keyspaces.len() as u64, "keyspace"),
            Count(tables.len() as u64, "table")
        )],
    }
}

/// One edit, for a program.
#[derive(Debug, Serialize)]
struct Line<'a> {
    seq: u64,
    kind: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Tables {
        added: Vec<Table>,
        removed: Vec<u64>,
        flushed: &'a [Flushed],
    },
    Created {
        /// Null where there is none: it was refused, or there is no verdict.
        keyspace: Option<u32>,
        name: &'a str,
        sorted_from: Option<u32>,
        flushed_through: u64,
    },
    Dropped {
        keyspace: u32,
    },
    Other {},
}

impl<'a> Line<'a> {
    fn new(seq: Seq, edit: &'a ManifestEdit, verdict: &Verdict) -> Line<'a> {
        let (outcome, refusal) = match verdict {
            Verdict::Accepted { .. } => ("accepted", None),
            Verdict::Refused(refusal) => ("refused", Some(refusal.to_string())),
            Verdict::Unknown => ("unknown", None),
        };
        Line {
            seq: seq.get(),
            kind: Kind::of(edit).to_string(),
            outcome,
            refusal,
            content: Content::new(edit, verdict),
        }
    }
}

impl<'a> Content<'a> {
    fn new(edit: &'a ManifestEdit, verdict: &Verdict) -> Content<'a> {
        match edit {
            ManifestEdit::V1(ManifestEditV1::AddFile { files, flushed }) => Content::Tables {
                added: files.iter().map(Table::new).collect(),
                removed: Vec::new(),
                flushed,
            },
            ManifestEdit::V1(ManifestEditV1::Compaction { added, removed }) => Content::Tables {
                added: added.iter().map(Table::new).collect(),
                removed: removed.iter().map(|filenum| filenum.get()).collect(),
                flushed: &[],
            },
            ManifestEdit::V1(ManifestEditV1::CreateKeyspace { name, options }) => {
                Content::Created {
                    keyspace: match verdict {
                        Verdict::Accepted { created } => created.map(KeyspaceId::get),
                        _ => None,
                    },
                    name,
                    sorted_from: options.sorted_from,
                    flushed_through: options.flushed_through,
                }
            }
            ManifestEdit::V1(ManifestEditV1::DropKeyspace { keyspace }) => Content::Dropped {
                keyspace: keyspace.get(),
            },
            _ => Content::Other {},
        }
    }
}
