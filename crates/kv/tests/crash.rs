//! The two tiers of the explorer for the manifest, bounded so that they fit a test run.
//!
//! `QUIPU_SEEDS=N` draws N lives instead of the few of the default, and `QUIPU_SEED=S` begins with
//! seed S.
#![expect(clippy::unwrap_used, reason = "a number that is none fails the test")]

use quipu_journal::check::tiers::Effort;
use quipu_journal::check::{Drawn, Line, Plan};
use quipu_kv::check::{MANIFEST, manifest};

/// The quick part of the tier with this name.
fn explore(name: &str) {
    let tier = MANIFEST.iter().find(|tier| tier.name == name).unwrap();
    let tally = manifest().finish(Plan::Counted(tier.bounds(Effort::Quick)));
    let tally = tally.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(tally.executions > tally.crashes && tally.crashes > tally.traces);
}

#[test]
fn every_short_life() {
    explore("once-512");
    explore("once-4096");
}

#[test]
fn every_short_life_that_takes_time() {
    explore("timed-512");
}

#[test]
fn every_crash_in_a_recovery() {
    explore("twice-512");
}

#[test]
fn every_crash_behind_a_recovery() {
    explore("between-512");
}

/// The number in an environment variable.
fn variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

#[test]
fn random_lives() {
    let first = variable("QUIPU_SEED", 0);
    let seeds = first..first + variable("QUIPU_SEEDS", 1000);
    let tally = manifest().sampled(seeds);
    tally.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The negative control: a disk whose syncs do nothing must not pass, and a line replays what was
/// found.
#[test]
fn lying_syncs_are_noticed() {
    let lying = Drawn { lying_syncs: true };
    let found = manifest().sample(lying, 0..200).finish().unwrap_err();
    let failure = found.shrink(2000);
    let expected = ["M1", "M4", "M5", "2", "9", "10", "12"];
    assert!(expected.contains(&failure.violation.oracle.id), "{failure}");
    assert!(failure.story.operations() <= 2, "{failure}");
    let line = failure.line.clone().unwrap().to_string();
    let replayed = manifest().replay(&line.parse().unwrap()).unwrap();
    assert_eq!(replayed.unwrap_err().violation, failure.violation);
}

/// Every failure that was ever found, replayed from its line: it passes now.
#[test]
fn no_rule_is_broken_again() {
    let text = include_str!("../../../regressions/manifest.txt");
    let is_line = |line: &&str| !line.is_empty() && !line.starts_with('#');
    for line in text.lines().filter(is_line) {
        let line: Line = line.parse().unwrap();
        let replayed = manifest().replay(&line).unwrap();
        replayed.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
