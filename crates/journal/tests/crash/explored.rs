//! The two tiers of the explorer, bounded so that they fit a test run.

use quipu_journal::check::{self, Bounds, Check, Drawn, Notes, Plan, Program};

fn notes() -> Check<check::JournalProgram<Notes>> {
    check::journal::<Notes>(Notes::edit)
}

/// All sequences within the bounds.
fn explore<P: Program>(check: &Check<P>, ops: u32, crashes: u32, sector: u32) {
    let plan = Plan::Counted(Bounds {
        ops,
        crashes,
        sector,
        ..Bounds::default()
    });
    let tally = check.finish(plan);
    let tally = tally.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(tally.executions > tally.crashes && tally.crashes > tally.traces);
}

#[test]
fn every_short_life_of_a_journal() {
    explore(&notes(), 2, 1, 512);
    explore(&notes(), 2, 1, 4096);
}

#[test]
fn every_short_life_of_a_log() {
    explore(&check::log(), 2, 1, 512);
    explore(&check::log(), 2, 1, 4096);
}

#[test]
fn every_crash_in_the_recovery_of_a_journal() {
    explore(&notes(), 1, 2, 512);
}

#[test]
fn every_crash_in_the_recovery_of_a_log() {
    explore(&check::log(), 1, 2, 512);
}

/// The number in an environment variable.
pub(crate) fn variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

fn sample<P: Program>(check: &Check<P>, default: u64) {
    let first = variable("QUIPU_SEED", 0);
    let seeds = first..first + variable("QUIPU_SEEDS", default);
    let tally = check.sampled(seeds);
    tally.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn random_lives_of_a_journal() {
    sample(&notes(), 1000);
}

#[test]
fn random_lives_of_a_log() {
    sample(&check::log(), 1000);
}

/// The negative control: a disk whose syncs do nothing must not pass.
#[test]
fn lying_syncs_are_noticed() {
    let lying = Drawn { lying_syncs: true };
    let found = notes().sample(lying, 0..200).finish().unwrap_err();
    let failure = found.shrink(2000);
    assert!(
        ["2", "9", "10", "12"].contains(&failure.violation.oracle.id),
        "{failure}"
    );
    assert!(failure.story.operations() <= 2, "{failure}");
    let mut survived = failure.story.lives.iter().map(|life| &life.survived);
    assert!(survived.next().is_some_and(Vec::is_empty), "{failure}");
    // The closing line and what the disk has lost.
    assert!(survived.any(|lines| lines.len() > 1), "{failure}");
    let found = check::log().sample(lying, 0..200).finish();
    found.unwrap_err();
}

/// A failure is replayed by its line.
#[test]
fn a_line_replays_a_failure() {
    let lying = Drawn { lying_syncs: true };
    let failure = notes()
        .sample(lying, 0..200)
        .finish()
        .unwrap_err()
        .shrink(500);
    let line = failure.line.clone().unwrap().to_string();
    let replayed = notes().replay(&line.parse().unwrap()).unwrap().unwrap_err();
    assert_eq!(replayed.violation, failure.violation);
    assert_eq!(replayed.story.to_string(), failure.story.to_string());
}
