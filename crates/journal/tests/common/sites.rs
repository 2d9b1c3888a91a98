//! The sites of planted bugs in the sources, and the names of those that are listed.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "reads the sources of this workspace"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Holds the lists in some files of a crate against the sources below some directories: one to one.
pub(crate) fn compare(package: &str, lists: &[&str], sources: &[&str], at_least: usize) {
    let package = Path::new(package);
    let mut sites = BTreeMap::new();
    for directory in sources {
        count_sites(&package.join(directory), &mut sites);
    }
    let mut listed = BTreeMap::new();
    for list in lists {
        let list = fs::read_to_string(package.join(list)).unwrap();
        for name in literals(&list, " name:") {
            *listed.entry(name.to_owned()).or_default() += 1;
        }
    }
    assert!(listed.len() >= at_least, "{} are listed", listed.len());
    assert!(listed.values().all(|count| *count == 1), "{listed:?}");
    assert_eq!(listed, sites);
}

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
