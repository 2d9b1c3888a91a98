//! [`Key`]: a table's key, for people.

use std::fmt;

use crate::escape::Escaped;

/// What is longer is shortened in the middle.
const SHOWN: usize = 32;

/// What is left of it then, at most.
const START: usize = 16;
const END: usize = 12;

/// A key in quotes, [escaped](crate::escape). Where it is long, `...` stands for its middle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Escaped(self.0).to_string();
        if whole.chars().count() <= SHOWN {
            return write!(f, "\"{whole}\"");
        }
        let letters = letters(self.0);
        let start = fitting(letters.iter(), START);
        let end = fitting(letters.iter().rev(), END);
        let (start, end) = (&letters[..start], &letters[letters.len() - end..]);
        write!(f, "\"{}...{}\"", start.concat(), end.concat())
    }
}

/// The letters of the escaped text: an escape is one, so that none is cut.
fn letters(key: &[u8]) -> Vec<String> {
    let chunks = key.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars().map(|letter| letter.to_string());
        let escaped = valid.map(|letter| Escaped(letter.as_bytes()).to_string());
        let invalid = chunk.invalid().iter();
        escaped.chain(invalid.map(|byte| Escaped(&[*byte]).to_string()))
    });
    chunks.collect()
}

/// How many of these are no longer than `limit` in all.
fn fitting<'a>(letters: impl Iterator<Item = &'a String>, limit: usize) -> usize {
    let mut len = 0;
    letters
        .take_while(|letter| {
            len += letter.chars().count();
            len <= limit
        })
        .count()
}

/// All of the bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_in_quotes() {
        for (key, shown) in [
            (&b""[..], "\"\""),
            (b"ada", "\"ada\""),
            ("größe".as_bytes(), "\"größe\""),
            (b"\x00\x00\x00\xeb", "\"\\x00\\x00\\x00\\xeb\""),
        ] {
            assert_eq!(Key(key).to_string(), shown);
        }
    }

    #[test]
    fn long_keys_lose_their_middle_and_no_escape_is_cut() {
        let letters = "abcdefghijklmnopqrstuvwxyz0123456789".as_bytes();
        assert_eq!(Key(&letters[..32]).to_string().len(), 34);
        assert_eq!(
            Key(letters).to_string(),
            "\"abcdefghijklmnop...yz0123456789\""
        );
        let bytes = [b"a", &[0; 8][..], &[0xeb; 6], b"z"].concat();
        assert_eq!(
            Key(&bytes).to_string(),
            "\"a\\x00\\x00\\x00...\\xeb\\xebz\""
        );
    }
}
