//! What faults do to the operations they meet.
//!
//! Invariants:
//! - While nothing is planned no fault costs more than one look, and no digit.
//! - A fault of the crash class does nothing that working hardware would not: no room is missing that was
//!   allocated before.

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::choice::Purpose;
use super::damage::{Cache, flip_read};
use super::disk::PAGE;
use super::fault::Fault;
use super::inode::InodeId;
use super::machine::Listings;
use super::operation::Operation;
use super::world::State;
use crate::OpenOptions;

/// How long a stall is: 1 s, or 10, or a minute or an hour.
const STALLS: [u64; 4] = [1, 10, 60, 3600];

/// For how long a task that could run is held back.
const DELAYS: [Duration; 4] = [
    Duration::from_micros(100),
    Duration::from_millis(10),
    Duration::from_secs(1),
    Duration::from_secs(60),
];

/// How far the calendar's clock jumps, in seconds.
const JUMPS: [i64; 6] = [1, -1, 3600, -3600, 31_536_000, -31_536_000];

/// The operations, as faults let them be.
impl State {
    /// The error with which an operation fails before it has done anything, if it does.
    pub(super) fn refuse(&mut self, operation: Operation) -> io::Result<()> {
        if self.faults.is_calm() {
            return Ok(());
        }
        self.fill_disk(operation);
        match operation {
            // It may leave a part, so it fails where it would write.
            Operation::WriteAt => Ok(()),
            _ => self.faults.refuse(operation, &mut self.tape),
        }
    }

