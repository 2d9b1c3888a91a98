//! [`Oracle`] and [`Violation`]: a rule, and how it was broken.

use std::fmt;

/// A rule that must hold of every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oracle {
    /// Its short name. A failure is shrunk for as long as the same oracle fails.
    pub id: &'static str,
    /// What it says, in a few words.
    pub rule: &'static str,
}

/// A run in which an oracle was not satisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub oracle: Oracle,
    /// What was found instead.
    pub text: String,
}

/// What an oracle says.
pub type Verdict<T = ()> = Result<T, Violation>;

/// The run never ends: nothing can go on, or it goes round in circles.
pub const PROGRESS: Oracle = Oracle {
    id: "progress",
    rule: "whatever was begun comes to an end",
};

/// A panic came out of the code under test.
pub const NO_PANIC: Oracle = Oracle {
    id: "panic",
    rule: "nothing panics",
};

/// The same choices gave another run.
pub const DETERMINISM: Oracle = Oracle {
    id: "16",
    rule: "the same operations and choices give the same bytes",
};

impl Oracle {
    /// The verdict that it was broken.
    pub fn broken<T>(self, text: impl Into<String>) -> Verdict<T> {
        Err(Violation {
            oracle: self,
            text: text.into(),
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Oracle { id, rule } = self.oracle;
        write!(f, "oracle {id} ({rule}): {}", self.text)
    }
}

impl std::error::Error for Violation {}
