//! Deciding what a crash has left, at the moment when somebody looks.
//!
//! Invariant: what was decided once is the only version that is left, and is not asked about again.

use std::ops::Range;

use super::chain::Stamp;
use super::choice::Tape;
use super::disk::Disk;
use super::inode::{Body, InodeId};
use super::medium::Origin;
use super::mood::{Part, Survivor};
use super::profile::Profile;
use super::telling::Fate;

impl Disk {
    /// Whether the inode survived, which is decided here.
    pub(super) fn exists(&mut self, id: InodeId, tape: &mut Tape) -> bool {
        if let Some((before, birth)) = self.inode(id).open_birth(self.boot) {
            let about = self.survivor(id, Part::Inode);
            let survived = self.order.choose(tape, about, &[before, birth]) == 1;
            if survived {
                self.survive(id);
            } else {
                self.tell_inode(id);
                self.inode_mut(id).size.settle(0);
            }
        }
        !self.is_lost(id)
    }

    /// Decides that the inode has survived, if that is open.
    pub(super) fn survive(&mut self, id: InodeId) {
        if let Some((_, birth)) = self.inode(id).open_birth(self.boot) {
            self.inode_mut(id).size.raise(birth);
        }
    }

    /// Whether it is known that the inode did not survive.
    pub(super) fn is_lost(&self, id: InodeId) -> bool {
        self.inode(id).size.newest().value.is_none()
    }

    /// The size, which is decided here.
    pub(super) fn size(&mut self, id: InodeId, tape: &mut Tape) -> u64 {
        let size = &self.inode(id).size;
        if !size.is_settled(self.boot) && self.exists(id, tape) {
            self.settle_size(id, tape);
        }
        let size = self.inode(id).size.newest().value.unwrap_or(0);
        if self.model.stale_blocks {
            let boot = self.boot;
            if let Ok(content) = self.content_mut(id) {
                content.open_unwritten(boot, size);
            }
        }
        size
    }

    fn settle_size(&mut self, id: InodeId, tape: &mut Tape) {
        let versions = self.inode(id).size.versions();
        let stamps: Vec<Stamp> = versions.iter().map(|version| version.stamp).collect();
        let newest = stamps[stamps.len() - 1];
        let about = self.survivor(id, Part::Size);
        let chosen = self.order.choose(tape, about, &stamps);
        let boot = self.boot;
        let is_ordered = self.order.profile(newest) != Profile::Posix;
        self.tell_size(id, chosen);
        let inode = self.inode_mut(id);
        inode.size.settle(chosen);
        let size = inode.size.newest().value.unwrap_or(0);
        if let Body::File(content) = &mut inode.body {
            content.settle_size(size, stamps[chosen], boot, is_ordered);
        }
    }

    /// Decides what is in the sectors of the range.
    pub(super) fn settle(&mut self, id: InodeId, range: Range<u64>, tape: &mut Tape) {
        let boot = self.boot;
        if self.content(id).is_ok_and(|c| c.is_settled(&range, boot)) {
            return;
        }
        let recycled = self.recycled.clone();
        let medium = self.medium(id, recycled.as_deref());
        let crash = self.crashes;
        let mut lapses = self.lapses;
        let (tells, mut fates) = (self.tells(), Vec::new());
        let Ok(content) = self.content_mut(id) else {
            return;
        };
        // Only where a seed decides does it matter which of the open sectors one is.
        let open = match tape.is_seeded() {
            true => content.open_sectors(boot),
            false => (0, 0),
        };
        content.settle(range, boot, &medium, &mut |index, newest, possible| {
            let whole = possible.iter().filter(|p| p.origin == Origin::Whole);
            let part = Part::Sector {
                index,
                open,
                versions: whole.count() as u32,
            };
            let about = Survivor {
                crash,
                inode: id,
                part,
            };
            let chosen = tape.choose_survival(about, possible.len() as u32);
            let survived = &possible[chosen as usize];
            lapses.count(survived.origin);
            if tells && let Some(fate) = Fate::of(survived, newest) {
                fates.push((index, fate));
            }
            chosen
        });
        self.lapses = lapses;
        self.tell_sectors(id, &fates);
    }

    /// Says what a decision is about.
    pub(super) fn survivor(&self, inode: InodeId, part: Part) -> Survivor {
        Survivor {
            crash: self.crashes,
            inode,
            part,
        }
    }
}
