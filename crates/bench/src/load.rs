//! The work that every subject is given: how much, which records, and the threads that append them.

use std::{
    ops::Range,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use crate::{Result, measurement::Measurement};

/// The work of one round.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many append at once.
    pub writers: u64,
    /// Appends of each writer, after the warm-up.
    pub appends: u64,
    /// The size of a record, or of an edit.
    pub record_bytes: usize,
    /// The size of the state that a snapshot is taken of; 0 where the workload has none.
    pub state_bytes: u64,
    /// The live tables of a manifest; 0 where the workload has none.
    pub tables: u64,
}

/// Edits per batch of the log that is replayed.
const BATCH: u64 = 1_000;

impl Load {
    /// Appends of all writers.
    pub(crate) fn total(&self) -> u64 {
        self.writers * self.appends
    }

    /// Appends of each writer before the clock starts: they create files and fill caches.
    fn warm_up(&self) -> u64 {
        (self.appends / 20).clamp(1, 200)
    }

    /// The records of one writer: those of its warm-up, and those that are timed.
    pub(crate) fn indices(&self, writer: u64) -> (Range<u64>, Range<u64>) {
        let first = writer * (self.warm_up() + self.appends);
        let timed = first + self.warm_up();
        (first..timed, timed..timed + self.appends)
    }

    /// Bytes of all records, the warm-up's too, when each takes `overhead` bytes more.
    pub(crate) fn bytes(&self, overhead: u64) -> u64 {
        let records = self.total() + self.writers * self.warm_up();
        records * (self.record_bytes as u64 + overhead)
    }

    /// The records of a log that is replayed, in the batches in which they are written.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let total = self.total();
        (0..total.div_ceil(BATCH)).map(move |batch| batch * BATCH..total.min((batch + 1) * BATCH))
    }

    /// The same amount of work as one writer's.
    pub(crate) fn by_one_writer(self) -> Self {
        Self {
            writers: 1,
            appends: self.total(),
            ..self
        }
    }
}

/// The records, the same for all subjects: pseudo-random, so that no compression helps anybody.
#[derive(Debug)]
pub(crate) struct Records {
    pool: Vec<u8>,
    record_bytes: usize,
}

impl Records {
    const POOL_BYTES: usize = 1 << 20;

    pub(crate) fn new(record_bytes: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut pool = Vec::with_capacity(Self::POOL_BYTES);
        while pool.len() < Self::POOL_BYTES {
            // Xorshift: a few lines, and the same records on every machine.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            pool.extend_from_slice(&state.to_le_bytes());
        }
        Self { pool, record_bytes }
    }

    pub(crate) fn get(&self, index: u64) -> &[u8] {
        let places = (self.pool.len() - self.record_bytes) as u64;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "less than the length of the pool"
        )]
        let start = (index.wrapping_mul(0x9e37_79b1) % places) as usize;
        &self.pool[start..start + self.record_bytes]
    }
}

/// The state that a replay rebuilds: it shows that each edit arrived, and costs next to nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replayed {
    edits: u64,
    sum: u64,
}

impl Replayed {
    pub(crate) fn apply(&mut self, edit: &[u8]) {
        self.edits += 1;
        if let Some(head) = edit.first_chunk() {
            self.sum = self.sum.wrapping_add(u64::from_le_bytes(*head));
        }
    }

    /// Fails unless exactly the edits of `load` were applied.
    pub(crate) fn check(self, load: Load) -> Result<()> {
        let records = Records::new(load.record_bytes);
        let mut expected = Self::default();
        (0..load.total()).for_each(|index| expected.apply(records.get(index)));
        if self != expected {
            return Err(format!("replay gave {self:?} instead of {expected:?}").into());
        }
        Ok(())
    }
}

/// Whether the latency of each append is kept: reading the clock would slow the fastest appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latencies {
    Keep,
    Skip,
}

/// Appends from as many threads as `load` has writers. `writer` makes one writer's append function;
/// the clock runs from the first append after the warm-up to the last.
pub(crate) fn append_from_threads<W>(
    load: Load,
    latencies: Latencies,
    writer: impl Fn(u64) -> W + Sync,
) -> Result<Measurement>
where
    W: FnMut(&[u8]) -> Result<()>,
{
    let records = Records::new(load.record_bytes);
    let barrier = Barrier::new(usize::try_from(load.writers)?);
    let work = |number: u64| -> Result<Timeline> {
        let mut append = writer(number);
        let (mut warm_up, timed) = load.indices(number);
        let warm = warm_up.try_for_each(|index| append(records.get(index)));
        // The barrier comes before the error, or the other threads would wait for ever.
        barrier.wait();
        warm?;
        Timeline::of(timed, latencies, |index| append(records.get(index)))
    };
    let timelines = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..load.writers)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a writer panicked".into()))
            })
            .collect::<Result<Vec<_>>>()
    })?;
    let start = timelines
        .iter()
        .map(|timeline| timeline.start)
        .min()
        .ok_or("no writer")?;
    let end = timelines
        .iter()
        .map(|timeline| timeline.end)
        .max()
        .ok_or("no writer")?;
    Ok(Measurement::new(load.total(), end - start).with_latencies(
        timelines
            .into_iter()
            .flat_map(|timeline| timeline.latencies)
            .collect(),
    ))
}

/// When one writer began and ended.
#[derive(Debug)]
struct Timeline {
    start: Instant,
    end: Instant,
    latencies: Vec<Duration>,
}

impl Timeline {
    fn of(
        mut indices: Range<u64>,
        keep: Latencies,
        mut append: impl FnMut(u64) -> Result<()>,
    ) -> Result<Self> {
        let mut latencies = Vec::new();
        let start = Instant::now();
        match keep {
            Latencies::Skip => indices.try_for_each(&mut append)?,
            Latencies::Keep => {
                latencies.reserve(usize::try_from(indices.end - indices.start)?);
                for index in indices {
                    let begun = Instant::now();
                    append(index)?;
                    latencies.push(begun.elapsed());
                }
            }
        }
        Ok(Self {
            start,
            end: Instant::now(),
            latencies,
        })
    }
}
