//! How kind a crash is, where a seed decides what it leaves.
//!
//! Were every draw even and independent, a crash would never lose exactly one of a hundred sectors, nor
//! keep exactly one, nor all the sizes without the bytes. So every crash has a mood: it is biased, for
//! each file and directory by another bias, or what it leaves has a shape.
//!
//! Invariant: a mood follows from the seed, the crash and the file, and not from the order of the
//! questions.

use std::collections::BTreeMap;

use super::inode::InodeId;
use super::random::{Random, mix};

/// Keeps moods apart from the other streams of a seed.
const LABEL: u64 = 1 << 33;

/// Labels beside the numbers of inodes.
const SHAPE: u64 = u64::MAX;
const ALL: u64 = u64::MAX - 1;

/// Of a hundred things, how many survive whole.
const BIASES: [u32; 5] = [0, 2, 50, 98, 100];

/// The one thing that a crash loses is among the first so many powers of two that are looked at: mostly
/// an early one.
const LOSSES: u32 = 8;

/// What a decision about survival is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survivor {
    /// The number of the crash.
    pub(super) crash: u64,
    /// The file, or the directory of a name.
    pub(super) inode: InodeId,
    pub(super) part: Part,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Name,
    /// Whether the inode is there.
    Inode,
    Size,
    Sector {
        index: u64,
        /// The first and the last sector of the file about which nothing is known yet.
        open: (u64, u64),
        /// How many of the possibilities are versions of it. The others are what lesser disks do.
        versions: u32,
    },
}

/// Decides what survives, for a seed.
#[derive(Clone)]
pub(super) struct Moods {
    seed: u64,
    random: Random,
    /// The first and the last open sector of each file when it was first looked at after each crash.
    open: BTreeMap<(u64, InodeId), (u64, u64)>,
    /// The crash that decisions are about now, and how many there were.
    crash: u64,
    decided: u32,
}

/// What a crash leaves.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Each file and directory has its own bias.
    Biased,
    /// All have the same.
    BiasedAlike,
    /// Names, sizes, and the last open sector of each file.
    LastSector,
    /// Everything but the first open sector of each file.
    AllButFirst,
    /// Names and sizes.
    SizesOnly,
    /// Names and sectors.
    DataOnly,
    NamesOnly,
    /// Everything but what is looked at after so many other things.
    AllButOne(u32),
}

impl Moods {
    pub(super) fn new(seed: u64) -> Moods {
        Moods {
            seed,
            random: Random::new(seed, LABEL),
            open: BTreeMap::new(),
            crash: 0,
            decided: 0,
        }
    }

    /// One of `radix` possibilities, the newest first.
    pub(super) fn draw(&mut self, about: Survivor, radix: u32) -> u32 {
        if about.crash != self.crash {
            self.crash = about.crash;
            self.decided = 0;
        }
        self.decided += 1;
        let oldest = match about.part {
            Part::Sector { versions, .. } => versions.min(radix) - 1,
            _ => radix - 1,
        };
        let survives = |whether| if whether { 0 } else { oldest };
        match self.shape(about.crash) {
            Shape::Biased => self.biased(about.crash, about.inode.0, (oldest, radix)),
            Shape::BiasedAlike => self.biased(about.crash, ALL, (oldest, radix)),
            Shape::AllButOne(kept) => u32::from(self.decided == kept + 1),
            Shape::SizesOnly => survives(!matches!(about.part, Part::Sector { .. })),
            Shape::DataOnly => survives(!matches!(about.part, Part::Size)),
            Shape::NamesOnly => survives(matches!(about.part, Part::Name | Part::Inode)),
            Shape::LastSector => survives(self.is_at(about, |index, (_, last)| index == last)),
            Shape::AllButFirst => survives(self.is_at(about, |index, (first, _)| index != first)),
        }
    }

    fn shape(&self, crash: u64) -> Shape {
        let mut random = self.labelled(crash, SHAPE);
        match random.below(16) {
            0 => Shape::LastSector,
            1 => Shape::AllButFirst,
            2 => Shape::SizesOnly,
            3 => Shape::DataOnly,
            4 => Shape::NamesOnly,
            5 => {
                let most = 1 << random.below(LOSSES);
                Shape::AllButOne(random.below(most))
            }
            6..9 => Shape::BiasedAlike,
            _ => Shape::Biased,
        }
    }

    fn biased(&mut self, crash: u64, whose: u64, (oldest, radix): (u32, u32)) -> u32 {
        let mut mood = self.labelled(crash, whose);
        let bias = BIASES[mood.below(BIASES.len() as u32) as usize];
        let loses_all = mood.below(2) == 0;
        if self.random.below(100) < bias {
            0
        } else if loses_all {
            oldest
        } else {
            1 + self.random.below(radix - 1)
        }
    }

    /// Whether a sector lies where `place` says, given the first and the last that are open. Other
    /// things do.
    fn is_at(&mut self, about: Survivor, place: impl Fn(u64, (u64, u64)) -> bool) -> bool {
        let Part::Sector { index, open, .. } = about.part else {
            return true;
        };
        let open = *self.open.entry((about.crash, about.inode)).or_insert(open);
        place(index, open)
    }

    fn labelled(&self, crash: u64, label: u64) -> Random {
        Random::new(self.seed ^ mix(LABEL + crash), label)
    }
}
