//! The loops of the workloads, in a child process: once, for all stores.

use std::{
    ops::{ControlFlow, Range},
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use futures::{executor::block_on, future::try_join_all};
use serde::{Deserialize, Serialize};
use smol::LocalExecutor;

use super::{
    Direction, Durability, Settings, Store, Workload, Writers, footprint,
    pairs::{Key, Shuffle, Values, digest, key, missing_key},
    workload::Base,
};
use crate::{Result, child::peak_memory_bytes, measurement::Measurement};

/// What a child process is to do, which the benchmarks write on its command line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub(crate) subject: String,
    pub(crate) task: Task,
    pub(crate) dir: PathBuf,
    pub(crate) settings: Settings,
    /// Differs from round to round.
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Leaves in the directory what workloads of this base find.
    Prepare(Base),
    Measure(Workload),
}

/// The part of a subject that is a store.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Why it takes no part in a workload, if it does not.
    pub(crate) abstains: fn(Workload) -> Option<&'static str>,
    pub(crate) run: fn(&Order) -> Result<Measurement>,
}

/// The part of a subject whose store is `S`.
pub const fn run<S: Store>() -> Run {
    Run {
        abstains: S::abstains,
        run: obey::<S>,
    }
}

fn obey<S: Store>(order: &Order) -> Result<Measurement> {
    let driver = Driver::<S>::open(order)?;
    match order.task {
        Task::Prepare(_) => driver.prepare(),
        Task::Measure(workload) => driver.measure(workload),
    }
}

/// The order in which a store is filled.
const FILLING: u64 = 1;

/// Gets before the clock starts, which fill the caches.
const WARM_UP_SHARE: u64 = 10;

const MULTIGET_KEYS: usize = 100;

const SEEK_PAIRS: u64 = 10;

const WRITERS: u64 = 64;

/// Puts beside the gets of `read-while-writing`, every 2 ms.
const PACED_PUTS: u64 = 100;
const PACE: Duration = Duration::from_millis(2);

struct Driver<'a, S> {
    store: S,
    order: &'a Order,
    keys: u64,
    values: Values,
    /// How long it took to open, and to answer a first get.
    opened: Duration,
}

impl<'a, S: Store> Driver<'a, S> {
    fn open(order: &'a Order) -> Result<Self> {
        let start = Instant::now();
        let (store, _) = block_on(async {
            let store = S::open(&order.dir, &order.settings).await?;
            let first = store.get(&key(0)).await?;
            Result::Ok((store, first))
        })?;
        Ok(Self {
            store,
            order,
            keys: order.settings.keys,
            values: Values::new(order.settings.value_bytes),
            opened: start.elapsed(),
        })
    }

    fn prepare(self) -> Result<Measurement> {
        block_on(async {
            let order = Shuffle::new(self.keys, FILLING);
            self.put_all(0..self.keys, |place| order.at(place)).await?;
            self.settle().await?;
            let tables = self.store.tables();
            self.store.close().await?;
            Ok(with_tables(Measurement::default(), tables))
        })
    }

    fn measure(self, workload: Workload) -> Result<Measurement> {
        let operations = workload.operations(&self.order.settings);
        let random = Shuffle::new(self.keys, self.order.seed + FILLING + 1);
        let at = |place| random.at(place);
        let filling = Shuffle::new(self.keys, FILLING);
        let measured = match workload {
            Workload::Fillseq => self.write(self.keys, self.put_all(0..operations, |at| at)),
            Workload::Fillrandom => {
                self.write(self.keys, self.put_all(0..operations, |at| filling.at(at)))
            }
            Workload::Overwrite => self.write(self.keys, self.put_all(0..operations, at)),
            Workload::DeleteRandom => {
                self.write(self.keys - operations, self.delete_all(0..operations, at))
            }
            Workload::Fillsync => self.write_durably(1, operations),
            Workload::Fillsync64 => self.write_durably(WRITERS, operations / WRITERS),
            Workload::Readrandom => self.read(operations, |places| self.get_all(places, at)),
            Workload::Readmissing => self.read(operations, |places| self.miss_all(places, at)),
            Workload::Multiget => self.read(operations, |places| self.get_batches(places, at)),
            Workload::Scan => self.scan(Direction::Forward),
            Workload::ScanReverse => self.scan(Direction::Reverse),
            Workload::SeekNext10 => self.read(operations, |places| self.seek_all(places, at)),
            Workload::ReadWhileWriting => self.read_while_writing(operations, at),
            Workload::ReadUnsettled => {
                block_on(self.put_all(0..self.keys, |at| filling.at(at)))?;
                self.read(operations, |places| self.get_all(places, at))
            }
            Workload::Open | Workload::OpenTables => {
                let opened = Measurement::new(1, self.opened);
                Ok(opened.with_detail("open_ms", self.opened.as_secs_f64() * 1e3))
            }
        };
        let measured = with_tables(measured?, self.store.tables());
        block_on(self.store.close())?;
        Ok(measured)
    }

