//! `quipu journal` as its users run it: the program itself, on journals that the library wrote.
//!
//! Invariants: what is printed agrees with the library; the exit code is 0 only where all is well;
//! each thing that is wrong is one line on stderr that begins with `error:`; no file changes.
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
use quipu_journal::{Item, Journal, Options, Replayable, dump, verify};
use serde_json::{Value, json};
use smol::block_on;
use tempfile::TempDir;

/// The words that it was told, in order.
struct Words(Vec<String>);

impl Replayable for Words {
    type Edit = Vec<String>;
    type Output = ();

    fn filename_prefix() -> &'static str {
        "words"
    }

    fn initial() -> Self {
        Words(Vec::new())
    }

    fn apply(&mut self, edit: Vec<String>) {
        self.0.extend(edit);
    }

    fn snapshot(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// The same journal under another name.
struct Others(Words);

impl Replayable for Others {
    type Edit = Vec<String>;
    type Output = ();

    fn filename_prefix() -> &'static str {
        "others"
    }

    fn initial() -> Self {
        Others(Words::initial())
    }

    fn apply(&mut self, edit: Vec<String>) {
        self.0.apply(edit);
    }

    fn snapshot(&self) -> Vec<String> {
        self.0.snapshot()
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.log.allocation_bytes = 4096;
    options
}

/// Opens a journal; no test opens the same one twice.
///
/// A process that another test starts holds copies of this one's open files for a moment, and with
/// them the lock of a journal that was just closed.
fn open<S: Replayable>(dir: &Path, options: Options) -> Journal<S> {
    let io = DiskIo::new().unwrap();
    block_on(Journal::<S>::open(io, dir, options)).unwrap()
}

fn run(command: &mut Command) -> Output {
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.wait_with_output().unwrap()
}

/// Appends `count` words one after the other, so that each has its frame.
async fn tell<S>(journal: &Journal<S>, count: u64)
where
    S: Replayable<Edit = Vec<String>, Output = ()>,
{
    for number in 1..=count {
        journal
            .append(vec![format!("word number {number}")])
            .await
            .unwrap();
    }
}

/// A journal of `count` edits, closed.
fn closed<S>(dir: &Path, options: Options, count: u64)
where
    S: Replayable<Edit = Vec<String>, Output = ()>,
{
    let journal = open::<S>(dir, options);
    block_on(async {
        tell(&journal, count).await;
        journal.close().await.unwrap();
    });
}

/// What a crash leaves: a copy of the files of a journal that is open.
fn crashed(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for (path, content) in files(dir) {
        fs::write(copy.path().join(path.file_name().unwrap()), content).unwrap();
    }
    copy
}

/// What a crash leaves of a journal with `count` edits.
fn unclean(options: Options, count: u64) -> TempDir {
    let dir = TempDir::new().unwrap();
    let journal = open::<Words>(dir.path(), options);
    block_on(tell(&journal, count));
    crashed(dir.path())
}

/// Segments of one frame each, so that there are many of them.
fn one_frame_each() -> Options {
    let mut options = options();
    options.log.segment_bytes = 1;
    options
}

fn items(dir: &Path) -> Vec<Item> {
    block_on(async {
        let mut dump = dump(DiskIo::new().unwrap(), dir, "words").await.unwrap();
        let mut items = Vec::new();
        while let Some(item) = dump.next().await {
            items.push(item);
        }
        items
    })
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("words-{number:020}.log"))
}

/// Replaces bytes in the middle of a file.
fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let mut content = fs::read(path).unwrap();
    let at = usize::try_from(offset).unwrap();
    content[at..at + bytes.len()].copy_from_slice(bytes);
    fs::write(path, content).unwrap();
}

/// The file and the offset of the frame that holds this edit.
fn place_of(dir: &Path, seq: u64) -> (PathBuf, u64) {
    let mut file = PathBuf::new();
    for item in items(dir) {
        match item {
            Item::Segment(segment) => file = segment.path,
            Item::Frame(frame) if frame.last.get() >= seq => return (file, frame.offset),
            _ => {}
        }
    }
    panic!("no frame holds edit {seq}");
}

