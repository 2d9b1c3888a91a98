//! `quipu manifest` as its users run it: the program itself, on manifests that the library wrote.
//!
//! Invariants: what is printed agrees with the library; only what is proven is shown; the exit code
//! is 0 only where all is well; what is wrong is one line on stderr that begins with `error:`; no
//! file changes.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests damage files as no program should, and their helpers are tests too"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use quipu_io::DiskIo;
use quipu_journal::{Item, Journal, Options, Replayable, dump};
use quipu_kv::manifest::{
    FileNum, Flushed, KeyspaceId, KeyspaceOptions, Manifest, SstMetadata, Version,
};
use serde_json::{Value, json};
use smol::block_on;
use tempfile::TempDir;

/// Another journal.
struct Ledger;

impl Replayable for Ledger {
    type Edit = ();
    type Output = ();

    fn filename_prefix() -> &'static str {
        "ledger"
    }

    fn initial() -> Self {
        Ledger
    }

    fn apply(&mut self, (): ()) {}

    fn snapshot(&self) {}
}

const USERS: KeyspaceId = KeyspaceId::new(0);
const ORDERS: KeyspaceId = KeyspaceId::new(1);

fn options() -> Options {
    let mut options = Options::default();
    options.log.allocation_bytes = 4096;
    options
}

/// No test opens the same one twice: see the tests of `quipu journal`.
fn open(dir: &Path) -> Manifest {
    let io = DiskIo::new().unwrap();
    block_on(Manifest::open(
        io,
        dir,
        options(),
        std::future::ready(Ok([])),
    ))
    .unwrap()
}

fn table(number: u64, keyspace: KeyspaceId, level: u32, keys: [&[u8]; 2]) -> SstMetadata {
    let [smallest, largest] = keys;
    let mut table = SstMetadata::new(FileNum::new(number), keyspace, level, smallest, largest);
    table.size = 1000 * number;
    table.entries = 10 * number;
    table.tombstones = number;
    (table.min_seq, table.max_seq) = (number, 2 * number);
    (table.min_timestamp, table.max_timestamp) = (100, 100 + number);
    table
}

fn flushed(keyspace: KeyspaceId, after: u64, through: u64) -> Flushed {
    Flushed {
        keyspace,
        after,
        through,
    }
}

/// Every kind of edit, and one that is refused. The edits are 1 to 10.
async fn fill(manifest: &Manifest) {
    let sorted = KeyspaceOptions::default();
    let mut tiered = KeyspaceOptions::default();
    tiered.sorted_from = None;
    manifest.create_keyspace("users", sorted).await.unwrap();
    manifest.create_keyspace("orders", tiered).await.unwrap();
    let first = vec![
        table(1, USERS, 0, [b"ada", b"grace"]),
        table(2, ORDERS, 0, [b"\x00\x01", b"\x00\xff"]),
    ];
    let both = vec![flushed(USERS, 0, 5), flushed(ORDERS, 0, 7)];
    manifest.record_flush(first, both).await.unwrap();
    let second = vec![table(3, USERS, 0, [b"bob", b"zoe"])];
    let stretch = vec![flushed(USERS, 5, 9)];
    manifest.record_flush(second, stretch).await.unwrap();
    let merged = vec![
        table(4, USERS, 1, [b"ada", b"grace"]),
        table(5, USERS, 1, [b"hans", b"zoe"]),
    ];
    let gone = vec![FileNum::new(1), FileNum::new(3)];
    manifest.record_compaction(merged, gone).await.unwrap();
    let overlapping = vec![table(6, USERS, 1, [b"gus", b"ida"])];
    let refused = manifest.record_flush(overlapping, Vec::new()).await;
    assert!(refused.unwrap_err().refusal().is_some());
    let moved = vec![table(5, USERS, 2, [b"hans", b"zoe"])];
    let from = vec![FileNum::new(5)];
    manifest.record_compaction(moved, from).await.unwrap();
    let ingested = vec![table(7, USERS, 0, [b"max", b"max"])];
    manifest.record_flush(ingested, Vec::new()).await.unwrap();
    manifest
        .record_compaction(Vec::new(), vec![FileNum::new(7)])
        .await
        .unwrap();
    manifest.drop_keyspace(ORDERS).await.unwrap();
}