    /// Writes, and then waits: until nothing happens any more, and until all is compacted.
    fn write(
        &self,
        pairs_left: u64,
        writes: impl Future<Output = Result<u64>>,
    ) -> Result<Measurement> {
        let settings = &self.order.settings;
        let before = footprint::written_bytes()?;
        let start = Instant::now();
        let count = block_on(writes)?;
        let elapsed = start.elapsed();
        block_on(self.store.flush())?;
        let rested = footprint::rest()? - start;
        let mut measured = Measurement::new(count, elapsed);
        measured.peak_memory_bytes = peak_memory_bytes();
        let written = footprint::written_bytes()? - before;
        let space = footprint::disk_bytes(&self.order.dir)?;
        let compacting = Instant::now();
        block_on(self.store.compact())?;
        let compacting = footprint::rest()? - compacting;
        let settled = footprint::disk_bytes(&self.order.dir)?;
        let pairs = |bytes, pairs| ratio(bytes, settings.user_bytes(pairs));
        Ok(measured
            .with_detail("rested_per_s", per_second(count, rested))
            .with_detail("write_amplification", pairs(written, count))
            .with_detail("space_amplification", pairs(space, pairs_left))
            .with_detail("settled_space_amplification", pairs(settled, pairs_left))
            .with_detail("compact_ms", compacting.as_secs_f64() * 1e3))
    }

    /// Gets, or what is like them, after some that fill the caches.
    fn read<F: Future<Output = Result<u64>>>(
        &self,
        operations: u64,
        read: impl Fn(Range<u64>) -> F,
    ) -> Result<Measurement> {
        let warm = operations.div_ceil(WARM_UP_SHARE);
        block_on(read(0..warm))?;
        let start = Instant::now();
        let count = block_on(read(warm..warm + operations))?;
        Ok(Measurement::new(count, start.elapsed()))
    }

    async fn settle(&self) -> Result<()> {
        self.store.flush().await?;
        footprint::rest()?;
        self.store.compact().await?;
        footprint::rest()?;
        Ok(())
    }

    async fn put_all(&self, places: Range<u64>, index: impl Fn(u64) -> u64) -> Result<u64> {
        let count = places.end - places.start;
        for place in places {
            let index = index(place);
            let value = self.values.get(index);
            self.store.put(&key(index), value, Durability::Os).await?;
        }
        Ok(count)
    }

    async fn delete_all(&self, places: Range<u64>, index: impl Fn(u64) -> u64) -> Result<u64> {
        let count = places.end - places.start;
        for place in places {
            self.store.delete(&key(index(place))).await?;
        }
        Ok(count)
    }

    async fn get_all(&self, places: Range<u64>, index: impl Fn(u64) -> u64) -> Result<u64> {
        let count = places.end - places.start;
        for place in places {
            let index = index(place);
            let found = self.store.get(&key(index)).await?;
            self.check(index, found)?;
        }
        Ok(count)
    }

    async fn miss_all(&self, places: Range<u64>, index: impl Fn(u64) -> u64) -> Result<u64> {
        let count = places.end - places.start;
        for place in places {
            let index = index(place);
            if self.store.get(&missing_key(index)).await?.is_some() {
                return Err(format!("there is a key behind {index}").into());
            }
        }
        Ok(count)
    }

    async fn get_batches(&self, places: Range<u64>, index: impl Fn(u64) -> u64) -> Result<u64> {
        let count = places.end - places.start;
        let indices: Vec<u64> = places.map(index).collect();
        for batch in indices.chunks(MULTIGET_KEYS) {
            let keys: Vec<Key> = batch.iter().map(|&index| key(index)).collect();
            let found = self.store.multi_get(&keys).await?;
            for (&index, found) in batch.iter().zip(found) {
                self.check(index, found)?;
            }
        }
        Ok(count)
    }

