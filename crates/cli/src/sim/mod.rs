//! `quipu sim`: crashes the journal, the log, the manifest and the store in the simulator.

mod account;
mod line;
mod search;

use std::io::Write;
use std::panic;

use clap::ValueEnum;
use quipu_io::{DiskIo, Runtime};
use quipu_journal::check::tiers::{self, Effort, Tier};
use quipu_journal::check::{self, Check, Drawn, Line, Notes, Plan, Program, SHRINKING};

use crate::failure::Failure;
use crate::progress::{Bar, Unit};
use search::{Report, Search};

/// Crash the journal in a simulator, wherever a crash can happen
///
/// Operations are run on a simulated disk; the machine stops at every moment that matters, everything
/// happens that a crash may do to the disk, and what the next open shows is held against what was
/// promised. Without options this is a short mix, a few seconds long. What is finished is printed at
/// once, so it can be ended at any time with Ctrl-C.
///
/// A run that breaks a rule is made as small as possible, told, and given as one line that replays
/// it; the exit code is then 1.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What is crashed [default: all of them]
    #[arg(long, value_enum)]
    workload: Option<Workload>,

    /// Go through all short sequences of operations and all that a crash can leave: some two minutes
    #[arg(long)]
    exhaustive: bool,

    /// Go through longer sequences, too: many minutes
    #[arg(long, requires = "exhaustive")]
    long: bool,

    /// Draw so many long runs, each from a seed
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    seeds: Option<u64>,

    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=MOST))]
    seed: u64,

    /// Draw runs on a disk whose syncs do nothing, which has to fail: see what that looks like
    #[arg(long, conflicts_with = "exhaustive")]
    lying_syncs: bool,

    /// Replay one run: "WORKLOAD PLAN CHOICES", as a failure gives it and regressions/ keeps it
    #[arg(
        long,
        value_name = "LINE",
        value_parser = line,
        conflicts_with_all = ["workload", "exhaustive", "seeds", "seed", "lying_syncs"]
    )]
    tape: Option<Line>,

    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  quipu sim                                A short mix of both tiers
  quipu sim --exhaustive                   All short sequences, all crash states
  quipu sim --seed 1000 --seeds 100000     Long runs, drawn from these seeds
  quipu sim --lying-syncs                  What a failure looks like
  quipu sim --tape \"log drawn w0*6.2,c1\"  The run of this line again";

/// The greatest seed, and the greatest number of seeds: so their sum is a number, too.
const MOST: u64 = u64::MAX / 2;

/// Seeds that are drawn when nobody says how many.
const SEEDS: u64 = 2000;

/// What can be crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// A journal: edits, batches, snapshots
    Journal,
    /// The log below it: appends without sync, rotation, truncation
    Log,
    /// The manifest of an LSM tree: flushes, compactions, deletions
    Manifest,
    /// The store: writes, reads, flushes, compactions, closes
    Store,
}

pub(crate) fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Result<(), Failure> {
    let workloads = match (&args.tape, args.workload) {
        (Some(line), _) => Workload::from_str(&line.workload, false)
            .into_iter()
            .collect(),
        (None, Some(workload)) => vec![workload],
        (None, None) => Workload::value_variants().to_vec(),
    };
    for workload in workloads {
        match workload {
            Workload::Journal => {
                let check = check::journal::<Notes>(Notes::edit);
                check_it(io, args, &check, &tiers::JOURNAL, stdout)?;
            }
            Workload::Log => check_it(io, args, &check::log(), &tiers::LOG, stdout)?,
            Workload::Manifest => {
                let check = quipu_kv::check::manifest();
                check_it(io, args, &check, &quipu_kv::check::MANIFEST, stdout)?;
            }
            Workload::Store => {
                let check = quipu_kv::check::store();
                check_it(io, args, &check, &quipu_kv::check::STORE, stdout)?;
            }
        }
    }
    if args.is_mix() && !args.json {
        writeln!(
            stdout,
            "\nThis was the short mix; \"quipu sim --exhaustive\" goes through far more."
        )?;
    }
    Ok(())
}

