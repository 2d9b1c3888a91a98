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
    /// What that crash has left, as [`Sim::survival`](quipu_io::sim::Sim::survival) has it.
    pub survived: Vec<String>,
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
        for (index, life) in self.lives.iter().enumerate() {
            let ops = match life.ops.is_empty() {
                true => "nothing".to_owned(),
                false => life.ops.join(", "),
            };
            match life.profile {
                None => writeln!(f, "  open, then {ops}")?,
                Some(_) => writeln!(f, "  after it: open, then {ops}")?,
            }
            if !life.faults.is_empty() {
                let faults = life.faults.iter();
                let faults: Vec<_> = faults.map(|(fault, n)| format!("{fault} x{n}")).collect();
                writeln!(f, "  faults: {}", faults.join(", "))?;
            }
            let Some(ended) = &life.ended else {
                continue;
            };
            write!(f, "  crash {ended}")?;
            let next = self.lives.get(index + 1);
            let is_last = index + 2 == self.lives.len();
            if let Some(profile) = next.and_then(|next| next.mildest(is_last)) {
                write!(f, "; what follows holds for {}", words(profile))?;
            }
            writeln!(f)?;
            for line in next.iter().flat_map(|next| &next.survived) {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

impl LifeStory {
    /// The mildest crash before it that is known to show what follows.
    fn mildest(&self, is_last: bool) -> Option<Profile> {
        // Nobody crashes after the last life, so that one cannot tell a kill from a power loss of which
        // there is nothing to tell but that everything survived.
        let lost_nothing = self.survived.len() == 1;
        let profile = self.profile?;
        Some(match is_last && lost_nothing {
            true => Profile::KillOnly,
            false => profile,
        })
    }
}

/// A kind of crash, in words.
fn words(profile: Profile) -> &'static str {
    match profile {
        Profile::KillOnly => "a kill",
        Profile::Ext4Ordered => "a power loss with ordered metadata (ext4)",
        Profile::Posix => "a power loss without any order (POSIX)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(profile: Option<Profile>, survived: &[&str], ended: Option<&str>) -> LifeStory {
        LifeStory {
            profile,
            survived: survived.iter().map(|&line| line.into()).collect(),
            ops: vec!["append 4".to_owned()],
            faults: Fired::new(),
            ended: ended.map(Into::into),
        }
    }

    /// What a crash has left stands below that crash, and so does the mildest kind that does it.
    #[test]
    fn a_crash_is_told_with_what_it_left() {
        let lost = ["the name a is not there", "all else"];
        let mut story = Story {
            setting: "log".to_owned(),
            sector: 512,
            lives: vec![
                life(None, &[], Some("before the sync of a")),
                life(Some(Profile::Posix), &["everything"], Some("at \"end\"")),
                life(Some(Profile::Ext4Ordered), &lost, None),
            ],
        };
        let text = "  with log, sectors of 512 bytes
  open, then append 4
  crash before the sync of a; what follows holds for a power loss without any order (POSIX)
    everything
  after it: open, then append 4
  crash at \"end\"; what follows holds for a power loss with ordered metadata (ext4)
    the name a is not there
    all else
  after it: open, then append 4
";
        assert_eq!(story.to_string(), text);
        story.lives.remove(2);
        let text = "  with log, sectors of 512 bytes
  open, then append 4
  crash before the sync of a; what follows holds for a kill
    everything
  after it: open, then append 4
  crash at \"end\"
";
        assert_eq!(story.to_string(), text);
    }
}
