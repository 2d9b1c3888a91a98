//! [`Attempts`]: how background work of one kind has gone.
//!
//! Invariant: who waits for work hears only of attempts that began after the waiting. What an earlier
//! one has met may be over: there may be room again.

use crate::Error;

/// A kind of background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Flush,
    Compaction,
}

/// One attempt at a piece of work: the number of those that have begun, with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt(u64);

/// All attempts of one kind.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    last: Attempt,
    /// The latest of those that have failed, and why.
    failure: Option<(Attempt, Error)>,
    failures_in_a_row: u32,
}

impl Attempts {
    /// Begins one more.
    pub(crate) fn begin(&mut self) -> Attempt {
        self.last.0 += 1;
        self.last
    }

    /// The last one that has begun: who waits from now on hears of those behind it.
    pub(crate) fn last(&self) -> Attempt {
        self.last
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures_in_a_row = 0;
    }

    /// Gives how many have failed in a row.
    pub(crate) fn failed(&mut self, attempt: Attempt, error: Error) -> u32 {
        self.failures_in_a_row += 1;
        let is_latest = |failure: &(Attempt, Error)| failure.0 < attempt;
        if self.failure.as_ref().is_none_or(is_latest) {
            self.failure = Some((attempt, error));
        }
        self.failures_in_a_row
    }

    /// Why one has failed that began after this one.
    pub(crate) fn failure_after(&self, attempt: Attempt) -> Option<Error> {
        let failure = self.failure.as_ref();
        failure
            .filter(|(failed, _)| *failed > attempt)
            .map(|(_, error)| error.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_hears_of_later_attempts_only() {
        let mut attempts = Attempts::default();
        let (first, second) = (attempts.begin(), attempts.begin());
        let since = attempts.last();
        assert_eq!(attempts.failed(second, Error::Closed), 1);
        // An earlier one that ends later.
        assert_eq!(attempts.failed(first, Error::DefaultKeyspace), 2);
        assert!(attempts.failure_after(since).is_none());
        let heard = attempts.failure_after(Attempt::default());
        assert!(matches!(heard, Some(Error::Closed)), "{heard:?}");
        let third = attempts.begin();
        assert_eq!(attempts.failed(third, Error::DefaultKeyspace), 3);
        // Everybody who waits hears of it.
        for _ in 0..2 {
            assert!(attempts.failure_after(since).is_some());
        }
        attempts.succeeded();
        assert_eq!(attempts.failed(third, Error::Closed), 1);
    }
}
