//! What one child process reports of one round.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// What a subject did in one round, and how fast.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// Appends, edits, flushes, or tables within `seconds`.
    pub operations: u64,
    /// How long they took.
    pub seconds: f64,
    /// The high-water mark of the process's resident memory, filled in by the child.
    pub peak_memory_bytes: u64,
    /// Further figures, each named with its unit: `p99_us`.
    pub details: BTreeMap<String, f64>,
}

impl Measurement {
    /// With no further figures.
    pub fn new(operations: u64, elapsed: Duration) -> Self {
        Self {
            operations,
            seconds: elapsed.as_secs_f64(),
            ..Self::default()
        }
    }

    /// With the percentiles of the latencies as further figures.
    pub fn with_latencies(mut self, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        for (name, per_mille) in PERCENTILES {
            let last = latencies.len().saturating_sub(1);
            if let Some(latency) = latencies.get((latencies.len() * per_mille / 1000).min(last)) {
                self.details
                    .insert(name.into(), latency.as_secs_f64() * 1e6);
            }
        }
        self
    }

    /// With one further figure, whose name tells its unit.
    pub fn with_detail(mut self, name: &str, value: f64) -> Self {
        self.details.insert(name.into(), value);
        self
    }

    pub(crate) fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let operations = self.operations as f64;
        operations / self.seconds
    }
}

/// The percentiles of a latency, by their names in [`Measurement::details`], in thousandths.
pub(crate) const PERCENTILES: [(&str, usize); 3] =
    [("p50_us", 500), ("p99_us", 990), ("p999_us", 999)];

/// The middle value, or the lower of the two; NaN of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}
