//! Neighbouring sectors with one history.

use bytes::Bytes;

use super::chain::{Chain, Stamp};

/// Sectors that were always written together. Each may still survive by itself: whoever decides
/// about one splits it off first.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) sectors: u64,
    pub(super) chain: Chain<Bytes>,
}

impl Run {
    pub(super) fn floor(&self) -> Stamp {
        self.chain.versions()[0].stamp
    }

    /// The history of one of the sectors, which are so many bytes each.
    pub(super) fn sector(&self, index: u64, bytes: u64) -> Chain<Bytes> {
        self.chain.map(|value| part(value, index * bytes, bytes))
    }

    /// The newest version until `until` never reaches the disk; the one that `choose` takes of those
    /// before it does.
    pub(super) fn forget(&mut self, until: Stamp, choose: &mut dyn FnMut(u32) -> u32) {
        let reaching = self.chain.versions().iter().filter(|v| !v.dropped);
        let mut stamps: Vec<Stamp> = reaching.map(|v| v.stamp).filter(|s| *s <= until).collect();
        let Some(forgotten) = stamps.pop().filter(|_| !stamps.is_empty()) else {
            return;
        };
        // The oldest first here: it is what a disk that has seen none of the writes holds.
        let kept = stamps[choose(stamps.len() as u32) as usize];
        self.chain
            .retain(|v| v.stamp == kept || v.stamp >= forgotten);
        self.chain.versions_mut()[1].dropped = true;
    }
}

/// `len` bytes from `from` on, as far as they are stored: what is missing is zeros.
pub(super) fn part(bytes: &Bytes, from: u64, len: u64) -> Bytes {
    let stored = bytes.len() as u64;
    let from = from.min(stored);
    let until = from.saturating_add(len).min(stored);
    bytes.slice(from as usize..until as usize)
}

/// The versions of a sector that a reader can tell apart, the newest first.
pub(super) fn distinct(chain: &Chain<Bytes>) -> Vec<usize> {
    let versions = chain.versions();
    let mut found: Vec<usize> = Vec::with_capacity(versions.len());
    for index in (0..versions.len()).rev() {
        let value = &versions[index].value;
        let known = |seen: &usize| reads_same(&versions[*seen].value, value);
        if !versions[index].dropped && !found.iter().any(known) {
            found.push(index);
        }
    }
    found
}

pub(super) fn reads_same(left: &[u8], right: &[u8]) -> bool {
    let common = left.len().min(right.len());
    left[..common] == right[..common]
        && left[common..].iter().all(|byte| *byte == 0)
        && right[common..].iter().all(|byte| *byte == 0)
}
