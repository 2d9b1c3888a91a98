//! The mark in the lock file: "a first segment was published here".
//!
//! It is written and synced once segment 1 is durable. A marked journal without any segment has
//! lost its files, and must not be opened as a new one.

/// What a marked lock file begins with. The number is the version of the mark.
pub(crate) const MARK: [u8; 16] = *b"QUIPU JOURNAL 1\n";

/// Whether these first bytes of a lock file are a mark, or were one before they were damaged.
pub(crate) fn is_marked(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte != 0)
}
