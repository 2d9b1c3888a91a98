//! Operations on paths: opening, listing, renaming, linking, removing, and syncing directories.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path};

use super::chain::Stamp;
use super::choice::Tape;
use super::content::Content;
use super::disk::{Disk, ROOT};
use super::inode::{Body, Directory, InodeId, Name};
use super::name::Place;
use crate::OpenOptions;

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
        let names: Vec<&OsStr> = names(path).collect::<io::Result<_>>()?;
        let mut names = names.into_iter();
        while let Some(name) = names.next() {
            let place = Place {
                directory,
                name: name.into(),
            };
            directory = match self.find(&place, tape) {
                Some(id) if self.inode(id).is_directory() => id,
                Some(_) if names.len() == 0 => return Err(io::ErrorKind::AlreadyExists.into()),
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
        self.check_rename(source, &from, replaced, &to, tape)?;
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
        let source = self.walk(from, tape)?;
        let to = self.place(to, tape)?;
        if self.find(&to, tape).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.inode(source).is_directory() {
            return Err(io::ErrorKind::PermissionDenied.into());
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
        for name in names(path) {
            let name = name?;
            if !self.inode(id).is_directory() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            id = self
                .look_up(id, name, tape)
                .ok_or(io::ErrorKind::NotFound)?;
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
        for name in names(path) {
            let name = name?;
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

/// What the operations check and look up.
impl Disk {
    /// The directory that holds `path`, and the name in it.
    fn place(&mut self, path: &Path, tape: &mut Tape) -> io::Result<Place> {
        let mut last = None;
        for name in names(path) {
            last = Some(name?);
        }
        let name = last.ok_or(io::ErrorKind::IsADirectory)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok(Place {
            directory: self.directory(parent, tape)?,
            name: name.into(),
        })
    }

    fn look_up(&mut self, directory: InodeId, name: &OsStr, tape: &mut Tape) -> Option<InodeId> {
        if let Some(known) = self.known(directory, name) {
            return known;
        }
        let name = name.into();
        self.find(&Place { directory, name }, tape)
    }

    fn check_rename(
        &mut self,
        source: InodeId,
        from: &Place,
        replaced: Option<InodeId>,
        to: &Place,
        tape: &mut Tape,
    ) -> io::Result<()> {
        let moves_directory = self.inode(source).is_directory();
        if moves_directory && self.holds(source, to.directory) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(replaced) = replaced else {
            return Ok(());
        };
        if self.holds(replaced, from.directory) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
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
}

/// The names along a path from the root. Relative paths start at the root too.
fn names(path: &Path) -> impl Iterator<Item = io::Result<&OsStr>> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(Ok(name)),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        Component::ParentDir => Some(Err(io::ErrorKind::InvalidInput.into())),
    })
}