    async fn seek_all(&self, places: Range<u64>, index: impl Fn(u64) -> u64) -> Result<u64> {
        let count = places.end - places.start;
        for place in places {
            let index = index(place);
            let (mut seen, mut sum) = (0, 0_u64);
            let visit = |_: &[u8], value: &[u8]| {
                seen += 1;
                sum = sum.wrapping_add(digest(value));
                match seen < SEEK_PAIRS {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            };
            self.store
                .scan(Some(&key(index)), Direction::Forward, visit)
                .await?;
            let last = self.keys.min(index + SEEK_PAIRS);
            let expected = (index..last).map(|index| digest(self.values.get(index)));
            if sum != expected.fold(0, u64::wrapping_add) {
                return Err(format!("wrong pairs from {index} on").into());
            }
        }
        Ok(count)
    }

    fn scan(&self, direction: Direction) -> Result<Measurement> {
        let (mut seen, mut sum) = (0, 0_u64);
        let start = Instant::now();
        block_on(self.store.scan(None, direction, |_, value| {
            seen += 1;
            sum = sum.wrapping_add(digest(value));
            ControlFlow::Continue(())
        }))?;
        let elapsed = start.elapsed();
        let expected = (0..self.keys).map(|index| digest(self.values.get(index)));
        if (seen, sum) != (self.keys, expected.fold(0, u64::wrapping_add)) {
            return Err(format!("a scan has seen {seen} pairs, or others").into());
        }
        Ok(Measurement::new(seen, elapsed))
    }

    fn read_while_writing(
        &self,
        operations: u64,
        index: impl Fn(u64) -> u64 + Copy + Sync,
    ) -> Result<Measurement> {
        let done = AtomicBool::new(false);
        let puts = AtomicU64::new(0);
        thread::scope(|scope| {
            let start = Instant::now();
            let writer = scope.spawn(|| self.put_paced(&done, &puts));
            let measured = self.read(operations, |places| self.get_all(places, index));
            done.store(true, Ordering::Relaxed);
            let elapsed = start.elapsed();
            let written = writer.join();
            written.unwrap_or_else(|_| Err("the writer panicked".into()))?;
            let puts = per_second(puts.load(Ordering::Relaxed), elapsed);
            Ok(measured?.with_detail("puts_per_s", puts))
        })
    }

    fn put_paced(&self, done: &AtomicBool, puts: &AtomicU64) -> Result<()> {
        let order = Shuffle::new(self.keys, FILLING);
        let start = Instant::now();
        let mut place = 0;
        let mut due = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            block_on(self.put_all(place..place + PACED_PUTS, |place| order.at(place)))?;
            place += PACED_PUTS;
            puts.store(place, Ordering::Relaxed);
            due += PACE;
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
        Ok(())
    }

    /// Durable puts, each of a key of its own, and how long each took.
    fn write_durably(&self, writers: u64, puts: u64) -> Result<Measurement> {
        let indices = |writer| writer * puts..(writer + 1) * puts;
        // Files are created, and caches filled.
        block_on(self.put_durably(writers * puts..writers * puts + 100))?;
        let start = Instant::now();
        let latencies = match S::WRITERS {
            Writers::Tasks => {
                let executor = LocalExecutor::new();
                let tasks = (0..writers)
                    .map(|writer| executor.spawn(self.put_durably(indices(writer))))
                    .collect::<Vec<_>>();
                block_on(executor.run(try_join_all(tasks)))?
            }
            Writers::Threads => thread::scope(|scope| {
                let threads: Vec<_> = (0..writers)
                    .map(|writer| scope.spawn(move || block_on(self.put_durably(indices(writer)))))
                    .collect();
                let joined = threads.into_iter().map(|thread| {
                    let joined = thread.join();
                    joined.unwrap_or_else(|_| Err("a writer panicked".into()))
                });
                joined.collect::<Result<Vec<_>>>()
            })?,
        };
        let measured = Measurement::new(writers * puts, start.elapsed());
        Ok(measured.with_latencies(latencies.concat()))
    }

    async fn put_durably(&self, indices: Range<u64>) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        for index in indices {
            let begun = Instant::now();
            let value = self.values.get(index);
            self.store.put(&key(index), value, Durability::Disk).await?;
            latencies.push(begun.elapsed());
        }
        Ok(latencies)
    }

    fn check(&self, index: u64, found: Option<u64>) -> Result<()> {
        if found != Some(digest(self.values.get(index))) {
            return Err(format!("key {index} has no value, or another").into());
        }
        Ok(())
    }
}

fn with_tables(measured: Measurement, tables: Option<u64>) -> Measurement {
    match tables {
        Some(tables) => measured.with_detail("tables", ratio(tables, 1)),
        None => measured,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    ratio(count, 1) / elapsed.as_secs_f64()
}
