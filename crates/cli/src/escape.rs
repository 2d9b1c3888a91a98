//! Keys and values as text, and back: one way for all commands.
//!
//! Text stands as it is, but for what would break a line of it: a tab is `\t`, a newline `\n`, a
//! carriage return `\r`, a backslash `\\`, and every other control character, and what is not UTF-8,
//! `\xHH` for each byte.
//!
//! Invariants:
//! - [`unescape`] undoes [`Escaped`], whatever the bytes; what is escaped is one line without tabs.
//! - A backslash that begins no escape is an error, so nothing is read as what it was not meant to be.

use std::fmt;

/// What is said of it to users.
pub(crate) const HELP: &str = "\
Keys and values are text, one pair a line. In them a tab is \\t, a newline \\n, a carriage return \\r,
a backslash \\\\, and any other byte that is not text \\xHH, with its value in hex.";

/// Bytes as text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut plain = 0;
            for (at, letter) in chunk.valid().char_indices() {
                if letter == '\\' || letter.is_control() {
                    f.write_str(&chunk.valid()[plain..at])?;
                    plain = at + letter.len_utf8();
                    escape(f, letter)?;
                }
            }
            f.write_str(&chunk.valid()[plain..])?;
            bytes(f, chunk.invalid())?;
        }
        Ok(())
    }
}

fn escape(f: &mut fmt::Formatter<'_>, letter: char) -> fmt::Result {
    match letter {
        '\t' => f.write_str("\\t"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\\' => f.write_str("\\\\"),
        other => bytes(f, other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

/// The bytes that a text stands for, or why it stands for none.
pub(crate) fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        bytes.extend_from_slice(&rest[..at]);
        let (byte, len) = escaped(&rest[at..])?;
        bytes.push(byte);
        rest = &rest[at + len..];
    }
    bytes.extend_from_slice(rest);
    Ok(bytes)
}

/// The byte that the escape at the beginning stands for, and how long the escape is.
fn escaped(text: &[u8]) -> Result<(u8, usize), String> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    Ok(match text.get(1) {
        Some(b't') => (b'\t', 2),
        Some(b'n') => (b'\n', 2),
        Some(b'r') => (b'\r', 2),
        Some(b'\\') => (b'\\', 2),
        Some(b'x') => match (digit(2), digit(3)) {
            #[expect(clippy::cast_possible_truncation, reason = "two digits of hex")]
            (Some(high), Some(low)) => ((high * 16 + low) as u8, 4),
            _ => return Err("\\x wants two digits of hex behind it, as in \\x00".into()),
        },
        Some(_) => {
            let found = String::from_utf8_lossy(&text[1..]);
            let letter = found.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
            let letter = letter.escape_debug();
            return Err(format!("\\{letter} is no escape: a backslash is \\\\"));
        }
        None => return Err("a backslash at the end is no escape: a backslash is \\\\".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_as_it_is_and_the_rest_is_escaped() {
        for (bytes, shown) in [
            (&b""[..], ""),
            (b"say \"so\"", "say \"so\""),
            ("größe 9\u{20ac}".as_bytes(), "größe 9\u{20ac}"),
            (b"a\tb\nc\rd\\e", "a\\tb\\nc\\rd\\\\e"),
            (b"\x00\x00\x00\xeb", "\\x00\\x00\\x00\\xeb"),
            (b"\x1b[2J", "\\x1b[2J"),
            ("a\u{85}b".as_bytes(), "a\\xc2\\x85b"),
            (b"ab\xffcd\xc3", "ab\\xffcd\\xc3"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), shown);
            assert_eq!(unescape(shown.as_bytes()).as_deref(), Ok(bytes));
        }
    }

    #[test]
    fn all_bytes_come_back_and_make_one_line_without_tabs() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let bytes = [first, second, b'x', second];
                let shown = Escaped(&bytes).to_string();
                assert!(!shown.contains(['\t', '\n', '\r']), "{shown:?}");
                assert_eq!(unescape(shown.as_bytes()).as_deref(), Ok(&bytes[..]));
            }
        }
    }

    #[test]
    fn what_is_no_escape_is_an_error_that_says_what_to_write() {
        for (text, error) in [
            ("C:\\Users", "\\U is no escape: a backslash is \\\\"),
            ("\\é", "\\é is no escape: a backslash is \\\\"),
            (
                "a\\",
                "a backslash at the end is no escape: a backslash is \\\\",
            ),
            ("\\x1", "\\x wants two digits of hex behind it, as in \\x00"),
            (
                "\\xg0",
                "\\x wants two digits of hex behind it, as in \\x00",
            ),
        ] {
            assert_eq!(unescape(text.as_bytes()), Err(error.into()));
        }
        assert!(unescape(b"\\\xff").is_err());
    }
}
