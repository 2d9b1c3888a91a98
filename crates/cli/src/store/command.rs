//! [`Command`]: what a line of the shell asks for.

use crate::escape::{Escaped, unescape};

/// All commands, for those who ask.
pub(super) const HELP: &str = "\
put K V            set the key K to V, the rest of the line  ok
get K              show the value of K                       the value, or (none)
del K              delete K, whether it is there or not      ok
scan [FROM [TO]]   show pairs, FROM and TO among them        K<TAB>V ..., (N keys)
fill A B           put i = \"value\" and i, for i in A..=B     ok
flush              write what is in memory as tables         ok
compact            merge all; keep only what is visible      ok
stats              show what the store has done, and holds   ..., (N figures)
dump               show keyspaces, levels and tables         ..., (N tables)
quit               close the store and leave                 ok";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Put(Vec<u8>, Vec<u8>),
    Get(Vec<u8>),
    Del(Vec<u8>),
    /// From here to there, both included.
    Scan(Vec<u8>, Option<Vec<u8>>),
    /// For these numbers, both included.
    Fill(u64, u64),
    Flush,
    Compact,
    Stats,
    Dump,
    Help,
    Quit,
}

impl Command {
    /// The command of a line; none of one that is empty. Fails with what to write instead.
    pub(super) fn parse(line: &[u8]) -> Result<Option<Command>, String> {
        let line = line.trim_ascii_start();
        let (name, rest) = word(line);
        let words: Vec<&[u8]> = rest
            .split(is_space)
            .filter(|word| !word.is_empty())
            .collect();
        Ok(Some(match (name, words.as_slice()) {
            (b"", _) => return Ok(None),
            (b"put", [_, ..]) => {
                let (key, value) = word(rest.trim_ascii_start());
                // Without anything behind the key there is no value, not even an empty one.
                if !rest.trim_ascii_start()[key.len()..].starts_with(b" ") {
                    return Err(usage("put K V"));
                }
                Command::Put(unescape(key)?, unescape(value)?)
            }
            (b"put", []) => return Err(usage("put K V")),
            (b"get", [key]) => Command::Get(unescape(key)?),
            (b"get", _) => return Err(one_key("get K")),
            (b"del", [key]) => Command::Del(unescape(key)?),
            (b"del", _) => return Err(one_key("del K")),
            (b"scan", []) => Command::Scan(Vec::new(), None),
            (b"scan", [from]) => Command::Scan(unescape(from)?, None),
            (b"scan", [from, to]) => Command::Scan(unescape(from)?, Some(unescape(to)?)),
            (b"scan", _) => return Err(one_key("scan [FROM [TO]]")),
            (b"fill", [first, last]) => fill(first, last)?,
            (b"fill", _) => return Err(usage("fill A B")),
            (b"flush", []) => Command::Flush,
            (b"compact", []) => Command::Compact,
            (b"stats", []) => Command::Stats,
            (b"dump", []) => Command::Dump,
            (b"help", []) => Command::Help,
            (b"quit", []) => Command::Quit,
            (b"flush" | b"compact" | b"stats" | b"dump" | b"help" | b"quit", _) => {
                return Err(format!("\"{}\" takes nothing behind it", Escaped(name)));
            }
            _ => {
                let name = Escaped(name);
                return Err(format!("\"{name}\" is no command: \"help\" lists them"));
            }
        }))
    }
}

fn fill(first: &[u8], last: &[u8]) -> Result<Command, String> {
    let number = |word: &[u8]| str::from_utf8(word).ok()?.parse().ok();
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Command::Fill(first, last)),
        (Some(_), Some(_)) => Err("\"fill A B\" wants A to be at most B".into()),
        _ => Err("\"fill A B\" wants two integers, from 0 on".into()),
    }
}

/// The first word, and what is behind the one space that ends it.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(is_space) {
        Some(end) => (&line[..end], &line[end + 1..]),
        None => (line, b""),
    }
}

fn is_space(byte: &u8) -> bool {
    *byte == b' '
}

fn usage(form: &str) -> String {
    format!("write \"{form}\"")
}

fn one_key(form: &str) -> String {
    format!("write \"{form}\"; a space in a key is \\x20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_command() {
        let key = || b"k".to_vec();
        for (line, command) in [
            ("put k v", Command::Put(key(), b"v".to_vec())),
            (
                "  put   k  two words ",
                Command::Put(key(), b" two words ".to_vec()),
            ),
            ("put k ", Command::Put(key(), Vec::new())),
            (
                "put \\x6b a\\tb\tc",
                Command::Put(key(), b"a\tb\tc".to_vec()),
            ),
            ("get k ", Command::Get(key())),
            ("del k", Command::Del(key())),
            ("scan", Command::Scan(Vec::new(), None)),
            ("scan k", Command::Scan(key(), None)),
            ("scan a  k", Command::Scan(b"a".to_vec(), Some(key()))),
            ("fill 7 7", Command::Fill(7, 7)),
            ("flush", Command::Flush),
            ("compact", Command::Compact),
            ("stats ", Command::Stats),
            ("dump", Command::Dump),
            ("help", Command::Help),
            ("quit", Command::Quit),
        ] {
            assert_eq!(
                Command::parse(line.as_bytes()),
                Ok(Some(command)),
                "{line:?}"
            );
        }
        assert_eq!(Command::parse(b""), Ok(None));
        assert_eq!(Command::parse(b"  "), Ok(None));
    }

    #[test]
    fn what_is_none_is_told_what_to_write() {
        for (line, error) in [
            ("putt k v", "\"putt\" is no command: \"help\" lists them"),
            ("PUT k v", "\"PUT\" is no command: \"help\" lists them"),
            ("put", "write \"put K V\""),
            ("put k", "write \"put K V\""),
            ("put C:\\dir v", "\\d is no escape: a backslash is \\\\"),
            ("get", "write \"get K\"; a space in a key is \\x20"),
            ("get a b", "write \"get K\"; a space in a key is \\x20"),
            (
                "scan a b c",
                "write \"scan [FROM [TO]]\"; a space in a key is \\x20",
            ),
            ("fill 1", "write \"fill A B\""),
            ("fill 1 x", "\"fill A B\" wants two integers, from 0 on"),
            ("fill 1 -1", "\"fill A B\" wants two integers, from 0 on"),
            ("fill 2 1", "\"fill A B\" wants A to be at most B"),
            ("quit now", "\"quit\" takes nothing behind it"),
        ] {
            assert_eq!(
                Command::parse(line.as_bytes()),
                Err(error.into()),
                "{line:?}"
            );
        }
        assert!(Command::parse(b"\xff\x00").is_err());
    }
}
