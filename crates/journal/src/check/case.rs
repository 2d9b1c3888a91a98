//! [`Case`]: one run of a program, life after life, decided by one tape.
//!
//! Invariant: a run is a pure function of program, plan and tape. So it can be taken up at a crash
//! where an earlier run with the same decisions has left its disk and its history.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use quipu_io::sim::{CrashPlan, DiskImage, Profile, Purpose, Sim, SimOptions, Stopped, Tape};

use super::plan::{Plan, Setting};
use super::program::{Life, Program, lock};
use super::story::{LifeStory, Story};
use super::violation::{NO_PANIC, PROGRESS, Verdict};

/// A program and how its runs go.
#[derive(Clone, Debug)]
pub(super) struct Case<P: Program> {
    pub(super) program: P,
    pub(super) plan: Plan<P::Op>,
}

/// A crash: what is on the disk, and what had happened until then.
#[derive(Clone)]
pub(super) struct Checkpoint<P: Program> {
    /// So many decisions had been made.
    pub(super) digits: usize,
    pub(super) image: DiskImage,
    /// How many lives are over.
    lives: usize,
    history: P::History,
    setting: Setting<P>,
    profiles: Vec<Profile>,
}

/// A run that is over.
pub(super) struct Ended {
    pub(super) tape: Tape,
    pub(super) verdict: Verdict,
    /// Of everything that was done since the run was taken up.
    pub(super) hash: u64,
}

impl<P: Program> Case<P> {
    /// Runs from the start.
    pub(super) fn run(&self, tape: Tape) -> Ended {
        self.go(tape, None, &mut Vec::new(), None)
    }

    /// Runs from the start, and tells what happened.
    pub(super) fn tell(&self, tape: Tape) -> (Ended, Story) {
        let mut story = Story::default();
        let ended = self.go(tape, None, &mut Vec::new(), Some(&mut story));
        (ended, story)
    }

    /// Runs from the last of the crashes before, whose decisions the tape must share, and adds those
    /// that it meets.
    pub(super) fn resume(&self, tape: Tape, crashes: &mut Vec<Checkpoint<P>>) -> Ended {
        let last = crashes.last().cloned();
        self.go(tape, last, crashes, None)
    }

    fn go(
        &self,
        mut tape: Tape,
        from: Option<Checkpoint<P>>,
        crashes: &mut Vec<Checkpoint<P>>,
        mut story: Option<&mut Story>,
    ) -> Ended {
        let mut hash = 0;
        let mut at = from.unwrap_or_else(|| self.begin(&mut tape));
        loop {
            let outcome = self.live(&at, tape, story.as_deref_mut());
            tape = outcome.tape;
            hash = outcome.hash ^ u64::rotate_left(hash, 1);
            let verdict = match outcome.end {
                End::Done(verdict) => verdict,
                End::Crashed(next) => {
                    crashes.push(Checkpoint::clone(&next));
                    at = *next;
                    continue;
                }
            };
            return Ended {
                tape,
                verdict,
                hash,
            };
        }
    }

    fn begin(&self, tape: &mut Tape) -> Checkpoint<P> {
        let setting = self.plan.setting(&self.program, tape);
        Checkpoint {
            digits: tape.digits().len(),
            image: DiskImage::empty(setting.sim.sector_size),
            lives: 0,
            history: P::History::default(),
            setting,
            profiles: vec![Profile::KillOnly],
        }
    }

    /// One life behind a crash.
    fn live(&self, at: &Checkpoint<P>, mut tape: Tape, story: Option<&mut Story>) -> Outcome<P> {
        let plan = self.plan.life(at.lives);
        let chosen = tape.choose(Purpose::Crash, at.profiles.len() as u32);
        let profile = at.profiles[chosen as usize];
        let is_last = plan.crashes.is_empty();
        let sim = Sim::boot(
            at.image.clone(),
            SimOptions {
                tape,
                profile,
                crash: match is_last {
                    true => CrashPlan::Never,
                    false => CrashPlan::Chosen(at.setting.crash_chances),
                },
                ..at.setting.sim.clone()
            },
        );
        if at.setting.lying_syncs {
            sim.faults().lie_about_syncs(true);
        }
        let history = Arc::new(Mutex::new(at.history.clone()));
        let told = story.as_ref().map(|_| Arc::default());
        let life = Life {
            history: history.clone(),
            is_faulty: false,
            script: plan.script,
            told: told.clone(),
        };
        let live = at.setting.program.live(sim.io(), life);
        let ended = catch_unwind(AssertUnwindSafe(|| sim.block_on(live)));
        let (verdict, crash) = match ended {
            Ok(Ok(verdict)) => (verdict, None),
            Ok(Err(Stopped::Crashed { kind, .. })) => (Ok(()), Some(kind)),
            Ok(Err(stopped)) => (PROGRESS.broken(stopped.to_string()), None),
            Err(panic) => (NO_PANIC.broken(panic_text(&*panic)), None),
        };
        if let Some(story) = story {
            story.lives.push(LifeStory {
                profile: (at.lives > 0).then_some(profile),
                ops: told.map(|told| lock(&told).clone()).unwrap_or_default(),
                ended: crash.as_ref().map(ToString::to_string),
            });
            story.setting = format!("{:?}", at.setting.program);
            story.sector = at.setting.sim.sector_size;
        }
        let (tape, hash) = (sim.tape(), sim.trace_hash());
        let end = match crash {
            None => End::Done(verdict),
            Some(_) => End::Crashed(Box::new(Checkpoint {
                digits: tape.digits().len(),
                history: lock(&history).clone(),
                image: sim.crash(),
                lives: at.lives + 1,
                setting: at.setting.clone(),
                profiles: plan.crashes,
            })),
        };
        Outcome { tape, hash, end }
    }
}

struct Outcome<P: Program> {
    tape: Tape,
    hash: u64,
    end: End<P>,
}

enum End<P: Program> {
    Done(Verdict),
    Crashed(Box<Checkpoint<P>>),
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}
