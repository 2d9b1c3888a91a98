//! The oracles of the journal: what must hold of whatever an open shows. Pure functions of a history
//! and of what was shown; the reference is the fold of the issued edits.

use quipu_io::sim::IoCounts;

use super::history::History;
use super::violation::{Oracle, Verdict};
use crate::{Replayable, laws};

macro_rules! oracles {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $rule:literal;)*) => {
        $($(#[$doc])* #[doc = $rule] pub const $name: Oracle = Oracle { id: $id, rule: $rule };)*

        /// All oracles of the journal that are numbered.
        pub const ALL: &[Oracle] = &[$($name,)* super::violation::DETERMINISM];
    };
}

oracles! {
    /// Oracle 1:
    PREFIX = "1", "recovered edits are a prefix of the issued";
    /// Oracle 2:
    ACKNOWLEDGED = "2", "at least the acknowledged edits are there";
    /// Oracle 3:
    FUTURE = "3", "nothing is there that was not issued";
    /// Oracle 4:
    BATCHES = "4", "batches are whole";
    /// Oracle 5:
    FOLD = "5", "the state is the fold of the edits";
    /// Oracle 6:
    SNAPSHOT = "6", "a snapshot and the edits behind it are the fold from the start";
    /// Oracle 7:
    REPLAYS = "7", "two replays give the same";
    /// Oracle 8:
    QUIET = "8", "after a clean close, open and close change nothing";
    /// Oracle 9:
    SHOWN = "9", "what was shown, every later crash keeps";
    /// Oracle 10:
    APPENDED_AFTER = "10", "edits appended after a recovery survive the next crash";
    /// Oracle 11:
    GONE = "11", "nothing that was cut, refused or pruned comes back";
    /// Oracle 12:
    OPENS = "12", "no crash keeps it from opening, and damage below a proof always does";
    /// Oracle 13:
    ANSWERS = "13", "an answer means what it says";
    /// Oracle 14:
    BOUNDED = "14", "what is left behind is bounded";
    /// Oracle 15:
    RECOVERY = "15", "what recovery reads is bounded";
}

/// What an open has shown.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The last edit.
    pub last: u64,
    /// Edits up to here are truncated.
    pub floor: u64,
    /// The state, encoded.
    pub state: Option<Vec<u8>>,
    /// The edits behind the floor, encoded, where they were read one by one.
    pub edits: Option<Vec<Vec<u8>>>,
    /// The edits that the loaded snapshot stands for.
    pub snapshot: Option<u64>,
}

/// All that can be said of one open.
pub fn check<S: Replayable>(history: &History, shown: &Shown) -> Verdict {
    recovered_edits_are_a_prefix(history, shown)?;
    never_from_the_future(history, shown)?;
    if !history.is_damaged {
        what_was_shown_stays(history, shown)?;
        at_least_the_acknowledged(history, shown)?;
        nothing_that_was_pruned_comes_back(history, shown)?;
    }
    batches_are_whole(history, shown)?;
    state_is_the_fold::<S>(history, shown)
}

/// Oracles 1 and 11: recovered edits are a prefix of the issued, and none that was cut is back.
pub fn recovered_edits_are_a_prefix(history: &History, shown: &Shown) -> Verdict {
    let Some(edits) = &shown.edits else {
        return Ok(());
    };
    let expected = history.line.iter().skip(shown.floor as usize);
    for (index, (found, issued)) in edits.iter().zip(expected).enumerate() {
        if **found != *issued.edit {
            let number = shown.floor + index as u64 + 1;
            let gone = history.gone.iter().any(|gone| **gone == **found);
            let oracle = if gone { GONE } else { PREFIX };
            return oracle.broken(format!("edit {number} is not the one that was issued"));
        }
    }
    if edits.len() as u64 != shown.last - shown.floor {
        return PREFIX.broken(format!(
            "{} edits were read, behind {} up to {}",
            edits.len(),
            shown.floor,
            shown.last
        ));
    }
    Ok(())
}

/// Oracle 2, and oracle 10 where there was a recovery before.
pub fn at_least_the_acknowledged(history: &History, shown: &Shown) -> Verdict {
    if shown.last >= history.acknowledged as u64 {
        return Ok(());
    }
    let oracle = match history.opens {
        0 | 1 => ACKNOWLEDGED,
        _ => APPENDED_AFTER,
    };
    oracle.broken(format!(
        "{} edits were acknowledged, {} are there",
        history.acknowledged, shown.last
    ))
}

/// Oracle 3.
pub fn never_from_the_future(history: &History, shown: &Shown) -> Verdict {
    let issued = history.line.len() as u64;
    if shown.last > issued {
        return FUTURE.broken(format!(
            "{issued} edits were issued, {} are there",
            shown.last
        ));
    }
    Ok(())
}