    pub(super) fn read(&mut self, id: InodeId, offset: u64, len: usize) -> io::Result<Bytes> {
        if self.faults.is_calm() {
            return self.disk.read(id, offset, len, &mut self.tape);
        }
        let size = self.disk.size(id, &mut self.tape);
        let end = offset.saturating_add(len as u64).min(size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        self.damage(id, offset..end)?;
        let read = self.disk.read(id, offset, len, &mut self.tape)?;
        self.disturb(id, offset, read)
    }

    pub(super) fn write(&mut self, id: InodeId, offset: u64, data: Bytes) -> io::Result<()> {
        if let Err(error) = self.faults.refuse(Operation::WriteAt, &mut self.tape) {
            self.write_broken(id, offset, &data)?;
            return Err(error);
        }
        let end = offset.saturating_add(data.len() as u64);
        let redirties = self.shows_dropped(id, offset..end);
        let is_late = !self.faults.is_calm() && end > self.disk.inode(id).reserved;
        match self.until_no_room(id, offset, &data) {
            None => self.write_somewhere(id, offset, data)?,
            Some(part) => {
                self.disk.write(id, offset, part, &mut self.tape)?;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        if is_late {
            self.faults.late.insert(id);
        }
        if redirties {
            self.faults.count(Fault::RedirtiedSectors);
        }
        Ok(())
    }

    /// What a write has written that fails: as many of its sectors as the tape says, 0 being none.
    fn write_broken(&mut self, id: InodeId, offset: u64, data: &Bytes) -> io::Result<()> {
        let sector = self.disk.sector;
        let end = offset.saturating_add(data.len() as u64);
        let first = offset / sector;
        let sectors = match data.len() {
            0 => 0,
            _ => end.div_ceil(sector) - first,
        };
        let written = self.tape.choose(Purpose::Fault, sectors as u32 + 1);
        if written == 0 {
            return Ok(());
        }
        let part_end = ((first + u64::from(written)) * sector).min(end);
        let part = data.slice(..(part_end - offset) as usize);
        self.disk.write(id, offset, part, &mut self.tape)?;
        self.faults.count(Fault::BrokenWrite);
        Ok(())
    }

    /// Whether a listing comes in another order.
    pub(super) fn shuffles(&mut self) -> bool {
        let may_strike = !self.faults.is_calm();
        self.listings == Listings::Shuffled
            || may_strike && self.faults.strikes(Fault::ShuffledListing, &mut self.tape)
    }

    /// How much longer than usual an operation takes.
    pub(super) fn stall(&mut self) -> Duration {
        if self.faults.is_calm() || !self.faults.strike(Fault::Stall, &mut self.tape) {
            return Duration::ZERO;
        }
        let length = self.tape.choose(Purpose::Fault, STALLS.len() as u32);
        Duration::from_secs(STALLS[length as usize])
    }

    /// For how long a task that could run is held back, if it is.
    pub(super) fn delayed_wake(&mut self) -> Option<Duration> {
        if self.faults.is_calm() || !self.faults.strike(Fault::DelayedWake, &mut self.tape) {
            return None;
        }
        let delay = self.tape.choose(Purpose::Fault, DELAYS.len() as u32);
        Some(DELAYS[delay as usize])
    }

    /// Which of so many tasks is polled though nobody has woken it, if one is.
    pub(super) fn spurious_wake(&mut self, tasks: impl FnOnce() -> usize) -> Option<usize> {
        let strikes =
            !self.faults.is_calm() && self.faults.strikes(Fault::SpuriousWake, &mut self.tape);
        strikes.then(|| self.tape.choose(Purpose::Fault, tasks() as u32) as usize)
    }

    /// By how many seconds the calendar's clock is wrong now.
    pub(super) fn clock_error(&mut self) -> i64 {
        if !self.faults.is_calm() && self.faults.strike(Fault::ClockJump, &mut self.tape) {
            let jump = self.tape.choose(Purpose::Fault, JUMPS.len() as u32);
            self.clock_error += JUMPS[jump as usize];
        }
        self.clock_error
    }
}

/// No room.
impl State {
    /// Fills the disk for some operations, or makes room again when they are over.
    fn fill_disk(&mut self, operation: Operation) {
        if self.faults.full_for > 0 {
            self.faults.full_for -= 1;
            if self.faults.full_for == 0 {
                self.disk.full = false;
                self.faults.count(Fault::RoomAgain);
            }
        } else if operation.takes_space() && self.faults.strike(Fault::FullDisk, &mut self.tape) {
            self.faults.full_for = 2 << self.tape.choose(Purpose::Fault, 8);
            self.disk.full = true;
        }
    }

    /// The part of the data for which there is room, if there is no room for all of it.
    fn until_no_room(&mut self, id: InodeId, offset: u64, data: &Bytes) -> Option<Bytes> {
        if self.faults.is_calm() {
            return None;
        }
        let end = offset.saturating_add(data.len() as u64);
        let reserved = self.disk.inode(id).reserved.max(offset);
        if end <= reserved || !self.faults.strike(Fault::PartialWrite, &mut self.tape) {
            return None;
        }
        let quarters = u64::from(self.tape.choose(Purpose::Fault, 4));
        let room = reserved - offset + (end - reserved) * quarters / 4;
        Some(data.slice(..room as usize))
    }
}

/// The page cache.
impl State {
    /// Whether the pages that the range touches show what a failed sync has forgotten.
    fn shows_dropped(&self, id: InodeId, range: Range<u64>) -> bool {
        let start = range.start - range.start % PAGE;
        let end = range.end.checked_next_multiple_of(PAGE);
        let pages = start..end.unwrap_or(u64::MAX);
        let content = self.disk.content(id);
        content.is_ok_and(|content| content.shows_dropped(self.disk.boot, &pages))
    }
}

/// Files and directories that somebody else puts beside ours.
impl State {
    /// Puts something into a directory that is about to be listed.
    pub(super) fn stray(&mut self, directory: &Path) {
        if self.faults.is_calm() {
            return;
        }
        if self.faults.strikes(Fault::StrayFile, &mut self.tape) {
            let name = self.stray_name(directory, &["core", ".nfs0001", "*~", "*.bak", "*.swp"]);
            if self.stray_file(&directory.join(name)).is_ok() {
                self.faults.count(Fault::StrayFile);
            }
        }
        if self.faults.strikes(Fault::StrayDirectory, &mut self.tape) {
            let path = directory.join(self.stray_name(directory, &["lost+found", "*.d"]));
            let made = self.disk.walk(directory, &mut self.tape).and_then(|_| {
                self.disk.create_dir_all(&path, &mut self.tape)?;
                self.disk.persist_path(&path, &mut self.tape)
            });
            if made.is_ok() {
                self.faults.count(Fault::StrayDirectory);
            }
        }
    }

    fn stray_file(&mut self, path: &Path) -> io::Result<()> {
        let tape = &mut self.tape;
        let id = self.disk.open(path, OpenOptions::CreateNew, tape)?;
        let written = self
            .disk
            .write(id, 0, Bytes::from_static(&[0x55; 700]), tape);
        self.disk.sync_file(id, self.disk.clock);
        self.disk.close_handle(id);
        self.disk.persist_path(path, tape)?;
        written
    }

    /// One of the names. A star stands for a name that is there.
    fn stray_name(&mut self, directory: &Path, names: &[&str]) -> OsString {
        let drawn = names[self.tape.choose(Purpose::Fault, names.len() as u32) as usize];
        let Some(ending) = drawn.strip_prefix('*') else {
            return drawn.into();
        };
        let found = self.disk.read_dir(directory, &mut self.tape);
        let known = found.unwrap_or_default();
        let beside = self.tape.choose(Purpose::Fault, known.len() as u32);
        let known = known.get(beside as usize).map(|(name, _)| name);
        let mut name = known.map_or_else(OsString::new, OsString::from);
        name.push(ending);
        name
    }
}

/// A broken device.
impl State {
    /// Damages what is about to be read, for good.
    fn damage(&mut self, id: InodeId, range: Range<u64>) -> io::Result<()> {
        if self.damages(Fault::UnreadableSector, id) {
            let at = self.choose_in(range);
            self.disk.content_mut(id)?.make_unreadable(at);
        } else if self.damages(Fault::Rot, id) {
            self.faults.count(Fault::Rot);
            let at = self.choose_in(range);
            let mask = self.choose_bit();
            self.disk.rot(id, at, mask, &mut self.tape)?;
        }
        Ok(())
    }

    /// What comes of a read, this time.
    fn disturb(&mut self, id: InodeId, offset: u64, read: Bytes) -> io::Result<Bytes> {
        if self.damages(Fault::FlippedRead, id) {
            self.faults.count(Fault::FlippedRead);
            let at = self.choose_in(0..read.len() as u64);
            let mask = self.choose_bit();
            return Ok(flip_read(read, at as usize, mask));
        }
        let sectors = self.sectors(id);
        if sectors > 1 && self.damages(Fault::MisdirectedRead, id) {
            self.faults.count(Fault::MisdirectedRead);
            let wanted = self.choose_in(offset..offset + read.len() as u64) / self.disk.sector;
            let other = self.choose_other(sectors, wanted);
            return self.misdirected(id, offset, read, wanted, other);
        }
        Ok(read)
    }

    /// The bytes read at `offset` with those of one sector replaced by those of another.
    fn misdirected(
        &mut self,
        id: InodeId,
        offset: u64,
        read: Bytes,
        wanted: u64,
        other: u64,
    ) -> io::Result<Bytes> {
        let sector = self.disk.sector;
        let start = (wanted * sector).max(offset);
        let end = ((wanted + 1) * sector).min(offset + read.len() as u64);
        let elsewhere = other * sector + start % sector;
        let len = (end - start) as usize;
        let tape = &mut self.tape;
        let found = self.disk.misdirect_read(id, start, len, elsewhere, tape)?;
        let mut read = BytesMut::from(read);
        let at = (start - offset) as usize;
        read[at..at + found.len()].copy_from_slice(&found);
        Ok(read.freeze())
    }

    /// A write that may be lost or land in another place.
    fn write_somewhere(&mut self, id: InodeId, offset: u64, data: Bytes) -> io::Result<()> {
        if self.faults.is_calm() || data.is_empty() {
            return self.disk.write(id, offset, data, &mut self.tape);
        }
        if self.damages(Fault::LostWrite, id) {
            self.faults.count(Fault::LostWrite);
            let cache = self.choose_cache();
            return self
                .disk
                .lose_write(id, offset, data, cache, &mut self.tape);
        }
        let sectors = self.sectors(id);
        if sectors > 1 && self.damages(Fault::MisdirectedWrite, id) {
            self.faults.count(Fault::MisdirectedWrite);
            let other = self.choose_other(sectors, offset / self.disk.sector);
            let elsewhere = other * self.disk.sector;
            let cache = self.choose_cache();
            let tape = &mut self.tape;
            return self
                .disk
                .misdirect_write(id, offset, data, elsewhere, cache, tape);
        }
        self.disk.write(id, offset, data, &mut self.tape)
    }
}

/// What exactly a broken device does.
impl State {
    fn damages(&mut self, fault: Fault, id: InodeId) -> bool {
        self.faults.damages(fault, id, &mut self.tape)
    }

    /// How many sectors the file has.
    fn sectors(&mut self, id: InodeId) -> u64 {
        let size = self.disk.size(id, &mut self.tape);
        size.div_ceil(self.disk.sector)
    }

    fn choose_in(&mut self, range: Range<u64>) -> u64 {
        let radix = u32::try_from(range.end - range.start).unwrap_or(u32::MAX);
        range.start + u64::from(self.tape.choose(Purpose::Fault, radix))
    }

    /// One of so many sectors, but not this one.
    fn choose_other(&mut self, sectors: u64, than: u64) -> u64 {
        let other = self.choose_in(0..sectors - 1);
        other + u64::from(other >= than)
    }

    fn choose_bit(&mut self) -> u8 {
        1 << self.tape.choose(Purpose::Fault, 8)
    }

    fn choose_cache(&mut self) -> Cache {
        match self.tape.choose(Purpose::Fault, 2) {
            0 => Cache::Kept,
            _ => Cache::Evicted,
        }
    }
}
