//! From the crash points of one life to the lives that may follow, some lives deep.

use std::fmt;

use quipu_io::sim::{DiskImage, Latency, Profile, Random, Schedule, SimOptions, Tape};
use quipu_journal::Options;

use crate::history::History;
use crate::life::{Conditions, Life, Point, live};
use crate::oracles::Violation;
use crate::workload::{Program, random_ops};

pub(crate) const PROFILES: [Profile; 3] = [Profile::KillOnly, Profile::Ext4Ordered, Profile::Posix];

/// What a first life does, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan<O> {
    pub(crate) ops: Vec<O>,
    pub(crate) options: Options,
    pub(crate) sector: u32,
    pub(crate) seed: u64,
    /// Whether schedule, latencies and listings of all lives are random.
    pub(crate) wild: bool,
    /// Whether every sync of the first life lies.
    pub(crate) lie: bool,
}

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Tapes counted up from zeros, per point and profile.
    pub(crate) counted: u32,
    /// Seeded tapes, per point and profile.
    pub(crate) sampled: u32,
    /// Of the crash points of a later life, so many are gone on from.
    pub(crate) branches: u32,
    /// Crashes in a row.
    pub(crate) depth: u32,
    /// Of the points of the first life so many, chosen by seed; all if there are fewer.
    pub(crate) points: u32,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) points: u64,
    pub(crate) lives: u64,
    /// Points and profiles of which every legal crash state was run.
    pub(crate) complete: u64,
}

/// A violation, and how to meet it again.
pub(crate) struct Found {
    pub(crate) violation: Violation,
    story: String,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.violation, self.story)
    }
}

/// Explores the crashes of a plan. Ends at the first violation.
pub(crate) fn explore<P: Program>(plan: &Plan<P::Op>, budget: Budget) -> Result<Tally, Found> {
    let explorer = Explorer::<P> { plan, budget };
    let mut random = Random::new(plan.seed, 1);
    let mut tally = Tally::default();
    let conditions = explorer.conditions(&mut random, None, true);
    let image = DiskImage::empty(plan.sector);
    let life = live::<P>(image, History::default(), &plan.ops, &conditions);
    let mut story = vec![format!("first life: {:?}, {:?}", plan.ops, life.tape)];
    let life = explorer.judge(life, &story)?;
    tally.lives += 1;
    for point in choose(life.points, budget.points, &mut random) {
        story.truncate(1);
        explorer.go_on(&point, 1, &mut story, &mut random, &mut tally)?;
    }
    Ok(tally)
}

struct Explorer<'a, P: Program> {
    plan: &'a Plan<P::Op>,
    budget: Budget,
}

impl<P: Program> Explorer<'_, P> {
    /// All that may follow a crash at this point, as far as the budget goes.
    fn go_on(
        &self,
        point: &Point,
        depth: u32,
        story: &mut Vec<String>,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<(), Found> {
        tally.points += 1;
        let first = depth == 1;
        let profiles = if first {
            &PROFILES[..]
        } else {
            &PROFILES[random.below(3) as usize..][..1]
        };
        for profile in profiles {
            let counted = if first && !self.plan.wild {
                self.budget.counted
            } else {
                0
            };
            let mut next = Some(Tape::zeros());
            for _ in 0..counted {
                let Some(tape) = next.take() else {
                    break;
                };
                let life =
                    self.branch(point, (*profile, Some(tape)), depth, story, random, tally)?;
                next = life.successor();
            }
            if counted > 0 && next.is_none() {
                tally.complete += 1;
                continue;
            }
            let samples = if first { self.budget.sampled } else { 1 };
            for _ in 0..samples {
                self.branch(point, (*profile, None), depth, story, random, tally)?;
            }
        }
        Ok(())
    }

    /// One life after the crash, and some that follow it. Gives its tape.
    fn branch(
        &self,
        point: &Point,
        (profile, tape): (Profile, Option<Tape>),
        depth: u32,
        story: &mut Vec<String>,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<Tape, Found> {
        // A counted tape counts only if the life that it is for stays the same.
        let ops = match tape {
            Some(_) => Vec::new(),
            None => random_ops::<P>(random, 3),
        };
        let leaf = depth >= self.budget.depth;
        let mut conditions = self.conditions(random, tape, !leaf);
        conditions.sim.profile = profile;
        conditions.lie = false;
        let life = live::<P>(
            point.image.clone(),
            point.history.clone(),
            &ops,
            &conditions,
        );
        tally.lives += 1;
        let length = story.len();
        story.push(format!(
            "crash {profile:?} at {:?}, then {ops:?}, {:?} with {:?}",
            point.kind, conditions.sim.schedule, life.tape
        ));
        let life = self.judge(life, story)?;
        for next in choose(life.points, self.budget.branches, random) {
            self.go_on(&next, depth + 1, story, random, tally)?;
        }
        story.truncate(length);
        Ok(life.tape)
    }

    fn conditions(&self, random: &mut Random, tape: Option<Tape>, collect: bool) -> Conditions {
        let wild = self.plan.wild && tape.is_none();
        let seed = random.next();
        let mut sim = SimOptions {
            seed,
            sector_size: self.plan.sector,
            step_limit: 1_000_000,
            latency: Latency::None,
            tape: tape.unwrap_or_else(|| Tape::seeded(seed)),
            ..SimOptions::default()
        };
        if wild {
            let schedules = [
                Schedule::Fifo,
                Schedule::Lifo,
                Schedule::Chosen,
                Schedule::Chosen,
            ];
            sim.schedule = schedules[random.below(4) as usize];
            let latencies = [Latency::None, Latency::Fixed, Latency::Varied];
            sim.latency = latencies[random.below(3) as usize];
            sim.shuffle_listings = true;
        }
        Conditions {
            sim,
            options: self.plan.options.clone(),
            collect,
            lie: self.plan.lie,
        }
    }

    fn judge(&self, life: Life, story: &[String]) -> Result<Life, Found> {
        match life.result {
            Ok(()) => Ok(life),
            Err(violation) => Err(Found {
                violation,
                story: format!(
                    "seed {}, sectors of {}, wild {}, {:?}\n{}",
                    self.plan.seed,
                    self.plan.sector,
                    self.plan.wild,
                    self.plan.options,
                    story.join("\n")
                ),
            }),
        }
    }
}

/// So many of them, in their order.
fn choose<T>(mut all: Vec<T>, most: u32, random: &mut Random) -> Vec<T> {
    while all.len() > most as usize {
        all.remove(random.below(all.len() as u32) as usize);
    }
    all
}
