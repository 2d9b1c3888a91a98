//! `quipu sim` as its users run it: the program itself.
//!
//! Invariants: the exit code is 1 exactly where a rule is broken, and 2 where the arguments make no
//! sense; a failure is given as one line that replays it; the same arguments give the same report.
#![expect(clippy::unwrap_used, reason = "its helpers are tests too")]

use std::process::{Command, Output};

use quipu_journal::check::tiers::LOG;
use serde_json::Value;

fn sim(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
    command.arg("sim").args(args).output().unwrap()
}

/// Standard output of a run that ends with this exit code.
#[track_caller]
fn report(args: &[&str], code: i32) -> String {
    let output = sim(args);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    if code == 0 {
        assert_eq!(errors, "", "{args:?}");
    } else {
        assert!(errors.starts_with("error: "), "{args:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
    }
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// A failure on a disk whose syncs do nothing, and the line that replays it.
fn failure(workload: &str) -> (Value, String) {
    let args = ["--lying-syncs", "--json", "--workload", workload];
    let mut lines = objects(&report(&args, 1));
    let failure = lines.pop().unwrap();
    let line = failure["line"].as_str().unwrap().to_owned();
    (failure, line)
}

#[test]
fn the_help_says_all_there_is() {
    assert_eq!(report(&["-h"], 0), include_str!("sim.txt"));
}

#[test]
fn runs_of_seeds_are_counted() {
    let shown = report(&["--seed", "5", "--seeds", "20"], 0);
    for workload in ["journal", "log", "manifest", "store"] {
        let heading = format!("{workload} sampled: long runs of the seeds 5 to 24\n");
        assert!(shown.contains(&heading), "{shown}");
    }
    assert_eq!(shown.matches("  20 traces, 20 executions in ").count(), 4);
    assert_eq!(shown.matches(" kinds of faults struck, ").count(), 4);
    assert_eq!(shown.matches(": no rule broken\n").count(), 4);
}

#[test]
fn json_has_an_object_for_each_tier() {
    let lines = objects(&report(&["--seeds", "10", "--json"], 0));
    assert_eq!(lines.len(), 4);
    for (line, workload) in lines.iter().zip(["journal", "log", "manifest", "store"]) {
        assert_eq!(
            keys(line),
            [
                "crashes",
                "executions",
                "faults",
                "kind",
                "per_second",
                "plan",
                "seconds",
                "states",
                "tier",
                "traces",
                "violations",
                "workload",
            ]
        );
        assert_eq!(line["kind"], "tier");
        assert_eq!(line["workload"], workload);
        assert_eq!(line["tier"], "sampled");
        assert_eq!(line["plan"], "drawn");
        assert_eq!(line["executions"], 10);
        assert_eq!(line["violations"], 0);
    }
}

/// Without options it is both tiers of all workloads, and it says that there is more.
#[test]
fn a_short_mix_is_the_default() {
    let shown = report(&["--workload", "log"], 0);
    let tiers: Vec<_> = shown
        .lines()
        .filter(|line| line.starts_with("log "))
        .collect();
    assert_eq!(tiers.len(), LOG.len() + 1, "{shown}");
    assert!(
        shown.contains("log once-512: up to 3 operations, 1 crash; "),
        "{shown}"
    );
    assert!(shown.contains("log sampled: "), "{shown}");
    assert!(
        shown.ends_with("\"quipu sim --exhaustive\" goes through far more.\n"),
        "{shown}"
    );
}

#[test]
fn a_failure_is_told_and_its_line_replays_it() {
    for workload in ["journal", "log", "manifest", "store"] {
        let (failure, line) = failure(workload);
        assert_eq!(failure["kind"], "failure");
        assert!(
            line.starts_with(&format!("{workload} drawn:lying ")),
            "{line}"
        );

        let again = objects(&report(&["--tape", &line, "--json"], 1));
        assert_eq!(again.len(), 1);
        for same in ["oracle", "rule", "violation", "line", "story", "operations"] {
            assert_eq!(again[0][same], failure[same], "{same}");
        }

        let account = report(&["--tape", &line], 1);
        let rule = failure["rule"].as_str().unwrap();
        let command = format!("\n  quipu sim --tape \"{line}\"\n");
        for part in [rule, "\n  life 1: open", "\n  life 2: open", &command] {
            assert!(account.contains(part), "{part}: {account}");
        }
        let ended = failure["story"]["lives"][0]["ended"].as_str().unwrap();
        assert!(account.contains(ended), "{account}");
    }
}

#[test]
fn a_failure_is_reported_with_its_seed_and_how_far_it_was_shrunk() {
    let account = report(&["--lying-syncs", "--workload", "journal"], 1);
    for part in [
        ": BROKEN\n",
        "\nMade as small as possible in ",
        "\nFound with seed ",
    ] {
        assert!(account.contains(part), "{part}: {account}");
    }
    // Nothing can be mended about a disk that lies.
    assert!(!account.contains("regressions/"), "{account}");
}

#[test]
fn a_line_that_breaks_no_rule_is_a_success() {
    let shown = report(&["--tape", "journal counted:3:1:0:512 w0.1.2"], 0);
    assert!(
        shown.starts_with("No rule is broken by this run:\n"),
        "{shown}"
    );
    let lines = objects(&report(&["--tape", "log drawn -", "--json"], 0));
    assert_eq!(keys(&lines[0]), ["kind", "line", "operations", "story"]);
    assert_eq!(lines[0]["line"], "log drawn -");
}

#[test]
fn arguments_that_make_no_sense_say_what_would() {
    let cases: [(&[&str], &str); 9] = [
        (&["--seeds", "0"], "'--seeds <K>': 0 is not in 1.."),
        (&["--seeds", "-1"], "'-1'"),
        (&["--workload", "kv"], "'kv' for '--workload <WORKLOAD>'"),
        (&["--long"], "--exhaustive"),
        (
            &["--tape", "journal"],
            "is not of the form WORKLOAD PLAN CHOICES",
        ),
        (
            &["--tape", "kv drawn -"],
            "\"kv\" is no workload: name one of journal, log, manifest",
        ),
        (
            &["--tape", "log drwan -"],
            "\"drwan\" is no plan: \"drawn\" is one",
        ),
        (
            &["--tape", "log drawn w1.x"],
            "\"w1.x\" is no lane of digits",
        ),
        (
            &["--tape", "log drawn w1", "--seeds", "2"],
            "cannot be used with",
        ),
    ];
    for (args, reason) in cases {
        let output = sim(args);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(errors.starts_with("error: "), "{args:?}: {errors}");
        assert!(errors.contains(reason), "{args:?}: {errors}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}
