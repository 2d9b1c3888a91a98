//! Names: what they may stand for, and what is left of them after a crash.
//!
//! Invariants:
//! - A name is settled before it is changed, so all that is open about it is of one lifetime.
//! - A rename is one atom: its two versions, each naming the other as its partner, survive together
//!   or not at all. Whatever raises or cuts one chain does the same to the partner's.
//! - A name whose inode did not survive is dropped.

use std::ffi::OsStr;
use std::io;

use super::chain::{Chain, Stamp, Version};
use super::choice::Tape;
use super::disk::Disk;
use super::inode::{Body, Directory, Inode, InodeId, Name};
use super::mood::Part;
use super::profile::Profile;

/// One version of a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// What it stands for, if it is there.
    pub(super) target: Option<InodeId>,
    /// The other end of the rename that made this version.
    pub(super) partner: Option<Box<Place>>,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) directory: InodeId,
    pub(super) name: Name,
}

impl Disk {
    /// What the name stands for, if nothing has to be decided for that.
    ///
    /// Most look-ups need no more, and no [`Place`].
    pub(super) fn known(&self, directory: InodeId, name: &OsStr) -> Option<Option<InodeId>> {
        let Body::Directory(directory) = &self.inode(directory).body else {
            return None;
        };
        let Some(chain) = directory.entries.get(name) else {
            return Some(None);
        };
        let Some(target) = chain.newest().value.target else {
            return chain.is_settled(self.boot).then_some(None);
        };
        let inode = self.inode(target);
        let is_known = chain.is_settled(self.boot) && inode.open_birth(self.boot).is_none();
        (is_known && inode.size.newest().value.is_some()).then_some(Some(target))
    }

    /// What the name stands for, which is decided here.
    pub(super) fn find(&mut self, place: &Place, tape: &mut Tape) -> Option<InodeId> {
        let boot = self.boot;
        let chain = self.chain(place)?;
        if !chain.is_settled(boot) {
            self.settle_name(place, tape);
        }
        let target = self.chain(place)?.newest().value.target?;
        if !self.exists(target, tape) {
            self.remove_chain(place);
            return None;
        }
        Some(target)
    }

    fn settle_name(&mut self, place: &Place, tape: &mut Tape) {
        let Some(chain) = self.chain(place) else {
            return;
        };
        let stamps: Vec<Stamp> = chain.versions().iter().map(|v| v.stamp).collect();
        let newest = stamps[stamps.len() - 1];
        let about = self.survivor(place.directory, Part::Name);
        let chosen = match self.order.profile(newest) {
            Profile::Posix => {
                let possible = self.distinct_entries(chain);
                possible[tape.choose_survival(about, possible.len() as u32) as usize]
            }
            _ => self.order.choose(tape, about, &stamps),
        };
        self.tell_name(place, chosen);
        self.settle_target(place, chosen);
        self.raise(place, stamps[chosen]);
        if let Some(lost) = stamps.get(chosen + 1) {
            self.cut(place, *lost);
        }
    }

    /// The versions of a name that a reader can tell apart where there is no order, the newest
    /// first. Between two of them that look the same no rename ties the name to another one.
    pub(super) fn distinct_entries(&self, chain: &Chain<Entry>) -> Vec<usize> {
        let mut found = Vec::with_capacity(chain.versions().len());
        let mut seen = Vec::new();
        for (index, version) in chain.versions().iter().enumerate().rev() {
            let target = version.value.target.filter(|id| !self.is_lost(*id));
            if !seen.contains(&target) {
                seen.push(target);
                found.push(index);
            }
            if version.value.partner.is_some() {
                seen.clear();
            }
        }
        found
    }

    /// If the version looks like another one where its inode did not survive, then that other one
    /// stands for this: whoever chooses this one means that the inode is there.
    fn settle_target(&mut self, place: &Place, chosen: usize) {
        let Some(chain) = self.chain(place) else {
            return;
        };
        if let Some(target) = chain.versions()[chosen].value.target
            && can_be_absent(chain.versions(), chosen)
            && self.order.profile(chain.newest().stamp) == Profile::Posix
        {
            self.survive(target);
        }
    }

    pub(super) fn remove_chain(&mut self, place: &Place) {
        let removed = self
            .entries_mut(place.directory)
            .entries
            .remove(&place.name);
        for version in removed.iter().flat_map(Chain::versions) {
            self.release(version.value.target);
        }
    }

