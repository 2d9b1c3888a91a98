//! The account of a failure for people: which rule, what happened, how to see it again.

use std::io::{self, Write};

use quipu_io::sim::Profile;
use quipu_journal::check::{Failure, LifeStory, Story};

use crate::count::Count;

/// The plan of runs on a disk whose syncs do nothing.
const LYING: &str = "drawn:lying";

/// Gives the account. `shrunk` says whether it was made smaller, and is not just replayed.
pub(super) fn print(stdout: &mut impl Write, failure: &Failure, shrunk: bool) -> io::Result<()> {
    let oracle = failure.violation.oracle;
    writeln!(
        stdout,
        "\nBroken: oracle {}, \"{}\"",
        oracle.id, oracle.rule
    )?;
    writeln!(stdout, "  {}\n\nWhat happened:\n", failure.violation.text)?;
    print_story(stdout, &failure.story)?;
    if shrunk {
        let (now, before) = (&failure.story, &failure.original);
        writeln!(
            stdout,
            "Made as small as possible in {}: {} and {} before, {} and {} now.",
            Count(failure.executions, "run"),
            Count(before.operations() as u64, "operation"),
            Count(before.faults(), "fault"),
            now.operations(),
            now.faults()
        )?;
    }
    if let Some(seed) = failure.seed {
        writeln!(stdout, "Found with seed {seed}.")?;
    }
    let Some(line) = &failure.line else {
        return Ok(());
    };
    writeln!(stdout, "\nReplay it:\n  quipu sim --tape \"{line}\"")?;
    // Nothing is to be mended where the disk itself lies.
    if line.plan != LYING {
        let workload = &line.workload;
        writeln!(
            stdout,
            "\nOnce it is mended, add this line to regressions/{workload}.txt:\n  {line}"
        )?;
    }
    Ok(())
}

pub(super) fn print_story(stdout: &mut impl Write, story: &Story) -> io::Result<()> {
    for (index, life) in story.lives.iter().enumerate() {
        if let Some(profile) = life.profile {
            writeln!(stdout, "  {}", crash(profile))?;
            for survived in &life.survived {
                writeln!(stdout, "    {survived}")?;
            }
        }
        print_life(stdout, index + 1, life)?;
    }
    let (setting, sector) = (&story.setting, story.sector);
    writeln!(stdout, "\nOn sectors of {sector} bytes, with {setting}.")
}

/// A kind of crash, in words.
fn crash(profile: Profile) -> &'static str {
    match profile {
        Profile::KillOnly => "The process is killed; the machine lives on (KillOnly).",
        Profile::Ext4Ordered => "The power fails; names and sizes survive in order (Ext4Ordered).",
        Profile::Posix => "The power fails; what no sync covers survives in any mixture (Posix).",
    }
}

fn print_life(stdout: &mut impl Write, number: usize, life: &LifeStory) -> io::Result<()> {
    write!(stdout, "  life {number}: open")?;
    for op in &life.ops {
        write!(stdout, ", {op}")?;
    }
    match &life.ended {
        Some(ended) => writeln!(stdout, "; stopped {ended}")?,
        None => writeln!(stdout)?,
    }
    for (fault, count) in &life.faults {
        writeln!(stdout, "    {}: {fault}", Count(*count, "time"))?;
    }
    Ok(())
}
