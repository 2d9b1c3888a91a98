//! Bytes that never reach the disk, or not as they were: what failed syncs forget and what a broken
//! device loses.
//!
//! Invariant: a version that was dropped is seen by the program until it is evicted or the power
//! goes, and by nobody afterwards. A write to its page makes it count as dirty, and so as new, again.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::chain::{Chain, Stamp};
use super::content::Content;
use super::damage::Cache;
use super::run::Run;

impl Content {
    /// A failed sync of everything until `until` forgets the dirty sectors for which `forget` says
    /// so: the disk keeps one of the older versions, and the program goes on seeing the new one
    /// until it is evicted.
    pub(super) fn forget_dirty(
        &mut self,
        boot: Stamp,
        until: Stamp,
        forget: &mut dyn FnMut() -> bool,
        choose: &mut dyn FnMut(u32) -> u32,
    ) {
        let dirty: Vec<u64> = self
            .runs
            .range(self.dirty_from..)
            .filter(|(_, run)| {
                run.chain
                    .covered(boot, until)
                    .is_some_and(|s| s > run.floor())
            })
            .flat_map(|(start, run)| *start..*start + run.sectors)
            .collect();
        for sector in dirty {
            if !forget() {
                continue;
            }
            self.has_dropped = true;
            self.split(sector);
            self.split(sector + 1);
            if let Some(run) = self.runs.get_mut(&sector) {
                run.forget(until, choose);
            }
        }
    }

    /// Drops from the page cache what failed syncs have left there.
    pub(super) fn evict(&mut self) {
        self.has_dropped = false;
        for run in self.runs.values_mut() {
            run.chain.retain(|version| !version.dropped);
        }
    }

    /// Whether the program sees in the range what was dropped in this lifetime.
    pub(super) fn shows_dropped(&self, boot: Stamp, range: &Range<u64>) -> bool {
        let is_dropped = |run: &Run| run.chain.newest().dropped && run.chain.newest().stamp > boot;
        let mut runs = self.runs_in(self.sectors(range));
        self.has_dropped && runs.any(|(_, run)| is_dropped(run))
    }

    /// A write to a page makes all of it dirty again, also what a failed sync had dropped.
    pub(super) fn redirty(&mut self, boot: Stamp, stamp: Stamp, page: Range<u64>) {
        if !self.has_dropped {
            return;
        }
        let sectors = self.sectors(&page);
        self.split(sectors.start);
        self.split(sectors.end);
        for (start, run) in self.runs.range_mut(sectors) {
            let newest = run.chain.newest();
            if newest.dropped && newest.stamp > boot {
                let value = newest.value.clone();
                run.chain.retain(|version| !version.dropped);
                run.chain.push(stamp, value);
                self.dirty_from = self.dirty_from.min(*start);
            }
        }
    }

    /// The write of this stamp to the range never reaches the disk.
    pub(super) fn lose(&mut self, stamp: Stamp, range: Range<u64>, cache: Cache) {
        let sectors = self.sectors(&range);
        self.split(sectors.start);
        self.split(sectors.end);
        for (_, run) in self.runs.range_mut(sectors) {
            match cache {
                Cache::Evicted => run.chain.retain(|version| version.stamp != stamp),
                Cache::Kept => {
                    self.has_dropped = true;
                    run.chain.drop_from(stamp);
                }
            }
        }
    }

    /// Turns over the bits of `mask` in the byte at `offset`, in all versions of its sector. What
    /// was never written gets a version for it.
    pub(super) fn rot(&mut self, stamp: Stamp, offset: u64, mask: u8) {
        let sector = offset / self.sector;
        self.split(sector);
        self.split(sector + 1);
        let run = self.runs.entry(sector).or_insert_with(|| Run {
            sectors: 1,
            chain: Chain::settled(stamp, Bytes::new()),
        });
        let at = (offset % self.sector) as usize;
        for version in run.chain.versions_mut() {
            let mut bytes = BytesMut::from(version.value.as_ref());
            bytes.resize(bytes.len().max(at + 1), 0);
            bytes[at] ^= mask;
            version.value = bytes.freeze();
        }
    }

    /// Makes the sector at `offset` give read errors until it is written.
    pub(super) fn make_unreadable(&mut self, offset: u64) {
        self.unreadable.insert(offset / self.sector);
    }

    pub(super) fn is_readable(&self, range: &Range<u64>) -> bool {
        self.unreadable.is_empty() || self.unreadable.range(self.sectors(range)).next().is_none()
    }
}
