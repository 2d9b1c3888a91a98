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
use super::disk::PAGE;
use super::fault::Fault;
use super::inode::InodeId;
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
        self.faults.refuse(operation, &mut self.tape)
    }

    pub(super) fn read(&mut self, id: InodeId, offset: u64, len: usize) -> io::Result<Bytes> {
        if self.faults.is_calm() {
            return self.disk.read(id, offset, len, &mut self.tape);
        }
        let size = self.disk.size(id, &mut self.tape);
        if offset < size && self.damages(Fault::UnreadableSector, id) {
            let end = offset.saturating_add(len as u64).min(size);
            let damaged = offset + self.choose_up_to(end - offset);
            self.disk.content_mut(id)?.make_unreadable(damaged);
        }
        let read = self.disk.read(id, offset, len, &mut self.tape)?;
        if !read.is_empty() && self.damages(Fault::FlippedRead, id) {
            self.faults.count(Fault::FlippedRead);
            return Ok(self.flipped(&read));
        }
        if !read.is_empty() && size > self.disk.sector && self.damages(Fault::MisdirectedRead, id) {
            self.faults.count(Fault::MisdirectedRead);
            return self.misdirected(id, offset, &read);
        }
        Ok(read)
    }

    pub(super) fn write(&mut self, id: InodeId, offset: u64, data: Bytes) -> io::Result<()> {
        let (data, result) = match self.until_no_room(id, offset, data) {
            Ok(whole) => (whole, Ok(())),
            Err(part) => (part, Err(io::ErrorKind::StorageFull.into())),
        };
        let end = offset.saturating_add(data.len() as u64);
        let is_late = !self.faults.is_calm() && end > self.disk.inode(id).reserved;
        let redirties = self.shows_dropped(id, offset..end);
        self.disk.write(id, offset, data, &mut self.tape)?;
        if is_late {
            self.faults.late.insert(id);
        }
        if redirties {
            self.faults.count(Fault::RedirtiedSectors);
        }
        result
    }

    /// Whether a listing comes in another order.
    pub(super) fn shuffles(&mut self) -> bool {
        let may_strike = !self.faults.is_calm();
        self.shuffle_listings
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

/// What a write meets.
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

    /// The data, or the part of it for which there is room.
    fn until_no_room(&mut self, id: InodeId, offset: u64, data: Bytes) -> Result<Bytes, Bytes> {
        if self.faults.is_calm() {
            return Ok(data);
        }
        let end = offset.saturating_add(data.len() as u64);
        let reserved = self.disk.inode(id).reserved.max(offset);
        if end <= reserved || !self.faults.strike(Fault::PartialWrite, &mut self.tape) {
            return Ok(data);
        }
        let quarters = u64::from(self.tape.choose(Purpose::Fault, 4));
        let room = reserved - offset + (end - reserved) * quarters / 4;
        Err(data.slice(..room as usize))
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
        content.is_ok_and(|content| content.shows_dropped(&pages))
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

/// Bad reads.
impl State {
    fn damages(&mut self, fault: Fault, id: InodeId) -> bool {
        self.faults.damages(fault, id, &mut self.tape)
    }

    /// The bytes with one bit turned over.
    fn flipped(&mut self, bytes: &Bytes) -> Bytes {
        let at = self.choose_up_to(bytes.len() as u64);
        let bit = self.tape.choose(Purpose::Fault, 8);
        let mut bytes = BytesMut::from(bytes.as_ref());
        bytes[at as usize] ^= 1 << bit;
        bytes.freeze()
    }

    /// The bytes read at `offset` with one sector of them replaced by another of the file.
    fn misdirected(&mut self, id: InodeId, offset: u64, bytes: &Bytes) -> io::Result<Bytes> {
        let sector = self.disk.sector;
        let size = self.disk.size(id, &mut self.tape);
        let wanted = (offset + self.choose_up_to(bytes.len() as u64)) / sector;
        let other = self.choose_up_to(size.div_ceil(sector) - 1);
        let other = other + u64::from(other >= wanted);
        let start = (wanted * sector).max(offset);
        let end = ((wanted + 1) * sector).min(offset + bytes.len() as u64);
        let shift = other * sector + start % sector;
        let found = self
            .disk
            .read(id, shift, (end - start) as usize, &mut self.tape)?;
        let mut read = BytesMut::from(bytes.as_ref());
        let place = &mut read[(start - offset) as usize..(end - offset) as usize];
        place.fill(0);
        place[..found.len()].copy_from_slice(&found);
        Ok(read.freeze())
    }

    fn choose_up_to(&mut self, end: u64) -> u64 {
        let radix = u32::try_from(end).unwrap_or(u32::MAX);
        u64::from(self.tape.choose(Purpose::Fault, radix))
    }
}
