//! Crash profiles: which order holds between the atoms that a crash may lose.

use super::chain::Stamp;
use super::choice::Tape;
use super::mood::Survivor;

/// What kind of crash ends a lifetime, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Profile {
    /// The process dies and the machine lives on: all that was issued is still there, though no
    /// more durable than before.
    KillOnly,
    /// Power loss on a file system that writes names, sizes and inodes through one journal, as
    /// ext4 with ordered data does: they survive as a prefix of their order. Bytes survive
    /// sector by sector, so appended data may be zeros inside the size.
    Ext4Ordered,
    /// Power loss on any file system that keeps what POSIX promises: no order between sectors,
    /// sizes, inodes and names.
    #[default]
    Posix,
}

/// What is known about the survival of metadata (names, sizes, the existence of inodes).
#[derive(Clone, Debug, Default)]
pub(super) struct MetadataOrder {
    /// One per power loss, in order.
    losses: Vec<Loss>,
    /// The newest metadata of this lifetime that a sync has covered.
    synced: Stamp,
}

/// What is known of one power loss: metadata up to `survived` is there, from `lost` on it is not.
#[derive(Clone, Copy, Debug)]
struct Loss {
    profile: Profile,
    end: Stamp,
    survived: Stamp,
    lost: Stamp,
}

impl MetadataOrder {
    /// Notes that a sync has covered metadata of this stamp.
    pub(super) fn synced(&mut self, stamp: Stamp) {
        self.synced = self.synced.max(stamp);
    }

    /// Notes a power loss after everything up to `end` was issued.
    pub(super) fn power_lost(&mut self, profile: Profile, end: Stamp) {
        self.losses.push(Loss {
            profile,
            end,
            survived: self.synced,
            lost: Stamp::MAX,
        });
    }

    /// The kind of power loss that came next after this stamp.
    pub(super) fn profile(&self, stamp: Stamp) -> Profile {
        self.loss(stamp).1
    }

    /// Which power loss came next after this stamp, and its kind.
    pub(super) fn loss(&self, stamp: Stamp) -> (usize, Profile) {
        let next = self.losses.iter().position(|loss| stamp <= loss.end);
        let next = next.map(|index| (index, self.losses[index].profile));
        next.unwrap_or((self.losses.len(), Profile::KillOnly))
    }

    /// Whether it is known what becomes of metadata of this stamp where it survives in order.
    pub(super) fn is_known(&self, stamp: Stamp) -> bool {
        match self.losses.iter().find(|loss| stamp <= loss.end) {
            Some(loss) => stamp <= loss.survived || stamp >= loss.lost,
            None => stamp <= self.synced,
        }
    }

    /// Decides how many of a chain's versions have survived, given the stamps of all that may;
    /// gives the index of the last one. They are of one lifetime, but for the first.
    pub(super) fn choose(&mut self, tape: &mut Tape, about: Survivor, stamps: &[Stamp]) -> usize {
        let last = stamps.len() - 1;
        let newest = stamps[last];
        let Some(loss) = self.losses.iter_mut().find(|loss| newest <= loss.end) else {
            return last;
        };
        if loss.profile == Profile::Posix {
            return last - tape.choose_survival(about, stamps.len() as u32) as usize;
        }
        let least = stamps.partition_point(|s| *s <= loss.survived).max(1) - 1;
        let most = stamps.partition_point(|s| *s < loss.lost).max(1) - 1;
        let choices = (most.max(least) - least + 1) as u32;
        let chosen = most.max(least) - tape.choose_survival(about, choices) as usize;
        if chosen > 0 {
            loss.survived = loss.survived.max(stamps[chosen]);
        }
        if let Some(next) = stamps.get(chosen + 1) {
            loss.lost = loss.lost.min(*next);
        }
        chosen
    }
}
