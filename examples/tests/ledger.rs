//! The ledger's promises: no money is lost or made, nobody overdraws, every payment is decided
//! once; and the program keeps them when it is killed, and says what is wrong in one line.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "it damages files on the real disk, and a failure in a helper is the test's"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;
use quipu_examples::ledger::{BANK, Edit, Ledger, Payment, Receipt, Refusal};
use quipu_io::DiskIo;
use quipu_journal::{Journal, Options, Replayable};
use tempfile::TempDir;

const PAYMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/payments.csv");
const PAIRS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/payments.tsv");
const ROWS: u64 = 12_000;

fn payment(id: u64, from: &str, to: &str, amount_cents: u64) -> Payment {
    Payment {
        id,
        date: "2025-01-01".into(),
        from: from.into(),
        to: to.into(),
        amount_cents,
    }
}

fn apply_all(edits: impl IntoIterator<Item = Edit>) -> Ledger {
    let mut ledger = Ledger::initial();
    for edit in edits {
        let _ = ledger.apply(edit);
    }
    ledger
}

// The machine.

#[test]
fn an_overdraft_is_refused_and_moves_nothing() {
    let mut ledger = Ledger::initial();
    let receipt = ledger.apply(payment(1, BANK, "ada", 100).into());
    let both = |from_cents, to_cents| Receipt {
        from_cents,
        to_cents,
    };
    assert_eq!(receipt, Ok(both(-100, 100)));
    let refused = ledger.apply(payment(2, "ada", "ben", 101).into());
    assert_eq!(
        refused,
        Err(Refusal::Overdraft {
            available_cents: 100
        })
    );
    assert_eq!((ledger.balance("ada"), ledger.balance("ben")), (100, 0));
    assert_eq!(
        ledger.apply(payment(3, "ada", "ben", 100).into()),
        Ok(both(0, 100))
    );
}

#[test]
fn a_payment_is_decided_once_whether_it_was_paid_or_refused() {
    let mut ledger = Ledger::initial();
    let (paid, refused) = (payment(1, BANK, "ada", 5), payment(2, "ben", "ada", 5));
    ledger.apply(paid.clone().into()).unwrap();
    ledger.apply(refused.clone().into()).unwrap_err();
    ledger.apply(payment(3, BANK, "ben", 100).into()).unwrap();
    let before = ledger.clone();
    for known in [paid, refused] {
        assert_eq!(ledger.apply(known.into()), Err(Refusal::AlreadyKnown));
    }
    assert_eq!(ledger, before);
}

#[test]
fn payments_that_no_balance_can_hold_and_payments_to_oneself_are_refused() {
    let mut ledger = Ledger::initial();
    let largest = i64::MAX.unsigned_abs();
    assert!(
        ledger
            .apply(payment(1, BANK, "ada", largest).into())
            .is_ok()
    );
    let more = ledger.apply(payment(2, BANK, "ada", 1).into());
    assert_eq!(more, Err(Refusal::TooLarge));
    let itself = ledger.apply(payment(3, "ada", "ada", 1).into());
    assert_eq!(itself, Err(Refusal::ToItself));
    assert_eq!(ledger.held(), i128::from(largest));
}

/// Payments between few accounts, the bank among them, with small, large and enormous amounts, and
/// ids that repeat and go back.
fn payments() -> impl Strategy<Value = Vec<Payment>> {
    let account = || prop::sample::select(vec![BANK, "ada", "ben", "eva"]);
    let amount = prop_oneof![4 => 0..1000u64, 1 => any::<u64>(), 1 => Just(i64::MAX as u64)];
    let one = (1..60u64, account(), account(), amount)
        .prop_map(|(id, from, to, amount)| payment(id, from, to, amount));
    prop::collection::vec(one, 0..60)
}

proptest! {
    #[test]
    fn money_is_conserved_and_ids_are_decided_once(payments in payments()) {
        let mut ledger = Ledger::initial();
        let mut decided = 0;
        for payment in payments {
            let id = payment.id;
            let before = ledger.clone();
            let answer = ledger.apply(payment.into());
            prop_assert_eq!(answer == Err(Refusal::AlreadyKnown), id <= decided);
            decided = decided.max(id);
            prop_assert_eq!(ledger.held(), ledger.paid_out());
            prop_assert!(ledger.accounts().all(|(_, cents)| cents >= 0));
            if answer.is_err() {
                prop_assert!(ledger.accounts().eq(before.accounts()));
            }
        }
    }

    #[test]
    fn a_snapshot_stands_for_the_state(payments in payments()) {
        let ledger = apply_all(payments.into_iter().map(Edit::from));
        prop_assert_eq!(&apply_all([ledger.snapshot()]), &ledger);
        prop_assert_eq!(&apply_all(ledger.snapshot_parts()), &ledger);
    }
}

