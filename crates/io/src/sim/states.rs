//! How many states a crash may leave, without visiting them.
//!
//! Invariant: never fewer than a reader can tell apart, as long as the number fits.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::{Chain, Stamp};
use super::content::Content;
use super::disk::Disk;
use super::inode::{Body, InodeId};
use super::medium::Medium;
use super::name::{Entry, can_be_absent};
use super::profile::Profile;
use super::run::Run;

/// What a crash of one kind would leave open.
struct Count<'a> {
    disk: &'a Disk,
    profile: Profile,
    states: f64,
    /// For each power loss with ordered metadata, the moments up to which that may have survived.
    moments: BTreeMap<usize, BTreeSet<Stamp>>,
    /// Inodes whose names may lead nowhere.
    doubtful: BTreeSet<InodeId>,
}

impl Disk {
    /// The product of what each chain may be: see [`DiskImage::legal_states`].
    ///
    /// [`DiskImage::legal_states`]: super::DiskImage::legal_states
    pub(super) fn legal_states(&self, profile: Profile) -> f64 {
        let mut count = Count {
            disk: self,
            profile,
            states: 1.0,
            moments: BTreeMap::new(),
            doubtful: BTreeSet::new(),
        };
        let reachable = self.inodes.iter().filter(|(_, inode)| inode.references > 0);
        for (_, inode) in reachable.clone() {
            if let Body::Directory(directory) = &inode.body {
                directory.entries.values().for_each(|c| count.name(c));
            }
        }
        for (id, _) in reachable {
            count.inode(*id);
        }
        for moments in count.moments.values() {
            count.states *= moments.len() as f64 + 1.0;
        }
        count.states.min(f64::MAX)
    }
}

impl Count<'_> {
    fn name(&mut self, chain: &Chain<Entry>) {
        let versions = chain.versions();
        for (index, version) in versions.iter().enumerate() {
            if let Some(target) = version.value.target
                && !can_be_absent(versions, index)
            {
                self.doubtful.insert(target);
            }
        }
        if self.is_in_order(chain) {
            return;
        }
        if self.is_open(chain) {
            // A rename counts where the name goes, and not again where it arrives.
            let arrivals = versions[1..]
                .iter()
                .filter(|v| v.value.partner.is_some() && v.value.target.is_some());
            let known = arrivals.count();
            self.states *= (self.disk.distinct_entries(chain).len() - known).max(1) as f64;
        }
    }

    fn inode(&mut self, id: InodeId) {
        let inode = self.disk.inode(id);
        let mut states = 1.0;
        let mut may_be_lost = false;
        if !self.is_in_order(&inode.size) && self.is_open(&inode.size) {
            let sizes = inode.size.versions();
            let unborn = usize::from(sizes[0].value.is_none());
            states = (sizes.len() - unborn) as f64;
            may_be_lost = unborn > 0 && self.doubtful.contains(&id);
        }
        if let Body::File(content) = &inode.body {
            states *= self.content(id, content);
        }
        self.states *= states + f64::from(may_be_lost);
    }

    fn content(&self, id: InodeId, content: &Content) -> f64 {
        let is_kill = self.profile == Profile::KillOnly;
        let removed = match is_kill {
            true => &self.disk.recycled,
            false => &self.disk.freed,
        };
        let medium = self.disk.medium(id, removed.as_deref());
        let runs = content
            .dirty_runs()
            .filter(|(_, run)| self.is_open(&run.chain));
        let written: f64 = runs
            .map(|(start, run)| sectors(&medium, content, start, run))
            .product();
        if !medium.model.stale_blocks {
            return written;
        }
        let size = (!is_kill).then_some(medium.size);
        let unwritten = content.unwritten(size) as f64;
        let possible: f64 = if removed.is_some() { 3.0 } else { 2.0 };
        written * possible.powf(unwritten)
    }

    /// Whether a crash leaves a choice.
    fn is_open<T>(&self, chain: &Chain<T>) -> bool {
        match self.profile {
            Profile::KillOnly => !chain.is_settled(self.disk.boot),
            _ => !chain.is_certain(),
        }
    }

    /// Whether the chain is metadata that survives in order: then its moments are counted.
    fn is_in_order<T>(&mut self, chain: &Chain<T>) -> bool {
        let newest = chain.newest().stamp;
        let (loss, profile) = match chain.is_settled(self.disk.boot) {
            true => (usize::MAX, self.profile),
            false => self.disk.order.loss(newest),
        };
        if profile != Profile::Ext4Ordered {
            return false;
        }
        let later = chain.versions()[1..].iter().map(|version| version.stamp);
        let open = later.filter(|stamp| !self.disk.order.is_known(*stamp));
        self.moments.entry(loss).or_default().extend(open);
        true
    }
}

/// What the sectors of a run may be, each by itself.
fn sectors(medium: &Medium<'_>, content: &Content, start: u64, run: &Run) -> f64 {
    let possible = (start..start + run.sectors).map(|sector| {
        let chain = run.sector(sector - start, content.sector);
        medium
            .possible(sector, &chain, content.is_seen(sector), content.sector)
            .len() as f64
    });
    possible.product()
}
