//! [`Case`]: one run of a program, life after life, decided by one tape.
//!
//! Invariant: a run is a pure function of program, plan and tape. So it can be taken up at a crash
//! where an earlier run with the same decisions has left its disk and its history.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use quipu_io::sim::{
    CrashPlan, DiskImage, Fault, Profile, Purpose, Sim, SimOptions, Stopped, Tape,
};

use super::plan::{Plan, Setting};
use super::program::{Life, Program, Script, lock};
use super::story::{LifeStory, Story};
use super::violation::{NO_PANIC, PROGRESS, Verdict};

/// How often each kind of fault has struck.
pub type Fired = BTreeMap<Fault, u64>;

/// A program and how its runs go.
#[derive(Clone, Debug)]
pub(super) struct Case<P: Program> {
    pub(super) program: P,
    pub(super) plan: Plan<P::Op>,
}

/// A crash that was, or that could have been: what is on the disk, and what had happened until then.
#[derive(Clone)]
pub(super) struct Checkpoint<P: Program> {
    /// So many decisions had been made, the last of them for or against a crash here.
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
    /// The faults that struck.
    pub(super) fired: Fired,
}

impl<P: Program> Case<P> {
    /// Runs from the start.
    pub(super) fn run(&self, tape: Tape) -> Ended {
        self.go(tape, None, None, None)
    }

    /// Runs from the start, and tells what happened.
    pub(super) fn tell(&self, tape: Tape) -> (Ended, Story) {
        let mut story = Story::default();
        let ended = self.go(tape, None, None, Some(&mut story));
        (ended, story)
    }

    /// Runs from a crash, whose decisions the tape must share, or from the start. Adds the crashes that
    /// it meets, and those that it could have met.
    pub(super) fn resume(
        &self,
        tape: Tape,
        from: Option<Checkpoint<P>>,
        crashes: &mut Vec<Checkpoint<P>>,
    ) -> Ended {
        self.go(tape, from, Some(crashes), None)
    }

    fn go(
        &self,
        mut tape: Tape,
        from: Option<Checkpoint<P>>,
        mut crashes: Option<&mut Vec<Checkpoint<P>>>,
        mut story: Option<&mut Story>,
    ) -> Ended {
        let (mut hash, mut fired) = (0, Fired::new());
        let mut at = from.unwrap_or_else(|| self.begin(&mut tape));
        loop {
            let outcome = self.live(&at, tape, crashes.as_deref_mut(), story.as_deref_mut());
            tape = outcome.tape;
            hash = outcome.hash ^ u64::rotate_left(hash, 1);
            for (fault, count) in outcome.fired {
                *fired.entry(fault).or_insert(0) += count;
            }
            match outcome.end {
                End::Crashed(next) => at = *next,
                End::Done(verdict) => {
                    return Ended {
                        tape,
                        verdict,
                        hash,
                        fired,
                    };
                }
            }
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
    fn live(
        &self,
        at: &Checkpoint<P>,
        mut tape: Tape,
        crashes: Option<&mut Vec<Checkpoint<P>>>,
        story: Option<&mut Story>,
    ) -> Outcome<P> {
        let plan = self.plan.life(at.lives);
        let chosen = tape.choose(Purpose::Survival, at.profiles.len() as u32);
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
        if story.is_some() && at.lives > 0 {
            sim.tell_survival();
        }
        let hardship = &at.setting.hardship;
        // The last life looks at what is left, and everything works.
        if !is_last {
            hardship.befall(&sim);
        }
        let mut history = at.history.clone();
        if hardship.is_damaging {
            P::damaged(&mut history);
        }
        let history = Arc::new(Mutex::new(history));
        let after = |digits, image, history| Checkpoint {
            digits,
            image,
            lives: at.lives + 1,
            history,
            setting: at.setting.clone(),
            profiles: plan.crashes.clone(),
        };
        let met = Arc::new(Mutex::new(Vec::new()));
        if crashes.is_some() && !is_last {
            let (seen, met) = (history.clone(), met.clone());
            sim.on_crash_point(move |point| {
                let history = lock(&seen).clone();
                lock(&met).push((point.digits, point.image, history));
            });
        }
        let told = story.as_ref().map(|_| Arc::default());
        let life = Life {
            history: history.clone(),
            is_faulty: hardship.is_faulty && !is_last,
            script: plan.script.clone(),
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
        let has_ops = !matches!(
            plan.script,
            Script::Counted { left: 0, .. } | Script::Drawn(0)
        );
        let verdict = verdict.and_then(|()| match is_last && !has_ops {
            true => at
                .setting
                .program
                .judge_io(&sim.io_counts(), sim.image().bytes()),
            false => Ok(()),
        });
        let (mut tape, hash) = (sim.tape(), sim.trace_hash());
        let goes_on = matches!(self.plan, Plan::Drawn(_)) && !is_last && verdict.is_ok();
        let crashes_at_its_end = goes_on && crash.is_none() && tape.choose(Purpose::Crash, 2) == 1;
        let fired = sim.faults().fired();
        if let Some(crashes) = crashes {
            let met = std::mem::take(&mut *lock(&met));
            crashes.extend(
                met.into_iter()
                    .map(|(digits, image, history)| after(digits, image, history)),
            );
        }
        if let Some(story) = story {
            let end = crashes_at_its_end.then(|| "at its end".to_owned());
            story.lives.push(LifeStory {
                profile: (at.lives > 0).then_some(profile),
                survived: sim.survival(),
                ops: told.map(|told| lock(&told).clone()).unwrap_or_default(),
                faults: fired.clone(),
                ended: crash.as_ref().map(ToString::to_string).or(end),
            });
            story.setting = format!("{:?}", at.setting.program);
            story.sector = at.setting.sim.sector_size;
        }
        let end = match crash.is_some() || crashes_at_its_end {
            false => End::Done(verdict),
            true => {
                let history = lock(&history).clone();
                End::Crashed(Box::new(after(tape.digits().len(), sim.crash(), history)))
            }
        };
        Outcome {
            tape,
            hash,
            fired,
            end,
        }
    }
}

struct Outcome<P: Program> {
    tape: Tape,
    hash: u64,
    fired: Fired,
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
