//! File names: `PREFIX-NUMBER.log`, `PREFIX-SEQ.snap`, `PREFIX.lock`, and `.tmp` behind a name that
//! is not published yet. Numbers have 20 digits, so that names sort as numbers do.

use quipu_io::planted::planted;

use super::header::PREFIX_BYTES;
use crate::{Error, Result, Seq};

const DIGITS: usize = 20;

/// A file of a journal, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    Segment(u64),
    Snapshot(Seq),
    /// Left behind by a publication that a crash cut short.
    Temporary,
}

impl FileName {
    /// What `name` stands for in the journal with this prefix; `None` if it is none of its files.
    pub(crate) fn parse(name: &str, prefix: &str) -> Option<FileName> {
        let rest = name.strip_prefix(prefix)?.strip_prefix('-')?;
        let (digits, ending) = rest.split_at_checked(DIGITS)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // The greatest number has no successor, so nothing ever bears it.
        let number: u64 = digits.parse().ok().filter(|number| *number < u64::MAX)?;
        match ending {
            ".log.tmp" if planted("a temporary name counts as a published one") => {
                Some(FileName::Segment(number))
            }
            ".log" if number > 0 => Some(FileName::Segment(number)),
            ".snap" => Some(FileName::Snapshot(Seq::new(number))),
            ".log.tmp" | ".snap.tmp" => Some(FileName::Temporary),
            _ => None,
        }
    }
}

/// The prefix in the name of a segment or a snapshot of whatever journal.
pub(crate) fn prefix_of(name: &str) -> Option<&str> {
    let (prefix, _) = name.rsplit_once('-')?;
    let published = matches!(
        FileName::parse(name, prefix),
        Some(FileName::Segment(_) | FileName::Snapshot(_))
    );
    (published && check_prefix(prefix).is_ok()).then_some(prefix)
}

/// The prefix in what can be the name of a journal's lock file.
pub(crate) fn prefix_of_lock(name: &str) -> Option<&str> {
    let prefix = name.strip_suffix(".lock")?;
    check_prefix(prefix).is_ok().then_some(prefix)
}

pub(crate) fn segment(prefix: &str, number: u64) -> String {
    format!("{prefix}-{number:0DIGITS$}.log")
}

pub(crate) fn snapshot(prefix: &str, seq: Seq) -> String {
    format!("{prefix}-{:0DIGITS$}.snap", seq.get())
}

pub(crate) fn lock(prefix: &str) -> String {
    format!("{prefix}.lock")
}

/// Refuses prefixes that do not make a portable file name, or do not fit into a header.
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    let fits = (1..=PREFIX_BYTES).contains(&prefix.len())
        && !prefix.starts_with('.')
        && prefix
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if fits {
        return Ok(());
    }
    let reason = format!(
        "the file name prefix {prefix:?} must be 1 to {PREFIX_BYTES} of a-z A-Z 0-9 _ . - and not \
         begin with a dot"
    );
    Err(Error::Invalid {
        reason: reason.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_to_what_they_were_made_of() {
        let parse = |name: &str| FileName::parse(name, "a-b");
        assert_eq!(parse(&segment("a-b", 7)), Some(FileName::Segment(7)));
        assert_eq!(
            parse(&snapshot("a-b", Seq::new(0))),
            Some(FileName::Snapshot(Seq::ZERO))
        );
        assert_eq!(
            parse(&format!("{}.tmp", segment("a-b", 7))),
            Some(FileName::Temporary)
        );
        for other in [
            lock("a-b"),
            segment("a", 7),
            segment("a-b-c", 7),
            segment("a-b", 0),
            "a-b-7.log".into(),
            "a-b-+0000000000000000007.log".into(),
            "a-b-99999999999999999999.log".into(),
            segment("a-b", u64::MAX),
            snapshot("a-b", Seq::new(u64::MAX)),
            "a-b-é000000000000000007.log".into(),
        ] {
            assert_eq!(parse(&other), None, "{other}");
        }
    }

    #[test]
    fn the_prefix_is_found_in_the_names_of_segments_and_snapshots() {
        assert_eq!(prefix_of(&segment("a-b", 7)), Some("a-b"));
        assert_eq!(prefix_of(&snapshot("a", Seq::ZERO)), Some("a"));
        assert_eq!(prefix_of("a-b.lock"), None);
        assert_eq!(prefix_of("notes-2.log"), None);
        assert_eq!(prefix_of(&segment("a b", 7)), None);
        assert_eq!(prefix_of_lock(&lock("a-b")), Some("a-b"));
        assert_eq!(prefix_of_lock(&segment("a-b", 7)), None);
        assert_eq!(prefix_of_lock(".lock"), None);
    }

    #[test]
    fn prefixes_that_make_no_name_are_refused() {
        for prefix in ["", ".", ".a", "a/b", "a b", "é", &"x".repeat(64)] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
        check_prefix("wal").unwrap();
        check_prefix(&"x".repeat(63)).unwrap();
    }
}
