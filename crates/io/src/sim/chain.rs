//! A version chain: everything that one sector, one size or one name may be after a crash.
//!
//! Invariants:
//! - A chain is never empty. Its versions are in the order in which they were issued, and their
//!   stamps rise.
//! - The first version is the floor: nothing older can come back. The last one is what the running
//!   program sees.
//! - Stamps at or below `boot` (the stamp of the last power loss) are from an earlier lifetime. If
//!   such a version is the last of several, what is on the disk is one of them, and nobody has
//!   looked yet: the chain is unsettled.

/// A point in the order of all mutations of a disk. 0 is before all of them.
pub(super) type Stamp = u64;

#[derive(Clone, Debug)]
pub(super) struct Chain<T> {
    versions: Vec<Version<T>>,
}

#[derive(Clone, Debug)]
pub(super) struct Version<T> {
    pub(super) stamp: Stamp,
    pub(super) value: T,
    /// A failed sync dropped this version: the program may still see it, the disk never will.
    pub(super) dropped: bool,
}

impl<T> Chain<T> {
    /// A chain that certainly is `value`.
    pub(super) fn settled(stamp: Stamp, value: T) -> Chain<T> {
        Chain {
            versions: vec![Version::new(stamp, value)],
        }
    }

    /// A chain that was `base` since ever and has just become `value`.
    pub(super) fn born(base: T, stamp: Stamp, value: T) -> Chain<T> {
        Chain {
            versions: vec![Version::new(0, base), Version::new(stamp, value)],
        }
    }

    pub(super) fn push(&mut self, stamp: Stamp, value: T) {
        debug_assert!(self.newest().stamp <= stamp);
        self.versions.push(Version::new(stamp, value));
    }

    pub(super) fn newest(&self) -> &Version<T> {
        self.versions.last().expect("a chain is never empty")
    }

    pub(super) fn versions(&self) -> &[Version<T>] {
        &self.versions
    }

    pub(super) fn versions_mut(&mut self) -> &mut [Version<T>] {
        &mut self.versions
    }

    /// Whether what a reader would see now is known.
    pub(super) fn is_settled(&self, boot: Stamp) -> bool {
        self.versions.len() == 1 || self.newest().stamp > boot
    }

    /// Whether a crash now would leave a choice.
    pub(super) fn is_certain(&self) -> bool {
        self.versions.len() == 1
    }

    /// The stamp up to which a sync of everything until `until` raises the floor: the newest
    /// version of this lifetime that it covers, and that was not dropped before.
    pub(super) fn covered(&self, boot: Stamp, until: Stamp) -> Option<Stamp> {
        let newest = self
            .versions
            .iter()
            .rfind(|version| version.stamp <= until && !version.dropped)?;
        (newest.stamp > boot && self.versions.len() > 1).then_some(newest.stamp)
    }

    /// Raises the floor to the newest version at or before `stamp`; gives back what that rules out.
    pub(super) fn raise(&mut self, stamp: Stamp) -> Vec<Version<T>> {
        let floor = self
            .versions
            .iter()
            .rposition(|version| version.stamp <= stamp && !version.dropped)
            .unwrap_or(0);
        if floor == 0 {
            return Vec::new();
        }
        self.versions.drain(..floor).collect()
    }

    /// Rules out every version from `stamp` on; gives them back.
    pub(super) fn cut(&mut self, stamp: Stamp) -> Vec<Version<T>> {
        let first = self.versions.partition_point(|v| v.stamp < stamp).max(1);
        self.versions.split_off(first)
    }

    /// The same history of a part or another view of the value.
    pub(super) fn map(&self, mut view: impl FnMut(&T) -> T) -> Chain<T> {
        let versions = self.versions.iter().map(|version| Version {
            stamp: version.stamp,
            value: view(&version.value),
            dropped: version.dropped,
        });
        Chain {
            versions: versions.collect(),
        }
    }

    /// The disk never sees what was issued from `stamp` on; the program still does.
    pub(super) fn drop_from(&mut self, stamp: Stamp) {
        let first = self.versions.partition_point(|v| v.stamp < stamp).max(1);
        for version in &mut self.versions[first..] {
            version.dropped = true;
        }
    }

    /// Only the version at `index` is left.
    pub(super) fn settle(&mut self, index: usize) {
        self.versions.swap(0, index);
        self.versions.truncate(1);
        self.versions[0].dropped = false;
    }

    /// Only this value is left, as what became of the version at `index`.
    pub(super) fn settle_as(&mut self, index: usize, value: T) {
        self.settle(index);
        self.versions[0].value = value;
    }

    /// Keeps what `keep` says, but at least one version.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Version<T>) -> bool) {
        if self.versions.len() > 1 {
            self.versions.retain(keep);
        }
        debug_assert!(!self.versions.is_empty());
    }
}

impl<T> Version<T> {
    fn new(stamp: Stamp, value: T) -> Version<T> {
        Version {
            stamp,
            value,
            dropped: false,
        }
    }
}
