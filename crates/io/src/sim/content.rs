//! What a file holds: runs of sectors, each with its versions.
//!
//! Invariants:
//! - A sector without a run reads as zeros, and so does what lies beyond a version's bytes: zeros
//!   are never stored.
//! - The sectors of a run have the same history of writes but separate fates. A run is split when
//!   a write or a choice touches a part of it.
//! - No version holds a byte beyond the largest size that the file may have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::chain::{Chain, Stamp};
use super::medium::{Medium, Possibility};
use super::run::{Run, part};

#[derive(Clone, Debug)]
pub(super) struct Content {
    /// Bytes in a sector.
    pub(super) sector: u64,
    /// By first sector. Runs do not overlap.
    pub(super) runs: BTreeMap<u64, Run>,
    /// Truncations that a crash may still undo, in order.
    cuts: Vec<Cut>,
    /// All sectors below are certain.
    pub(super) dirty_from: u64,
    /// Sectors that give a read error until they are written.
    pub(super) unreadable: BTreeSet<u64>,
    /// Whether a failed sync has dropped versions that the program still sees.
    pub(super) has_dropped: bool,
    unwritten: Unwritten,
}

/// Sectors without a run that may hold something else than zeros, until somebody looks.
#[derive(Clone, Debug, Default)]
struct Unwritten {
    /// The power loss that this is about.
    boot: Stamp,
    /// They are below.
    end: u64,
    /// Those that were found to be zeros.
    seen: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    stamp: Stamp,
    size: u64,
}

impl Content {
    pub(super) fn new(sector: u64) -> Content {
        Content {
            sector,
            runs: BTreeMap::new(),
            cuts: Vec::new(),
            dirty_from: u64::MAX,
            unreadable: BTreeSet::new(),
            has_dropped: false,
            unwritten: Unwritten::default(),
        }
    }

    /// The newest bytes of the range, which lies inside the file and is settled.
    pub(super) fn read(&self, range: Range<u64>) -> Bytes {
        if let Some(bytes) = self.read_from_one_run(&range) {
            return bytes;
        }
        let mut out = BytesMut::zeroed((range.end - range.start) as usize);
        for (start, run) in self.runs_in(self.sectors(&range)) {
            let run_start = start * self.sector;
            let value = &run.chain.newest().value;
            let from = range.start.max(run_start);
            let until = range.end.min(run_start + value.len() as u64);
            if from < until {
                let source = &value[(from - run_start) as usize..(until - run_start) as usize];
                let at = (from - range.start) as usize;
                out[at..at + source.len()].copy_from_slice(source);
            }
        }
        out.freeze()
    }

    fn read_from_one_run(&self, range: &Range<u64>) -> Option<Bytes> {
        let (start, run) = self.runs.range(..=range.start / self.sector).next_back()?;
        let from = range.start.checked_sub(start * self.sector)?;
        let until = range.end - start * self.sector;
        let value = &run.chain.newest().value;
        (until <= value.len() as u64).then(|| value.slice(from as usize..until as usize))
    }

    /// Writes at `offset`. The sectors that this covers only in part are settled.
    pub(super) fn write(&mut self, stamp: Stamp, offset: u64, data: Bytes) {
        let end = offset + data.len() as u64;
        let mut first = offset / self.sector;
        let mut from = 0;
        let lead = offset % self.sector;
        if lead != 0 {
            let len = (self.sector - lead).min(data.len() as u64) as usize;
            self.patch(stamp, first, lead as usize, &data[..len]);
            first += 1;
            from = len;
        }
        let mut rest = data.slice(from..);
        let tail = (end % self.sector) as usize;
        if tail != 0 && tail <= rest.len() && self.newest(end / self.sector).len() > tail {
            self.patch(stamp, end / self.sector, 0, &rest[rest.len() - tail..]);
            rest.truncate(rest.len() - tail);
        }
        if !rest.is_empty() {
            let sectors = (rest.len() as u64).div_ceil(self.sector);
            self.put(stamp, first, sectors, rest);
        }
        if !self.unreadable.is_empty() {
            let written = self.sectors(&(offset..end));
            self.unreadable.retain(|sector| !written.contains(sector));
        }
    }

    /// Replaces some bytes of one sector.
    fn patch(&mut self, stamp: Stamp, sector: u64, at: usize, bytes: &[u8]) {
        let old = self.newest(sector);
        let mut new = BytesMut::zeroed(old.len().max(at + bytes.len()));
        new[..old.len()].copy_from_slice(&old);
        new[at..at + bytes.len()].copy_from_slice(bytes);
        self.put(stamp, sector, 1, new.freeze());
    }

    /// Gives whole sectors a new version.
    fn put(&mut self, stamp: Stamp, first: u64, sectors: u64, data: Bytes) {
        let end = first + sectors;
        self.dirty_from = self.dirty_from.min(first);
        self.split(first);
        self.split(end);
        let mut at = first;
        while at < end {
            let next = self.runs.range_mut(at..end).next();
            let gap_end = next.as_ref().map_or(end, |(start, _)| **start);
            let skip = (at - first) * self.sector;
            if let (true, Some((_, run))) = (gap_end == at, next) {
                let value = part(&data, skip, run.sectors * self.sector);
                run.chain.push(stamp, value);
                at += run.sectors;
            } else {
                let value = part(&data, skip, (gap_end - at) * self.sector);
                let run = Run {
                    sectors: gap_end - at,
                    chain: Chain::born(Bytes::new(), stamp, value),
                };
                self.runs.insert(at, run);
                at = gap_end;
            }
        }
    }