#[test]
fn many_accounts_come_back_from_a_snapshot_in_parts() {
    let deposit = |id| Edit::from(payment(id, BANK, &format!("account {id}"), id));
    let expected = apply_all((1..=2500).map(deposit));
    let dir = TempDir::new().unwrap();
    smol::block_on(async {
        let io = DiskIo::new().unwrap();
        let open = || Journal::<Ledger>::open(io.clone(), dir.path(), Options::default());
        let journal = open().await.unwrap();
        let receipts = journal.append_batch((1..=2500).map(deposit)).await.unwrap();
        assert!(receipts.iter().all(Result::is_ok));
        journal.snapshot().await.unwrap();
        journal.close().await.unwrap();

        let journal = open().await.unwrap();
        let loaded = journal.recovered().snapshot.unwrap();
        // The first holds no account; 2500 and the bank fill three.
        assert_eq!((loaded.seq.get(), loaded.parts), (2500, 4));
        assert_eq!(journal.recovered().edits, 0);
        assert!(journal.read(|ledger| *ledger == expected));
    });
}

// The program.

/// A program of this package. `cargo test -p quipu-examples` builds all of them beside this test, and
/// `--test ledger` alone builds none: it would run what an earlier command has left there.
fn program(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let built = test.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(
        built.exists(),
        "run `cargo test -p quipu-examples`, which builds {name}"
    );
    Command::new(built)
}

fn ledger(csv: impl AsRef<Path>, dir: impl AsRef<Path>) -> Command {
    let mut command = program("ledger");
    command.arg(csv.as_ref()).arg(dir.as_ref());
    command
}

/// How many rows were paid, refused and already known, and the lines about balances.
fn finished(output: &Output) -> ([u64; 3], String) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let start = text.find("the largest balances:").unwrap();
    let counts = text[..start].lines().last().unwrap();
    let counts: Vec<u64> = counts
        .split([' ', ','])
        .filter_map(|word| word.parse().ok())
        .collect();
    (counts.try_into().unwrap(), text[start..].to_owned())
}

