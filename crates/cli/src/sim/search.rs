//! [`Search`]: one exploration of those that were asked for, and its [`Report`].

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::time::Duration;

use indicatif::HumanCount;
use quipu_io::sim::Fault;
use quipu_journal::check::tiers::{Effort, Tier};
use quipu_journal::check::{
    Bounds, Check, Drawn, Exploration, Failure, Fired, Plan, Program, Tally,
};

use crate::count::Count;

/// One exploration.
#[derive(Clone, Debug)]
pub(super) enum Search {
    /// All runs within bounds, under this name.
    Counted(&'static str, Bounds),
    /// Runs drawn from these seeds.
    Drawn(Drawn, Range<u64>),
}

impl Search {
    pub(super) fn tier(tier: &Tier, effort: Effort) -> Search {
        Search::Counted(tier.name, tier.bounds(effort))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Search::Counted(name, _) => name,
            Search::Drawn(Drawn { lying_syncs: false }, _) => "sampled",
            Search::Drawn(Drawn { lying_syncs: true }, _) => "lying-syncs",
        }
    }

    /// The plan of all its runs, whatever the operations are.
    pub(super) fn plan<O>(&self) -> Plan<O> {
        match self {
            Search::Counted(_, bounds) => Plan::Counted(*bounds),
            Search::Drawn(drawn, _) => Plan::Drawn(*drawn),
        }
    }

    pub(super) fn runs<P: Program>(&self, check: &Check<P>) -> Exploration<P> {
        match self {
            Search::Counted(..) => check.explore(self.plan()),
            Search::Drawn(drawn, seeds) => check.sample(*drawn, seeds.clone()),
        }
    }

    /// Says what comes, for it may take long.
    pub(super) fn announce<P: Program>(
        &self,
        check: &Check<P>,
        stdout: &mut impl Write,
    ) -> io::Result<()> {
        write!(stdout, "{} {}: ", check.program().name(), self.name())?;
        match self {
            Search::Counted(_, bounds) => {
                let Bounds {
                    ops,
                    crashes,
                    after,
                    sector,
                    large,
                    timed,
                } = *bounds;
                write!(stdout, "up to {}, ", Count(ops.into(), "operation"))?;
                match crashes {
                    1 => write!(stdout, "1 crash")?,
                    _ => write!(stdout, "{crashes} crashes")?,
                }
                if after > 0 {
                    let after = Count(after.into(), "operation");
                    write!(stdout, " with up to {after} between")?;
                }
                write!(
                    stdout,
                    "; edits of up to {large} bytes in sectors of {sector}"
                )?;
                let timed = if timed { "; operations take time" } else { "" };
                writeln!(stdout, "{timed}")?;
            }
            Search::Drawn(_, seeds) => {
                writeln!(
                    stdout,
                    "long runs of the seeds {} to {}",
                    seeds.start,
                    seeds.end - 1
                )?;
            }
        }
        stdout.flush()
    }
}

/// What came of a search.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) workload: &'static str,
    pub(super) tier: &'static str,
    pub(super) plan: String,
    pub(super) tally: Tally,
    pub(super) fired: Fired,
    pub(super) elapsed: Duration,
    pub(super) failure: Option<Failure>,
}

/// A number that may be beyond all others: exact as long as it can be read.
struct Magnitude(f64);

impl fmt::Display for Magnitude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Magnitude(number) = *self;
        match number < 1e7 {
            true => write!(f, "{number:.0}"),
            false => write!(f, "{number:.1e}"),
        }
    }
}

impl Report {
    pub(super) fn per_second(&self) -> f64 {
        self.tally.executions as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    pub(super) fn print(&self, stdout: &mut impl Write) -> io::Result<()> {
        let Tally {
            traces,
            crashes,
            states,
            executions,
        } = self.tally;
        write!(stdout, "  {} traces, ", HumanCount(traces))?;
        // Of a drawn run, only one outcome of each crash is looked at.
        if crashes > 0 {
            write!(stdout, "{} crashes with ", HumanCount(crashes))?;
            write!(stdout, "{} states in ", Magnitude(states))?;
        }
        writeln!(
            stdout,
            "{} executions in {:.1} s ({:.0} a second): {}",
            HumanCount(executions),
            self.elapsed.as_secs_f64(),
            self.per_second(),
            match self.failure {
                None => "no rule broken",
                Some(_) => "BROKEN",
            }
        )?;
        if !self.fired.is_empty() {
            writeln!(
                stdout,
                "  {} of {} kinds of faults struck, {} times in all",
                self.fired.len(),
                Fault::ALL.len(),
                HumanCount(self.fired.values().sum())
            )?;
        }
        stdout.flush()
    }
}
