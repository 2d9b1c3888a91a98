//! What a sector may read as after a power loss, beyond being one of its versions.

use bytes::{Bytes, BytesMut};

use super::chain::Chain;
use super::content::Content;
use super::disk::Disk;
use super::inode::{Body, Inode, InodeId};
use super::random::{Random, mix};
use super::run::{distinct, part, reads_same};

/// What a disk promises about a sector when the power goes. The default promises all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskModel {
    /// A sector is written whole or not at all.
    ///
    /// Without it a version that was not synced may be torn: it begins as the new bytes and goes on
    /// as those of the version before, or the other way round, with the border after the first byte
    /// that differs, before the last, or in the middle between them.
    pub sector_atomic: bool,
    /// Writing a sector again does no harm to what it held before.
    ///
    /// Without it a sector whose bytes were durable, and that was written again and not synced, may
    /// read as zeros or as noise.
    pub powersafe_overwrite: bool,
    /// Space that was never written may hold what was there before.
    ///
    /// With it a sector inside the size of which no version has survived, or that was allocated and
    /// never written, is zeros, noise, or what the last file that was removed held in that place.
    pub stale_blocks: bool,
}

impl Default for DiskModel {
    fn default() -> DiskModel {
        DiskModel {
            sector_atomic: true,
            powersafe_overwrite: true,
            stale_blocks: false,
        }
    }
}

/// What a sector that is looked at lies on.
#[derive(Clone, Copy)]
pub(super) struct Medium<'a> {
    pub(super) model: DiskModel,
    /// Where the file ends, in bytes.
    pub(super) size: u64,
    /// Makes the noise of one file different from that of another.
    pub(super) seed: u64,
    /// The file that was removed last before the power went.
    pub(super) removed: Option<&'a Content>,
}

/// One of the things that a sector may be.
#[derive(Clone, Debug)]
pub(super) struct Possibility {
    pub(super) value: Bytes,
    /// The version it came from.
    pub(super) version: usize,
    pub(super) origin: Origin,
}

/// How a sector came to be what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is one of its versions.
    Whole,
    /// It holds what was there before the file, or noise.
    Stale,
    /// It is a part of one version and a part of another.
    Torn,
    /// It held something durable before it was written again.
    Destroyed,
}

/// How often a sector has turned out not to be one of its versions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lapses {
    pub(super) stale: u64,
    pub(super) torn: u64,
    pub(super) destroyed: u64,
}

impl Lapses {
    pub(super) fn count(&mut self, origin: Origin) {
        match origin {
            Origin::Whole => {}
            Origin::Stale => self.stale += 1,
            Origin::Torn => self.torn += 1,
            Origin::Destroyed => self.destroyed += 1,
        }
    }
}

impl Disk {
    /// What the file lies on, with the blocks of a removed one.
    pub(super) fn medium<'a>(&self, id: InodeId, removed: Option<&'a Inode>) -> Medium<'a> {
        Medium {
            model: self.model,
            size: self.inode(id).size.newest().value.unwrap_or(0),
            seed: id.0,
            removed: removed.and_then(|inode| match &inode.body {
                Body::File(content) => Some(content),
                Body::Directory(_) => None,
            }),
        }
    }
}

impl Medium<'_> {
    /// All that the sector may be, the mildest first.
    pub(super) fn possible(
        &self,
        sector: u64,
        chain: &Chain<Bytes>,
        is_seen: bool,
        bytes: u64,
    ) -> Vec<Possibility> {
        let versions = chain.versions();
        let whole = |index: usize| Possibility {
            value: versions[index].value.clone(),
            version: index,
            origin: Origin::Whole,
        };
        let mut found = Possible(distinct(chain).into_iter().map(whole).collect());
        if self.model == DiskModel::default() {
            return found.0;
        }

        let len = self.size.saturating_sub(sector * bytes).min(bytes) as usize;
        let value = |index: usize| &versions[index].value;
        let reached = (0..versions.len()).filter(|index| !versions[*index].dropped);
        let reached: Vec<usize> = reached.collect();
        let hole = reached.iter().find(|index| value(**index).is_empty());
        if let Some(hole) = hole.filter(|_| !is_seen && self.model.stale_blocks) {
            found.add(*hole, Origin::Stale, self.noise(sector, len));
            if let Some(removed) = self.removed {
                let old = part(&removed.newest(sector), 0, len as u64);
                found.add(*hole, Origin::Stale, old);
            }
        }
        if !self.model.sector_atomic {
            for pair in reached.windows(2).rev() {
                let [old, new] = [pair[0], pair[1]].map(|index| filled(value(index), len));
                torn(&old, &new).for_each(|torn| found.add(pair[1], Origin::Torn, torn));
            }
        }
        if !self.model.powersafe_overwrite && reached.len() > 1 && !value(0).is_empty() {
            found.add(0, Origin::Destroyed, Bytes::new());
            found.add(0, Origin::Destroyed, self.noise(sector, len));
        }
        found.0
    }

    fn noise(&self, sector: u64, len: usize) -> Bytes {
        let mut random = Random::new(mix(self.seed), sector);
        (0..len).map(|_| random.below(256) as u8).collect()
    }
}

/// What readers can tell apart.
struct Possible(Vec<Possibility>);

impl Possible {
    fn add(&mut self, version: usize, origin: Origin, value: Bytes) {
        if !self.0.iter().any(|known| reads_same(&known.value, &value)) {
            self.0.push(Possibility {
                value,
                version,
                origin,
            });
        }
    }
}

fn filled(value: &[u8], len: usize) -> BytesMut {
    let mut filled = BytesMut::from(value);
    filled.resize(len, 0);
    filled
}

/// The mixtures of two versions of a sector: the new bytes first, or the old ones.
fn torn(old: &[u8], new: &[u8]) -> impl Iterator<Item = Bytes> {
    let differs = |at: &usize| old[*at] != new[*at];
    let first = (0..new.len()).find(differs);
    let last = (0..new.len()).rfind(differs);
    let borders = first.zip(last).map(|(first, last)| {
        let middle = (first + last).div_ceil(2);
        [first + 1, middle, last]
    });
    borders.into_iter().flatten().flat_map(move |border| {
        [[new, old], [old, new]]
            .map(|[head, tail]| Bytes::from([&head[..border], &tail[border..]].concat()))
    })
}
