//! Has the stores take turns, round after round, and reduces the rounds to results.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    Order, Settings, Workload,
    driver::Task,
    footprint,
    tables::{Outcome, Results},
    workload::Base,
};
use crate::{Result, child, measurement::Measurement, participant::Participant};

/// What all workloads of one run have in common.
#[derive(Debug)]
pub(crate) struct Rounds<'a> {
    dir: &'a Path,
    subjects: Vec<Participant>,
    settings: &'a Settings,
    rounds: usize,
    /// The filled stores that there are, by subject and base.
    bases: RefCell<BTreeMap<(String, Base), PathBuf>>,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(
        dir: &'a Path,
        subjects: Vec<Participant>,
        chosen: &[String],
        settings: &'a Settings,
        rounds: usize,
    ) -> Result<Self> {
        let mut stores = subjects;
        stores.retain(|subject| subject.is_store);
        let named = |name: &String| {
            let found = stores.iter().find(|subject| subject.name == *name);
            found.cloned().ok_or_else(|| {
                format!("no store {name} in this run (--features peers, --with PROGRAM)")
            })
        };
        let chosen = chosen
            .iter()
            .map(named)
            .collect::<std::result::Result<Vec<_>, _>>()?;
        if settings.keys == 0 || rounds == 0 {
            return Err("there must be a key, and a round".into());
        }
        Ok(Self {
            dir,
            subjects: if chosen.is_empty() { stores } else { chosen },
            settings,
            rounds,
            bases: RefCell::default(),
        })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.subjects.iter().map(|subject| subject.name.clone());
        names.collect()
    }

    /// All rounds of one workload: the results of each subject, in the order of [`names`](Self::names).
    pub(crate) fn run(&self, workload: Workload) -> Result<Results> {
        let mut series: Vec<Vec<Measurement>> = self.subjects.iter().map(|_| Vec::new()).collect();
        for round in 0..self.rounds {
            for turn in 0..self.subjects.len() {
                // Who comes after whom changes from round to round.
                let place = (round + turn) % self.subjects.len();
                let subject = &self.subjects[place];
                if subject.abstains_from_store(workload).is_none() {
                    series[place].push(self.measure(subject, workload, round)?);
                }
            }
        }
        let outcomes = self.subjects.iter().zip(series).map(|(subject, series)| {
            match subject.abstains_from_store(workload) {
                Some(reason) => Outcome::Abstains(reason.into()),
                None => Outcome::Measured(series),
            }
        });
        Ok(Results {
            workload,
            outcomes: outcomes.collect(),
        })
    }

    fn measure(
        &self,
        subject: &Participant,
        workload: Workload,
        round: usize,
    ) -> Result<Measurement> {
        let base = workload.base();
        let task = Task::Measure(workload);
        if workload.is_reading() {
            let dir = self.base(subject, base)?;
            return self.ask(subject, task, base, &dir, round);
        }
        let dir = self.dir.join(format!("{}-work", subject.name));
        if base == Base::Empty {
            fs::create_dir(&dir)?;
        } else {
            footprint::copy(&self.base(subject, base)?, &dir)?;
        }
        let measured = self.ask(subject, task, base, &dir, round)?;
        fs::remove_dir_all(dir)?;
        Ok(measured)
    }

    /// The directory of a base, which is made when it is needed first.
    fn base(&self, subject: &Participant, base: Base) -> Result<PathBuf> {
        let name = (subject.name.clone(), base);
        if let Some(dir) = self.bases.borrow().get(&name) {
            return Ok(dir.clone());
        }
        let dir = self.dir.join(format!("{}-{}", subject.name, base.name()));
        fs::create_dir(&dir)?;
        let made = self.ask(subject, Task::Prepare(base), base, &dir, 0)?;
        if let Some(tables) = made.details.get("tables") {
            let (subject, base) = (&subject.name, base.name());
            writeln!(
                io::stderr(),
                "note: {subject}'s {base} store has {tables} tables"
            )?;
        }
        self.bases.borrow_mut().insert(name, dir.clone());
        Ok(dir)
    }

    fn ask(
        &self,
        subject: &Participant,
        task: Task,
        base: Base,
        dir: &Path,
        round: usize,
    ) -> Result<Measurement> {
        let order = Order {
            subject: subject.name.clone(),
            task,
            dir: dir.to_path_buf(),
            settings: base.settings(self.settings),
            seed: round as u64,
        };
        child::measure_store(subject, &order)
    }
}
