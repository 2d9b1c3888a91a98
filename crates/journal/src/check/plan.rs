//! [`Plan`]: which lives a run consists of, and what the tape decides about them.

use std::fmt;
use std::str::FromStr;

use quipu_io::sim::{Latency, Profile, Purpose, Schedule, SimOptions, Tape};

use super::hardship::Hardship;
use super::journal::SECTOR;
use super::program::{Program, Script};

/// Operations of a drawn first life, and of each later one.
const DRAWN_OPS: [u32; 2] = [10, 4];

/// Crashes of a drawn run.
const DRAWN_CRASHES: usize = 3;

const PROFILES: [Profile; 3] = [Profile::KillOnly, Profile::Ext4Ordered, Profile::Posix];

/// How a run goes: what its tape decides, and what is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan<O> {
    /// Everything within bounds: counting the tape up visits every run.
    Counted(Bounds),
    /// Everything is drawn: settings, operations, schedule, faults, crashes.
    Drawn(Drawn),
    /// Given lives, one after the other, each crashed wherever it matters.
    Scripted {
        /// Bytes in a sector.
        sector: u32,
        /// The lives.
        scenes: Vec<Scene<O>>,
    },
}

/// The bounds of the exhaustive tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Operations of the first life.
    pub ops: u32,
    /// Crashes in a row.
    pub crashes: u32,
    /// Operations of each life between two crashes.
    pub after: u32,
    /// Bytes in a sector.
    pub sector: u32,
    /// Bytes that a large edit is made of: so many that it crosses a sector.
    pub large: usize,
}

impl Default for Bounds {
    /// One crash, in sectors of 512 bytes.
    fn default() -> Bounds {
        Bounds {
            ops: 3,
            crashes: 1,
            after: 0,
            sector: 512,
            large: SECTOR,
        }
    }
}

/// What a drawn run may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Drawn {
    /// Whether every sync says `Ok` and does nothing: the negative control, which has to fail.
    pub lying_syncs: bool,
}

/// A life that is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene<O> {
    /// What it does.
    pub ops: Vec<O>,
    /// The kinds of crash that may end it; none for the last life.
    pub crashes: Vec<Profile>,
}

/// What is decided once for a whole run.
#[derive(Clone, Debug)]
pub(super) struct Setting<P> {
    pub(super) program: P,
    pub(super) sim: SimOptions,
    pub(super) crash_chances: u32,
    pub(super) hardship: Hardship,
}

/// One life of a plan.
pub(super) struct LifePlan<O> {
    pub(super) script: Script<O>,
    /// How it may end; empty if it is the last.
    pub(super) crashes: Vec<Profile>,
}

impl<O: Clone> Plan<O> {
    pub(super) fn setting<P: Program<Op = O>>(&self, program: &P, tape: &mut Tape) -> Setting<P> {
        let mut choose = |radix| tape.choose(Purpose::Workload, radix);
        let calm = SimOptions {
            seed: 1,
            latency: Latency::None,
            step_limit: 200_000,
            ..SimOptions::default()
        };
        match self {
            Plan::Counted(bounds) => {
                let mut variants = program.variants();
                let chosen = choose(variants.len() as u32) as usize;
                Setting {
                    program: variants.swap_remove(chosen),
                    sim: SimOptions {
                        sector_size: bounds.sector,
                        ..calm
                    },
                    crash_chances: 1,
                    hardship: Hardship::default(),
                }
            }
            Plan::Scripted { sector, .. } => Setting {
                program: program.clone(),
                sim: SimOptions {
                    sector_size: *sector,
                    ..calm
                },
                crash_chances: 1,
                hardship: Hardship::default(),
            },
            Plan::Drawn(drawn) => {
                let crash_chances = [300, 1000, 3000][choose(3) as usize];
                let sim = SimOptions {
                    sector_size: [512, 4096][choose(2) as usize],
                    seed: u64::from(choose(1 << 16)),
                    schedule: [Schedule::Fifo, Schedule::Lifo, Schedule::Chosen]
                        [choose(4).min(2) as usize],
                    latency: [Latency::None, Latency::Fixed, Latency::Varied][choose(3) as usize],
                    shuffle_listings: choose(2) == 1,
                    ..calm
                };
                let program = program.drawn(&mut choose);
                let hardship = Hardship::drawn(drawn, tape);
                Setting {
                    program,
                    sim: SimOptions {
                        model: hardship.disk,
                        ..sim
                    },
                    crash_chances,
                    hardship,
                }
            }
        }
    }

