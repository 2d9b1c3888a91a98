//! [`Budget`]: a bound that pieces of background work share.
//!
//! Invariants:
//! - What is [reserved](Budget::reserve) never exceeds the limit. What is [taken](Budget::take) for
//!   work that must go on may.
//! - Whatever becomes of the work, what it has is given back: when the [`Share`] is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// A part of a budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Arc<Budget> {
        let used = AtomicU64::new(0);
        Arc::new(Budget { limit, used })
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// So many bytes, if they are left beside `others` that do not count as used here.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64, others: u64) -> Option<Share> {
        let fits = |used: u64| {
            let all = used.checked_add(bytes)?;
            (all.checked_add(others)? <= self.limit).then_some(all)
        };
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.used.fetch_update(set, fetch, fits).ok()?;
        let budget = self.clone();
        Some(Share { budget, bytes })
    }

    /// So many bytes, whether or not they are left.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Share {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        let budget = self.clone();
        Share { budget, bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_reserved_than_there_is_and_all_is_given_back() {
        let budget = Budget::new(100);
        let first = budget.reserve(60, 0).unwrap();
        assert!(budget.reserve(41, 0).is_none());
        assert!(budget.reserve(40, 1).is_none());
        let second = budget.reserve(40, 0).unwrap();
        let beyond = budget.take(7);
        assert_eq!(budget.used(), 107);
        assert!(budget.reserve(0, 0).is_none());
        drop((first, beyond));
        assert_eq!(budget.used(), 40);
        assert!(budget.reserve(u64::MAX, 0).is_none());
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