/// Runs the program until it has printed `lines` lines, and kills it.
fn kill_after(lines: usize, dir: &Path) {
    let mut child = ledger(PAYMENTS, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(
        stdout.lines().take(lines).map_while(Result::ok).count(),
        lines
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Wherever it is killed, what it called durable is known to the next run, and the balances come to
/// those of a run that nobody killed.
#[test]
fn a_killed_run_is_finished_by_the_next_without_paying_twice() {
    let dir = TempDir::new().unwrap();
    let ([paid, refused, known], expected) =
        finished(&ledger(PAYMENTS, dir.path().join("calm")).output().unwrap());
    assert_eq!((paid + refused, known), (ROWS, 0));
    assert!(
        paid > ROWS / 2 && refused > ROWS / 10,
        "{paid} paid, {refused} refused"
    );

    for progress in [0, 1, 2, 5, 11] {
        let dir = dir.path().join(format!("killed after {progress}"));
        kill_after(1 + progress, &dir);
        let ([paid, refused, known], balances) =
            finished(&ledger(PAYMENTS, &dir).output().unwrap());
        assert_eq!(paid + refused + known, ROWS);
        assert!(
            known >= 1000 * progress as u64,
            "{known} known after {progress} lines"
        );
        assert_eq!(balances, expected, "killed after {progress} lines");
    }
}

/// The same, killed again and again in one directory.
#[test]
fn a_run_that_is_killed_many_times_gets_to_the_end() {
    let dir = TempDir::new().unwrap();
    let (_, expected) = finished(&ledger(PAYMENTS, dir.path().join("calm")).output().unwrap());
    let dir = dir.path().join("killed");
    for progress in [1, 0, 3, 6, 6, 9] {
        kill_after(1 + progress, &dir);
    }
    let ([.., known], balances) = finished(&ledger(PAYMENTS, &dir).output().unwrap());
    assert!(known >= 9000);
    assert_eq!(balances, expected);
}

#[test]
fn the_committed_payments_are_what_the_generator_prints() {
    for (form, file) in [("rows", PAYMENTS), ("pairs", PAIRS)] {
        let printed = program("generate_payments").arg(form).output().unwrap();
        assert!(printed.status.success());
        assert!(
            printed.stdout == fs::read(file).unwrap(),
            "generate {file} anew"
        );
    }
}

/// The programs that the README shows are those that are built and run.
#[test]
fn the_readme_shows_the_store_and_the_counter() {
    for program in [
        include_str!("../kv_basic.rs"),
        include_str!("../counter.rs"),
    ] {
        let shown = &program[program.find("use quipu_io").unwrap()..];
        assert!(include_str!("../../README.md").contains(shown));
    }
}

#[test]
fn the_counter_goes_on_where_it_stopped() {
    let dir = TempDir::new().unwrap();
    for count in 1..=3 {
        let output = program("counter").arg(dir.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, format!("counted to {count}\n"));
    }
}

// What can be wrong.

/// The one line that the program ends with, which has to hold all of `parts`.
fn fails_with(command: &mut Command, parts: &[&str]) {
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.starts_with("error: ") && error.lines().count() == 1,
        "{error}"
    );
    for part in parts {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

/// A directory with files of payments: `[(name, rows)]`.
fn files(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, rows) in files {
        let text = format!("id,date,from,to,amount_cents\n{rows}");
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[test]
fn a_bad_file_of_payments_is_named_and_nothing_is_paid() {
    let dir = files(&[
        ("amount.csv", "1,d,bank,ada,5\n2,d,bank,ada,-5\n"),
        ("short.csv", "1,d,bank,ada,5\n2,d,bank,ada\n"),
        ("order.csv", "2,d,bank,ada,5\n1,d,bank,ada,5\n"),
    ]);
    let journal = dir.path().join("journal");
    let cases: [(&str, &[&str]); 5] = [
        ("missing.csv", &["missing.csv", "No such file"]),
        (".", &["directory"]),
        ("amount.csv", &["amount.csv", "line: 3", "invalid digit"]),
        ("short.csv", &["short.csv", "line: 3", "4 fields"]),
        ("order.csv", &["order.csv", "id 1 comes after id 2"]),
    ];
    for (name, parts) in cases {
        fails_with(&mut ledger(dir.path().join(name), &journal), parts);
        assert!(!journal.exists(), "{name} has begun a journal");
    }
    fails_with(ledger("a", "b").arg("c"), &["usage: ledger [CSV] [DIR]"]);
}

#[test]
fn a_second_run_at_the_same_time_is_told_that_the_journal_is_open() {
    let dir = files(&[("one.csv", "1,d,bank,ada,5\n")]);
    let path = dir.path().join("journal");
    smol::block_on(async {
        let io = DiskIo::new().unwrap();
        let journal = Journal::<Ledger>::open(io, &path, Options::default())
            .await
            .unwrap();
        let csv = dir.path().join("one.csv");
        fails_with(&mut ledger(&csv, &path), &["ledger.lock", "open elsewhere"]);
        journal.close().await.unwrap();
        finished(&ledger(&csv, &path).output().unwrap());
    });
}

#[test]
fn a_path_that_cannot_be_a_directory_is_named() {
    let dir = files(&[("one.csv", "1,d,bank,ada,5\n")]);
    let csv = dir.path().join("one.csv");
    fails_with(&mut ledger(&csv, &csv), &["one.csv"]);
    fails_with(&mut ledger(&csv, csv.join("below")), &["one.csv"]);
}

/// The file is named, and left as it is.
#[test]
fn garbage_in_the_journal_is_an_error_and_not_an_empty_ledger() {
    let dir = files(&[("one.csv", "1,d,bank,ada,5\n")]);
    let (csv, path) = (dir.path().join("one.csv"), dir.path().join("journal"));
    finished(&ledger(&csv, &path).output().unwrap());
    let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    let paths = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let log = { paths }.find(is_log).unwrap();
    let sound = fs::read(&log).unwrap();

    let mut garbled = sound.clone();
    garbled[..7].copy_from_slice(b"garbage");
    // The payment is the only place where a name stands; the seal proves that it was durable.
    let mut flipped = sound.clone();
    let name = sound.windows(3).position(|bytes| bytes == b"ada").unwrap();
    flipped[name] ^= 1;
    for (bytes, reason) in [(garbled, "not a file of a journal"), (flipped, "corrupt")] {
        fs::write(&log, &bytes).unwrap();
        fails_with(&mut ledger(&csv, &path), &[".log", reason]);
        assert!(
            fs::read(&log).unwrap() == bytes,
            "{reason}: the file was changed"
        );
    }
    fs::write(&log, &sound).unwrap();
    assert_eq!(
        finished(&ledger(&csv, &path).output().unwrap()).0,
        [0, 0, 1]
    );
}
