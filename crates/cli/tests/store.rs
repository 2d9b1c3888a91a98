//! `quipu shell`, `load`, `export` and `stats` as their users run them: the program itself.
//!
//! Invariants: what was answered with `ok` is there after a kill; an export, loaded, is the same store;
//! each command is answered before the next is read; the exit code is 0 only where all is well; what is
//! wrong is one line that begins with `error:`; where a store is only read, none is begun.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests damage files as no program should, and their helpers are tests too"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use quipu_io::DiskIo;
use quipu_kv::{Db, Options};
use serde_json::Value;
use smol::block_on;
use tempfile::TempDir;

fn quipu(command: &str, dir: &Path) -> Command {
    let mut quipu = Command::new(env!("CARGO_BIN_EXE_quipu"));
    quipu.arg(command).arg(dir);
    quipu
}

/// Runs it to its end, with this input.
fn run(command: &mut Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may end without having read all.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Standard output of a run that succeeds.
#[track_caller]
fn report(command: &mut Command, input: &[u8]) -> String {
    let output = run(command, input);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    text(&output.stdout)
}

/// The one line on stderr of a run that fails.
#[track_caller]
fn error(command: &mut Command, input: &[u8]) -> String {
    let output = run(command, input);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let line = errors.strip_suffix('\n').unwrap_or_default();
    assert!(
        line.starts_with("error: ") && !line.contains('\n'),
        "{errors}"
    );
    line.to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A shell that is asked, and answers, line by line.
struct Talk {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Talk {
    fn begin(dir: &Path) -> Talk {
        let mut command = quipu("shell", dir);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        Talk {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The first line of the answer, without which nothing more is asked.
    fn ask(&mut self, command: &str) -> String {
        writeln!(self.stdin, "{command}").unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.strip_suffix('\n').unwrap().to_owned()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn each_command_is_answered_before_the_next_is_read() {
    let dir = TempDir::new().unwrap();
    let mut talk = Talk::begin(&dir.path().join("new/store"));
    for (command, answer) in [
        ("put ada 1815", "ok"),
        ("put grace brewster murray hopper", "ok"),
        ("get ada", "1815"),
        ("get grace", "brewster murray hopper"),
        ("get charles", "(none)"),
        ("del ada", "ok"),
        ("del ada", "ok"),
        ("get ada", "(none)"),
        ("fill 8 11", "ok"),
        ("get 10", "value10"),
        ("flush", "ok"),
        ("compact", "ok"),
        ("get 11", "value11"),
        ("scan x", "(0 keys)"),
    ] {
        assert_eq!(talk.ask(command), answer, "{command}");
    }
    // In the order of keys, which are text; both ends belong to a range.
    assert_eq!(talk.ask("scan 10 8"), "10\tvalue10");
    assert_eq!(talk.line(), "11\tvalue11");
    assert_eq!(talk.line(), "8\tvalue8");
    assert_eq!(talk.line(), "(3 keys)");
    assert_eq!(talk.ask("scan grace"), "grace\tbrewster murray hopper");
    assert_eq!(talk.line(), "(1 keys)");
    assert_eq!(talk.ask("scan"), "10\tvalue10");
    (0..4).for_each(|_| drop(talk.line()));
    assert_eq!(talk.line(), "(5 keys)");
    assert_eq!(talk.ask("quit"), "ok");
    assert_eq!(talk.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_was_answered_with_ok_is_there_after_a_kill() {
    let dir = TempDir::new().unwrap();
    for life in 1..6 {
        let mut talk = Talk::begin(dir.path());
        for earlier in 1..life {
            assert_eq!(
                talk.ask(&format!("get key{earlier}")),
                format!("v{earlier}")
            );
            assert_eq!(
                talk.ask(&format!("get {earlier}999")),
                format!("value{earlier}999")
            );
        }
        assert_eq!(talk.ask(&format!("put key{life} v{life}")), "ok");
        assert_eq!(talk.ask(&format!("fill {life}000 {life}999")), "ok");
        if life % 2 == 1 {
            assert_eq!(talk.ask("flush"), "ok");
        }
        talk.kill();
    }
}

#[test]
fn a_command_that_fails_is_answered_and_the_shell_goes_on() {
    let dir = TempDir::new().unwrap();
    let long = format!("put {} v", "k".repeat(70_000));
    let commands = [
        "foo",
        "put",
        "put k",
        "get a b",
        "fill 2 1",
        "put k \\q",
        &long,
    ];
    let mut input = commands.join("\n");
    input.push_str("\n\nput k v\nget k");
    let output = run(&mut quipu("shell", dir.path()), input.as_bytes());
    let answers = text(&output.stdout);
    let answers: Vec<&str> = answers.lines().collect();
    let (failed, rest) = answers.split_at(commands.len());
    assert!(
        failed.iter().all(|line| line.starts_with("error: ")),
        "{failed:?}"
    );
    assert_eq!(rest, ["ok", "v"]);
    // For scripts: it was no success.
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: 7 commands failed: the answers say why\n"
    );
}

#[test]
fn pages_end_with_a_count_and_hold_what_is_there() {
    let dir = TempDir::new().unwrap();
    let input = b"fill 1 1000\nflush\nput \\x00\\xff x\nflush\ndump\nstats\nquit\n";
    let page = report(&mut quipu("shell", dir.path()), input);
    for line in [
        "keyspace 0 \"default\": 2 tables, ",
        "  level 0: 2 tables, ",
        "[\"1\"..\"999\"]",
        "[\"\\x00\\xff\"..\"\\x00\\xff\"]",
        "(2 tables)\n",
        "\nentries           1001\n",
        "\npressure          none\n",
        "(26 figures)\n",
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
    let stats = report(quipu("stats", dir.path()).arg("--json"), b"");
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(
        (&stats["entries"], &stats["last_seq"]),
        (&1001.into(), &1001.into())
    );
    let page = report(&mut quipu("stats", dir.path()), b"");
    assert!(page.starts_with("last_seq          1001\n"), "{page}");
}

#[test]
fn an_export_that_is_loaded_is_the_same_store() {
    let dir = TempDir::new().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let all: Vec<u8> = (0..=u8::MAX).collect();
    block_on(async {
        let db = Db::open(DiskIo::new().unwrap(), &first, Options::default())
            .await
            .unwrap();
        for byte in 0..=u8::MAX {
            db.put([byte], [b'v', byte, b'\\', byte]).await.unwrap();
        }
        db.put(b"", b"the empty key").await.unwrap();
        db.put(b"empty value", b"").await.unwrap();
        db.put(&all, &all).await.unwrap();
        db.put(b"large", vec![b'\t'; 3 << 20]).await.unwrap();
        db.put([b'k'; 65_535], b"a long key").await.unwrap();
        db.close().await.unwrap();
    });
    let exported = report(&mut quipu("export", &first), b"");
    assert_eq!(exported.lines().count(), 261);
    assert!(exported.lines().all(|line| line.matches('\t').count() == 1));
    let loaded = report(&mut quipu("load", &second), exported.as_bytes());
    assert_eq!(loaded, "261 pairs loaded\n");
    assert!(exported == report(&mut quipu("export", &second), b""));
    block_on(async {
        let db = Db::open(DiskIo::new().unwrap(), &second, Options::default())
            .await
            .unwrap();
        assert_eq!(db.get(&all).await.unwrap().unwrap(), all);
        assert_eq!(db.get(b"").await.unwrap().unwrap(), "the empty key");
    });
}

#[test]
fn a_file_is_loaded_as_it_is_written_elsewhere() {
    let dir = TempDir::new().unwrap();
    let (store, file) = (dir.path().join("store"), dir.path().join("pairs"));
    fs::write(&file, "b\ttwo\tcolumns\r\na\t1\r\na\t2").unwrap();
    let mut load = quipu("load", &store);
    assert_eq!(report(load.arg(&file), b""), "3 pairs loaded\n");
    assert_eq!(
        report(quipu("load", &store).arg("-"), b"c\t3\n"),
        "1 pair loaded\n"
    );
    assert_eq!(report(&mut quipu("load", &store), b""), "no pairs loaded\n");
    assert_eq!(
        report(&mut quipu("export", &store), b""),
        "a\t2\nb\ttwo\\tcolumns\nc\t3\n"
    );
}

#[test]
fn a_bad_line_is_named_and_what_was_before_it_is_kept() {
    for wal in [true, false] {
        for (bad, reason) in [
            ("no tab", "there is no tab between a key and a value"),
            ("", "there is no tab between a key and a value"),
            (
                "a\tb\\",
                "a backslash at the end is no escape: a backslash is \\\\",
            ),
            (
                &format!("{}\tv", "k".repeat(65_536)),
                "a key of 65536 bytes is too large: the limit is 65535",
            ),
        ] {
            let dir = TempDir::new().unwrap();
            let (store, file) = (dir.path().join("store"), dir.path().join("pairs.tsv"));
            let mut pairs = String::new();
            (1000..2000).for_each(|key| writeln!(pairs, "{key}\tvalue").unwrap());
            fs::write(&file, format!("{pairs}{bad}\nz\tbehind\n")).unwrap();
            let mut load = quipu("load", &store);
            load.arg(&file);
            if !wal {
                load.arg("--no-wal");
            }
            assert_eq!(
                error(&mut load, b""),
                format!(
                    "error: {} line 1001: {reason}; 1000 pairs loaded before",
                    file.display()
                )
            );
            assert_eq!(report(&mut quipu("export", &store), b""), pairs);
        }
    }
}

/// Kills a load at several places: what is there is a beginning of the file, and loading again
/// completes it.
#[test]
fn a_load_that_is_killed_has_lost_nothing_of_what_it_had_done() {
    let dir = TempDir::new().unwrap();
    let mut pairs = String::new();
    for key in 100_000..180_000 {
        writeln!(pairs, "{key}\t{}", "v".repeat(50)).unwrap();
    }
    for (life, part) in [10, 40, 75, 99].into_iter().enumerate() {
        let store = dir.path().join(life.to_string());
        let mut command = quipu("load", &store);
        let piped = command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        // The pipe holds 64 KiB, so nearly all of this was read when it is killed.
        let part = &pairs.as_bytes()[..pairs.len() * part / 100];
        child.stdin.as_mut().unwrap().write_all(part).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let found = report(&mut quipu("export", &store), b"");
        assert!(pairs.starts_with(&found), "no beginning of the file");
        // Batches are of 1 MiB: one is being filled, one is on its way, and a chunk is in the pipe.
        assert!(found.len() + (4 << 20) > part.len());
        report(&mut quipu("load", &store), pairs.as_bytes());
        assert!(report(&mut quipu("export", &store), b"") == pairs);
    }
}

#[test]
fn keyspaces_are_worked_on_by_name() {
    let dir = TempDir::new().unwrap();
    report(
        quipu("load", dir.path()).args(["--keyspace", "users"]),
        b"ada\t1815\n",
    );
    let shell = &mut quipu("shell", dir.path());
    assert_eq!(report(shell, b"get ada\nput ada default\n"), "(none)\nok\n");
    let shell = &mut quipu("shell", dir.path());
    shell.args(["--keyspace", "users", "--strategy", "tiered"]);
    assert_eq!(report(shell, b"compact\nget ada\n"), "ok\n1815\n");
    let export = &mut quipu("export", dir.path());
    assert_eq!(
        report(export.args(["--keyspace", "users"]), b""),
        "ada\t1815\n"
    );
    let export = &mut quipu("export", dir.path());
    assert_eq!(
        error(export.args(["--keyspace", "user"]), b""),
        format!(
            "error: {} has no keyspace \"user\": name one of default, users",
            dir.path().display()
        )
    );
}

#[test]
fn nothing_is_begun_where_a_store_is_only_read() {
    let dir = TempDir::new().unwrap();
    let (missing, empty) = (dir.path().join("missing"), dir.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    for command in ["export", "stats"] {
        assert_eq!(
            error(&mut quipu(command, &missing), b""),
            format!(
                "error: {} does not exist: name the directory that holds the store",
                missing.display()
            )
        );
        assert!(!missing.exists());
        assert_eq!(
            error(&mut quipu(command, &empty), b""),
            format!(
                "error: {} holds no store: name the directory that a program or \"quipu load\" \
                 has filled",
                empty.display()
            )
        );
        assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    }
    // Nor where there is nothing to load.
    let file = dir.path().join("file");
    assert_eq!(
        error(quipu("load", &missing).arg(&file), b""),
        format!(
            "error: {} does not exist: name a file with pairs",
            file.display()
        )
    );
    assert_eq!(
        error(quipu("load", &missing).arg(dir.path()), b""),
        format!(
            "error: {} is a directory: name a file with pairs",
            dir.path().display()
        )
    );
    assert!(!missing.exists());
}

#[test]
fn directories_that_hold_something_else_are_left_alone() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a store").unwrap();
    let shown = dir.path().display();
    for command in ["shell", "load", "export", "stats"] {
        assert_eq!(
            error(&mut quipu(command, &file), b""),
            format!(
                "error: {shown}/file is not a directory: name the directory that holds the store"
            )
        );
    }
    for command in ["shell", "load"] {
        assert_eq!(
            error(&mut quipu(command, dir.path()), b""),
            format!(
                "error: {shown} holds other files and no store: name a store, or a new directory"
            )
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_store_that_is_open_elsewhere_is_locked() {
    let dir = TempDir::new().unwrap();
    let mut talk = Talk::begin(dir.path());
    assert_eq!(talk.ask("put k v"), "ok");
    for command in ["shell", "load", "export", "stats"] {
        assert_eq!(
            error(&mut quipu(command, dir.path()), b""),
            format!(
                "error: {} is locked: the store is open elsewhere, close it there first",
                dir.path().display()
            )
        );
    }
    assert_eq!(talk.ask("get k"), "v");
    talk.kill();
}

#[test]
fn a_directory_that_may_not_be_written_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::create_dir(dir.path().join("probe")).is_ok() {
        return; // The superuser may write anywhere.
    }
    let line = error(&mut quipu("load", &dir.path().join("store")), b"k\tv\n");
    assert!(line.contains("run this as a user who may write"), "{line}");
}

#[test]
fn damage_is_an_error_with_its_file() {
    let dir = TempDir::new().unwrap();
    report(&mut quipu("shell", dir.path()), b"fill 1 100000\nflush\n");
    let tables = dir.path().join("tables");
    let table = fs::read_dir(&tables)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let intact = fs::read(&table).unwrap();
    let mut damaged = intact.clone();
    damaged[intact.len() / 2] ^= 0xff;
    fs::write(&table, damaged).unwrap();
    let expected = format!("error: {} is corrupt at offset ", table.display());
    assert!(error(&mut quipu("export", dir.path()), b"").starts_with(&expected));
    // The shell shows what it can.
    let output = run(&mut quipu("shell", dir.path()), b"scan\nget 1\n");
    let answers = text(&output.stdout);
    let mut last = answers.lines().rev();
    assert_eq!(last.next(), Some("value1"));
    assert!(last.next().unwrap().starts_with(&expected), "{answers}");
    fs::remove_file(&table).unwrap();
    assert_eq!(
        error(&mut quipu("stats", dir.path()), b""),
        format!(
            "error: {} is missing: restore the file from a copy",
            table.display()
        )
    );
}

#[test]
fn a_closed_pipe_ends_a_report_quietly() {
    let dir = TempDir::new().unwrap();
    report(&mut quipu("shell", dir.path()), b"fill 1 100000\n");
    for (command, input) in [
        ("export", &b""[..]),
        ("stats", b""),
        ("shell", b"scan\nscan\n"),
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = quipu(command, dir.path());
        let piped = command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.stdout(writer).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        assert_eq!(text(&output.stderr), "");
        assert_eq!(output.status.code(), Some(1), "the report was not given");
    }
}

#[test]
fn arguments_that_make_no_sense_are_told_from_failures() {
    for args in [
        &["shell"][..],
        &["load"],
        &["load", "a", "b", "c"],
        &["load", "a", "--strategy", "none"],
        &["export"],
        &["stats", ".", "--yaml"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
        let output = run(command.args(args), b"");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}