/// A manifest with those edits, closed; and its last version.
fn closed(dir: &Path) -> std::sync::Arc<Version> {
    let manifest = open(dir);
    block_on(async {
        fill(&manifest).await;
        manifest.close().await.unwrap();
    });
    manifest.version()
}

/// A manifest of which the first edits are pruned. The edits are 1 to `10 + flushes`.
fn pruned(dir: &Path, flushes: u64) {
    let mut options = options();
    options.log.segment_bytes = 1;
    let io = DiskIo::new().unwrap();
    let manifest = block_on(Manifest::open(io, dir, options, std::future::ready(Ok([])))).unwrap();
    block_on(async {
        fill(&manifest).await;
        manifest.snapshot().await.unwrap();
        for number in 10..10 + flushes {
            let through = manifest.version().wal_floor();
            let stretch = vec![flushed(USERS, through, through + 1)];
            let flush = vec![table(number, USERS, 0, [b"a", b"b"])];
            manifest.record_flush(flush, stretch).await.unwrap();
            if number == 11 {
                manifest.snapshot().await.unwrap();
            }
        }
        manifest.close().await.unwrap();
    });
}

fn run(command: &mut Command) -> Output {
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.wait_with_output().unwrap()
}

fn quipu(args: &[&str], dir: &Path) -> Output {
    let content = files(dir);
    let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
    let command = command.arg("manifest").args(args).arg(dir);
    let output = run(command.stdout(Stdio::piped()));
    assert_eq!(files(dir), content, "something was changed");
    output
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Standard output of a run that succeeds.
#[track_caller]
fn report(args: &[&str], dir: &Path) -> String {
    let output = quipu(args, dir);
    assert_eq!(text(&output.stderr), "", "{args:?}");
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    text(&output.stdout)
}

/// The one line on stderr of a run that fails.
#[track_caller]
fn error(args: &[&str], dir: &Path) -> String {
    let output = quipu(args, dir);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
    let mut lines = errors.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    assert_eq!(lines.next(), None, "{args:?}: {errors}");
    assert!(line.starts_with("error: "), "{args:?}: {line}");
    line
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Where the frame of an edit lies.
fn place_of(dir: &Path, seq: u64) -> (PathBuf, u64) {
    block_on(async {
        let io = DiskIo::new().unwrap();
        let mut items = dump(io, dir, "manifest").await.unwrap();
        let mut file = PathBuf::new();
        while let Some(item) = items.next().await {
            match item {
                Item::Segment(segment) => file = segment.path,
                Item::Frame(frame) if frame.last.get() >= seq => return (file, frame.offset),
                _ => {}
            }
        }
        panic!("no frame holds edit {seq}");
    })
}

#[test]
fn the_pages_are_as_they_were_when_they_were_looked_at() {
    let dir = TempDir::new().unwrap();
    closed(dir.path());
    let mut pages = String::new();
    for args in [
        &["dump"][..],
        &["files"],
        &["history"],
        &["history", "--every", "4"],
    ] {
        let command = format!("$ quipu manifest {}\n", args.join(" "));
        pages += &(command + &report(args, dir.path()) + "\n");
    }
    assert_eq!(pages, include_str!("manifest.txt"));
}

#[test]
fn a_dump_for_programs_holds_every_edit_as_it_was_recorded() {
    let dir = TempDir::new().unwrap();
    closed(dir.path());
    let lines = objects(&report(&["dump", "--json"], dir.path()));
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "create keyspace",
            "create keyspace",
            "flush",
            "flush",
            "compaction",
            "ingest",
            "move",
            "ingest",
            "removal",
            "drop keyspace"
        ]
    );
    for (line, seq) in lines.iter().zip(1..) {
        assert_eq!(line["seq"], seq);
        assert_eq!(
            line["outcome"],
            if seq == 6 { "refused" } else { "accepted" }
        );
    }
    assert_eq!(
        lines[3],
        json!({
            "seq": 4, "kind": "flush", "outcome": "accepted", "removed": [],
            "flushed": [{"keyspace": 0, "after": 5, "through": 9}],
            "added": [{
                "filenum": 3, "keyspace": 0, "level": 0, "size": 3000, "entries": 30,
                "tombstones": 3, "smallest": "626f62", "largest": "7a6f65",
                "min_seq": 3, "max_seq": 6, "min_timestamp": 100, "max_timestamp": 103,
                "checksum": "0000000000000000", "created": 0,
            }],
        })
    );
    assert_eq!(lines[4]["removed"], json!([1, 3]));
    assert_eq!(
        lines[1],
        json!({
            "seq": 2, "kind": "create keyspace", "outcome": "accepted", "keyspace": 1,
            "name": "orders", "sorted_from": null, "flushed_through": 0,
        })
    );
    let reason = lines[5]["refusal"].as_str().unwrap();
    assert!(reason.contains("would overlap table 000005"), "{reason}");

    let shown = |args: &[&str]| objects(&report(args, dir.path()));
    assert_eq!(shown(&["dump", "--json", "--from", "9"]), lines[8..]);
    assert_eq!(
        shown(&["dump", "--json", "--from", "3", "--limit", "2"]),
        lines[2..4]
    );
}

