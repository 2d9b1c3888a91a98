//! A disk that remembers every version of everything: what the running program does to it.
//!
//! What a crash may leave of it is in [`legal`](super::legal).

use std::collections::BTreeMap;

/// Small, so that a few bytes make several sectors.
pub(super) const SECTOR: usize = 4;

pub(super) type Id = usize;
pub(super) type Stamp = u64;
pub(super) type Sector = [u8; SECTOR];

/// A name in a directory.
pub(super) type Place = (Id, String);

pub(super) const ROOT: Id = 0;

/// What something may be, the newest last.
pub(super) type Versions<T> = Vec<(Stamp, T)>;

/// A disk, and all that it may be after a crash.
#[derive(Clone)]
pub(super) struct Disk {
    pub(super) clock: Stamp,
    /// The newest metadata that a sync has covered.
    pub(super) synced: Stamp,
    pub(super) names: BTreeMap<Place, Versions<Option<Id>>>,
    pub(super) renames: Vec<(Stamp, Place, Place)>,
    pub(super) inodes: Vec<Inode>,
}

#[derive(Clone)]
pub(super) struct Inode {
    pub(super) born: Stamp,
    pub(super) exists_for_certain: bool,
    /// `None` for a directory.
    pub(super) file: Option<FileBody>,
}

#[derive(Clone)]
pub(super) struct FileBody {
    /// What the running program sees.
    pub(super) seen: Vec<u8>,
    pub(super) sizes: Versions<usize>,
    pub(super) sectors: Vec<Versions<Sector>>,
    pub(super) cuts: Vec<(Stamp, usize)>,
}

/// What the program does. `None` where the operation fails.
impl Disk {
    pub(super) fn create(&mut self, path: &str) -> Option<()> {
        self.add(path, Some(FileBody::new(Vec::new())))
    }

    pub(super) fn mkdir(&mut self, path: &str) -> Option<()> {
        self.add(path, None)
    }

    fn add(&mut self, path: &str, file: Option<FileBody>) -> Option<()> {
        let place = self.free_place(path)?;
        let born = self.tick();
        self.inodes.push(Inode {
            born,
            exists_for_certain: false,
            file,
        });
        self.set(place, Some(self.inodes.len() - 1));
        Some(())
    }

