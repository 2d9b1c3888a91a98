//! What a broken device does: writes that are lost or go astray, reads of the wrong place, rot.
//!
//! These are the effects. Whoever plans faults decides when one strikes.

use std::io;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::choice::Tape;
use super::disk::Disk;
use super::inode::InodeId;

/// What reads show where a write has not reached the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    /// The page cache has the new bytes, and shows them until it evicts them or the power goes.
    Kept,
    /// It has evicted them: reads show at once what is on the device.
    Evicted,
}

impl Disk {
    /// A write that says `Ok` and whose bytes never reach the device. The size grows all the same.
    ///
    /// As with bytes that a failed sync has dropped, a later write to the same page that the cache
    /// has kept writes all of it again.
    pub(super) fn lose_write(
        &mut self,
        id: InodeId,
        offset: u64,
        data: Bytes,
        cache: Cache,
        tape: &mut Tape,
    ) -> io::Result<()> {
        let written = offset..offset.saturating_add(data.len() as u64);
        self.write(id, offset, data, tape)?;
        let stamp = self.clock;
        if !written.is_empty() {
            self.content_mut(id)?.lose(stamp, written, cache);
        }
        Ok(())
    }

    /// A write whose sectors, whole, land at the one that holds `elsewhere` and those behind it,
    /// and not where they belong. What would land beyond the end of the file is lost.
    ///
    /// The sectors that were hit show it at once, and survive like any that was written.
    pub(super) fn misdirect_write(
        &mut self,
        id: InodeId,
        offset: u64,
        data: Bytes,
        elsewhere: u64,
        cache: Cache,
        tape: &mut Tape,
    ) -> io::Result<()> {
        let written = offset..offset.saturating_add(data.len() as u64);
        self.lose_write(id, offset, data.clone(), cache, tape)?;
        let size = self.size(id, tape);
        let sectors = self.whole_sectors(&written);
        let astray = self.read_at(id, sectors.start..sectors.end.min(size), tape)?;
        let mut astray = BytesMut::from(astray);
        let at = (offset - sectors.start) as usize;
        astray[at..at + data.len()].copy_from_slice(&data);

        let target = elsewhere - elsewhere % self.sector;
        astray.truncate(size.saturating_sub(target) as usize);
        if !astray.is_empty() {
            let stamp = self.stamp();
            self.put(id, stamp, target, astray.freeze(), tape)?;
        }
        Ok(())
    }

    /// A read that gives what lies at `elsewhere` instead, this time. It is as long as the right
    /// answer; what the file does not have there is zeros.
    pub(super) fn misdirect_read(
        &mut self,
        id: InodeId,
        offset: u64,
        len: usize,
        elsewhere: u64,
        tape: &mut Tape,
    ) -> io::Result<Bytes> {
        let expected = self.read(id, offset, len, tape)?.len();
        let mut found = BytesMut::from(self.read(id, elsewhere, expected, tape)?);
        found.resize(expected, 0);
        Ok(found.freeze())
    }

    /// Turns over the bits of `mask` in the byte at `offset`, for good: in whatever version of its
    /// sector survives, until the sector is written again. Beyond the end there is nothing to rot.
    pub(super) fn rot(
        &mut self,
        id: InodeId,
        offset: u64,
        mask: u8,
        tape: &mut Tape,
    ) -> io::Result<()> {
        if offset < self.size(id, tape) {
            self.settle(id, offset..offset + 1, tape);
            let stamp = self.clock;
            self.content_mut(id)?.rot(stamp, offset, mask);
        }
        Ok(())
    }

    fn whole_sectors(&self, range: &Range<u64>) -> Range<u64> {
        range.start - range.start % self.sector..range.end.next_multiple_of(self.sector)
    }

    fn read_at(&mut self, id: InodeId, range: Range<u64>, tape: &mut Tape) -> io::Result<Bytes> {
        let len = range.end.saturating_sub(range.start) as usize;
        self.read(id, range.start, len, tape)
    }
}

