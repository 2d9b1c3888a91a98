//! Invariant: the list of planted bugs and the sites in the sources are the same, one to one.

#[path = "../../journal/tests/common/sites.rs"]
mod sites;

#[test]
fn every_planted_bug_is_at_one_site_and_every_site_is_listed() {
    let kv = env!("CARGO_MANIFEST_DIR");
    sites::compare(kv, "src/check/planted.rs", &["src"], 25);
}

/// What the explorer finds of them; one after the other, for they are switched on for the process.
#[cfg(quipu_planted)]
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
mod exploration {
    use quipu_io::planted::{plant, reached};
    use quipu_journal::check::Hunt;
    use quipu_kv::check::planted::PLANTED;
    use quipu_kv::check::{MANIFEST, manifest};

    #[test]
    fn what_is_planted_is_found() {
        let only = std::env::var("QUIPU_PLANTED").ok();
        let (mut all, mut by_tiers, mut missed) = (0, 0, Vec::new());
        for bug in PLANTED {
            if only.as_deref().is_some_and(|only| only != bug.name) {
                continue;
            }
            plant(Some(bug.name));
            let hunt = Hunt::new(Some(bug), &manifest(), &MANIFEST);
            println!("{hunt}");
            all += 1;
            by_tiers += usize::from(hunt.is_counted());
            if !hunt.is_found() {
                missed.push((bug.name, reached()));
            }
        }
        plant(None);
        println!("{all} bugs, {by_tiers} found by the exhaustive tiers, missed: {missed:?}");
        assert!(missed.is_empty(), "{missed:#?}");
        if only.is_none() {
            // The control: what is found is found because of the bug.
            assert!(!Hunt::new(None, &manifest(), &MANIFEST).is_broken());
        }
    }
}