    /// The life of this number, counted from 0.
    pub(super) fn life(&self, number: usize) -> LifePlan<O> {
        match self {
            Plan::Counted(bounds) => {
                let left = (bounds.crashes as usize).saturating_sub(number);
                LifePlan {
                    script: Script::Counted {
                        left: match (number, left) {
                            (0, _) => bounds.ops,
                            (_, 0) => 0,
                            _ => bounds.after,
                        },
                        large: bounds.large,
                    },
                    crashes: match left {
                        0 => Vec::new(),
                        // Who only looks at it cannot tell a kill from a power loss that loses
                        // nothing.
                        1 => vec![Profile::Posix],
                        _ => vec![Profile::KillOnly, Profile::Posix],
                    },
                }
            }
            Plan::Drawn(_) => LifePlan {
                // The last one only looks.
                script: Script::Drawn(match number {
                    0 => DRAWN_OPS[0],
                    DRAWN_CRASHES => 0,
                    _ => DRAWN_OPS[1],
                }),
                crashes: match number < DRAWN_CRASHES {
                    true => PROFILES.to_vec(),
                    false => Vec::new(),
                },
            },
            Plan::Scripted { scenes, .. } => match scenes.get(number) {
                Some(scene) => LifePlan {
                    script: Script::Given(scene.ops.clone()),
                    crashes: scene.crashes.clone(),
                },
                None => LifePlan {
                    script: Script::Given(Vec::new()),
                    crashes: Vec::new(),
                },
            },
        }
    }
}

/// As it stands in a line that replays a run; scripts do not.
impl<O> fmt::Display for Plan<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plan::Counted(bounds) => {
                let Bounds {
                    ops,
                    crashes,
                    after,
                    sector,
                    large,
                } = bounds;
                write!(f, "counted:{ops}:{crashes}:{after}:{sector}")?;
                match *large {
                    SECTOR => Ok(()),
                    _ => write!(f, ":{large}"),
                }
            }
            Plan::Drawn(Drawn { lying_syncs: false }) => f.write_str("drawn"),
            Plan::Drawn(Drawn { lying_syncs: true }) => f.write_str("drawn:lying"),
            Plan::Scripted { .. } => f.write_str("scripted"),
        }
    }
}

impl<O> FromStr for Plan<O> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plan = match text.split_once(':') {
            None if text == "drawn" => Some(Plan::Drawn(Drawn::default())),
            Some(("drawn", "lying")) => Some(Plan::Drawn(Drawn { lying_syncs: true })),
            Some(("counted", numbers)) => bounds(numbers).map(Plan::Counted),
            _ => None,
        };
        plan.ok_or_else(|| {
            format!(
                "{text:?} is no plan: \"drawn\" is one, and \"counted:OPS:CRASHES:AFTER:SECTOR[:LARGE]\" \
                 in sectors of 512 or 4096 bytes"
            )
        })
    }
}

fn bounds(text: &str) -> Option<Bounds> {
    let numbers: Option<Vec<u32>> = text.split(':').map(|number| number.parse().ok()).collect();
    let (ops, crashes, after, sector, large) = match *numbers? {
        [ops, crashes, after, sector] => (ops, crashes, after, sector, SECTOR),
        [ops, crashes, after, sector, large] => (ops, crashes, after, sector, large as usize),
        _ => return None,
    };
    [512, 4096].contains(&sector).then_some(Bounds {
        ops,
        crashes,
        after,
        sector,
        large,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_comes_back_from_its_text() {
        for text in [
            "drawn",
            "drawn:lying",
            "counted:4:1:0:512",
            "counted:3:2:1:4096:4200",
        ] {
            let plan: Plan<()> = text.parse().unwrap();
            assert_eq!(plan.to_string(), text);
        }
        for text in [
            "",
            "drawn:",
            "drawn:lying:",
            "counted",
            "counted:4:1:0",
            "counted:4:1:0:513",
            "counted:4:1:0:512:600:1",
            "counted:-4:1:0:512",
        ] {
            text.parse::<Plan<()>>().unwrap_err();
        }
    }
}
