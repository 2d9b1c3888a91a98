//! [`Story`]: what happened in a run, for people.

use std::fmt;

use quipu_io::sim::Profile;

use super::case::Fired;

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// The settings of the program.
    pub setting: String,
    /// Bytes in a sector.
    pub sector: u32,
    /// Life after life.
    pub lives: Vec<LifeStory>,
}

/// What happened in one life.
#[derive(Clone, Debug)]
pub struct LifeStory {
    /// The crash before it; `None` for the first.
    pub profile: Option<Profile>,
    /// What it was asked to do.
    pub ops: Vec<String>,
    /// What went wrong in it, and how often.
    pub faults: Fired,
    /// Where it was ended by a crash; `None` if it was not.
    pub ended: Option<String>,
}

impl Story {
    /// Faults that struck in all lives.
    pub fn faults(&self) -> u64 {
        self.lives
            .iter()
            .flat_map(|life| life.faults.values())
            .sum()
    }

    /// Crashes between the lives.
    pub fn crashes(&self) -> usize {
        self.lives.len().saturating_sub(1)
    }

    /// Operations in all lives.
    pub fn operations(&self) -> usize {
        self.lives.iter().map(|life| life.ops.len()).sum()
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  with {}, sectors of {} bytes",
            self.setting, self.sector
        )?;
        for life in &self.lives {
            let ops = match life.ops.is_empty() {
                true => "nothing".to_owned(),
                false => life.ops.join(", "),
            };
            match life.profile {
                None => writeln!(f, "  open, then {ops}")?,
                Some(profile) => writeln!(f, "  after it ({profile:?}): open, then {ops}")?,
            }
            if !life.faults.is_empty() {
                let faults = life.faults.iter();
                let faults: Vec<_> = faults.map(|(fault, n)| format!("{fault} x{n}")).collect();
                writeln!(f, "  faults: {}", faults.join(", "))?;
            }
            if let Some(ended) = &life.ended {
                writeln!(f, "  crash {ended}")?;
            }
        }
        Ok(())
    }
}
