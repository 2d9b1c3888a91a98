//! [`Seq`]: the number of an edit.

/// The sequence number of an edit: 1, 2, 3 ... without gaps, for as long as the journal exists.
///
/// A number that a failed append did not use goes to the next edit, so a `Seq` is handed out only
/// together with the answer that the edit is durable.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display,
)]
pub struct Seq(u64);

impl Seq {
    /// Before the first edit.
    pub const ZERO: Seq = Seq(0);

    /// The sequence number with this value; 0 means "before the first edit".
    pub const fn new(value: u64) -> Seq {
        Seq(value)
    }

    /// The plain number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of the edit that follows.
    pub(crate) const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }

    /// The number of the `count`-th edit after this one.
    pub(crate) const fn plus(self, count: u64) -> Seq {
        Seq(self.0 + count)
    }

    /// How many edits come after `earlier` up to this one; 0 if none.
    pub(crate) const fn since(self, earlier: Seq) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
