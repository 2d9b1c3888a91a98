//! Prints the results, as a table to read or as one JSON object per line.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

use crate::{Result, workload::Workload};

/// One result: medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) workload: &'static str,
    pub(crate) subject: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What the limit is, in words.
    pub(crate) limit: &'static str,
    /// The limit, in the unit of `value`.
    pub(crate) limit_value: f64,
    /// The median of each round's own ratio, not the ratio of the medians.
    pub(crate) ratio: f64,
    /// The largest of all rounds.
    pub(crate) peak_memory_bytes: u64,
    /// Which percentile `value` is, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) percentile: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) details: BTreeMap<String, f64>,
}

#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    /// The workload whose heading stands above the last row of the table.
    heading: Option<&'static str>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            heading: None,
        }
    }

    /// Prints one result at once: a run takes minutes.
    pub(crate) fn line(&mut self, line: &Line) -> Result<()> {
        let mut output = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut output, line)?;
            writeln!(output)?;
        } else {
            if self.heading.replace(line.workload) != Some(line.workload) {
                writeln!(output, "{}: ratio to {}", line.workload, line.limit)?;
            }
            write!(
                output,
                "  {:12} {:>12.0} {:9}",
                line.subject, line.value, line.unit
            )?;
            write!(output, "  ratio {:6.3}", line.ratio)?;
            write!(output, "  memory {:5} MiB", line.peak_memory_bytes >> 20)?;
            if let Some(percentile) = line.percentile {
                write!(output, "  {percentile}")?;
            }
            for (name, value) in &line.details {
                write!(output, "  {name} {value:.1}")?;
            }
            writeln!(output)?;
        }
        output.flush()?;
        Ok(())
    }

    /// Says, beside the results, why a subject has none.
    pub(crate) fn note(&mut self, workload: Workload, subject: &str, reason: &str) -> Result<()> {
        let workload = workload.name();
        writeln!(
            io::stderr(),
            "note: {subject} takes no part in {workload}: {reason}"
        )?;
        Ok(())
    }
}
