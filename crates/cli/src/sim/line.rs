//! What `sim --json` prints: one object for each tier, for a failure, for a run that was replayed.
//!
//! The names are an interface: programs read them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quipu_journal::check::{Failure, Fired, Line, Story};
use serde::Serialize;

use super::search::Report;

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Object<'a> {
    Tier {
        workload: &'a str,
        tier: &'a str,
        plan: &'a str,
        traces: u64,
        crashes: u64,
        /// Legal states that the crashes may have left; null if there are too many for a number.
        states: f64,
        executions: u64,
        seconds: f64,
        per_second: f64,
        /// How often each kind of fault has struck.
        faults: BTreeMap<String, u64>,
        violations: u64,
    },
    Failure {
        oracle: &'a str,
        rule: &'a str,
        violation: &'a str,
        /// Absent if the run was replayed.
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        line: Option<String>,
        operations: usize,
        /// Before it was shrunk.
        original_operations: usize,
        /// Runs that shrinking took.
        shrinking: u64,
        story: Lives<'a>,
    },
    Replayed {
        line: String,
        operations: usize,
        story: Lives<'a>,
    },
}

/// What happened.
#[derive(Debug, Serialize)]
struct Lives<'a> {
    setting: &'a str,
    sector: u32,
    lives: Vec<Life<'a>>,
}

#[derive(Debug, Serialize)]
struct Life<'a> {
    /// The kind of crash before it; null for the first.
    crash: Option<String>,
    /// What that crash left, in words.
    survived: &'a [String],
    operations: &'a [String],
    /// How often each kind of fault has struck.
    faults: BTreeMap<String, u64>,
    /// Where it was ended by a crash; null if it was not.
    ended: Option<&'a str>,
}

impl<'a> Lives<'a> {
    fn new(story: &'a Story) -> Lives<'a> {
        let lives = story.lives.iter().map(|life| Life {
            crash: life.profile.map(|profile| format!("{profile:?}")),
            survived: &life.survived,
            operations: &life.ops,
            faults: counts(&life.faults),
            ended: life.ended.as_deref(),
        });
        Lives {
            setting: &story.setting,
            sector: story.sector,
            lives: lives.collect(),
        }
    }
}

pub(super) fn print_report(stdout: &mut impl Write, report: &Report) -> io::Result<()> {
    let object = Object::Tier {
        workload: report.workload,
        tier: report.tier,
        plan: &report.plan,
        traces: report.tally.traces,
        crashes: report.tally.crashes,
        states: report.tally.states,
        executions: report.tally.executions,
        seconds: report.elapsed.as_secs_f64(),
        per_second: report.per_second(),
        faults: counts(&report.fired),
        violations: report.failure.iter().count() as u64,
    };
    print(stdout, &object)
}

pub(super) fn print_failure(stdout: &mut impl Write, failure: &Failure) -> io::Result<()> {
    let object = Object::Failure {
        oracle: failure.violation.oracle.id,
        rule: failure.violation.oracle.rule,
        violation: &failure.violation.text,
        seed: failure.seed,
        line: failure.line.as_ref().map(ToString::to_string),
        operations: failure.story.operations(),
        original_operations: failure.original.operations(),
        shrinking: failure.executions,
        story: Lives::new(&failure.story),
    };
    print(stdout, &object)
}

pub(super) fn print_story(stdout: &mut impl Write, line: &Line, story: &Story) -> io::Result<()> {
    let object = Object::Replayed {
        line: line.to_string(),
        operations: story.operations(),
        story: Lives::new(story),
    };
    print(stdout, &object)
}

fn counts(fired: &Fired) -> BTreeMap<String, u64> {
    let counts = fired.iter();
    counts
        .map(|(fault, count)| (fault.to_string(), *count))
        .collect()
}

fn print(stdout: &mut impl Write, object: &Object<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *stdout, object)?;
    writeln!(stdout)?;
    // The next one may take long.
    stdout.flush()
}
