//! [`Hunt`]: one planted bug, looked for in both ways.

use std::fmt;

use super::exploration::Exploration;
use super::failure::Failure;
use super::plan::{Drawn, Plan};
use super::planted::Planted;
use super::program::Program;
use super::tiers::{Effort, Tier};
use super::violation::Violation;
use super::{Check, SHRINKING};

/// Runs per tier that may pass before a bug counts as missed by it.
const MOST: usize = 500_000;

/// Seeds that may pass.
const SEEDS: u64 = 40_000;

/// Runs that shrinking may take where only the finding counts.
const BRIEF: u64 = 1000;

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
    /// Looks in both ways for what is switched on: this bug, or nothing as a control.
    pub fn new<P: Program>(bug: Option<&Planted>, check: &Check<P>, tiers: &[Tier]) -> Hunt {
        Hunt {
            bug: bug.copied(),
            counted: count(check, tiers),
            sampled: first(check.sample(Drawn::default(), 0..SEEDS), SHRINKING),
        }
    }

    /// Looks for it in the exhaustive tiers, and in seeds only if they do not find it.
    pub fn quick<P: Program>(bug: Option<&Planted>, check: &Check<P>, tiers: &[Tier]) -> Hunt {
        let mut hunt = Hunt {
            bug: bug.copied(),
            counted: count(check, tiers),
            sampled: None,
        };
        if !hunt.is_counted() {
            hunt.sampled = hunt.sample(check, SEEDS);
        }
        hunt
    }

    /// Looks for it in given plans, and in so many seeds if they do not find it.
    pub fn brief<P: Program>(
        bug: Option<&Planted>,
        check: &Check<P>,
        plans: &[Plan<P::Op>],
        seeds: u64,
    ) -> Hunt {
        let mut hunt = Hunt {
            bug: bug.copied(),
            counted: None,
            sampled: None,
        };
        for plan in plans {
            let Some((failure, runs)) = first(check.explore(plan.clone()), BRIEF) else {
                continue;
            };
            let is_named = hunt.is_named(&failure.violation);
            if is_named || hunt.counted.is_none() {
                hunt.counted = Some((plan.to_string(), failure, runs));
            }
            if is_named {
                return hunt;
            }
        }
        hunt.sampled = hunt.sample(check, seeds);
        hunt
    }

    /// The first failure in seeds that one of the bug's own oracles sees, or the first of all. Others
    /// may come before it: which rule a seed meets first, any change of the code may change.
    fn sample<P: Program>(&self, check: &Check<P>, seeds: u64) -> Option<(Failure, u64)> {
        let (mut next, mut first) = (0, None);
        while let Some(found) = check
            .sample(Drawn::default(), next..seeds)
            .find_map(Result::err)
        {
            next = found.seed.map_or(seeds, |seed| seed + 1);
            if self.is_named(&found.violation) {
                return Some((found.shrink(BRIEF), next));
            }
            first.get_or_insert((found, next));
        }
        first.map(|(found, runs)| (found.shrink(BRIEF), runs))
    }

    /// Whether one of its oracles saw it first in the exhaustive tiers.
    pub fn is_counted(&self) -> bool {
        let counted = self.counted.as_ref();
        counted.is_some_and(|(_, failure, _)| self.is_named(&failure.violation))
    }

    /// Whether one of its oracles saw it in either way.
    pub fn is_found(&self) -> bool {
        let sampled = self.sampled.as_ref();
        self.is_counted() || sampled.is_some_and(|(failure, _)| self.is_named(&failure.violation))
    }

    /// Whether anything was broken at all.
    pub fn is_broken(&self) -> bool {
        self.counted.is_some() || self.sampled.is_some()
    }

    fn is_named(&self, violation: &Violation) -> bool {
        let oracles = self.bug.map_or(&[][..], |bug| bug.oracles);
        oracles.contains(&violation.oracle.id)
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