    /// Cuts the file to `size`. The sector that holds the cut is settled.
    pub(super) fn truncate(&mut self, stamp: Stamp, size: u64) {
        let kept = (size % self.sector) as usize;
        let boundary = size / self.sector;
        let old = self.newest(boundary);
        if kept != 0 && old.len() > kept {
            self.put(stamp, boundary, 1, old.slice(..kept));
        }
        let beyond = size.div_ceil(self.sector);
        self.split(beyond);
        for (_, run) in self.runs.range_mut(beyond..) {
            run.chain.push(stamp, Bytes::new());
            self.dirty_from = self.dirty_from.min(beyond);
        }
        self.cuts.push(Cut { stamp, size });
        self.unwritten.end = self.unwritten.end.min(beyond);
    }

    /// Makes everything certain that was issued in this lifetime up to `until`.
    pub(super) fn sync(&mut self, boot: Stamp, until: Stamp) {
        // Those of an earlier lifetime are still open: nobody has looked at the size since.
        self.cuts
            .retain(|cut| cut.stamp > until || cut.stamp <= boot);
        let mut dirty_from = u64::MAX;
        let mut zeros = Vec::new();
        for (start, run) in self.runs.range_mut(self.dirty_from..) {
            if let Some(stamp) = run.chain.covered(boot, until) {
                run.chain.raise(stamp);
            }
            if !run.chain.is_certain() {
                dirty_from = dirty_from.min(*start);
            } else if run.chain.newest().value.is_empty() {
                zeros.push(*start);
            }
        }
        for start in zeros {
            self.runs.remove(&start);
        }
        self.dirty_from = dirty_from;
    }

    /// Decides what is in every sector of the range that nobody has looked at since the crash.
    ///
    /// `choose` is asked, for a sector and what the program saw there last, for one of so many
    /// possibilities, the newest first; those that cannot be told apart are one possibility.
    pub(super) fn settle(
        &mut self,
        range: Range<u64>,
        boot: Stamp,
        medium: &Medium<'_>,
        choose: &mut dyn FnMut(u64, &Bytes, &[Possibility]) -> u32,
    ) {
        for start in self.unsettled(self.sectors(&range), boot) {
            self.split(start);
            self.split(start + 1);
            let is_seen = self.is_seen(start);
            let sector = self.sector;
            let run = self.runs.entry(start).or_insert_with(|| Run {
                sectors: 1,
                chain: Chain::settled(0, Bytes::new()),
            });
            let mut possible = medium.possible(start, &run.chain, is_seen, sector);
            let newest = &run.chain.newest().value;
            let chosen = choose(start, newest, &possible) as usize;
            let chosen = possible.swap_remove(chosen);
            run.chain.settle_as(chosen.version, chosen.value);
            if run.chain.newest().value.is_empty() {
                self.runs.remove(&start);
                if medium.model.stale_blocks {
                    self.unwritten.seen.insert(start);
                }
            }
        }
    }

    /// Whether all that the range holds is known.
    pub(super) fn is_settled(&self, range: &Range<u64>, boot: Stamp) -> bool {
        let sectors = self.sectors(range);
        self.gaps(sectors.clone()).next().is_none()
            && self
                .runs_in(sectors)
                .all(|(_, run)| run.chain.is_settled(boot))
    }

    /// Notes that after the last power loss the file had this size: what it has not written below
    /// may be anything.
    pub(super) fn open_unwritten(&mut self, boot: Stamp, size: u64) {
        if self.unwritten.boot < boot {
            self.unwritten.boot = boot;
            self.unwritten.end = size.div_ceil(self.sector);
        }
    }

    /// The first and the last sector about which nothing is known.
    pub(super) fn open_sectors(&self, boot: Stamp) -> (u64, u64) {
        let is_open = |(_, run): &(&u64, &Run)| !run.chain.is_settled(boot);
        let first = self.runs.iter().find(is_open);
        let last = self.runs.iter().rfind(is_open);
        let end = last.map_or(0, |(start, run)| start + run.sectors - 1);
        (first.map_or(0, |(start, _)| *start), end)
    }

    fn unsettled(&self, sectors: Range<u64>, boot: Stamp) -> Vec<u64> {
        let mut unsettled: Vec<u64> = self
            .runs_in(sectors.clone())
            .filter(|(_, run)| !run.chain.is_settled(boot))
            .flat_map(|(start, run)| sectors.start.max(start)..sectors.end.min(start + run.sectors))
            .collect();
        unsettled.extend(self.gaps(sectors));
        unsettled.sort_unstable();
        unsettled
    }