fn quipu(args: &[&str], dir: &Path) -> Output {
    let content = files(dir);
    let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
    let command = command.arg("journal").args(args).arg(dir);
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
fn report(args: &[&str], dir: &Path) -> String {
    let output = quipu(args, dir);
    assert_eq!(text(&output.stderr), "", "{args:?}");
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    text(&output.stdout)
}

/// The lines on stderr of a run that fails.
#[track_caller]
fn errors(args: &[&str], dir: &Path) -> Vec<String> {
    let output = quipu(args, dir);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
    let lines: Vec<String> = errors.lines().map(String::from).collect();
    assert!(!lines.is_empty(), "{args:?} fails without a word");
    for line in &lines {
        assert!(line.starts_with("error: "), "{args:?}: {line}");
    }
    lines
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The report without what differs from run to run: the directory and the generations.
fn stable(report: &str, dir: &Path) -> String {
    let report = report.replace(dir.to_str().unwrap(), "DIR");
    let mut stable = String::new();
    let mut word = String::new();
    for letter in report.chars().chain(['\n']) {
        if letter.is_ascii_alphanumeric() {
            word.push(letter);
            continue;
        }
        let random = word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        stable.push_str(if random { "GENERATION" } else { &word });
        stable.push(letter);
        word.clear();
    }
    stable.pop();
    stable
}

#[test]
fn a_dump_shows_segments_frames_and_snapshots() {
    let dir = TempDir::new().unwrap();
    let journal = open::<Words>(dir.path(), options());
    block_on(async {
        tell(&journal, 2).await;
        let batch = ["a", "b", "c"].map(|word| vec![word.to_owned()]);
        journal.append_batch(batch).await.unwrap();
        journal.snapshot().await.unwrap();
        tell(&journal, 1).await;
    });
    // The last edit is not proven, so the next open writes it again, into a new segment.
    let dir = crashed(dir.path());
    closed::<Words>(dir.path(), options(), 0);
    let report = report(&["dump", "--payload"], dir.path());
    assert_eq!(stable(&report, dir.path()), include_str!("dump.txt"));
}

#[test]
fn json_says_what_the_library_says() {
    let dir = unclean(one_frame_each(), 4);
    let expected: Vec<Value> = items(dir.path())
        .iter()
        .map(|item| match item {
            Item::Segment(segment) => json!({
                "journal": "words", "kind": "segment",
                "path": segment.path, "number": segment.number,
                "generation": format!("{:016x}", segment.generation),
                "bytes": segment.bytes, "first": segment.first.get(),
                "published_through": segment.published_through.get(),
                "predecessor": segment.predecessor.map(|before| json!({
                    "number": before.number, "generation": format!("{:016x}", before.generation),
                    "end": before.end, "last": before.last.get(),
                })),
                "seal": segment.sealed.map(|seal| json!({
                    "last": seal.last.get(), "end": seal.end,
                    "successor": seal.successor.map(|after| json!({
                        "number": after.number, "generation": format!("{:016x}", after.generation),
                    })),
                })),
            }),
            Item::Frame(frame) => json!({
                "journal": "words", "kind": "frame",
                "offset": frame.offset, "bytes": frame.bytes, "first": frame.first.get(),
                "last": frame.last.get(), "watermark": frame.watermark.get(),
                "in_log": frame.in_log,
            }),
            Item::End {
                offset,
                bytes,
                reason,
            } => json!({
                "journal": "words", "kind": "end",
                "offset": offset, "bytes": bytes, "reason": reason,
            }),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(expected.len() > 9, "every kind of line is in it");
    assert_eq!(objects(&report(&["dump", "--json"], dir.path())), expected);

    let verified = block_on(verify(DiskIo::new().unwrap(), dir.path(), "words", |_| {})).unwrap();
    let lines = objects(&report(&["verify", "--json"], dir.path()));
    let expected = json!({
        "journal": "words", "sound": true, "findings": [], "segments": verified.segments,
        "edits": verified.edits, "first": 1, "last": verified.last_seq.get(),
        "unproven_edits": verified.unproven_edits, "snapshots": [],
    });
    assert_eq!(lines, [expected]);
}

#[test]
fn verify_counts_what_a_sound_journal_holds() {
    let dir = TempDir::new().unwrap();
    let journal = open::<Words>(dir.path(), one_frame_each());
    block_on(async {
        tell(&journal, 3).await;
        journal.snapshot().await.unwrap();
        journal.close().await.unwrap();
    });
    let line = report(&["verify"], dir.path());
    assert!(
        line.starts_with("journal words: sound, 3 edits (1 to 3) in "),
        "{line}"
    );
    assert!(line.ends_with(" segments, 1 snapshot\n"), "{line}");
}

#[test]
fn verify_tells_unproven_edits_from_proven_ones() {
    let dir = unclean(options(), 3);
    assert_eq!(
        report(&["verify"], dir.path()),
        "journal words: sound, 2 edits (1 to 2) in 1 segment, no snapshots; \
         then 1 intact edit that nothing on disk proves durable yet\n"
    );
}

#[test]
fn torn_bytes_are_shown_and_are_no_finding() {
    let dir = unclean(options(), 2);
    let Some(Item::End { offset, .. }) = items(dir.path()).pop() else {
        panic!("the dump of a log ends with its end");
    };
    overwrite(&segment(dir.path(), 1), offset + 3, b"torn");
    let shown = report(&["dump"], dir.path());
    let last = shown.lines().last().unwrap();
    let expected = format!("{offset} end of the intact frames, 7 bytes follow: ");
    assert!(last.trim_start().starts_with(&expected), "{last}");
    report(&["verify"], dir.path());
}

#[test]
fn each_journal_of_a_directory_has_its_heading() {
    let dir = TempDir::new().unwrap();
    closed::<Words>(dir.path(), options(), 1);
    closed::<Others>(dir.path(), options(), 2);
    let shown = report(&["dump"], dir.path());
    let headings: Vec<_> = shown
        .lines()
        .filter(|line| line.starts_with("journal"))
        .collect();
    assert_eq!(headings, ["journal others", "journal words"]);
    let lines = objects(&report(&["verify", "--json"], dir.path()));
    assert_eq!(lines.len(), 2);
    let only = objects(&report(
        &["verify", "--json", "--prefix", "others"],
        dir.path(),
    ));
    assert_eq!(only, lines[..1]);
}

#[test]
fn a_dump_from_a_later_edit_leaves_out_what_lies_before() {
    let dir = TempDir::new().unwrap();
    closed::<Words>(dir.path(), one_frame_each(), 5);
    let frames_of = |args: &[&str]| -> Vec<u64> {
        objects(&report(args, dir.path()))
            .iter()
            .filter(|line| line["kind"] == "frame")
            .map(|line| line["first"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(frames_of(&["dump", "--json"]), [1, 2, 3, 4, 5]);
    assert_eq!(frames_of(&["dump", "--json", "--from", "4"]), [4, 5]);
    assert_eq!(
        frames_of(&["dump", "--json", "--from", "2", "--limit", "2"]),
        [2, 3]
    );

    let lines = objects(&report(&["dump", "--json", "--from", "4"], dir.path()));
    assert_eq!(lines[0]["kind"], "segment");
    assert_eq!(
        lines[1]["kind"], "frame",
        "the first segment shown is the one with edit 4"
    );
    assert_eq!(lines[1]["first"], 4);
}

#[test]
fn directories_without_a_journal_are_errors() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let missing = dir.path().join("missing");
    let (here, file_name) = (dir.path().display(), file.display());
    for command in ["dump", "verify"] {
        assert_eq!(
            errors(&[command], dir.path()),
            [format!(
                "error: {here} holds no journal: name the directory that a program opened"
            )]
        );
        assert_eq!(
            errors(&[command], &missing),
            [format!(
                "error: {here}/missing does not exist: name the directory that holds the journal"
            )]
        );
        assert_eq!(
            errors(&[command], &file),
            [format!(
                "error: {file_name} is not a directory: name the directory that holds the journal"
            )]
        );
    }
}

#[test]
fn an_unknown_prefix_is_an_error_that_names_the_known_ones() {
    let dir = TempDir::new().unwrap();
    closed::<Words>(dir.path(), options(), 1);
    let here = dir.path().display();
    assert_eq!(
        errors(&["verify", "--prefix", "word"], dir.path()),
        [format!(
            "error: {here} holds no journal with the prefix \"word\": name one of words"
        )]
    );
}

#[test]
fn a_damaged_byte_is_a_finding_with_its_file_and_offset() {
    let dir = TempDir::new().unwrap();
    closed::<Words>(dir.path(), options(), 5);
    let (path, offset) = place_of(dir.path(), 3);
    overwrite(&path, offset, &[0xff]);
    let expected = format!("error: {} is corrupt at offset {offset}: ", path.display());
    let lines = errors(&["verify"], dir.path());
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with(&expected), "{}", lines[0]);

    let output = quipu(&["verify", "--json"], dir.path());
    let lines = objects(&text(&output.stdout));
    assert_eq!(lines[0]["sound"], false);
    assert_eq!(lines[0]["edits"], 2);
    assert_eq!(lines[0]["findings"].as_array().unwrap().len(), 1);
}

#[test]
fn files_that_cannot_be_read_are_named_and_the_others_shown() {
    fn write_notes(path: &Path) {
        fs::write(path, "These are notes, not a journal.").unwrap();
    }
    fn raise_version(path: &Path) {
        overwrite(path, 8, &[99, 0, 0, 0]);
    }
    let damages = [
        ("is not a file of a journal", write_notes as fn(&Path)),
        ("has format version 99", raise_version),
    ];
    for (reason, damage) in damages {
        let dir = TempDir::new().unwrap();
        closed::<Words>(dir.path(), one_frame_each(), 3);
        let path = segment(dir.path(), 2);
        damage(&path);
        let expected = format!("error: {} {reason}", path.display());
        for command in ["dump", "verify"] {
            let lines = errors(&[command], dir.path());
            assert_eq!(lines.len(), 1);
            assert!(lines[0].starts_with(&expected), "{}", lines[0]);
        }
        let shown = text(&quipu(&["dump"], dir.path()).stdout);
        assert!(shown.contains("\nsegment 1: "), "{shown}");
        assert!(
            shown.contains(&format!("\ndamage: {}", path.display())),
            "{shown}"
        );
        assert!(shown.contains("\nsegment 3: "), "{shown}");
    }
}

#[test]
fn a_journal_that_lost_its_segments_is_a_finding() {
    let dir = TempDir::new().unwrap();
    closed::<Words>(dir.path(), options(), 3);
    fs::remove_file(segment(dir.path(), 1)).unwrap();
    // Other programs have lock files too.
    fs::write(dir.path().join("Cargo.lock"), "version = 4").unwrap();
    for command in ["dump", "verify"] {
        let lines = errors(&[command], dir.path());
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].contains("no segment of it is there"),
            "{}",
            lines[0]
        );
    }
}

#[test]
fn one_unsound_journal_of_two_is_a_failure() {
    let dir = TempDir::new().unwrap();
    closed::<Words>(dir.path(), options(), 1);
    closed::<Others>(dir.path(), options(), 2);
    let others = dir.path().join(format!("others-{:020}.log", 1));
    fs::write(&others, "").unwrap();
    let output = quipu(&["verify"], dir.path());
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(
        shown.contains("journal others: not sound, 1 finding"),
        "{shown}"
    );
    assert!(
        shown.contains("journal words: sound, 1 edit (1 to 1)"),
        "{shown}"
    );
}

#[test]
fn a_closed_pipe_ends_a_dump_quietly() {
    let dir = TempDir::new().unwrap();
    closed::<Words>(dir.path(), options(), 1);
    for args in [["dump", "--payload"], ["dump", "--json"]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
        let command = command.arg("journal").args(args).arg(dir.path());
        let output = run(command.stdout(writer));
        assert_eq!(text(&output.stderr), "");
        assert_eq!(output.status.code(), Some(1), "the report was not given");
    }
}

#[test]
fn arguments_that_make_no_sense_are_told_from_failures() {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
        run(command.args(args).stdout(Stdio::piped()))
    };
    for args in [
        &["journal"][..],
        &["journal", "verify"],
        &["journal", "mend", "."],
        &["journal", "dump", ".", "--from", "x"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("Examples:"));
    let version = format!("quipu {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&run(&["--version"]).stdout), version);
}
