//! The two tiers of the explorer for the manifest and the store, bounded so that they fit a test run.
//!
//! `QUIPU_SEEDS=N` draws N lives instead of the few of the default, and `QUIPU_SEED=S` begins with
//! seed S.
#![expect(clippy::unwrap_used, reason = "a number that is none fails the test")]

use quipu_journal::check::tiers::{Effort, Tier};
use quipu_journal::check::{Check, Drawn, Line, Plan, Program};
use quipu_kv::check::store::scripts;
use quipu_kv::check::{MANIFEST, STORE, manifest, store};

/// The quick part of the tier with this name.
fn explore(name: &str) {
    explore_tier(&manifest(), &MANIFEST, name);
}

fn explore_tier<P: Program>(check: &Check<P>, tiers: &[Tier], name: &str) {
    let tier = tiers.iter().find(|tier| tier.name == name).unwrap();
    let tally = check.finish(Plan::Counted(tier.bounds(Effort::Quick)));
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
    sample(&manifest(), 1000);
}

fn sample<P: Program>(check: &Check<P>, seeds: u64) {
    let first = variable("QUIPU_SEED", 0);
    let seeds = first..first + variable("QUIPU_SEEDS", seeds);
    let tally = check.sampled(seeds);
    tally.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_short_life_of_a_store() {
    for tier in &STORE {
        explore_tier(&store(), &STORE, tier.name);
    }
}

#[test]
fn random_lives_of_a_store() {
    sample(&store(), 1500);
}

/// Lives made for one rule, crashed wherever it matters.
#[test]
fn given_lives_of_a_store() {
    for script in scripts() {
        let tally = store().finish(script);
        tally.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// The negative control: a disk whose syncs do nothing must not pass, and a line replays what was
/// found.
#[test]
fn lying_syncs_are_noticed() {
    lies_are_noticed(&manifest(), &["M1", "M4", "M5", "2", "9", "10", "12"]);
}

#[test]
fn lying_syncs_are_noticed_in_a_store() {
    lies_are_noticed(&store(), &["K1", "K2", "9", "12"]);
}

fn lies_are_noticed<P: Program>(check: &Check<P>, expected: &[&str]) {
    let lying = Drawn { lying_syncs: true };
    let found = check.sample(lying, 0..200).finish().unwrap_err();
    let failure = found.shrink(2000);
    assert!(expected.contains(&failure.violation.oracle.id), "{failure}");
    assert!(failure.story.operations() <= 2, "{failure}");
    let line = failure.line.clone().unwrap().to_string();
    let replayed = check.replay(&line.parse().unwrap()).unwrap();
    assert_eq!(replayed.unwrap_err().violation, failure.violation);
}

/// Every failure that was ever found, replayed from its line: it passes now.
#[test]
fn no_rule_is_broken_again() {
    replay(
        &manifest(),
        include_str!("../../../regressions/manifest.txt"),
    );
    replay(&store(), include_str!("../../../regressions/store.txt"));
}

fn replay<P: Program>(check: &Check<P>, lines: &str) {
    let is_line = |line: &&str| !line.is_empty() && !line.starts_with('#');
    for line in lines.lines().filter(is_line) {
        let line: Line = line.parse().unwrap();
        let replayed = check.replay(&line).unwrap();
        replayed.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
