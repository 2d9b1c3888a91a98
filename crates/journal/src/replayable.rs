//! [`Replayable`]: the state machine that a user brings.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state machine whose state is the result of its edits.
///
/// The journal stores edits; the state is what applying them in order gives, now and after every
/// reopen. That makes three laws, which [`laws`](crate::laws) checks for any machine:
///
/// 1. `apply` is total and deterministic: it panics on no edit, and the same edits give the same
///    state and the same answers, live and in replay. No clocks, no randomness, no address order.
/// 2. Applying [`snapshot`](Replayable::snapshot) (or its parts, in order) to
///    [`initial`](Replayable::initial) gives the same state again.
/// 3. An edit decodes to what was encoded, in every later release of the program.
///
/// # Refusing an edit
///
/// An edit that does not fit the state is answered, not asserted: make [`Output`] a `Result`, change
/// nothing, and return the refusal. The refused edit is in the log, and replay refuses it again. So
/// no edit can make a journal unopenable, but changing *what* `apply` refuses is a change of format:
/// old edits would be judged by new rules. Add a new edit variant instead.
///
/// # Evolving an edit
///
/// Edits are encoded with bincode, which does not describe itself. Wrap them in a version enum,
/// `enum Edit { V1(EditV1), V2(EditV2) }`, and only ever add variants at its end; the same goes for
/// the enums and structs inside. `serde(default)`, `flatten`, `untagged`, internally tagged enums
/// and `skip_serializing_if` do not survive the way back; [`laws::golden`](crate::laws::golden) keeps
/// a test of every past version.
///
/// # Example
///
/// ```
/// use quipu_journal::Replayable;
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl Replayable for Counter {
///     type Edit = u64;
///     type Output = u64;
///     fn filename_prefix() -> &'static str {
///         "counter"
///     }
///     fn initial() -> Self {
///         Counter(0)
///     }
///     fn apply(&mut self, edit: u64) -> u64 {
///         self.0 = self.0.wrapping_add(edit);
///         self.0
///     }
///     fn snapshot(&self) -> u64 {
///         self.0
///     }
/// }
/// ```
///
/// [`Output`]: Replayable::Output
pub trait Replayable: Sized + Send + Sync + 'static {
    /// One change.
    type Edit: Serialize + DeserializeOwned + Send + 'static;

    /// What applying an edit answers: `()`, a receipt, or a `Result` when it can be refused.
    type Output: Send + 'static;

    /// The first part of the journal's file names: 1 to 63 of `a-z A-Z 0-9 _ . -`, not beginning
    /// with a dot. Journals with different prefixes may share a directory.
    fn filename_prefix() -> &'static str;

    /// The state before the first edit.
    fn initial() -> Self;

    /// Applies one edit and answers. Called in the order of sequence numbers, once the edit is
    /// durable, and again in every replay.
    ///
    /// A panic in it fails everybody who waits and stops the journal.
    fn apply(&mut self, edit: Self::Edit) -> Self::Output;

    /// One edit that turns [`initial`](Replayable::initial) into this state.
    fn snapshot(&self) -> Self::Edit;

    /// The same in parts, to be applied in order, for states too large to be one value.
    ///
    /// Memory in use is bounded by the largest part. The iterator owns what it needs: clone the
    /// state where that is cheap (`Arc`s, a persistent map) and go over the clone. Appends wait only
    /// while this function runs, not while the parts are written; for a machine that keeps the
    /// default they wait while [`snapshot`](Replayable::snapshot) builds its value.
    ///
    /// Parts are edits and go through `apply`: give them variants of their own, and keep the edit
    /// type opaque if callers must not append one. Whatever stands beside a map that is cut into
    /// parts needs a part, too, also when the map is empty.
    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = Self::Edit> + Send> {
        Box::new(std::iter::once(self.snapshot()))
    }
}
