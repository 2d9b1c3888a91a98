//! Invariant: the list of planted bugs and the sites in the sources are the same, one to one.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "reads the sources of this workspace"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[cfg(quipu_planted)]
#[path = "../src/check/planted.rs"]
pub mod list;

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

/// One is on at a time, and tells whether it had a chance.
#[cfg(quipu_planted)]
#[test]
fn one_bug_is_on_at_a_time() {
    use quipu_io::planted::{plant, planted, reached};

    assert!(list::PLANTED.len() >= 48);
    for bug in list::PLANTED {
        plant(Some(bug.name));
        assert!(!reached());
        let on = list::PLANTED.iter().filter(|other| planted(other.name));
        assert_eq!(on.count(), 1, "{bug:?}");
        assert!(reached());
    }
    plant(None);
    assert!(!list::PLANTED.iter().any(|bug| planted(bug.name)) && !reached());
}
