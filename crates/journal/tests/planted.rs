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
mod exploration {
    use quipu_io::planted::{plant, planted, reached};
    use quipu_journal::check::planted::{Finder, PLANTED};
    use quipu_journal::check::{
        self, Bounds, Check, Drawn, Exploration, Notes, Plan, Program, Violation,
    };

    /// Runs per tier that may pass before a bug counts as missed.
    const MOST: usize = 200_000;

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

    /// The first violation, and how many runs it took.
    fn first<P: Program>(mut exploration: Exploration<P>) -> Option<(Violation, u64)> {
        let found = exploration.by_ref().take(MOST).find_map(Result::err)?;
        Some((found.violation, exploration.tally().executions))
    }

    /// Every tier in turn, the cheaper ones first, until one finds something.
    fn find<P: Program>(check: &Check<P>) -> Option<(String, Violation, u64)> {
        let counted = |ops, crashes| {
            let bounds = Bounds {
                ops,
                crashes,
                ..Bounds::default()
            };
            let (violation, runs) = first(check.explore(Plan::Counted(bounds)))?;
            Some((
                format!("{ops} operations, {crashes} crashes"),
                violation,
                runs,
            ))
        };
        let sampled = |seeds: std::ops::Range<u64>| {
            let tier = format!("seeds from {}", seeds.start);
            let (violation, runs) = first(check.sample(Drawn::default(), seeds))?;
            Some((tier, violation, runs))
        };
        counted(2, 1)
            .or_else(|| counted(1, 2))
            .or_else(|| sampled(0..3000))
            .or_else(|| counted(1, 3))
            .or_else(|| counted(3, 1))
            .or_else(|| sampled(3000..40_000))
    }

    #[test]
    fn what_is_planted_is_found() {
        one_bug_is_on_at_a_time();
        // The control: what is found is found because of the bug.
        assert_eq!(find(&check::journal::<Notes>(Notes::edit)), None);
        assert_eq!(find(&check::log()), None);
        let only = std::env::var("QUIPU_PLANTED").ok();
        let mut missed = Vec::new();
        for bug in PLANTED {
            if only.as_deref().is_some_and(|only| only != bug.name) {
                continue;
            }
            plant(Some(bug.name));
            let found = match bug.finder {
                Finder::Journal => find(&check::journal::<Notes>(Notes::edit)),
                Finder::Log => find(&check::log()),
                _ => continue,
            };
            let reached = reached();
            #[expect(clippy::print_stdout, reason = "shown by --nocapture only")]
            match &found {
                Some((tier, violation, runs)) => {
                    println!("{}: {violation}, after {runs} runs of {tier}", bug.name);
                }
                None => println!("{}: missed, reached: {reached}", bug.name),
            }
            if !found
                .as_ref()
                .is_some_and(|(_, violation, _)| bug.oracles.contains(&violation.oracle.id))
            {
                missed.push((bug.name, found.map(|(_, violation, _)| violation)));
            }
        }
        plant(None);
        assert!(missed.is_empty(), "{missed:#?}");
    }
}
