//! [`Excerpt`]: the beginning of an edit, for people who look for something they know.

use std::fmt;

/// How much of an edit is shown.
const SHOWN_BYTES: usize = 64;

/// The first bytes of an edit; as text in hex, with `...` behind them if there are more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excerpt<'a>(pub(super) &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(SHOWN_BYTES) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > SHOWN_BYTES {
            f.write_str("...")?;
        }
        Ok(())
    }
}
