//! Invariant: the list of planted bugs and the sites in the sources are the same, one to one.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "reads the sources of this workspace"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The string literals that follow `before` in a source, over line breaks.
fn literals<'a>(source: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    let behind = source.split(before).skip(1);
    behind.filter_map(|text| text.trim_start().strip_prefix('"')?.split('"').next())
}

/// Counts the names of all bugs that the sources below a directory ask for.
fn count_sites(directory: &Path, sites: &mut BTreeMap<String, usize>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if fs::metadata(&path).unwrap().is_dir() {
            count_sites(&path, sites);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            for call in ["planted(", "varying("] {
                for name in literals(&source, call) {
                    *sites.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
    }
}

#[test]
fn every_planted_bug_is_at_one_site_and_every_site_is_listed() {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sites = BTreeMap::new();
    for sources in ["src", "../io/src"] {
        count_sites(&journal.join(sources), &mut sites);
    }
    let list = fs::read_to_string(journal.join("src/check/planted.rs")).unwrap();
    let mut listed = BTreeMap::new();
    for name in literals(&list, " name:") {
        *listed.entry(name.to_owned()).or_default() += 1;
    }
    assert!(listed.len() >= 48, "{} are listed", listed.len());
    assert!(listed.values().all(|count| *count == 1), "{listed:?}");
    assert_eq!(listed, sites);
}

/// What the explorer finds of them; one after the other, for they are switched on for the process.
#[cfg(quipu_planted)]
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
mod exploration {
    use std::time::Instant;

    use quipu_io::planted::{plant, planted, reached};
    use quipu_journal::check::planted::{Finder, PLANTED, Planted};
    use quipu_journal::check::tiers::{self, Effort, Tier};
    use quipu_journal::check::{self, Check, Drawn, Exploration, Failure, Notes, Plan, Program};

    /// Runs per tier that may pass before a bug counts as missed by it.
    const MOST: usize = 500_000;

    /// Seeds that may pass.
    const SEEDS: u64 = 40_000;

    /// Runs that shrinking may take.
    const SHRINKING: u64 = 20_000;

    /// One is on at a time, and tells whether it had a chance.
    fn one_bug_is_on_at_a_time() {
        assert!(PLANTED.len() >= 48);
        for bug in PLANTED {
            plant(Some(bug.name));
            assert!(!reached());
            let on = PLANTED.iter().filter(|other| planted(other.name));
            assert_eq!(on.count(), 1, "{bug:?}");
            assert!(reached());
        }
        plant(None);
        assert!(!PLANTED.iter().any(|bug| planted(bug.name)) && !reached());
    }

    /// The first failure, and how many runs it took.
    fn first<P: Program>(mut runs: Exploration<P>) -> Option<(Failure, u64)> {
        let found = runs.by_ref().take(MOST).find_map(Result::err)?;
        Some((found.shrink(SHRINKING), runs.tally().executions))
    }

    /// Every tier in turn, the short ones first, until one finds something.
    fn count<P: Program>(check: &Check<P>, tiers: &[Tier]) -> Option<(String, Failure, u64)> {
        for effort in [Effort::Quick, Effort::Full] {
            for tier in tiers {
                let plan = Plan::Counted(tier.bounds(effort));
                if let Some((failure, runs)) = first(check.explore(plan)) {
                    return Some((format!("{} {effort:?}", tier.name), failure, runs));
                }
            }
        }
        None
    }

    /// Looks for a bug in both ways, and prints a line of the table. Whether the tiers found it, and
    /// whether anything did.
    fn look<P: Program>(bug: Option<&Planted>, check: &Check<P>, tiers: &[Tier]) -> (bool, bool) {
        let name = bug.map_or("nothing", |bug| bug.name);
        let is_named = |failure: &Failure| {
            bug.is_some_and(|bug| bug.oracles.contains(&failure.violation.oracle.id))
        };
        let begun = Instant::now();
        let counted = count(check, tiers);
        match &counted {
            Some((tier, failure, runs)) => println!(
                "{name}\n  counted: oracle {} in {tier}, run {runs}; {} operations, {:.1} s",
                failure.violation.oracle.id,
                failure.story.operations(),
                begun.elapsed().as_secs_f64(),
            ),
            None => println!(
                "{name}\n  counted: missed, {:.1} s",
                begun.elapsed().as_secs_f64()
            ),
        }
        let begun = Instant::now();
        let sampled = first(check.sample(Drawn::default(), 0..SEEDS));
        match &sampled {
            Some((failure, runs)) => println!(
                "  sampled: oracle {} after {runs} seeds; shrunk from {} operations, {} faults, {} \
                 crashes to {}, {}, {} in {} runs, {:.1} s in all",
                failure.violation.oracle.id,
                failure.original.operations(),
                failure.original.faults(),
                failure.original.crashes(),
                failure.story.operations(),
                failure.story.faults(),
                failure.story.crashes(),
                failure.executions,
                begun.elapsed().as_secs_f64(),
            ),
            None => println!("  sampled: missed, {:.1} s", begun.elapsed().as_secs_f64()),
        }
        let counted = counted.is_some_and(|(_, failure, _)| is_named(&failure));
        let sampled = sampled.is_some_and(|(failure, _)| is_named(&failure));
        (counted, counted || sampled)
    }

    #[test]
    fn what_is_planted_is_found() {
        one_bug_is_on_at_a_time();
        let journal = check::journal::<Notes>(Notes::edit);
        let log = check::log();
        let only = std::env::var("QUIPU_PLANTED").ok();
        let (mut all, mut by_tiers, mut missed) = (0, 0, Vec::new());
        for bug in PLANTED {
            if only.as_deref().is_some_and(|only| only != bug.name) {
                continue;
            }
            plant(Some(bug.name));
            let (counted, found) = match bug.finder {
                Finder::Journal => look(Some(bug), &journal, &tiers::JOURNAL),
                Finder::Log => look(Some(bug), &log, &tiers::LOG),
                _ => continue,
            };
            all += 1;
            by_tiers += usize::from(counted);
            if !found {
                missed.push((bug.name, reached()));
            }
        }
        plant(None);
        println!("{all} bugs, {by_tiers} found by the exhaustive tiers, missed: {missed:?}");
        assert!(missed.is_empty(), "{missed:#?}");
        if only.is_none() {
            // The control: what is found is found because of the bug.
            assert_eq!(look(None, &journal, &tiers::JOURNAL), (false, false));
            assert_eq!(look(None, &log, &tiers::LOG), (false, false));
        }
    }
}
