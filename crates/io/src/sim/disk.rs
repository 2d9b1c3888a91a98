//! The disk model: inodes, their sizes and contents, and what syncs and crashes do to them.
//!
//! Invariants:
//! - A program sees the newest version of everything.
//! - After a power loss nothing is decided before somebody looks. What was seen once stays: it is
//!   then the only version.
//! - A sync that returned `Ok` raises the floor of what had been issued when it was submitted, and
//!   of nothing that an earlier crash has left open.
//! - An inode goes when no version of a name may lead to it and no handle is open.
//!
//! The disk decides nothing: it asks the [`Tape`] that is passed in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::chain::Stamp;
use super::choice::{Purpose, Tape};
use super::content::Content;
use super::inode::{Body, Directory, Inode, InodeId};
use super::medium::{DiskModel, Lapses};
use super::profile::{MetadataOrder, Profile};
use super::telling::Telling;
use super::world::Unreadable;

/// Bytes in a page: what a write makes dirty as a whole.
pub(super) const PAGE: u64 = 4096;

/// The inode of `/`, which is always there.
pub(super) const ROOT: InodeId = InodeId(0);

/// Which dirty sectors a failing sync forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Forget {
    /// None: they stay dirty, and a later sync would save them.
    #[default]
    Nothing,
    /// All of them now count as clean and are not on the disk.
    Everything,
    /// Each by a choice of its own.
    Some,
}

/// Cloning shares everything until one of the two changes it.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) sector: u64,
    /// The stamp of the newest mutation.
    pub(super) clock: Stamp,
    /// The stamp of the last mutation before the last power loss.
    pub(super) boot: Stamp,
    /// Crashes so far.
    pub(super) crashes: u64,
    pub(super) order: MetadataOrder,
    pub(super) model: DiskModel,
    pub(super) inodes: BTreeMap<InodeId, Arc<Inode>>,
    next_inode: u64,
    /// Open handles per inode.
    open: BTreeMap<InodeId, u32>,
    /// Bytes that fit on the disk.
    capacity: u64,
    pub(super) used: u64,
    /// What lesser disks have done since this machine was booted.
    pub(super) lapses: Lapses,
    /// Somebody else has taken all the room that is left, for a while.
    pub(super) full: bool,
    /// The file that was freed last, and the one that was when the power went: its blocks are what
    /// other files may find. Kept only where the model has stale blocks.
    pub(super) freed: Option<Arc<Inode>>,
    pub(super) recycled: Option<Arc<Inode>>,
    /// The account of what the last crash left, if one is kept.
    pub(super) telling: Option<Box<Telling>>,
}

impl Disk {
    pub(super) fn new(sector: u64) -> Disk {
        let root = Inode::durable(0, Body::Directory(Directory::default()));
        let root = Inode {
            references: 1,
            ..root
        };
        Disk {
            sector,
            clock: 0,
            boot: 0,
            crashes: 0,
            order: MetadataOrder::default(),
            model: DiskModel::default(),
            inodes: BTreeMap::from([(ROOT, Arc::new(root))]),
            next_inode: 1,
            open: BTreeMap::new(),
            capacity: u64::MAX,
            used: 0,
            lapses: Lapses::default(),
            full: false,
            freed: None,
            recycled: None,
            telling: None,
        }
    }

    /// Ends a lifetime: handles are gone, and after a power loss nothing that was not synced is
    /// certain.
    pub(super) fn crash(&mut self, profile: Profile) {
        self.crashes += 1;
        self.full = false;
        self.lapses = Lapses::default();
        self.telling = None;
        for id in std::mem::take(&mut self.open).into_keys() {
            self.collect(id);
        }
        if profile != Profile::KillOnly && self.boot < self.clock {
            self.boot = self.clock;
            self.order.power_lost(profile, self.boot);
            self.recycled.clone_from(&self.freed);
        }
    }

    pub(super) fn stamp(&mut self) -> Stamp {
        self.clock += 1;
        self.clock
    }

    pub(super) fn available(&self) -> u64 {
        match self.full {
            true => 0,
            false => self.capacity.saturating_sub(self.used),
        }
    }

    /// Leaves room for so many bytes more.
    pub(super) fn limit(&mut self, bytes: u64) {
        self.capacity = self.used.saturating_add(bytes);
    }

