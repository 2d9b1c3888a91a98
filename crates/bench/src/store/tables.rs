//! Prints the results: tables in Markdown, or one JSON object for each workload and subject.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

use super::Workload;
use crate::{
    Result,
    measurement::{Measurement, median},
    rounds::{median_details, peak_memory_bytes},
};

/// What one workload has given: an outcome of each subject.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) workload: Workload,
    pub(crate) outcomes: Vec<Outcome>,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Measured(Vec<Measurement>),
    /// Why it has taken no part.
    Abstains(String),
}

/// One subject in one workload: medians over the rounds.
#[derive(Debug, Serialize)]
struct Line<'a> {
    workload: String,
    subject: &'a str,
    value: f64,
    unit: &'static str,
    /// The rate of the first subject, divided by this one's: median, least and largest of the rounds.
    ratio: Spread,
    peak_memory_bytes: u64,
    #[serde(flatten)]
    details: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Spread {
    median: f64,
    least: f64,
    largest: f64,
}

/// Further figures that have a table of their own, with their headings.
const COSTS: [(&str, &str); 6] = [
    ("rested_per_s", "writes/s, until nothing is left to do"),
    ("write_amplification", "bytes written / user's bytes"),
    ("space_amplification", "bytes on disk / live bytes, at rest"),
    ("settled_space_amplification", "the same, compacted"),
    ("compact_ms", "ms to compact all"),
    ("puts_per_s", "puts/s beside it"),
];

#[derive(Debug)]
pub(crate) struct Tables {
    json: bool,
    names: Vec<String>,
    results: Vec<Results>,
}

impl Tables {
    pub(crate) fn new(json: bool, names: Vec<String>) -> Self {
        Self {
            json,
            names,
            results: Vec::new(),
        }
    }

    /// Prints a workload's results at once: a run takes minutes.
    pub(crate) fn add(&mut self, results: Results) -> Result<()> {
        let mut output = io::stdout().lock();
        if self.json {
            for line in self.lines(&results).into_iter().flatten() {
                serde_json::to_writer(&mut output, &line)?;
                writeln!(output)?;
            }
        } else {
            if self.results.is_empty() {
                write!(output, "{}", heading("workload", &self.names))?;
            }
            let cells = results.outcomes.iter().zip(self.lines(&results));
            let cells = cells.map(|(outcome, line)| match (outcome, line) {
                (Outcome::Abstains(reason), _) => format!("– ({reason})"),
                (_, Some(line)) if *line.subject == self.names[0] => rate(line.value),
                (_, Some(line)) => format!("{}, **{}**", rate(line.value), line.ratio),
                (_, None) => "–".into(),
            });
            let (name, unit) = (results.workload.name(), results.workload.unit());
            writeln!(output, "{}", row(&format!("`{name}`, {unit}"), cells))?;
        }
        output.flush()?;
        drop(output);
        self.results.push(results);
        Ok(())
    }

    /// Prints what the workloads have cost.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.json {
            return Ok(());
        }
        let mut output = io::stdout().lock();
        for (detail, title) in COSTS {
            let rows = self.results.iter().map(|results| {
                let figures = self.lines(results).into_iter().map(|line| {
                    let line = line?;
                    Some(rate(*line.details.get(detail)?))
                });
                (results.workload, figures.collect())
            });
            self.write_costs(&mut output, title, rows)?;
        }
        let rows = self.results.iter().map(|results| {
            let figures = self.lines(results).into_iter();
            let figures = figures.map(|line| Some((line?.peak_memory_bytes >> 20).to_string()));
            (results.workload, figures.collect())
        });
        self.write_costs(&mut output, "peak memory, MiB", rows)?;
        Ok(output.flush()?)
    }

    fn write_costs(
        &self,
        output: &mut impl Write,
        title: &str,
        rows: impl Iterator<Item = (Workload, Vec<Option<String>>)>,
    ) -> Result<()> {
        let mut rows = rows
            .filter(|(_, figures)| figures.iter().any(Option::is_some))
            .peekable();
        if rows.peek().is_some() {
            write!(output, "\n{}", heading(title, &self.names))?;
        }
        for (workload, figures) in rows {
            let cells = figures.into_iter().map(|cell| cell.unwrap_or("–".into()));
            writeln!(output, "{}", row(&format!("`{}`", workload.name()), cells))?;
        }
        Ok(())
    }

    /// A line for each subject that has taken part.
    fn lines(&self, results: &Results) -> Vec<Option<Line<'_>>> {
        let series = |outcome: &Outcome| match outcome {
            Outcome::Measured(series) => series.iter().map(Measurement::per_second).collect(),
            Outcome::Abstains(_) => Vec::new(),
        };
        let own: Vec<f64> = results.outcomes.first().map_or_else(Vec::new, series);
        let subjects = self.names.iter().zip(&results.outcomes);
        let lines = subjects.map(|(subject, outcome)| {
            let Outcome::Measured(measured) = outcome else {
                return None;
            };
            let rates = series(outcome);
            Some(Line {
                workload: results.workload.name(),
                subject,
                ratio: Spread::of(&own, &rates),
                value: median(rates),
                unit: results.workload.unit(),
                peak_memory_bytes: peak_memory_bytes(measured),
                details: median_details(measured),
            })
        });
        lines.collect()
    }
}

impl Spread {
    /// Of the ratios within the rounds.
    fn of(own: &[f64], other: &[f64]) -> Self {
        let ratios = || own.iter().zip(other).map(|(own, other)| own / other);
        Self {
            median: median(ratios()),
            least: ratios().fold(f64::NAN, f64::min),
            largest: ratios().fold(f64::NAN, f64::max),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}", self.median)?;
        match self.largest - self.least > 0.005 {
            true => write!(f, " ({:.2} to {:.2})", self.least, self.largest),
            false => Ok(()),
        }
    }
}

fn heading(first: &str, names: &[String]) -> String {
    let title = row(first, names.iter().cloned());
    format!("{title}\n|---|{}\n", "---|".repeat(names.len()))
}

fn row(first: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    format!("| {first} | {} |", cells.join(" | "))
}

/// With a letter for thousands and millions.
fn rate(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{} M", figure(value / 1e6)),
        _ if value >= 1e3 => format!("{} k", figure(value / 1e3)),
        _ => figure(value),
    }
}

/// Three digits that count, at least.
fn figure(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
