//! Every failure that was ever found, replayed from its line in `regressions/`: it passes now.
#![expect(
    clippy::unwrap_used,
    reason = "lines that cannot be replayed fail the test"
)]

use quipu_journal::check::{self, Check, Line, Notes, Program};

fn replay_all<P: Program>(check: &Check<P>, text: &str) {
    let is_line = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let lines: Vec<Line> = text
        .lines()
        .filter(is_line)
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(!lines.is_empty());
    for line in lines {
        let replayed = check.replay(&line).unwrap();
        replayed.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn a_journal_breaks_no_rule_again() {
    let check = check::journal::<Notes>(Notes::edit);
    replay_all(&check, include_str!("../../../../regressions/journal.txt"));
}

#[test]
fn a_log_breaks_no_rule_again() {
    replay_all(
        &check::log(),
        include_str!("../../../../regressions/log.txt"),
    );
}
