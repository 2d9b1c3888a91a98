//! Invariant: the list of planted bugs and the sites in the sources are the same, one to one.

#[path = "../../journal/tests/common/sites.rs"]
mod sites;

#[test]
fn every_planted_bug_is_at_one_site_and_every_site_is_listed() {
    let kv = env!("CARGO_MANIFEST_DIR");
    let lists = ["src/check/planted.rs", "src/check/store/planted.rs"];
    sites::compare(kv, &lists, &["src"], 53);
}

/// What the explorer finds of them; one after the other, for they are switched on for the process.
#[cfg(quipu_planted)]
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
mod exploration {
    use quipu_io::planted::{plant, reached};
    use quipu_journal::check::Hunt;
    use quipu_journal::check::planted::{Finder, Planted};
    use quipu_kv::check::store::{planted as store_planted, scripts};
    use quipu_kv::check::{MANIFEST, manifest, planted, store};

    /// Seeds that may pass until a bug of the store is found.
    const SEEDS: u64 = 40_000;

    #[test]
    fn what_is_planted_is_found() {
        let both = std::env::var_os("QUIPU_BOTH_WAYS").is_some();
        let mut missed = missed(planted::PLANTED, |bug| match both {
            true => Hunt::new(bug, &manifest(), &MANIFEST),
            false => Hunt::quick(bug, &manifest(), &MANIFEST),
        });
        let of_store = store_planted::PLANTED;
        missed.extend(self::missed(of_store, |bug| {
            Hunt::brief(bug, &store(), &scripts(), SEEDS)
        }));
        assert!(missed.is_empty(), "{missed:#?}");
    }

    /// Those of the list that are not found by an oracle that they name, and whether they were reached.
    fn missed(
        list: &[Planted],
        hunt: impl Fn(Option<&Planted>) -> Hunt,
    ) -> Vec<(&'static str, bool)> {
        let only = std::env::var("QUIPU_PLANTED").ok();
        let (mut all, mut by_tiers, mut missed) = (0, 0, Vec::new());
        for bug in list.iter().filter(|bug| bug.finder != Finder::Unit) {
            if only.as_deref().is_some_and(|only| only != bug.name) {
                continue;
            }
            plant(Some(bug.name));
            let hunt = hunt(Some(bug));
            println!("{hunt}");
            all += 1;
            by_tiers += usize::from(hunt.is_counted());
            if !hunt.is_found() {
                missed.push((bug.name, reached()));
            }
        }
        plant(None);
        println!("{all} bugs, {by_tiers} found by the exhaustive tiers, missed: {missed:?}");
        if only.is_none() {
            // The control: what is found is found because of the bug.
            assert!(!hunt(None).is_broken());
        }
        missed
    }
}
