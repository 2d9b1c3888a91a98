//! [`Finding`], a run that failed, and [`Failure`], the same shrunk and told.

use std::fmt;
use std::str::FromStr;

use quipu_io::sim::{Lanes, Tape};

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
    choices: Lanes,
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

/// One run, as text: `WORKLOAD PLAN CHOICES`, the choices as [`Lanes`] have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The name of the workload.
    pub workload: String,
    /// The plan.
    pub plan: String,
    /// The decisions of the tape.
    pub choices: Lanes,
}

impl<P: Program> Finding<P> {
    pub(super) fn new(case: &Case<P>, tape: &Tape, violation: Violation) -> Finding<P> {
        Finding {
            case: case.clone(),
            choices: tape.lanes(),
            violation,
            seed: None,
        }
    }

    /// Makes the run as small as so many further runs can, while the same oracle fails.
    pub fn shrink(self, executions: u64) -> Failure {
        let (_, original) = self.case.tell(Tape::repeat(self.choices.clone()));
        let mut shrinking =
            Shrinking::new(&self.case, self.choices, self.violation.oracle, executions);
        shrinking.run();
        let (choices, executions) = (shrinking.choices, shrinking.executions);
        let (ended, story) = self.case.tell(Tape::repeat(choices.clone()));
        let line = match self.case.plan {
            Plan::Scripted { .. } => None,
            _ => Some(Line {
                workload: self.case.program.name().to_owned(),
                plan: self.case.plan.to_string(),
                choices,
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
        write!(f, "{}, choices {}", self.violation, self.choices)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.workload, self.plan, self.choices)
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Line, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [workload, plan, choices] = words.as_slice() else {
            return Err(format!("{text:?} is not of the form WORKLOAD PLAN CHOICES"));
        };
        Ok(Line {
            workload: (*workload).to_owned(),
            plan: (*plan).to_owned(),
            choices: choices.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_from_its_text() {
        for text in ["journal counted:4:1:0:512 w1.0.22,c1", "log drawn -"] {
            let line: Line = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
        }
        for text in ["", "journal drawn", "journal drawn w1.x", "a b c d"] {
            text.parse::<Line>().unwrap_err();
        }
    }
}
