//! [`Count`]: a number of things, in words.

use std::fmt;

/// A number of things: `no edits`, `1 edit`, `2 edits`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(number, thing) = self;
        match number {
            0 => write!(f, "no {thing}s"),
            1 => write!(f, "1 {thing}"),
            _ => write!(f, "{number} {thing}s"),
        }
    }
}