/// Oracle 4.
pub fn batches_are_whole(history: &History, shown: &Shown) -> Verdict {
    let last = shown.last as usize;
    let before = last.checked_sub(1).and_then(|at| history.line.get(at));
    match (before, history.line.get(last)) {
        (Some(before), Some(after)) if before.group == after.group => BATCHES.broken(format!(
            "edit {last} is there, and the next of its batch is not"
        )),
        _ => Ok(()),
    }
}

/// Oracle 5, and oracle 6 where a snapshot was loaded.
pub fn state_is_the_fold<S: Replayable>(history: &History, shown: &Shown) -> Verdict {
    let Some(state) = &shown.state else {
        return Ok(());
    };
    if *state == encoded_fold::<S>(history, shown.last)? {
        return Ok(());
    }
    let mut other = None;
    for at in 0..=history.line.len() as u64 {
        if *state == encoded_fold::<S>(history, at)? {
            other = Some(at);
            break;
        }
    }
    let oracle = match shown.snapshot {
        Some(_) => SNAPSHOT,
        None => FOLD,
    };
    let is = match other {
        Some(other) => format!("it is that of the first {other}"),
        None => "it is that of no prefix".to_owned(),
    };
    let begun = match shown.snapshot {
        Some(seq) => format!(", loaded from the snapshot of edit {seq}"),
        None => String::new(),
    };
    let last = shown.last;
    oracle.broken(format!(
        "the state at edit {last}{begun} is not that of the edits: {is}"
    ))
}

/// Oracle 7.
pub fn replays_are_equal(first: &[u8], second: &[u8]) -> Verdict {
    if first != second {
        return REPLAYS.broken("a second replay gives another state");
    }
    Ok(())
}

/// Oracle 8.
pub fn open_and_close_change_nothing<T: PartialEq>(before: &T, after: &T) -> Verdict {
    if before != after {
        return QUIET.broken("open and close have changed the files of a closed journal");
    }
    Ok(())
}

/// Oracle 9.
pub fn what_was_shown_stays(history: &History, shown: &Shown) -> Verdict {
    if shown.last < history.shown as u64 {
        let (before, last) = (history.shown, shown.last);
        return SHOWN.broken(format!("{before} edits were shown, now there are {last}"));
    }
    Ok(())
}

/// Oracle 11, of what was pruned.
pub fn nothing_that_was_pruned_comes_back(history: &History, shown: &Shown) -> Verdict {
    if shown.floor < history.floor {
        let (before, floor) = (history.floor, shown.floor);
        return GONE.broken(format!("up to {before} was truncated, now up to {floor}"));
    }
    Ok(())
}

/// Oracle 12: crash-class never gives `Corrupt`, nor any other error.
pub fn crash_never_keeps_it_from_opening<T>(opened: crate::Result<T>) -> Verdict<T> {
    opened.or_else(|error| OPENS.broken(format!("it does not open: {error}")))
}

/// Oracle 15: recovery reads what is there a few times at most, and never more at once than there is,
/// whatever a length says.
pub fn recovery_is_bounded(counts: &IoCounts, bytes_on_disk: u64) -> Verdict {
    const TIMES: u64 = 8;
    const AT_ONCE: u64 = 1 << 20;
    let most = TIMES * bytes_on_disk + AT_ONCE;
    if counts.bytes_read > most || counts.largest_read > bytes_on_disk + AT_ONCE {
        let (read, largest) = (counts.bytes_read, counts.largest_read);
        return RECOVERY.broken(format!(
            "{read} bytes were read of {bytes_on_disk}, {largest} at once"
        ));
    }
    Ok(())
}

/// Oracle 13: an answer carries the number of its edit.
pub fn answers_are_in_order(place: Option<usize>, first: u64) -> Verdict {
    if place.map(|place| place as u64 + 1) == Some(first) {
        return Ok(());
    }
    let is = match place {
        Some(place) => format!("number {}", place + 1),
        None => "one that was refused".to_owned(),
    };
    ANSWERS.broken(format!(
        "an edit was answered as number {first}, and is {is}"
    ))
}

/// The machine after the first edits of the line.
pub fn fold<S: Replayable>(history: &History, last: u64) -> Verdict<S> {
    let mut machine = S::initial();
    for issued in history.line.iter().take(last as usize) {
        apply(&mut machine, &issued.edit)?;
    }
    Ok(machine)
}

/// Applies an edit as replay does.
pub fn apply<S: Replayable>(machine: &mut S, edit: &[u8]) -> Verdict {
    match laws::golden::<S>(edit) {
        Ok(edit) => drop(machine.apply(edit)),
        Err(error) => return FOLD.broken(error.to_string()),
    }
    Ok(())
}

/// The canonical encoding of a state.
pub fn state<S: Replayable>(machine: &S) -> Verdict<Vec<u8>> {
    laws::encode::<S>(&machine.snapshot()).or_else(|error| FOLD.broken(error.to_string()))
}

/// The canonical encoding of the state after the first edits of the line.
pub fn encoded_fold<S: Replayable>(history: &History, last: u64) -> Verdict<Vec<u8>> {
    state(&fold::<S>(history, last)?)
}