#[test]
fn files_for_programs_are_the_tables_of_the_last_version() {
    let dir = TempDir::new().unwrap();
    let version = closed(dir.path());
    let lines = objects(&report(&["files", "--json"], dir.path()));
    assert_eq!(
        lines[0],
        json!({
            "kind": "manifest", "seq": 10, "version": version.number(), "next_filenum": 8,
            "last_seq": version.last_seq(), "wal_floor": version.wal_floor(),
            "keyspaces": 1, "tables": version.len(), "bytes": version.bytes(),
        })
    );
    assert_eq!(
        lines[1],
        json!({
            "kind": "keyspace", "keyspace": 0, "name": "users", "sorted_from": 1,
            "flushed_through": 9, "tables": 2, "bytes": 9000,
        })
    );
    let level = json!({"kind": "level", "keyspace": 0, "level": 1, "tables": 1, "bytes": 4000});
    assert_eq!(lines[2], level);
    let users = version.keyspace_named("users").unwrap();
    let numbers: Vec<_> = users.tables().map(|table| table.filenum.get()).collect();
    let tables = lines.iter().filter(|line| line["kind"] == "table");
    let shown: Vec<_> = tables
        .map(|line| line["filenum"].as_u64().unwrap())
        .collect();
    assert_eq!(shown, numbers);
}

#[test]
fn a_history_for_programs_adds_up_to_the_last_version() {
    let dir = TempDir::new().unwrap();
    let version = closed(dir.path());
    let lines = objects(&report(&["history", "--json"], dir.path()));
    assert_eq!(lines.len(), 10);
    assert_eq!(
        lines[4],
        json!({
            "seq": 5, "kind": "compaction", "refusal": null,
            "changes": [{
                "keyspace": 0,
                "removed": [{"level": 0, "tables": 2}], "added": [{"level": 1, "tables": 2}],
            }],
            "levels": [
                {"level": 0, "tables": 1, "bytes": 2000}, {"level": 1, "tables": 2, "bytes": 9000},
            ],
        })
    );
    assert!(lines[5]["refusal"].is_string());
    assert_eq!(
        lines[5]["levels"], lines[4]["levels"],
        "a refusal changes nothing"
    );
    let levels = lines[9]["levels"].as_array().unwrap();
    let sum = |what: &str| {
        levels
            .iter()
            .map(|level| level[what].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(sum("tables"), version.len() as u64);
    assert_eq!(sum("bytes"), version.bytes());
}

#[test]
fn a_history_whose_beginning_is_pruned_says_so_and_begins_with_a_snapshot() {
    let dir = TempDir::new().unwrap();
    pruned(dir.path(), 4);
    let page = report(&["history"], dir.path());
    let first = "What led to edit 10 is pruned: this begins with the snapshot of it.";
    assert_eq!(page.lines().next(), Some(first), "{page}");
    assert!(page.contains("\n  10  snapshot "), "{page}");
    let last = report(&["history", "--last", "2"], dir.path());
    let rows = |page: &str| -> Vec<String> { page.lines().skip(3).map(String::from).collect() };
    let (all, last) = (rows(&page), rows(&last));
    assert_eq!((all.len(), last.len()), (5, 2));
    for (row, same) in all[3..].iter().zip(&last) {
        assert_eq!(row[..24], same[..24]);
    }
    let lines = objects(&report(&["history", "--json"], dir.path()));
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["seq"]),
        (&json!("snapshot"), &json!(10))
    );
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[4]["levels"][0]["tables"], 4);
}