/// A read whose byte at `at` came with the bits of `mask` turned over, this time.
pub(super) fn flip_read(read: Bytes, at: usize, mask: u8) -> Bytes {
    let mut read = BytesMut::from(read);
    if let Some(byte) = read.get_mut(at) {
        *byte ^= mask;
    }
    read.freeze()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::profile::Profile;
    use super::*;
    use crate::OpenOptions;

    const SECTOR: usize = 512;

    /// A durable file of three sectors of A, B and C.
    fn disk() -> (Disk, InodeId) {
        let mut disk = Disk::new(SECTOR as u64);
        let tape = &mut Tape::zeros();
        let path = Path::new("f");
        let id = disk.open(path, OpenOptions::Create, tape).unwrap();
        disk.write(id, 0, sectors("ABC"), tape).unwrap();
        disk.sync_file(id, disk.clock);
        disk.persist_path(path, tape).unwrap();
        (disk, id)
    }

    fn sectors(letters: &str) -> Bytes {
        letters.bytes().flat_map(|byte| [byte; SECTOR]).collect()
    }

    /// The first byte of each sector.
    fn show(disk: &mut Disk, id: InodeId) -> String {
        let content = disk.read(id, 0, usize::MAX, &mut Tape::zeros()).unwrap();
        content.chunks(SECTOR).map(|s| s[0] as char).collect()
    }

    /// What is there after a sync that says `Ok` and a power loss.
    fn after_sync_and_crash(disk: &mut Disk, id: InodeId) -> String {
        disk.sync_file(id, disk.clock);
        disk.crash(Profile::Posix);
        show(disk, id)
    }

    #[test]
    fn a_lost_write_is_seen_as_long_as_it_is_cached() {
        for (cache, seen) in [(Cache::Kept, "AXYZ"), (Cache::Evicted, "ABC\0")] {
            let (mut disk, id) = disk();
            let tape = &mut Tape::zeros();
            disk.lose_write(id, SECTOR as u64, sectors("XYZ"), cache, tape)
                .unwrap();
            assert_eq!(show(&mut disk, id), seen, "{cache:?}");
            assert_eq!(after_sync_and_crash(&mut disk, id), "ABC\0", "{cache:?}");
        }
    }

    #[test]
    fn a_lost_write_leaves_the_writes_around_it_alone() {
        let (mut disk, id) = disk();
        let tape = &mut Tape::zeros();
        disk.write(id, 0, sectors("123"), tape).unwrap();
        disk.lose_write(id, SECTOR as u64, sectors("x"), Cache::Evicted, tape)
            .unwrap();
        assert_eq!(show(&mut disk, id), "123");
        assert_eq!(after_sync_and_crash(&mut disk, id), "123");
    }

    #[test]
    fn a_misdirected_write_hits_whole_sectors() {
        for (cache, seen) in [(Cache::Kept, "BBB"), (Cache::Evicted, "ABB")] {
            let (mut disk, id) = disk();
            let tape = &mut Tape::zeros();
            // Its first byte is one that `show` shows, its second one that it does not.
            let data = Bytes::from_static(b"Bx");
            let inside_the_last = 2 * SECTOR as u64 + 7;
            disk.misdirect_write(id, 0, data, inside_the_last, cache, tape)
                .unwrap();
            let hit = disk.read(id, 2 * SECTOR as u64, SECTOR, tape).unwrap();
            assert_eq!(hit[..4], *b"BxAA", "with the rest of the sector it was for");
            assert_eq!(show(&mut disk, id), seen, "{cache:?}");
            assert_eq!(after_sync_and_crash(&mut disk, id), "ABB", "{cache:?}");
        }
    }

    /// The file does not grow where it was not written.
    #[test]
    fn what_goes_astray_beyond_the_end_is_lost() {
        let (mut disk, id) = disk();
        let tape = &mut Tape::zeros();
        let last = 2 * SECTOR as u64;
        disk.misdirect_write(id, 0, sectors("12"), last, Cache::Evicted, tape)
            .unwrap();
        assert_eq!(show(&mut disk, id), "AB1");
        disk.misdirect_write(id, 0, sectors("34"), u64::MAX, Cache::Evicted, tape)
            .unwrap();
        assert_eq!(show(&mut disk, id), "AB1");
    }

    #[test]
    fn a_misdirected_read_is_as_long_as_the_right_one() {
        let (mut disk, id) = disk();
        let tape = &mut Tape::zeros();
        let read = disk.misdirect_read(id, 0, 2 * SECTOR, 1024, tape).unwrap();
        assert_eq!(read[..SECTOR], sectors("C"));
        assert_eq!(read[SECTOR..], [0; SECTOR]);
        let at_the_end = disk.misdirect_read(id, 1530, 100, 0, tape).unwrap();
        assert_eq!(at_the_end, "AAAAAA");
        assert_eq!(show(&mut disk, id), "ABC");
    }

    #[test]
    fn rot_stays_until_the_sector_is_written() {
        let (mut disk, id) = disk();
        let tape = &mut Tape::zeros();
        disk.rot(id, SECTOR as u64, b'B' ^ b'R', tape).unwrap();
        disk.rot(id, 5000, 1, tape).unwrap();
        assert_eq!(show(&mut disk, id), "ARC");
        disk.crash(Profile::Posix);
        assert_eq!(show(&mut disk, id), "ARC");
        disk.write(id, SECTOR as u64, sectors("D"), tape).unwrap();
        assert_eq!(after_sync_and_crash(&mut disk, id), "ADC");
    }

    #[test]
    fn zeros_rot_too() {
        let (mut disk, id) = disk();
        let tape = &mut Tape::zeros();
        disk.set_len(id, 2048, tape).unwrap();
        disk.rot(id, 1536, b'r', tape).unwrap();
        assert_eq!(show(&mut disk, id), "ABCr");
        assert_eq!(after_sync_and_crash(&mut disk, id), "ABCr");
    }

    #[test]
    fn a_flipped_read_differs_in_one_byte() {
        assert_eq!(flip_read(Bytes::from_static(b"AAA"), 1, 3), "ABA");
        assert_eq!(flip_read(Bytes::from_static(b"AAA"), 3, 3), "AAA");
    }
}
