//! [`Key`]: a table's key, for people.

use std::fmt;

/// What is longer is shortened in the middle.
const SHOWN: usize = 32;

/// What is left of it then: whole bytes of hex.
const START: usize = 16;
const END: usize = 12;

/// A key: in quotes if it is text, or else in hex. Where it is long, `...` stands for its middle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a>(pub(super) &'a [u8]);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            // Whatever a terminal would take for a command is shown in hex.
            Ok(text) if !text.chars().any(char::is_control) => {
                write!(f, "{:?}", shortened(text))
            }
            _ => f.write_str(&shortened(&hex(self.0))),
        }
    }
}

/// All of the bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shortened(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= SHOWN {
        return text.to_owned();
    }
    let start: String = letters[..START].iter().collect();
    let end: String = letters[letters.len() - END..].iter().collect();
    format!("{start}...{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_and_bytes_are_hex() {
        for (key, shown) in [
            (&b""[..], "\"\""),
            (b"ada", "\"ada\""),
            (b"say \"so\"", "\"say \\\"so\\\"\""),
            ("größe".as_bytes(), "\"größe\""),
            (b"\x00\x00\x00\xeb", "000000eb"),
            (b"\x1b[2J", "1b5b324a"),
            (b"\xff", "ff"),
        ] {
            assert_eq!(Key(key).to_string(), shown);
        }
    }

    #[test]
    fn long_keys_lose_their_middle() {
        let letters = "abcdefghijklmnopqrstuvwxyz0123456789".as_bytes();
        assert_eq!(Key(&letters[..32]).to_string().len(), 34);
        assert_eq!(
            Key(letters).to_string(),
            "\"abcdefghijklmnop...yz0123456789\""
        );
        let bytes = [&[0; 14][..], &[0xeb; 6]].concat();
        assert_eq!(Key(&bytes).to_string(), "0000000000000000...ebebebebebeb");
    }
}
