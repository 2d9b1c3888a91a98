//! Runs the subjects of a workload in turn, round after round, and reduces the rounds to lines.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Result, child,
    measurement::{Measurement, PERCENTILES, median},
    participant::Participant,
    report::{Line, Report},
    subject::Step,
    workload::Workload,
};

/// Odd, so that a median is one of the values.
const ROUNDS: usize = 5;

/// What all workloads of one run have in common.
#[derive(Debug)]
pub(crate) struct Rounds<'a> {
    dir: &'a Path,
    subjects: Vec<Participant>,
    /// Only this subject's lines are reported; `None` is all of them.
    only: Option<&'a str>,
    scale: f64,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(
        dir: &'a Path,
        subjects: Vec<Participant>,
        only: Option<&'a str>,
        scale: f64,
    ) -> Result<Self> {
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(format!("--scale {scale} is not a positive number").into());
        }
        if let Some(name) = only
            && !subjects.iter().any(|subject| subject.name == name)
        {
            let known: Vec<_> = subjects.iter().map(|subject| &*subject.name).collect();
            let known = known.join(", ");
            let how = "peers: --features peers, --with PROGRAM";
            return Err(format!("no subject {name} in this run; it has {known} ({how})").into());
        }
        Ok(Self {
            dir,
            subjects,
            only,
            scale,
        })
    }

    pub(crate) fn run(&self, workload: Workload, report: &mut Report) -> Result<()> {
        let subjects = self.taking_part(workload, report)?;
        if subjects.is_empty() {
            return Ok(());
        }
        let prepared = workload.is_prepared();
        if prepared {
            for subject in &subjects {
                let dir = self.fresh_dir(subject)?;
                child::measure(workload, subject, Step::Prepare, &dir, self.scale)?;
            }
        }
        match workload {
            Workload::SnapshotStall => self.compare_latencies(workload, &subjects, report)?,
            _ => self.compare_rates(workload, &subjects, prepared, report)?,
        }
        for subject in subjects.iter().filter(|_| prepared) {
            fs::remove_dir_all(self.dir_of(subject))?;
        }
        Ok(())
    }

    /// The subjects of `workload`, the limit first; a note for each one that takes no part.
    fn taking_part(&self, workload: Workload, report: &mut Report) -> Result<Vec<Participant>> {
        let is_limit = |subject: &Participant| subject.name == workload.limit_subject();
        let mut subjects = self.subjects.clone();
        subjects.retain(|subject| is_limit(subject) || self.is_reported(subject));
        for subject in subjects.iter().filter(|subject| self.is_reported(subject)) {
            if let Some(reason) = subject.abstains(workload) {
                report.note(workload, &subject.name, reason)?;
            }
        }
        subjects.retain(|subject| subject.abstains(workload).is_none());
        subjects.sort_by_key(|subject| !is_limit(subject));
        Ok(subjects)
    }

    /// One line per subject: its rate, and the ratio to the limit of the same round.
    fn compare_rates(
        &self,
        workload: Workload,
        subjects: &[Participant],
        prepared: bool,
        report: &mut Report,
    ) -> Result<()> {
        let mut series: Vec<Vec<Measurement>> = subjects.iter().map(|_| Vec::new()).collect();
        for round in 0..ROUNDS {
            for turn in 0..subjects.len() {
                // Who comes after whom changes from round to round, so that nobody always finds
                // the disk as the same other one left it.
                let place = (round + turn) % subjects.len();
                let subject = &subjects[place];
                let dir = if prepared {
                    self.dir_of(subject)
                } else {
                    self.fresh_dir(subject)?
                };
                let step = Step::Measure;
                series[place].push(child::measure(workload, subject, step, &dir, self.scale)?);
                if !prepared {
                    fs::remove_dir_all(dir)?;
                }
            }
        }
        let limits: Vec<f64> = series[0]
            .iter()
            .map(|raw| raw.per_second() * workload.limit_factor())
            .collect();
        for (subject, series) in subjects.iter().zip(&series) {
            if self.is_reported(subject) {
                report.line(&rate_line(workload, subject, series, &limits))?;
            }
        }
        Ok(())
    }

    /// One line per subject and percentile: the latency beside a snapshot, and the ratio to the
    /// latency without one in the same round.
    fn compare_latencies(
        &self,
        workload: Workload,
        subjects: &[Participant],
        report: &mut Report,
    ) -> Result<()> {
        for subject in subjects {
            let dir = self.dir_of(subject);
            let mut pairs = Vec::new();
            for _ in 0..ROUNDS {
                let measure = |step| child::measure(workload, subject, step, &dir, self.scale);
                pairs.push((measure(Step::Measure)?, measure(Step::MeasureSnapshotting)?));
            }
            for (percentile, _) in PERCENTILES {
                report.line(&stall_line(workload, subject, &pairs, percentile))?;
            }
        }
        Ok(())
    }

    fn is_reported(&self, subject: &Participant) -> bool {
        self.only.is_none_or(|only| only == subject.name)
    }

    fn dir_of(&self, subject: &Participant) -> PathBuf {
        self.dir.join(&subject.name)
    }

    fn fresh_dir(&self, subject: &Participant) -> Result<PathBuf> {
        let dir = self.dir_of(subject);
        fs::create_dir(&dir)?;
        Ok(dir)
    }
}

fn rate_line(
    workload: Workload,
    subject: &Participant,
    series: &[Measurement],
    limits: &[f64],
) -> Line {
    let rates = series.iter().map(Measurement::per_second);
    Line {
        workload: workload.name(),
        subject: subject.name.clone(),
        value: median(rates.clone()),
        unit: workload.unit(),
        limit: workload.limit(),
        limit_value: median(limits.iter().copied()),
        ratio: median(rates.zip(limits).map(|(rate, limit)| rate / limit)),
        peak_memory_bytes: peak_memory_bytes(series),
        percentile: None,
        details: median_details(series),
    }
}

fn stall_line(
    workload: Workload,
    subject: &Participant,
    pairs: &[(Measurement, Measurement)],
    percentile: &'static str,
) -> Line {
    let latency = |measurement: &Measurement| {
        measurement
            .details
            .get(percentile)
            .copied()
            .unwrap_or(f64::NAN)
    };
    Line {
        workload: workload.name(),
        subject: subject.name.clone(),
        value: median(pairs.iter().map(|(_, snapshotting)| latency(snapshotting))),
        unit: workload.unit(),
        limit: workload.limit(),
        limit_value: median(pairs.iter().map(|(alone, _)| latency(alone))),
        ratio: median(
            pairs
                .iter()
                .map(|(alone, beside)| latency(beside) / latency(alone)),
        ),
        peak_memory_bytes: peak_memory_bytes(pairs.iter().map(|(_, snapshotting)| snapshotting)),
        percentile: Some(percentile),
        details: BTreeMap::new(),
    }
}

pub(crate) fn peak_memory_bytes<'m>(series: impl IntoIterator<Item = &'m Measurement>) -> u64 {
    series
        .into_iter()
        .map(|measurement| measurement.peak_memory_bytes)
        .max()
        .unwrap_or(0)
}

/// The median of each further figure over the rounds.
pub(crate) fn median_details(series: &[Measurement]) -> BTreeMap<String, f64> {
    let names = series
        .iter()
        .flat_map(|measurement| measurement.details.keys());
    names
        .map(|name| {
            let values = series
                .iter()
                .filter_map(|measurement| measurement.details.get(name));
            (name.clone(), median(values.copied()))
        })
        .collect()
}
