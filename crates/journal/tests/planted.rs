//! Invariant: the list of planted bugs and the sites in the sources are the same, one to one.

#[path = "common/sites.rs"]
mod sites;

#[test]
fn every_planted_bug_is_at_one_site_and_every_site_is_listed() {
    let journal = env!("CARGO_MANIFEST_DIR");
    let list = "src/check/planted.rs";
    sites::compare(journal, &[list], &["src", "../io/src"], 48);
}

/// What the explorer finds of them; one after the other, for they are switched on for the process.
#[cfg(quipu_planted)]
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
mod exploration {
    use quipu_io::planted::{plant, planted, reached};
    use quipu_journal::check::planted::{Finder, PLANTED};
    use quipu_journal::check::{self, Hunt, Notes, tiers};

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

    #[test]
    fn what_is_planted_is_found() {
        one_bug_is_on_at_a_time();
        let journal = check::journal::<Notes>(Notes::edit);
        let log = check::log();
        let only = std::env::var("QUIPU_PLANTED").ok();
        let both = std::env::var_os("QUIPU_BOTH_WAYS").is_some();
        let (mut all, mut by_tiers, mut missed) = (0, 0, Vec::new());
        for bug in PLANTED {
            if only.as_deref().is_some_and(|only| only != bug.name) {
                continue;
            }
            plant(Some(bug.name));
            let hunt = match bug.finder {
                Finder::Journal if both => Hunt::new(Some(bug), &journal, &tiers::JOURNAL),
                Finder::Journal => Hunt::quick(Some(bug), &journal, &tiers::JOURNAL),
                Finder::Log if both => Hunt::new(Some(bug), &log, &tiers::LOG),
                Finder::Log => Hunt::quick(Some(bug), &log, &tiers::LOG),
                _ => continue,
            };
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
            assert!(!Hunt::new(None, &journal, &tiers::JOURNAL).is_broken());
            assert!(!Hunt::new(None, &log, &tiers::LOG).is_broken());
        }
    }
}
