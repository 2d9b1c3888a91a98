//! Names: looking them up, changing them, and what is left of them after a crash.
//!
//! Invariants:
//! - A name is settled before it is changed, so all that is open about it is of one lifetime.
//! - A rename is one atom: its two versions, each naming the other as its partner, survive together
//!   or not at all. Whatever raises or cuts one chain does the same to the partner's.
//! - A name whose inode did not survive is dropped.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path};

use super::chain::{Chain, Stamp, Version};
use super::choice::Tape;
use super::content::Content;
use super::disk::{Disk, ROOT};
use super::inode::{Body, Directory, Inode, InodeId, Name};
use crate::OpenOptions;

/// One version of a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// What it stands for, if it is there.
    pub(super) target: Option<InodeId>,
    /// The other end of the rename that made this version.
    partner: Option<Box<Place>>,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    directory: InodeId,
    name: Name,
}

/// Namespace operations, as the programs call them.
impl Disk {
    /// Opens a file and takes a handle of it.
    pub(super) fn open(
        &mut self,
        path: &Path,
        options: OpenOptions,
        tape: &mut Tape,
    ) -> io::Result<InodeId> {
        let place = self.place(path, tape)?;
        let id = match self.find(&place, tape) {
            Some(_) if options == OpenOptions::CreateNew => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Some(id) if self.inode(id).is_directory() => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Some(id) => id,
            None if matches!(options, OpenOptions::Create | OpenOptions::CreateNew) => {
                self.create(&place, Body::File(Content::new(self.sector)))?
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        self.open_handle(id);
        Ok(id)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path, tape: &mut Tape) -> io::Result<()> {
        let mut directory = ROOT;
        for name in names(path)? {
            let place = Place {
                directory,
                name: name.into(),
            };
            directory = match self.find(&place, tape) {
                Some(id) if self.inode(id).is_directory() => id,
                Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
                None => self.create(&place, Body::Directory(Directory::default()))?,
            };
        }
        Ok(())
    }

    /// All names of the directory, sorted, with what they stand for.
    pub(super) fn read_dir(
        &mut self,
        path: &Path,
        tape: &mut Tape,
    ) -> io::Result<Vec<(Name, InodeId)>> {
        let id = self.directory(path, tape)?;
        let names: Vec<Name> = self.entries(id).entries.keys().cloned().collect();
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let place = Place {
                directory: id,
                name,
            };
            if let Some(target) = self.find(&place, tape) {
                found.push((place.name, target));
            }
        }
        Ok(found)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, tape: &mut Tape) -> io::Result<()> {
        let from = self.place(from, tape)?;
        let to = self.place(to, tape)?;
        let source = self.find(&from, tape).ok_or(io::ErrorKind::NotFound)?;
        let replaced = self.find(&to, tape);
        if replaced == Some(source) {
            return Ok(());
        }
        self.check_rename(source, &to, replaced, tape)?;
        let stamp = self.stamp();
        self.set(&from, stamp, None, Some(to.clone()));
        self.set(&to, stamp, Some(source), Some(from));
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path, tape: &mut Tape) -> io::Result<()> {
        let place = self.place(path, tape)?;
        let id = self.find(&place, tape).ok_or(io::ErrorKind::NotFound)?;
        if self.inode(id).is_directory() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let stamp = self.stamp();
        self.set(&place, stamp, None, None);
        Ok(())
    }

    pub(super) fn hard_link(&mut self, from: &Path, to: &Path, tape: &mut Tape) -> io::Result<()> {
        let from = self.place(from, tape)?;
        let to = self.place(to, tape)?;
        let source = self.find(&from, tape).ok_or(io::ErrorKind::NotFound)?;
        if self.inode(source).is_directory() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if self.find(&to, tape).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let stamp = self.stamp();
        self.set(&to, stamp, Some(source), None);
        Ok(())
    }

    /// Makes the entries durable that were issued up to `until`, and the directory itself.
    pub(super) fn sync_dir(&mut self, id: InodeId, until: Stamp) {
        self.sync_file(id, until);
        let boot = self.boot;
        let dirty = match &mut self.inode_mut(id).body {
            Body::Directory(directory) => std::mem::take(&mut directory.dirty),
            Body::File(_) => return,
        };
        let mut still_dirty = Vec::new();
        for name in dirty {
            let place = Place {
                directory: id,
                name,
            };
            let covered = self.chain(&place).and_then(|c| c.covered(boot, until));
            if let Some(stamp) = covered {
                self.order.synced(stamp);
                self.raise(&place, stamp);
            }
            if self.chain(&place).is_some_and(|c| !c.is_certain()) {
                still_dirty.push(place.name);
            }
        }
        if let Body::Directory(directory) = &mut self.inode_mut(id).body {
            directory.dirty = still_dirty;
        }
    }

    /// The directory at `path`.
    pub(super) fn directory(&mut self, path: &Path, tape: &mut Tape) -> io::Result<InodeId> {
        let id = self.walk(path, tape)?;
        if self.inode(id).is_directory() {
            Ok(id)
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// What `path` leads to.
    pub(super) fn walk(&mut self, path: &Path, tape: &mut Tape) -> io::Result<InodeId> {
        let mut id = ROOT;
        for name in names(path)? {
            if !self.inode(id).is_directory() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            let place = Place {
                directory: id,
                name: name.into(),
            };
            id = self.find(&place, tape).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(id)
    }
}

/// What tests do to a disk without running a program.
impl Disk {
    /// Makes the path durable that the file at `path` has now, and nothing else.
    pub(super) fn persist_path(&mut self, path: &Path, tape: &mut Tape) -> io::Result<()> {
        let boot = self.boot;
        let clock = self.clock;
        let mut directory = ROOT;
        for name in names(path)? {
            let place = Place {
                directory,
                name: name.into(),
            };
            directory = self.find(&place, tape).ok_or(io::ErrorKind::NotFound)?;
            if let Some(stamp) = self.chain(&place).and_then(|c| c.covered(boot, clock)) {
                self.raise(&place, stamp);
            }
            let size = &mut self.inode_mut(directory).size;
            if let Some(stamp) = size.covered(boot, clock) {
                size.raise(stamp);
            }
        }
        Ok(())
    }

    /// Removes a name durably.
    pub(super) fn erase_name(&mut self, path: &Path, tape: &mut Tape) -> io::Result<()> {
        let place = self.place(path, tape)?;
        self.find(&place, tape).ok_or(io::ErrorKind::NotFound)?;
        self.remove_chain(&place);
        Ok(())
    }
}

/// Chains of names.
impl Disk {
    /// The directory that holds `path`, and the name in it.
    fn place(&mut self, path: &Path, tape: &mut Tape) -> io::Result<Place> {
        let mut names = names(path)?;
        let name = names.pop().ok_or(io::ErrorKind::IsADirectory)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok(Place {
            directory: self.directory(parent, tape)?,
            name: name.into(),
        })
    }

    /// What the name stands for, which is decided here.
    fn find(&mut self, place: &Place, tape: &mut Tape) -> Option<InodeId> {
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
        let chosen = self.order.choose(tape, &stamps);
        self.raise(place, stamps[chosen]);
        if let Some(lost) = stamps.get(chosen + 1) {
            self.cut(place, *lost);
        }
    }

    fn remove_chain(&mut self, place: &Place) {
        let removed = self
            .entries_mut(place.directory)
            .entries
            .remove(&place.name);
        for version in removed.iter().flat_map(Chain::versions) {
            self.release(version.value.target);
        }
    }

    fn create(&mut self, place: &Place, body: Body) -> io::Result<InodeId> {
        if self.available() == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let stamp = self.stamp();
        let id = self.add_inode(Inode::new(stamp, body));
        self.set(place, stamp, Some(id), None);
        Ok(id)
    }

    /// Gives the name, which is settled, a new version.
    fn set(
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
    fn raise(&mut self, place: &Place, stamp: Stamp) {
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

    fn check_rename(
        &mut self,
        source: InodeId,
        to: &Place,
        replaced: Option<InodeId>,
        tape: &mut Tape,
    ) -> io::Result<()> {
        let moves_directory = self.inode(source).is_directory();
        if moves_directory && self.holds(source, to.directory) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(replaced) = replaced else {
            return Ok(());
        };
        match (moves_directory, self.inode(replaced).is_directory()) {
            (true, false) => Err(io::ErrorKind::NotADirectory.into()),
            (false, true) => Err(io::ErrorKind::IsADirectory.into()),
            (true, true) if !self.is_empty(replaced, tape) => {
                Err(io::ErrorKind::DirectoryNotEmpty.into())
            }
            _ => Ok(()),
        }
    }

    /// Whether `inner` is `outer` or a directory somewhere below it.
    fn holds(&self, outer: InodeId, inner: InodeId) -> bool {
        let Body::Directory(directory) = &self.inode(outer).body else {
            return false;
        };
        let mut targets = directory
            .entries
            .values()
            .filter_map(|chain| chain.newest().value.target);
        outer == inner || targets.any(|target| self.holds(target, inner))
    }

    fn is_empty(&mut self, id: InodeId, tape: &mut Tape) -> bool {
        let names: Vec<Name> = self.entries(id).entries.keys().cloned().collect();
        names.into_iter().all(|name| {
            let place = Place {
                directory: id,
                name,
            };
            self.find(&place, tape).is_none()
        })
    }

    fn chain(&self, place: &Place) -> Option<&Chain<Entry>> {
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

    fn entries(&self, id: InodeId) -> &Directory {
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

/// The names along a path from the root. Relative paths start at the root too.
fn names(path: &Path) -> io::Result<Vec<&OsStr>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(names)
}