#[test]
fn edits_from_before_the_oldest_state_have_no_verdict() {
    let dir = TempDir::new().unwrap();
    // One segment, so that all edits stay, of which only the last snapshot's state is known.
    let manifest = open(dir.path());
    block_on(async {
        fill(&manifest).await;
        manifest.close().await.unwrap();
    });
    let whole = objects(&report(&["dump", "--json"], dir.path()));
    assert!(whole.iter().all(|line| line["outcome"] != "unknown"));

    let dir = TempDir::new().unwrap();
    straddling(dir.path());
    let lines = objects(&report(&["dump", "--json"], dir.path()));
    let outcomes: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["seq"].as_u64().unwrap(),
                line["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    let (unknown, known): (Vec<_>, Vec<_>) = outcomes
        .iter()
        .partition(|(_, outcome)| *outcome == "unknown");
    assert!(!unknown.is_empty() && !known.is_empty(), "{outcomes:?}");
    let (start, _) = unknown[unknown.len() - 1];
    assert_eq!(known[0].0, start + 1);
    let page = report(&["dump"], dir.path());
    assert!(
        page.contains(&format!("\nsnapshot of edit {start}: ")),
        "{page}"
    );
    assert_eq!(
        page.matches("verdict unknown").count(),
        unknown.len(),
        "{page}"
    );
}

/// A manifest whose oldest segment begins before its oldest snapshot, and after the first edit.
fn straddling(dir: &Path) {
    let mut options = options();
    options.log.segment_bytes = 8192 + 700;
    let io = DiskIo::new().unwrap();
    let manifest = block_on(Manifest::open(io, dir, options, std::future::ready(Ok([])))).unwrap();
    block_on(async {
        fill(&manifest).await;
        for number in 10..40 {
            let flush = vec![table(number, USERS, 0, [b"a", b"b"])];
            manifest.record_flush(flush, Vec::new()).await.unwrap();
            if [25, 33].contains(&number) {
                manifest.snapshot().await.unwrap();
            }
        }
        manifest.close().await.unwrap();
    });
}

#[test]
fn only_what_is_proven_is_shown_beside_a_writer() {
    let dir = TempDir::new().unwrap();
    let manifest = open(dir.path());
    block_on(fill(&manifest));
    // Nothing has proven the last edit yet: the keyspace is dropped, and a crash may undo it.
    let lines = objects(&report(&["files", "--json"], dir.path()));
    assert_eq!(
        (&lines[0]["seq"], &lines[0]["keyspaces"]),
        (&json!(9), &json!(2))
    );
    assert_eq!(report(&["dump", "--json"], dir.path()).lines().count(), 9);
    block_on(manifest.close()).unwrap();
    let lines = objects(&report(&["files", "--json"], dir.path()));
    assert_eq!(
        (&lines[0]["seq"], &lines[0]["keyspaces"]),
        (&json!(10), &json!(1))
    );
}

#[test]
fn a_manifest_without_edits_is_shown_as_such() {
    let dir = TempDir::new().unwrap();
    let manifest = open(dir.path());
    block_on(manifest.close()).unwrap();
    assert_eq!(report(&["history"], dir.path()), "no edits\n");
    assert_eq!(report(&["dump"], dir.path()), "no edits\n");
    assert_eq!(report(&["dump", "--json"], dir.path()), "");
    let page = report(&["files"], dir.path());
    assert!(page.starts_with("manifest as of edit 0, version 0: no keyspaces, no tables"));
}

#[test]
fn directories_without_a_manifest_are_errors_that_say_what_is_there() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let other = TempDir::new().unwrap();
    block_on(async {
        let io = DiskIo::new().unwrap();
        let ledger = Journal::<Ledger>::open(io, other.path(), options());
        ledger.await.unwrap().close().await.unwrap();
    });
    let (here, there) = (dir.path().display(), other.path().display());
    for command in ["dump", "files", "history"] {
        assert_eq!(
            error(&[command], dir.path()),
            format!("error: {here} holds no manifest: name the directory that a program opened")
        );
        assert_eq!(
            error(&[command], &dir.path().join("missing")),
            format!(
                "error: {here}/missing does not exist: name the directory that holds the manifest"
            )
        );
        assert_eq!(
            error(&[command], &file),
            format!(
                "error: {here}/file is not a directory: name the directory that holds the manifest"
            )
        );
        assert_eq!(
            error(&[command], other.path()),
            format!(
                "error: {there} holds no manifest, but other journals (ledger): look at them with \
                 \"quipu journal dump\""
            )
        );
    }
}