fn check_it<P: Program>(
    io: &DiskIo,
    args: &Args,
    check: &Check<P>,
    tiers: &[Tier],
    stdout: &mut impl Write,
) -> Result<(), Failure> {
    if let Some(line) = &args.tape {
        return replay(args, check, line, stdout);
    }
    for search in args.searches(tiers) {
        if !args.json {
            search.announce(check, stdout)?;
        }
        let report = explore(io, args, check, &search);
        match args.json {
            true => line::print_report(stdout, &report)?,
            false => report.print(stdout)?,
        }
        if let Some(failure) = &report.failure {
            return Err(broken(args, failure, stdout));
        }
    }
    Ok(())
}

impl Args {
    /// Whether nothing was asked for in particular.
    fn is_mix(&self) -> bool {
        !self.exhaustive && !self.lying_syncs && self.seeds.is_none() && self.tape.is_none()
    }

    fn searches(&self, tiers: &[Tier]) -> Vec<Search> {
        let effort = match (self.exhaustive, self.long) {
            (true, true) => Some(Effort::Long),
            (true, false) => Some(Effort::Full),
            (false, _) => self.is_mix().then_some(Effort::Quick),
        };
        let counted = effort
            .into_iter()
            .flat_map(|effort| tiers.iter().map(move |tier| Search::tier(tier, effort)));
        let seeds = match self.seeds {
            None if self.exhaustive => None,
            seeds => Some(seeds.unwrap_or(SEEDS)),
        };
        let drawn = Drawn {
            lying_syncs: self.lying_syncs,
        };
        let drawn = seeds.map(|seeds| Search::Drawn(drawn, self.seed..self.seed + seeds));
        counted.chain(drawn).collect()
    }
}

/// Goes through all runs of a search, and shrinks what it finds.
fn explore<P: Program>(io: &DiskIo, args: &Args, check: &Check<P>, search: &Search) -> Report {
    let start = io.now();
    let text = format!("  {}", search.name());
    let mut bar = Bar::new(io, Unit::Millionths, text, !args.json);
    let mut runs = search.runs(check);
    let mut found = None;
    while let Some(run) = runs.next() {
        bar.reach_share(runs.progress());
        found = run.err();
    }
    bar.clear();
    let elapsed = io.now() - start;
    Report {
        workload: check.program().name(),
        tier: search.name(),
        plan: search.plan::<()>().to_string(),
        tally: runs.tally(),
        fired: runs.fired().clone(),
        elapsed,
        failure: found.map(|finding| quietly(|| finding.shrink(SHRINKING))),
    }
}

/// Repeats the run of a line.
fn replay<P: Program>(
    args: &Args,
    check: &Check<P>,
    line: &Line,
    stdout: &mut impl Write,
) -> Result<(), Failure> {
    match check.replay(line).map_err(Failure::Text)? {
        Err(failure) => Err(broken(args, &failure, stdout)),
        Ok(story) if args.json => Ok(line::print_story(stdout, line, &story)?),
        Ok(story) => {
            writeln!(stdout, "No rule is broken by this run:\n")?;
            Ok(account::print_story(stdout, &story)?)
        }
    }
}

/// Gives the account of a failure, and what is left to say on stderr.
fn broken(args: &Args, failure: &check::Failure, stdout: &mut impl Write) -> Failure {
    let printed = match args.json {
        true => line::print_failure(stdout, failure),
        false => account::print(stdout, failure, args.tape.is_none()),
    };
    match printed {
        Ok(()) => Failure::Text(failure.violation.to_string()),
        Err(error) => Failure::Output(error),
    }
}

/// Does something without a word about panics: the same one comes with each run of shrinking, and
/// was told before.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = work();
    panic::set_hook(hook);
    result
}

/// A line that can be replayed.
fn line(text: &str) -> Result<Line, String> {
    let line: Line = text.parse()?;
    line.plan.parse::<Plan<()>>()?;
    let known = Workload::value_variants().iter();
    let known: Vec<_> = known.filter_map(ValueEnum::to_possible_value).collect();
    if known
        .iter()
        .any(|value| value.matches(&line.workload, false))
    {
        return Ok(line);
    }
    let names: Vec<_> = known
        .iter()
        .map(clap::builder::PossibleValue::get_name)
        .collect();
    let workload = &line.workload;
    Err(format!(
        "{workload:?} is no workload: name one of {}",
        names.join(", ")
    ))
}
