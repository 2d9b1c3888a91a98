//! [`Snapshots`]: the sequence numbers at which somebody still reads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Numbers that are read at, each with how often it is held.
#[derive(Default)]
pub(crate) struct Snapshots {
    held: Mutex<BTreeMap<u64, usize>>,
    /// Called when a number is let go.
    released: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Holds a number until it is dropped: what is visible at it is kept.
#[derive(Debug)]
pub(crate) struct Held {
    snapshots: Arc<Snapshots>,
    seq: u64,
}

impl Snapshots {
    /// From now on, calls this whenever a number is let go: it must not wait. Only the first counts.
    pub(crate) fn when_released(&self, released: impl Fn() + Send + Sync + 'static) {
        let _ = self.released.set(Box::new(released));
    }

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

    /// How many numbers are held.
    pub(crate) fn count(&self) -> usize {
        self.held().len()
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
        drop(held);
        if let Some(released) = self.snapshots.released.get() {
            released();
        }
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshots").field(&*self.held()).finish()
    }
}