#[test]
fn damage_is_an_error_with_its_file_and_offset_behind_what_is_sound() {
    let dir = TempDir::new().unwrap();
    closed(dir.path());
    let (path, offset) = place_of(dir.path(), 5);
    let mut content = fs::read(&path).unwrap();
    content[usize::try_from(offset).unwrap()] ^= 0xff;
    fs::write(&path, content).unwrap();
    let expected = format!("error: {} is corrupt at offset {offset}: ", path.display());
    for command in ["dump", "files", "history"] {
        let line = error(&[command], dir.path());
        assert!(line.starts_with(&expected), "{line}");
    }
    let shown = text(&quipu(&["history", "--json"], dir.path()).stdout);
    assert_eq!(objects(&shown).len(), 4);
    let shown = text(&quipu(&["history"], dir.path()).stdout);
    assert_eq!(shown.lines().count(), 5, "{shown}");
}

#[test]
fn a_file_that_is_none_of_a_manifest_is_named() {
    let dir = TempDir::new().unwrap();
    closed(dir.path());
    let (path, _) = place_of(dir.path(), 1);
    fs::write(&path, "These are notes, not a manifest.").unwrap();
    let expected = format!("error: {} is not a file of a journal", path.display());
    for command in ["dump", "files", "history"] {
        let line = error(&[command], dir.path());
        assert!(line.starts_with(&expected), "{line}");
    }
}

#[test]
fn a_closed_pipe_ends_a_report_quietly() {
    let dir = TempDir::new().unwrap();
    closed(dir.path());
    for args in [
        &["dump"][..],
        &["files"],
        &["history"],
        &["history", "--json"],
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
        let command = command.arg("manifest").args(args).arg(dir.path());
        let output = run(command.stdout(writer));
        assert_eq!(text(&output.stderr), "");
        assert_eq!(output.status.code(), Some(1), "the report was not given");
    }
}

#[test]
fn arguments_that_make_no_sense_are_told_from_failures() {
    for args in [
        &["manifest"][..],
        &["manifest", "files"],
        &["manifest", "mend", "."],
        &["manifest", "history", ".", "--every", "0"],
        &["manifest", "history", ".", "--json", "--last", "3"],
        &["manifest", "dump", ".", "--from", "x"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
        let output = run(command.args(args).stdout(Stdio::piped()));
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}
