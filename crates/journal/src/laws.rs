//! Checks that a [`Replayable`] keeps its laws, for a test of a few lines.
//!
//! ```
//! use quipu_journal::{Replayable, laws};
//! # #[derive(Default)]
//! # struct Counter(u64);
//! # impl Replayable for Counter {
//! #     type Edit = u64;
//! #     type Output = u64;
//! #     fn filename_prefix() -> &'static str { "counter" }
//! #     fn initial() -> Self { Counter(0) }
//! #     fn apply(&mut self, edit: u64) -> u64 { self.0 = self.0.wrapping_add(edit); self.0 }
//! #     fn snapshot(&self) -> u64 { self.0 }
//! # }
//! # fn main() -> Result<(), laws::Violation> {
//! laws::check::<Counter>([1, 2, u64::MAX])?;
//!
//! // Version 1 as it was written once, kept as bytes: every later release reads it.
//! assert_eq!(laws::golden::<Counter>(&[251, 0x39, 0x30])?, 12345);
//! # Ok(())
//! # }
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Replayable, codec};

/// A law that a machine does not keep. `index` counts the edits of the check from 0.
#[derive(Clone, Debug, PartialEq, Eq, derive_more::Display, derive_more::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The edit does not encode.
    #[display("edit {index} does not encode: {reason}")]
    Encode {
        /// The edit.
        index: usize,
        /// What the encoder said.
        reason: String,
    },
    /// The edit does not decode to what was encoded.
    #[display("edit {index} does not come back from its encoding: {reason}")]
    RoundTrip {
        /// The edit.
        index: usize,
        /// What the decoder said, or how the second encoding differs.
        reason: String,
    },
    /// The same edit gave another answer the second time.
    #[display("applying edit {index} again gave another answer: apply is not deterministic")]
    Answer {
        /// The edit.
        index: usize,
    },
    /// The same edits gave another state the second time.
    #[display("the same {edits} edits gave two different states: apply is not deterministic")]
    State {
        /// How many edits were applied.
        edits: usize,
    },
    /// A snapshot does not stand for the edits before it.
    #[display(
        "the snapshot after {edits} edits, and the rest, give another state or other answers"
    )]
    Snapshot {
        /// How many edits the snapshot stands for.
        edits: usize,
    },
    /// The machine panicked.
    #[display("{what} panicked after {edits} edits")]
    Panic {
        /// How many edits were applied before.
        edits: usize,
        /// The method.
        what: &'static str,
    },
    /// Bytes of a past version do not decode.
    #[display("the golden bytes do not decode: {reason}")]
    Golden {
        /// What the decoder said.
        reason: String,
    },
}

/// After so many places in a history a snapshot is tried, spread over it.
const PLACES: usize = 64;

/// Checks all laws over one history of edits.
///
/// - Each edit encodes, and decodes to what was encoded.
/// - Applying them twice gives the same answers and the same state.
/// - At places all over the history, [`snapshot`](Replayable::snapshot) and the rest of the edits
///   give the same state, and so do [`snapshot_parts`](Replayable::snapshot_parts).
///
/// States are compared by the encoding of their snapshots: a machine whose snapshot depends on the
/// order of a hash table is found here.
pub fn check<S: Replayable>(edits: impl IntoIterator<Item = S::Edit>) -> Result<(), Violation>
where
    S::Output: PartialEq,
{
    let mut encoded = Vec::new();
    for (index, edit) in edits.into_iter().enumerate() {
        encoded.push(round_trip::<S>(index, &edit)?);
    }
    let (reference, answers) = run::<S>(S::initial(), &encoded, 0)?;
    let (again, second) = run::<S>(S::initial(), &encoded, 0)?;
    if let Some(index) = (0..answers.len()).find(|index| answers[*index] != second[*index]) {
        return Err(Violation::Answer { index });
    }
    if again != reference {
        return Err(Violation::State {
            edits: encoded.len(),
        });
    }
    let step = encoded.len().div_ceil(PLACES).max(1);
    for place in (0..=encoded.len()).step_by(step) {
        check_snapshots::<S>(&encoded, place, &reference, &answers)?;
    }
    Ok(())
}