    /// The sectors that were never written and may hold something.
    fn gaps(&self, sectors: Range<u64>) -> impl Iterator<Item = u64> {
        let open = sectors.start..sectors.end.min(self.unwritten.end);
        open.filter(|sector| {
            !self.is_seen(*sector) && self.runs_in(*sector..*sector + 1).next().is_none()
        })
    }

    /// Applies what the crash left of the size: `size` of stamp `kept`, and nothing newer.
    ///
    /// Without any order, what was written again behind a truncation that is lost may be there all
    /// the same; with it, that went to new space to which nothing leads.
    pub(super) fn settle_size(&mut self, size: u64, kept: Stamp, boot: Stamp, is_ordered: bool) {
        for cut in std::mem::take(&mut self.cuts) {
            let beyond = cut.size.div_ceil(self.sector);
            self.split(beyond);
            if cut.stamp <= kept {
                self.mask(cut.size, cut.stamp);
                for (_, run) in self.runs.range_mut(beyond..) {
                    run.chain.raise(cut.stamp);
                }
            } else if cut.stamp <= boot {
                for (_, run) in self.runs.range_mut(beyond..) {
                    let stays = |stamp| match is_ordered {
                        true => stamp < cut.stamp || stamp > boot,
                        false => stamp != cut.stamp,
                    };
                    run.chain.retain(|version| stays(version.stamp));
                }
            } else {
                self.cuts.push(cut);
            }
        }
        let beyond = size.div_ceil(self.sector);
        self.split(beyond);
        self.runs.split_off(&beyond);
        self.mask(size, Stamp::MAX);
    }

    /// Forgets what versions before `stamp` hold beyond `size` in the sector where it ends.
    fn mask(&mut self, size: u64, stamp: Stamp) {
        let kept = (size % self.sector) as usize;
        let boundary = size / self.sector;
        if kept == 0 {
            return;
        }
        self.split(boundary);
        self.split(boundary + 1);
        if let Some(run) = self.runs.get_mut(&boundary) {
            for version in run.chain.versions_mut() {
                if version.stamp < stamp {
                    version.value.truncate(kept);
                }
            }
        }
    }

    /// Replaces all that the file holds and held before.
    pub(super) fn replace(&mut self, stamp: Stamp, data: Bytes) {
        *self = Content::new(self.sector);
        if !data.is_empty() {
            let sectors = (data.len() as u64).div_ceil(self.sector);
            let chain = Chain::settled(stamp, data);
            self.runs.insert(0, Run { sectors, chain });
        }
    }

    /// The runs among which are all that are not certain.
    pub(super) fn dirty_runs(&self) -> impl Iterator<Item = (u64, &Run)> {
        let runs = self.runs.range(self.dirty_from..);
        runs.map(|(start, run)| (*start, run))
    }

    /// Whether the sector was found to be zeros after a power loss.
    pub(super) fn is_seen(&self, sector: u64) -> bool {
        self.unwritten.seen.contains(&sector)
    }

    /// How many sectors that were never written may hold something: those that do so already, or
    /// those that will when the power goes at this size.
    pub(super) fn unwritten(&self, size: Option<u64>) -> u64 {
        let end = size.map_or(self.unwritten.end, |size| size.div_ceil(self.sector));
        let runs = self.runs.range(..end);
        let written = runs.map(|(start, run)| run.sectors.min(end - start));
        let is_gap = |sector: &&u64| self.runs_in(**sector..**sector + 1).next().is_none();
        let seen = self.unwritten.seen.range(..end).filter(is_gap);
        end - written.sum::<u64>() - seen.count() as u64
    }

    /// Whether it holds nothing but zeros.
    pub(super) fn is_blank(&self) -> bool {
        self.runs.is_empty()
    }

    /// The sectors that the range of bytes touches.
    pub(super) fn sectors(&self, range: &Range<u64>) -> Range<u64> {
        range.start / self.sector..range.end.div_ceil(self.sector)
    }

    pub(super) fn runs_in(&self, sectors: Range<u64>) -> impl Iterator<Item = (u64, &Run)> {
        let before = self.runs.range(..sectors.start).next_back();
        let reaches_in = before.filter(|(start, run)| *start + run.sectors > sectors.start);
        reaches_in
            .into_iter()
            .chain(self.runs.range(sectors))
            .map(|(start, run)| (*start, run))
    }

    pub(super) fn newest(&self, sector: u64) -> Bytes {
        let Some((start, run)) = self.runs.range(..=sector).next_back() else {
            return Bytes::new();
        };
        part(
            &run.chain.newest().value,
            (sector - start) * self.sector,
            self.sector,
        )
    }

    /// Makes `sector` the first of its run.
    pub(super) fn split(&mut self, sector: u64) {
        let Some((start, run)) = self.runs.range_mut(..sector).next_back() else {
            return;
        };
        let first = sector - start;
        if first >= run.sectors {
            return;
        }
        let left = first * self.sector;
        let right = Run {
            sectors: run.sectors - first,
            chain: run.chain.map(|value| part(value, left, u64::MAX)),
        };
        run.chain = run.chain.map(|value| part(value, 0, left));
        run.sectors = first;
        self.runs.insert(sector, right);
    }
}
