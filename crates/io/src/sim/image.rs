//! A disk outside of a running world: what a crash left, to look at, to damage and to boot from.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::chain::Chain;
use super::choice::Tape;
use super::disk::Disk;
use super::inode::{Body, InodeId};
use super::profile::Profile;
use crate::OpenOptions;

/// A disk that no program runs on.
///
/// It is cheap to clone. What a crash left open in it is decided when it is first looked at, here
/// or by the program in the world that is booted from it. Whatever this type writes is durable.
#[derive(Clone, Debug)]
pub struct DiskImage {
    pub(super) disk: Disk,
    /// How long the machines it comes from have run: the calendar goes on from there.
    pub(super) age: Duration,
    tape: Tape,
}

impl DiskImage {
    /// An empty disk with sectors of so many bytes: 512 or 4096, say.
    ///
    /// # Panics
    ///
    /// If `sector_size` is not a power of two.
    pub fn empty(sector_size: u32) -> DiskImage {
        assert!(sector_size.is_power_of_two(), "sectors of {sector_size}");
        DiskImage::of(Disk::new(u64::from(sector_size)), Duration::ZERO)
    }

    pub(super) fn of(disk: Disk, age: Duration) -> DiskImage {
        DiskImage {
            disk,
            age,
            tape: Tape::zeros(),
        }
    }

    /// The disk after a crash, for looking at it directly: `tape` decides what has survived.
    ///
    /// [`Sim::boot`](super::Sim::boot) does this by itself. The [`DiskModel`](super::DiskModel) is
    /// that of the machine that the image comes from.
    #[must_use]
    pub fn crashed(mut self, profile: Profile, tape: Tape) -> DiskImage {
        self.disk.crash(profile);
        self.tape = tape;
        self
    }

    /// How many states a crash of this kind may leave, at most.
    ///
    /// It is the number of versions that a reader could tell apart of each sector, each size and
    /// each name, multiplied: a rename counts once, and metadata that survives in order counts by its
    /// moments. That is exact where only the bytes of one size differ. Elsewhere it counts states
    /// that look the same, such as what a file holds beyond a size that was lost, or without a name.
    ///
    /// It looks at what is not durable, and at every name, and decides nothing. A number that is too
    /// large for `f64` is its largest.
    pub fn legal_states(&self, profile: Profile) -> f64 {
        self.disk.legal_states(profile)
    }

    /// Bytes that files take up, also those that a crash may bring back or take away.
    pub fn bytes(&self) -> u64 {
        self.disk.used
    }

    /// The choices that were made by looking at this image.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The names in a directory, sorted.
    pub fn list(&mut self, directory: impl AsRef<Path>) -> io::Result<Vec<OsString>> {
        let names = self.disk.read_dir(directory.as_ref(), &mut self.tape)?;
        Ok(names.iter().map(|(name, _)| name.into()).collect())
    }

    /// A whole file.
    pub fn read(&mut self, path: impl AsRef<Path>) -> io::Result<Bytes> {
        let id = self.file(path.as_ref())?;
        self.disk.read(id, 0, usize::MAX, &mut self.tape)
    }

    /// Puts a file of this content in place, with the directories above it.
    pub fn write(&mut self, path: impl AsRef<Path>, content: impl Into<Bytes>) -> io::Result<()> {
        let path = path.as_ref();
        let content = content.into();
        if let Some(parent) = path.parent() {
            self.disk.create_dir_all(parent, &mut self.tape)?;
        }
        let id = self.disk.open(path, OpenOptions::Create, &mut self.tape)?;
        self.disk.close_handle(id);
        self.disk.persist_path(path, &mut self.tape)?;
        self.set_content(id, content)
    }

    /// Removes a file's name.
    pub fn remove(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        self.file(path.as_ref())?;
        self.disk.erase_name(path.as_ref(), &mut self.tape)
    }

    /// Turns one bit of the byte at `offset` over, the lowest.
    pub fn flip(&mut self, path: impl AsRef<Path>, offset: u64) -> io::Result<()> {
        self.change(path.as_ref(), |bytes| match bytes.get_mut(index(offset)) {
            Some(byte) => {
                *byte ^= 1;
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }

    /// Fills the sector that holds `offset` with zeros.
    pub fn zero_sector(&mut self, path: impl AsRef<Path>, offset: u64) -> io::Result<()> {
        let start = index(offset - offset % self.disk.sector);
        let sector = index(self.disk.sector);
        self.change(path.as_ref(), |bytes| {
            let end = bytes.len().min(start.saturating_add(sector));
            match bytes.get_mut(start..end) {
                Some(bytes) if !bytes.is_empty() => {
                    bytes.fill(0);
                    Ok(())
                }
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        })
    }

    /// Cuts a file to `size` bytes, or grows it with zeros.
    pub fn truncate(&mut self, path: impl AsRef<Path>, size: u64) -> io::Result<()> {
        self.change(path.as_ref(), |bytes| {
            bytes.resize(index(size), 0);
            Ok(())
        })
    }

    /// Makes reads of the sector that holds `offset` fail until it is written.
    pub fn make_unreadable(&mut self, path: impl AsRef<Path>, offset: u64) -> io::Result<()> {
        let id = self.file(path.as_ref())?;
        self.disk.content_mut(id)?.make_unreadable(offset);
        Ok(())
    }

    fn change(
        &mut self,
        path: &Path,
        damage: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let id = self.file(path)?;
        let content = self.disk.read(id, 0, usize::MAX, &mut self.tape)?;
        let mut content = content.to_vec();
        damage(&mut content)?;
        self.set_content(id, content.into())
    }

    fn set_content(&mut self, id: InodeId, content: Bytes) -> io::Result<()> {
        let stamp = self.disk.stamp();
        let size = content.len() as u64;
        self.disk.content_mut(id)?.replace(stamp, content);
        self.disk.hold(id, size);
        self.disk.inode_mut(id).size = Chain::settled(stamp, Some(size));
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<InodeId> {
        let id = self.disk.walk(path, &mut self.tape)?;
        match self.disk.inode(id).body {
            Body::File(_) => Ok(id),
            Body::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

/// Files live in memory, so what is beyond an index is beyond the file.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