/// Decodes the bytes of one edit that an earlier version of the program wrote.
pub fn golden<S: Replayable>(bytes: &[u8]) -> Result<S::Edit, Violation> {
    codec::decode(bytes).map_err(|reason| Violation::Golden { reason })
}

/// The bytes of an edit as the journal stores them: what to keep for [`golden`].
pub fn encode<S: Replayable>(edit: &S::Edit) -> Result<Vec<u8>, Violation> {
    let mut bytes = Vec::new();
    codec::encode(edit, &mut bytes).map_err(|reason| Violation::Encode { index: 0, reason })?;
    Ok(bytes)
}

fn round_trip<S: Replayable>(index: usize, edit: &S::Edit) -> Result<Vec<u8>, Violation> {
    let mut bytes = Vec::new();
    codec::encode(edit, &mut bytes).map_err(|reason| Violation::Encode { index, reason })?;
    let back: S::Edit =
        codec::decode(&bytes).map_err(|reason| Violation::RoundTrip { index, reason })?;
    let mut again = Vec::new();
    codec::encode(&back, &mut again).map_err(|reason| Violation::Encode { index, reason })?;
    if again == bytes {
        return Ok(bytes);
    }
    let reason = format!("{} bytes became {} others", bytes.len(), again.len());
    Err(Violation::RoundTrip { index, reason })
}

/// The state, as its encoded snapshot, and the answers on the way.
type Run<S> = (Vec<Vec<u8>>, Vec<<S as Replayable>::Output>);

fn run<S: Replayable>(mut machine: S, edits: &[Vec<u8>], from: usize) -> Result<Run<S>, Violation> {
    let mut answers = Vec::with_capacity(edits.len());
    for (index, bytes) in edits.iter().enumerate() {
        let edit = codec::decode(bytes).map_err(|reason| Violation::RoundTrip {
            index: from + index,
            reason,
        })?;
        answers.push(guard("apply", from + index, || machine.apply(edit))?);
    }
    let edits = from + edits.len();
    let parts: Vec<S::Edit> = guard("snapshot_parts", edits, || {
        machine.snapshot_parts().collect()
    })?;
    Ok((encode_all::<S>(edits, &parts)?, answers))
}

fn check_snapshots<S: Replayable>(
    encoded: &[Vec<u8>],
    place: usize,
    reference: &[Vec<u8>],
    answers: &[S::Output],
) -> Result<(), Violation>
where
    S::Output: PartialEq,
{
    let mut machine = S::initial();
    for bytes in &encoded[..place] {
        let edit = codec::decode(bytes).map_err(|reason| Violation::RoundTrip {
            index: place,
            reason,
        })?;
        guard("apply", place, || machine.apply(edit))?;
    }
    let whole = vec![guard("snapshot", place, || machine.snapshot())?];
    let parts = guard("snapshot_parts", place, || {
        machine.snapshot_parts().collect()
    })?;
    for snapshot in [whole, parts] {
        let mut restored = S::initial();
        for bytes in encode_all::<S>(place, &snapshot)? {
            let edit = codec::decode(&bytes).map_err(|reason| Violation::RoundTrip {
                index: place,
                reason,
            })?;
            guard("apply", place, || restored.apply(edit))?;
        }
        let (state, rest) = run::<S>(restored, &encoded[place..], place)?;
        if state != reference || rest != answers[place..] {
            return Err(Violation::Snapshot { edits: place });
        }
    }
    Ok(())
}

fn encode_all<S: Replayable>(edits: usize, parts: &[S::Edit]) -> Result<Vec<Vec<u8>>, Violation> {
    let encode_one = |part: &S::Edit| {
        let mut bytes = Vec::new();
        codec::encode(part, &mut bytes)
            .map(|()| bytes)
            .map_err(|reason| Violation::Encode {
                index: edits,
                reason,
            })
    };
    parts.iter().map(encode_one).collect()
}

fn guard<T>(what: &'static str, edits: usize, call: impl FnOnce() -> T) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Violation::Panic { edits, what })
}
