//! [`Failure`]: why a command did not succeed.

use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Each of these is wrong; as text, one line that says what to do.
    Findings(Vec<quipu_journal::Error>),
    /// One line that says what to do.
    Text(String),
    /// Standard output took no more.
    Output(io::Error),
}

impl Failure {
    /// Success if nothing was found, or else this failure.
    pub(crate) fn unless_empty(findings: Vec<quipu_journal::Error>) -> Result<(), Failure> {
        match findings.as_slice() {
            [] => Ok(()),
            _ => Err(Failure::Findings(findings)),
        }
    }

    /// Says on stderr what is wrong.
    pub(crate) fn print(&self) {
        match self {
            Failure::Findings(findings) => findings.iter().for_each(|finding| say(finding)),
            // The reader has gone, as `head` does: it has what it wanted.
            Failure::Output(cause) if cause.kind() == ErrorKind::BrokenPipe => {}
            Failure::Text(_) | Failure::Output(_) => say(self),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Findings(findings) => {
                let texts: Vec<_> = findings.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join("; "))
            }
            Failure::Text(text) => f.write_str(text),
            Failure::Output(cause) => write!(
                f,
                "the report could not be written: {cause}; make room, or write it elsewhere"
            ),
        }
    }
}

/// Only reports are written through `std::io` here; the disk's errors arrive as the journal's.
impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Failure {
        Failure::Output(cause)
    }
}

impl From<quipu_journal::Error> for Failure {
    fn from(error: quipu_journal::Error) -> Failure {
        Failure::Findings(vec![error])
    }
}

impl From<quipu_kv::Error> for Failure {
    fn from(error: quipu_kv::Error) -> Failure {
        Failure::Text(error.to_string())
    }
}

fn say(line: &dyn fmt::Display) {
    // When stderr is closed too, the exit code has to do.
    let _ = writeln!(io::stderr(), "error: {line}");
}
