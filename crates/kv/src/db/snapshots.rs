//! [`Snapshots`]: the sequence numbers at which somebody still reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Numbers that are read at, each with how often it is held.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    held: Mutex<BTreeMap<u64, usize>>,
}

/// Holds a number until it is dropped: what is visible at it is kept.
#[derive(Debug)]
pub(crate) struct Held {
    snapshots: Arc<Snapshots>,
    seq: u64,
}

impl Snapshots {
    /// Holds the number that `now` gives. No compaction can miss it: it is taken under the lock
    /// under which compactions ask.
    pub(crate) fn hold(self: &Arc<Self>, now: impl FnOnce() -> u64) -> Held {
        let mut held = self.held();
        let seq = now();
        *held.entry(seq).or_insert(0) += 1;
        drop(held);
        Held {
            snapshots: self.clone(),
            seq,
        }
    }

    /// All numbers that are held, and that of now, ascending: a version that none of them sees need
    /// not be kept.
    pub(crate) fn visible(&self, now: impl FnOnce() -> u64) -> Vec<u64> {
        let held = self.held();
        let now = now();
        let mut seqs: Vec<u64> = held.keys().copied().filter(|seq| *seq < now).collect();
        seqs.push(now);
        seqs
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.snapshots.held();
        if let Some(times) = held.get_mut(&self.seq) {
            *times -= 1;
            if *times == 0 {
                held.remove(&self.seq);
            }
        }
    }
}