    pub(super) fn write(&mut self, path: &str, offset: usize, data: &[u8]) -> Option<()> {
        let stamp = self.tick();
        let file = self.file_mut(path)?;
        let end = offset + data.len();
        if end > file.seen.len() {
            file.seen.resize(end, 0);
            file.sizes.push((stamp, end));
        }
        file.seen[offset..end].copy_from_slice(data);
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            file.version(stamp, sector);
        }
        Some(())
    }

    pub(super) fn set_len(&mut self, path: &str, size: usize) -> Option<()> {
        let stamp = self.tick();
        let file = self.file_mut(path)?;
        if size < file.seen.len() {
            file.cuts.push((stamp, size));
            let cut_off = file.seen.split_off(size);
            let rest = size.next_multiple_of(SECTOR) - size;
            if cut_off.iter().take(rest).any(|byte| *byte != 0) {
                // The rest of the sector is zeroed in place.
                file.version(stamp, size / SECTOR);
            }
        }
        if size != file.sizes.last()?.1 {
            file.sizes.push((stamp, size));
            file.seen.resize(size, 0);
        }
        Some(())
    }

    pub(super) fn allocate(&mut self, path: &str, end: usize) -> Option<()> {
        let size = self.file_mut(path)?.seen.len();
        self.set_len(path, end.max(size))
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Option<()> {
        let id = self.walk(from)?;
        let (from, to) = (self.place(from)?, self.place(to)?);
        match self.target(&to) {
            Some(replaced) if replaced == id => return Some(()),
            Some(replaced) if self.inodes[replaced].file.is_none() => return None,
            _ => {}
        }
        let stamp = self.tick();
        self.set(from.clone(), None);
        self.set(to.clone(), Some(id));
        self.renames.push((stamp, from, to));
        Some(())
    }

    pub(super) fn remove(&mut self, path: &str) -> Option<()> {
        self.file_mut(path)?;
        self.tick();
        let place = self.place(path)?;
        self.set(place, None);
        Some(())
    }

    pub(super) fn link(&mut self, from: &str, to: &str) -> Option<()> {
        self.file_mut(from)?;
        let id = self.walk(from)?;
        let place = self.free_place(to)?;
        self.tick();
        self.set(place, Some(id));
        Some(())
    }

    pub(super) fn sync(&mut self, path: &str) -> Option<()> {
        let id = self.walk(path)?;
        let file = self.file_mut(path)?;
        keep_newest(&mut file.sizes);
        file.sectors.iter_mut().for_each(keep_newest);
        let stamp = file.sizes[0].0;
        self.synced = self.synced.max(stamp);
        self.exists(id);
        Some(())
    }

    pub(super) fn sync_dir(&mut self, path: &str) -> Option<()> {
        let id = self.walk(path)?;
        if self.inodes[id].file.is_some() {
            return None;
        }
        for (place, versions) in &mut self.names {
            if place.0 == id {
                keep_newest(versions);
                self.synced = self.synced.max(versions[0].0);
            }
        }
        self.exists(id);
        Some(())
    }

    pub(super) fn read(&mut self, path: &str, offset: usize, len: usize) -> Option<Vec<u8>> {
        let seen = &self.file_mut(path)?.seen;
        let end = (offset + len).min(seen.len());
        Some(seen.get(offset..end).unwrap_or_default().to_vec())
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.walk(path).is_some()
    }

    fn exists(&mut self, id: Id) {
        let inode = &mut self.inodes[id];
        inode.exists_for_certain = true;
        self.synced = self.synced.max(inode.born);
    }

    fn tick(&mut self) -> Stamp {
        self.clock += 1;
        self.clock
    }

    fn set(&mut self, place: Place, target: Option<Id>) {
        let versions = self.names.entry(place).or_insert_with(|| vec![(0, None)]);
        versions.push((self.clock, target));
    }

    fn target(&self, place: &Place) -> Option<Id> {
        self.names.get(place)?.last()?.1
    }

    fn walk(&self, path: &str) -> Option<Id> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(ROOT, |id, name| self.target(&(id, name.to_owned())))
    }

    fn place(&self, path: &str) -> Option<Place> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.walk(parent)?;
        let is_directory = self.inodes[parent].file.is_none();
        is_directory.then(|| (parent, name.to_owned()))
    }

    fn free_place(&self, path: &str) -> Option<Place> {
        let place = self.place(path)?;
        self.target(&place).is_none().then_some(place)
    }

    fn file_mut(&mut self, path: &str) -> Option<&mut FileBody> {
        let id = self.walk(path)?;
        self.inodes[id].file.as_mut()
    }
}

fn keep_newest<T>(versions: &mut Versions<T>) {
    versions.drain(..versions.len() - 1);
}

impl FileBody {
    pub(super) fn new(seen: Vec<u8>) -> FileBody {
        let mut file = FileBody {
            sizes: vec![(0, seen.len())],
            sectors: Vec::new(),
            cuts: Vec::new(),
            seen,
        };
        for sector in 0..file.seen.len().div_ceil(SECTOR) {
            file.version(0, sector);
            keep_newest(&mut file.sectors[sector]);
        }
        file
    }

    /// What the program sees of the sector becomes a version of it.
    fn version(&mut self, stamp: Stamp, sector: usize) {
        if self.sectors.len() <= sector {
            self.sectors.resize(sector + 1, vec![(0, [0; SECTOR])]);
        }
        let bytes = std::array::from_fn(|at| {
            let seen = self.seen.get(sector * SECTOR + at);
            seen.copied().unwrap_or(0)
        });
        self.sectors[sector].push((stamp, bytes));
    }
}
