//! The oracles: what must hold of whatever an open shows. Pure functions of a history and of what
//! was shown.

use quipu_journal::{Replayable, laws};

use crate::history::History;

/// What an open has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// The last edit.
    pub(crate) last: u64,
    /// Edits up to here are truncated.
    pub(crate) floor: u64,
    /// The state, encoded.
    pub(crate) state: Option<Vec<u8>>,
    /// The edits behind the floor, encoded, where they were read one by one.
    pub(crate) edits: Option<Vec<Vec<u8>>>,
    /// The edits that the loaded snapshot stands for.
    pub(crate) snapshot: Option<u64>,
}

/// An oracle that was not satisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) oracle: u32,
    pub(crate) text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "oracle {}: {}", self.oracle, self.text)
    }
}

type Verdict = Result<(), Violation>;

pub(crate) fn violation<T>(oracle: u32, text: impl Into<String>) -> Result<T, Violation> {
    let text = text.into();
    Err(Violation { oracle, text })
}

/// All that can be said of one open.
pub(crate) fn check<S: Replayable>(history: &History, shown: &Shown) -> Verdict {
    recovered_edits_are_a_prefix(history, shown)?;
    never_from_the_future(history, shown)?;
    what_was_shown_stays(history, shown)?;
    at_least_the_acknowledged(history, shown)?;
    batches_are_whole(history, shown)?;
    nothing_that_was_cut_comes_back(history, shown)?;
    state_is_the_fold::<S>(history, shown)
}

/// 1: recovered edits are a prefix of the issued.
pub(crate) fn recovered_edits_are_a_prefix(history: &History, shown: &Shown) -> Verdict {
    let Some(edits) = &shown.edits else {
        return Ok(());
    };
    let expected = history.line.iter().skip(shown.floor as usize);
    for (index, (found, issued)) in edits.iter().zip(expected).enumerate() {
        if **found != *issued.edit {
            let number = shown.floor + index as u64 + 1;
            let gone = history.gone.iter().any(|gone| **gone == **found);
            return violation(
                if gone { 11 } else { 1 },
                format!("edit {number} is not the one that was issued (one that was cut: {gone})"),
            );
        }
    }
    if edits.len() as u64 != shown.last - shown.floor {
        return violation(
            1,
            format!(
                "{} edits were read, behind {} up to {}",
                edits.len(),
                shown.floor,
                shown.last
            ),
        );
    }
    Ok(())
}

/// 2: at least the acknowledged. 10: edits appended after recovery survive the next crash.
pub(crate) fn at_least_the_acknowledged(history: &History, shown: &Shown) -> Verdict {
    if shown.last < history.acknowledged as u64 {
        return violation(
            if history.opens > 1 { 10 } else { 2 },
            format!(
                "{} edits were acknowledged, {} are there",
                history.acknowledged, shown.last
            ),
        );
    }
    Ok(())
}

/// 3: never from the future, nothing that was not issued.
pub(crate) fn never_from_the_future(history: &History, shown: &Shown) -> Verdict {
    if shown.last > history.line.len() as u64 {
        let issued = history.line.len();
        return violation(
            3,
            format!("{issued} edits were issued, {} are there", shown.last),
        );
    }
    Ok(())
}

/// 4: batches whole.
pub(crate) fn batches_are_whole(history: &History, shown: &Shown) -> Verdict {
    let last = shown.last as usize;
    match (
        last.checked_sub(1).map(|at| &history.line[at]),
        history.line.get(last),
    ) {
        (Some(before), Some(after)) if before.group == after.group => violation(
            4,
            format!("edit {last} is there, and the next of its batch is not"),
        ),
        _ => Ok(()),
    }
}

/// 5: state equals the fold, by canonical encoding. 6: snapshot + tail equals the fold from the
/// start.
pub(crate) fn state_is_the_fold<S: Replayable>(history: &History, shown: &Shown) -> Verdict {
    let Some(state) = &shown.state else {
        return Ok(());
    };
    if *state != fold::<S>(history, shown.last) {
        let other = (0..=history.line.len() as u64).find(|at| *state == fold::<S>(history, *at));
        return violation(
            if shown.snapshot.is_some() { 6 } else { 5 },
            format!(
                "the state at edit {} is not that of the edits (it is that of the first {other:?}; \
                 snapshot {:?})",
                shown.last, shown.snapshot
            ),
        );
    }
    Ok(())
}

/// 7: replay twice, equal.
pub(crate) fn replays_are_equal(first: &[u8], second: &[u8]) -> Verdict {
    if first != second {
        return violation(7, "a second replay gives another state");
    }
    Ok(())
}

/// 8: after a clean close, open and close change no edit, no state and no proof.
pub(crate) fn open_and_close_change_nothing<T: PartialEq>(before: &T, after: &T) -> Verdict {
    if before != after {
        return violation(
            8,
            "open and close have changed the files of a closed journal",
        );
    }
    Ok(())
}

/// 9: what open has shown, every later crash keeps.
pub(crate) fn what_was_shown_stays(history: &History, shown: &Shown) -> Verdict {
    if shown.last < history.shown as u64 {
        let before = history.shown;
        return violation(
            9,
            format!(
                "an open has shown {before} edits, now there are {}",
                shown.last
            ),
        );
    }
    Ok(())
}

/// 11: nothing cut by recovery, a failed append or pruning ever comes back.
pub(crate) fn nothing_that_was_cut_comes_back(history: &History, shown: &Shown) -> Verdict {
    if shown.floor < history.floor {
        let floor = history.floor;
        return violation(
            11,
            format!("up to {floor} was truncated, now up to {}", shown.floor),
        );
    }
    Ok(())
}

/// 12: crash-class never gives `Corrupt`, nor any other error.
pub(crate) fn crash_never_keeps_it_from_opening<T>(
    opened: Result<T, quipu_journal::Error>,
) -> Result<T, Violation> {
    opened.or_else(|error| violation(12, format!("it does not open: {error}")))
}

/// An answer carries the number of its edit.
pub(crate) fn answers_are_in_order(place: Option<usize>, first: u64) -> Verdict {
    if place.map(|place| place as u64 + 1) != Some(first) {
        return violation(
            1,
            format!("edit {place:?} (from 0) was answered as number {first}"),
        );
    }
    Ok(())
}

/// The encoded state after the first edits of the line.
pub(crate) fn fold<S: Replayable>(history: &History, last: u64) -> Vec<u8> {
    let mut machine = S::initial();
    for issued in history.line.iter().take(last as usize) {
        machine.apply(laws::golden::<S>(&issued.edit).unwrap());
    }
    state::<S>(&machine)
}

/// The canonical encoding of a state.
pub(crate) fn state<S: Replayable>(machine: &S) -> Vec<u8> {
    laws::encode::<S>(&machine.snapshot()).unwrap()
}