    pub(super) fn create(&mut self, place: &Place, body: Body) -> io::Result<InodeId> {
        if self.available() == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let stamp = self.stamp();
        let id = self.add_inode(Inode::new(stamp, body));
        self.set(place, stamp, Some(id), None);
        Ok(id)
    }

    /// Gives the name, which is settled, a new version.
    pub(super) fn set(
        &mut self,
        place: &Place,
        stamp: Stamp,
        target: Option<InodeId>,
        partner: Option<Place>,
    ) {
        if let Some(target) = target {
            self.inode_mut(target).references += 1;
        }
        let entry = Entry {
            target,
            partner: partner.map(Box::new),
        };
        let directory = self.entries_mut(place.directory);
        directory.dirty.push(place.name.clone());
        match directory.entries.get_mut(&place.name) {
            Some(chain) => chain.push(stamp, entry),
            None => {
                let chain = Chain::born(Entry::default(), stamp, entry);
                directory.entries.insert(place.name.clone(), chain);
            }
        }
    }

    /// Everything up to `stamp` has survived, and so has what came with it.
    pub(super) fn raise(&mut self, place: &Place, stamp: Stamp) {
        let Some(chain) = self.chain_mut(place) else {
            return;
        };
        let mut ruled_out = chain.raise(stamp);
        if ruled_out.is_empty() {
            return;
        }
        let floor = chain.versions()[0].clone();
        self.release_all(&ruled_out);
        // The first was the floor already: whatever came with it had survived before.
        ruled_out.push(floor);
        for version in ruled_out.drain(1..) {
            if let Some(partner) = version.value.partner {
                self.raise(&partner, version.stamp);
            }
        }
        self.forget_absent(place);
    }

    /// Everything from `stamp` on is lost, and so is what came with it.
    fn cut(&mut self, place: &Place, stamp: Stamp) {
        let Some(chain) = self.chain_mut(place) else {
            return;
        };
        let lost = chain.cut(stamp);
        self.release_all(&lost);
        for version in lost {
            if let Some(partner) = version.value.partner {
                match version.value.target {
                    Some(_) => self.tell_rename(&partner, place),
                    None => self.tell_rename(place, &partner),
                }
                self.cut(&partner, version.stamp);
            }
        }
        self.forget_absent(place);
    }

    /// A name that is certainly not there needs no chain.
    fn forget_absent(&mut self, place: &Place) {
        let absent = |c: &Chain<Entry>| c.is_certain() && c.newest().value.target.is_none();
        if self.chain(place).is_some_and(absent) {
            self.entries_mut(place.directory)
                .entries
                .remove(&place.name);
        }
    }

    fn release_all(&mut self, versions: &[Version<Entry>]) {
        for version in versions {
            self.release(version.value.target);
        }
    }

    /// One version of a name less leads to the inode.
    pub(super) fn release(&mut self, target: Option<InodeId>) {
        if let Some(id) = target {
            self.inode_mut(id).references -= 1;
            self.collect(id);
        }
    }

    pub(super) fn chain(&self, place: &Place) -> Option<&Chain<Entry>> {
        match &self.inodes.get(&place.directory)?.body {
            Body::Directory(directory) => directory.entries.get(&place.name),
            Body::File(_) => None,
        }
    }

    fn chain_mut(&mut self, place: &Place) -> Option<&mut Chain<Entry>> {
        self.chain(place)?;
        let directory = self.entries_mut(place.directory);
        directory.entries.get_mut(&place.name)
    }

    pub(super) fn entries(&self, id: InodeId) -> &Directory {
        match &self.inode(id).body {
            Body::Directory(directory) => directory,
            Body::File(_) => unreachable!("a place is in a directory"),
        }
    }

    fn entries_mut(&mut self, id: InodeId) -> &mut Directory {
        match &mut self.inode_mut(id).body {
            Body::Directory(directory) => directory,
            Body::File(_) => unreachable!("a place is in a directory"),
        }
    }
}

/// Whether the name may be absent with all else as it is if this version survives.
pub(super) fn can_be_absent(versions: &[Version<Entry>], index: usize) -> bool {
    let is_tied = |version: &Version<Entry>| version.value.partner.is_some();
    let first = versions[..=index].iter().rposition(is_tied).unwrap_or(0);
    let after = versions[index + 1..].iter().position(is_tied);
    let end = after.map_or(versions.len(), |after| index + 1 + after);
    versions[first..end]
        .iter()
        .any(|version| version.value.target.is_none())
}
