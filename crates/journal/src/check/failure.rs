//! [`Finding`], a run that failed, and [`Failure`], the same shrunk and told.

use std::fmt;
use std::str::FromStr;

use quipu_io::sim::Tape;

use super::case::Case;
use super::plan::Plan;
use super::program::Program;
use super::shrink::Shrinking;
use super::story::Story;
use super::violation::Violation;

/// A run that broke an oracle.
#[derive(Debug)]
pub struct Finding<P: Program> {
    case: Case<P>,
    digits: Vec<u32>,
    /// What was broken.
    pub violation: Violation,
    /// The seed that it was drawn from, if it was.
    pub seed: Option<u64>,
}

/// A failure, as small as it could be made.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was broken.
    pub violation: Violation,
    /// The line that replays it: what to add to `regressions/`. `None` for a script, which its test
    /// replays.
    pub line: Option<Line>,
    /// What happened.
    pub story: Story,
    /// What had happened before it was shrunk.
    pub original: Story,
    /// Runs that shrinking took.
    pub executions: u64,
    /// The seed that it was drawn from, if it was.
    pub seed: Option<u64>,
}

/// One run, as text: `WORKLOAD PLAN DIGITS`, the digits joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The name of the workload.
    pub workload: String,
    /// The plan.
    pub plan: String,
    /// The decisions of the tape.
    pub digits: Vec<u32>,
}

impl<P: Program> Finding<P> {
    pub(super) fn new(case: &Case<P>, tape: &Tape, violation: Violation) -> Finding<P> {
        Finding {
            case: case.clone(),
            digits: values(tape),
            violation,
            seed: None,
        }
    }

    /// Makes the run as small as so many further runs can, while the same oracle fails.
    pub fn shrink(self, executions: u64) -> Failure {
        let (_, original) = self.case.tell(Tape::replay(self.digits.iter().copied()));
        let mut shrinking =
            Shrinking::new(&self.case, self.digits, self.violation.oracle, executions);
        shrinking.run();
        let (digits, executions) = (shrinking.digits, shrinking.executions);
        let (ended, story) = self.case.tell(Tape::replay(digits.iter().copied()));
        let line = match self.case.plan {
            Plan::Scripted { .. } => None,
            _ => Some(Line {
                workload: self.case.program.name().to_owned(),
                plan: self.case.plan.to_string(),
                digits,
            }),
        };
        Failure {
            violation: ended.verdict.err().unwrap_or(self.violation),
            line,
            story,
            original,
            executions,
            seed: self.seed,
        }
    }
}

/// The decisions of a tape, without the zeros at its end.
pub(super) fn values(tape: &Tape) -> Vec<u32> {
    let mut values: Vec<u32> = tape.digits().iter().map(|digit| digit.value).collect();
    let len = values.iter().rposition(|value| *value != 0);
    values.truncate(len.map_or(0, |last| last + 1));
    values
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.violation)?;
        write!(f, "{}", self.story)?;
        if let Some(seed) = self.seed {
            writeln!(f, "  found with seed {seed}")?;
        }
        if let Some(line) = &self.line {
            writeln!(f, "  replay: {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl<P: Program> fmt::Display for Finding<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, digits {:?}", self.violation, self.digits)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: Vec<String> = self.digits.iter().map(u32::to_string).collect();
        let digits = match digits.is_empty() {
            true => "0".to_owned(),
            false => digits.join("."),
        };
        write!(f, "{} {} {digits}", self.workload, self.plan)
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Line, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [workload, plan, digits] = words.as_slice() else {
            return Err(format!("{text:?} is not of the form WORKLOAD PLAN DIGITS"));
        };
        let digits: Result<Vec<u32>, _> = digits.split('.').map(str::parse).collect();
        Ok(Line {
            workload: (*workload).to_owned(),
            plan: (*plan).to_owned(),
            digits: digits.map_err(|error| format!("the digits of {text:?}: {error}"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_from_its_text() {
        for text in ["journal counted:4:1:0:512 1.0.22", "log drawn 0"] {
            let line: Line = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
        }
        for text in ["", "journal drawn", "journal drawn 1.x", "a b c d"] {
            text.parse::<Line>().unwrap_err();
        }
    }
}