    pub(super) fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[&id]
    }

    pub(super) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        let inode = self.inodes.get_mut(&id).expect("a used inode is there");
        Arc::make_mut(inode)
    }

    pub(super) fn add_inode(&mut self, inode: Inode) -> InodeId {
        let id = InodeId(self.next_inode);
        self.next_inode += 1;
        self.inodes.insert(id, Arc::new(inode));
        id
    }

    pub(super) fn open_handle(&mut self, id: InodeId) {
        *self.open.entry(id).or_insert(0) += 1;
    }

    pub(super) fn open_handles(&self) -> u64 {
        self.open.values().map(|handles| u64::from(*handles)).sum()
    }

    pub(super) fn close_handle(&mut self, id: InodeId) {
        if let Some(handles) = self.open.get_mut(&id) {
            *handles -= 1;
            if *handles == 0 {
                self.open.remove(&id);
                self.collect(id);
            }
        }
    }

    /// Frees the inode if nothing can lead to it any more.
    pub(super) fn collect(&mut self, id: InodeId) {
        let unreachable = self.inodes.get(&id).is_some_and(|i| i.references == 0);
        if unreachable
            && !self.open.contains_key(&id)
            && let Some(inode) = self.inodes.remove(&id)
        {
            self.used -= inode.reserved;
            match &inode.body {
                Body::Directory(directory) => {
                    let names = directory.entries.values();
                    let versions = names.flat_map(|chain| chain.versions());
                    for version in versions {
                        self.release(version.value.target);
                    }
                }
                Body::File(content) if self.model.stale_blocks && !content.is_blank() => {
                    self.freed = Some(inode);
                }
                Body::File(_) => {}
            }
        }
    }

    pub(super) fn read(
        &mut self,
        id: InodeId,
        offset: u64,
        len: usize,
        tape: &mut Tape,
    ) -> io::Result<Bytes> {
        let size = self.size(id, tape);
        let end = offset.saturating_add(len as u64).min(size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        self.settle(id, offset..end, tape);
        let content = self.content(id)?;
        if !content.is_readable(&(offset..end)) {
            return Err(io::Error::other(Unreadable));
        }
        Ok(content.read(offset..end))
    }

    pub(super) fn write(
        &mut self,
        id: InodeId,
        offset: u64,
        data: Bytes,
        tape: &mut Tape,
    ) -> io::Result<()> {
        let size = self.size(id, tape);
        if data.is_empty() {
            return Ok(());
        }
        let end = end_of(offset, data.len() as u64)?;
        self.reserve(id, end)?;
        let stamp = self.stamp();
        let boot = self.boot;
        let pages = offset - offset % PAGE..end.next_multiple_of(PAGE);
        self.content_mut(id)?.redirty(boot, stamp, pages);
        self.put(id, stamp, offset, data, tape)?;
        if end > size {
            self.inode_mut(id).size.push(stamp, Some(end));
        }
        Ok(())
    }

    /// Gives the sectors of the range a new version.
    pub(super) fn put(
        &mut self,
        id: InodeId,
        stamp: Stamp,
        offset: u64,
        data: Bytes,
        tape: &mut Tape,
    ) -> io::Result<()> {
        let end = offset + data.len() as u64;
        for edge in [offset, end] {
            if !edge.is_multiple_of(self.sector) {
                self.settle(id, edge..edge + 1, tape);
            }
        }
        self.content_mut(id)?.write(stamp, offset, data);
        Ok(())
    }

    pub(super) fn set_len(&mut self, id: InodeId, len: u64, tape: &mut Tape) -> io::Result<()> {
        let size = self.size(id, tape);
        end_of(len, 0)?;
        if len == size {
            return Ok(());
        }
        if len < size && !len.is_multiple_of(self.sector) {
            self.settle(id, len..len + 1, tape);
        }
        let stamp = self.stamp();
        if len < size {
            self.content_mut(id)?.truncate(stamp, len);
            let inode = self.inode_mut(id);
            let freed = inode.reserved.saturating_sub(len);
            inode.reserved -= freed;
            self.used -= freed;
        }
        self.inode_mut(id).size.push(stamp, Some(len));
        Ok(())
    }

    pub(super) fn allocate(
        &mut self,
        id: InodeId,
        offset: u64,
        len: u64,
        tape: &mut Tape,
    ) -> io::Result<()> {
        let size = self.size(id, tape);
        let end = end_of(offset, len)?;
        if len == 0 {
            return Ok(());
        }
        self.reserve(id, end)?;
        if end > size {
            let stamp = self.stamp();
            self.inode_mut(id).size.push(stamp, Some(end));
        }
        Ok(())
    }

    /// Sets space aside for everything before `end`.
    fn reserve(&mut self, id: InodeId, end: u64) -> io::Result<()> {
        let more = end.saturating_sub(self.inode(id).reserved);
        if more == 0 {
            return Ok(());
        }
        if more > self.available() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.used += more;
        self.inode_mut(id).reserved = end;
        Ok(())
    }

    /// Sets space aside for everything before `end` and for nothing else, whether there is room or not.
    pub(super) fn hold(&mut self, id: InodeId, end: u64) {
        self.used = self.used - self.inode(id).reserved + end;
        self.inode_mut(id).reserved = end;
    }

    /// Makes durable what was issued for the file up to `until`.
    pub(super) fn sync_file(&mut self, id: InodeId, until: Stamp) {
        let boot = self.boot;
        let inode = self.inode_mut(id);
        if let Body::File(content) = &mut inode.body {
            content.sync(boot, until);
        }
        if let Some(stamp) = inode.size.covered(boot, until) {
            inode.size.raise(stamp);
            self.order.synced(stamp);
        }
    }

    /// A failing sync of the file: forgets dirty sectors, and evicts them from memory or not.
    pub(super) fn fail_sync(
        &mut self,
        id: InodeId,
        until: Stamp,
        forget: Forget,
        evict: bool,
        tape: &mut Tape,
    ) {
        let boot = self.boot;
        let fates = RefCell::new(tape);
        let Ok(content) = self.content_mut(id) else {
            return;
        };
        content.forget_dirty(
            boot,
            until,
            &mut || match forget {
                Forget::Nothing => false,
                Forget::Everything => true,
                Forget::Some => fates.borrow_mut().choose(Purpose::Fault, 2) == 1,
            },
            &mut |versions| fates.borrow_mut().choose(Purpose::Fault, versions),
        );
        if evict {
            content.evict();
        }
    }

    pub(super) fn content_mut(&mut self, id: InodeId) -> io::Result<&mut Content> {
        match &mut self.inode_mut(id).body {
            Body::File(content) => Ok(content),
            Body::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn content(&self, id: InodeId) -> io::Result<&Content> {
        match &self.inode(id).body {
            Body::File(content) => Ok(content),
            Body::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

/// Where the range ends. The largest offset that a file system takes is that of a signed number.
fn end_of(offset: u64, len: u64) -> io::Result<u64> {
    let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    let end = i64::try_from(len)
        .ok()
        .and_then(|len| offset.checked_add(len));
    Ok(end.ok_or(io::ErrorKind::FileTooLarge)?.unsigned_abs())
}
