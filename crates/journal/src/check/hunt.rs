//! [`Hunt`]: one planted bug, looked for in both ways.

use std::fmt;

use super::exploration::Exploration;
use super::failure::Failure;
use super::plan::{Drawn, Plan};
use super::planted::Planted;
use super::program::Program;
use super::tiers::{Effort, Tier};
use super::{Check, SHRINKING};

/// Runs per tier that may pass before a bug counts as missed by it.
const MOST: usize = 500_000;

/// Seeds that may pass.
const SEEDS: u64 = 40_000;

/// What the exhaustive tiers and the seeds find of the bug that is switched on.
#[derive(Clone, Debug)]
pub struct Hunt {
    bug: Option<Planted>,
    /// By which tier, and after how many runs.
    counted: Option<(String, Failure, u64)>,
    /// After how many seeds.
    sampled: Option<(Failure, u64)>,
}

impl Hunt {
    /// Looks for what is switched on: this bug, or nothing as a control.
    pub fn new<P: Program>(bug: Option<&Planted>, check: &Check<P>, tiers: &[Tier]) -> Hunt {
        Hunt {
            bug: bug.copied(),
            counted: count(check, tiers),
            sampled: first(check.sample(Drawn::default(), 0..SEEDS), SHRINKING),
        }
    }

    /// Looks for it in given plans, and in so many seeds if they do not find it.
    pub fn brief<P: Program>(
        bug: Option<&Planted>,
        check: &Check<P>,
        plans: &[Plan<P::Op>],
        seeds: u64,
    ) -> Hunt {
        const SHRINKING: u64 = 1000;
        let counted = plans.iter().find_map(|plan| {
            let (failure, runs) = first(check.explore(plan.clone()), SHRINKING)?;
            Some((plan.to_string(), failure, runs))
        });
        let mut hunt = Hunt {
            bug: bug.copied(),
            counted,
            sampled: None,
        };
        if !hunt.is_counted() {
            hunt.sampled = first(check.sample(Drawn::default(), 0..seeds), SHRINKING);
        }
        hunt
    }

    /// Whether one of its oracles saw it first in the exhaustive tiers.
    pub fn is_counted(&self) -> bool {
        let counted = self.counted.as_ref();
        counted.is_some_and(|(_, failure, _)| self.is_named(failure))
    }

    /// Whether one of its oracles saw it first in either way.
    pub fn is_found(&self) -> bool {
        let sampled = self.sampled.as_ref();
        self.is_counted() || sampled.is_some_and(|(failure, _)| self.is_named(failure))
    }

    /// Whether anything was broken at all.
    pub fn is_broken(&self) -> bool {
        self.counted.is_some() || self.sampled.is_some()
    }

    fn is_named(&self, failure: &Failure) -> bool {
        let oracles = self.bug.map_or(&[][..], |bug| bug.oracles);
        oracles.contains(&failure.violation.oracle.id)
    }
}

/// Every tier in turn, the short ones first, until one finds something.
fn count<P: Program>(check: &Check<P>, tiers: &[Tier]) -> Option<(String, Failure, u64)> {
    for effort in [Effort::Quick, Effort::Full] {
        for tier in tiers {
            let plan = Plan::Counted(tier.bounds(effort));
            if let Some((failure, runs)) = first(check.explore(plan), SHRINKING) {
                return Some((format!("{} {effort:?}", tier.name), failure, runs));
            }
        }
    }
    None
}

/// The first failure, and how many runs it took.
fn first<P: Program>(mut runs: Exploration<P>, shrinking: u64) -> Option<(Failure, u64)> {
    let found = runs.by_ref().take(MOST).find_map(Result::err)?;
    Some((found.shrink(shrinking), runs.tally().executions))
}

/// Its lines in the table.
impl fmt::Display for Hunt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.bug.map_or("nothing", |bug| bug.name))?;
        match &self.counted {
            Some((tier, failure, runs)) => writeln!(
                f,
                "  counted: oracle {} in {tier}, run {runs}; {} operations",
                failure.violation.oracle.id,
                failure.story.operations(),
            )?,
            None => writeln!(f, "  counted: missed")?,
        }
        match &self.sampled {
            Some((failure, runs)) => write!(
                f,
                "  sampled: oracle {} after {runs} seeds; shrunk from {} operations, {} faults, {} \
                 crashes to {}, {}, {} in {} runs",
                failure.violation.oracle.id,
                failure.original.operations(),
                failure.original.faults(),
                failure.original.crashes(),
                failure.story.operations(),
                failure.story.faults(),
                failure.story.crashes(),
                failure.executions,
            ),
            None => write!(f, "  sampled: missed"),
        }
    }
}
