//! The oracles of the store: what an open may show, and what every read has to agree on. Pure functions
//! of what was written and what is seen.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use quipu_journal::check::oracles::{ANSWERS, OPENS, SHOWN, recovery_is_bounded};
use quipu_journal::check::{Oracle, Verdict};

use super::history::{Line, Space, StoreHistory};
use super::program::SPACES;
use super::state::{Commit, Found, State, told};
use crate::manifest::KeyspaceId;

macro_rules! oracles {
    ($($name:ident = $id:literal, $rule:literal;)*) => {
        $(
            #[doc = concat!("Oracle ", $id, ": ", $rule, ".")]
            pub const $name: Oracle = Oracle { id: $id, rule: $rule };
        )*

        /// All oracles of the store that are its own.
        pub const ALL: &[Oracle] = &[$($name),*];
    };
}

oracles! {
    LASTS = "K1", "what is found are the writes up to one of them, and at least the durable ones";
    BATCHES = "K2", "a batch is whole, across keyspaces";
    READS = "K3", "every way to read shows the writes until now, or until the snapshot";
    OPTIONS = "K4", "other options show the same";
    FINISHES = "K7", "flushes and compactions finish in time";
    ORDER = "K8", "writes at the same time come one behind the other";
    CHECKPOINTS = "K9", "a checkpoint shows the store as of one moment, for good";
    NUMBERS = "M4", "no number of an entry is given twice";
    LOG = "M5", "a piece of the log that is missing is an error, and not an empty one";
}

/// What an open has shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) found: Found,
    /// The keyspaces beside the default one, by their places.
    pub(super) spaces: BTreeMap<usize, KeyspaceId>,
    pub(super) last_seq: u64,
    /// So many commits have to be there.
    pub(super) at_least: usize,
    /// What says that something is wrong with the content, if it is.
    pub(super) oracle: Option<Oracle>,
}

/// All that can be said of one open. Gives the line that it shows.
pub(super) fn check(history: &StoreHistory, shown: &Shown) -> Verdict<Line> {
    if history.is_damaged {
        return nothing_is_invented(history, shown);
    }
    keyspaces_last(history, shown)?;
    let legal = history.legal(shown.at_least.max(history.durable));
    let mut fitting = legal
        .iter()
        .filter(|line| fits(history, line, &shown.found));
    let Some(longest) = fitting.next() else {
        return diagnose(history, &legal, shown);
    };
    // Writes that have changed nothing may be there or not.
    let surely = fitting.next_back().unwrap_or(longest);
    numbers_go_on(history, surely.len(), shown.last_seq)?;
    Ok(longest.clone())
}

/// Oracle M4: writes go on above the number of the last one that is found.
fn numbers_go_on(history: &StoreHistory, found: usize, last_seq: u64) -> Verdict {
    let mut known = history.seqs.range(..=found);
    match known.next_back() {
        Some((_, seq)) if last_seq < *seq => NUMBERS.broken(format!(
            "write {seq} is there, and the next is number {}",
            last_seq + 1
        )),
        _ => Ok(()),
    }
}

fn fits(history: &StoreHistory, line: &Line, found: &Found) -> bool {
    state(line).fits(found, history.expired)
}

fn state(line: &[Arc<Commit>]) -> State {
    State::of(line.iter().map(|commit| &**commit))
}

fn of_space(line: &Line, keyspace: KeyspaceId) -> impl Iterator<Item = Arc<Commit>> {
    let commits = line.iter();
    commits.map(move |commit| Arc::new(commit.of_space(keyspace)))
}

/// Which rule is broken by what no legal line comes to.
fn diagnose<T>(history: &StoreHistory, legal: &[Line], shown: &Shown) -> Verdict<T> {
    let found = &shown.found;
    let text = describe(history, found);
    if let Some(oracle) = shown.oracle {
        return oracle.broken(text);
    }
    for len in (0..history.line.len()).rev() {
        if fits(history, &history.line[..len].to_vec(), found) {
            return match len < history.shown {
                true => SHOWN.broken(format!("{} were shown, {len} are there", history.shown)),
                false => LASTS.broken(format!("{} are durable, {len} are there", history.durable)),
            };
        }
    }
    let mut lines = legal.iter().filter(|line| !line.is_empty());
    let is_torn = lines.any(|line| {
        let (last, before) = line
            .split_last()
            .expect("lines that are empty are left out");
        let mut torn = (1..last.writes.len()).map(|writes| {
            let mut state = state(before);
            state.apply(&last.first(writes));
            state
        });
        torn.any(|state| state.fits(found, history.expired))
    });
    if is_torn {
        return BATCHES.broken(format!("a part of a batch is there: {text}"));
    }
    let each_fits = found.iter().all(|(keyspace, pairs)| {
        let mut lines = legal.iter();
        lines.any(|line| state(line).fits_space(*keyspace, pairs, history.expired))
    });
    if each_fits {
        return BATCHES.broken(format!("each keyspace is at another write: {text}"));
    }
    LASTS.broken(text)
}

fn describe(history: &StoreHistory, found: &Found) -> String {
    let expected = history.state();
    let lines = found.iter().map(|(keyspace, pairs)| {
        let (found, expected) = (told(pairs), expected.told(*keyspace));
        format!("keyspace {keyspace} has {found}, and all that was written is {expected}")
    });
    lines.collect::<Vec<_>>().join("; ")
}

/// Oracle K1, of keyspaces: those are there that were created and not dropped.
fn keyspaces_last(history: &StoreHistory, shown: &Shown) -> Verdict {
    for (place, name) in SPACES.iter().enumerate().skip(1) {
        let (known, found) = (history.spaces.get(&place), shown.spaces.get(&place));
        let is_right = match (known, found) {
            (None, found) => found.is_none(),
            (Some(Space::Creating), _) => true,
            (Some(Space::There(id)), found) => found == Some(id),
            (Some(Space::Dropping(id)), found) => found.is_none_or(|found| found == id),
        };
        if !is_right {
            return LASTS.broken(format!(
                "keyspace {name} is {known:?}, and {found:?} is found"
            ));
        }
    }
    Ok(())
}

/// Where the disk has done damage: each keyspace shows what some writes came to.
fn nothing_is_invented(history: &StoreHistory, shown: &Shown) -> Verdict<Line> {
    let legal = history.legal(0);
    let mut shows = Line::new();
    for (keyspace, pairs) in &shown.found {
        let mut states = legal.iter();
        let line = states.find(|line| state(line).fits_space(*keyspace, pairs, history.expired));
        match line {
            Some(line) => shows.extend(of_space(line, *keyspace)),
            None => return diagnose(history, &legal, shown),
        }
    }
    Ok(shows)
}
