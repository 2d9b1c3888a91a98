//! A time series that keeps the last days: what has expired goes table by table, unread.
//!
//! ```text
//! cargo run --release -p quipu-examples --example time_series
//! ```
//!
//! Thirty days pass here in a moment: the store takes the time from what it runs on, and runs on the
//! simulator, whose clock moves on when everybody waits. With a `DiskIo` the same function takes thirty
//! days.
#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::time::Duration;

use quipu_io::sim::{Sim, SimOptions};
use quipu_io::{Io, Runtime};
use quipu_kv::{Db, Durability, Error, Options, Strategy, TimeWindowOptions, WriteBatch};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// In the unit of the tables' timestamps: milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

const DAYS: usize = 30;
const STATIONS: usize = 50;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sim = Sim::new(SimOptions::default());
    sim.block_on(measure(sim.io()))??;
    Ok(())
}

/// One table for each day, and nothing that is older than a week and a day.
fn options() -> Options {
    let mut windows = TimeWindowOptions::default();
    windows.window = DAY;
    windows.ttl = Some(7 * DAY);
    let mut options = Options::default();
    options.compaction.strategy = Strategy::TimeWindow(windows);
    options.memtable_bytes = 64 << 10; // some flushes a day, of these few points
    options
}

async fn measure(io: impl Io + Runtime) -> Result<(), Error> {
    let db = Db::open(io.clone(), "weather", options()).await?;
    println!("day  points  tables   bytes  written by compactions  the oldest point");
    for day in 1..=DAYS {
        for hour in 0..24 {
            // A point has the time at which it is written.
            let mut batch = WriteBatch::new();
            for station in 0..STATIONS {
                let key = format!("day {day:02} {hour:02}:00 station {station:02}");
                batch.put(key, celsius(day, hour, station));
            }
            db.write(batch, Durability::Os).await?;
            io.sleep(HOUR).await;
        }
        // What is to be dropped is looked for whenever something was flushed or compacted.
        db.flush().await?;
        io.sleep(HOUR / 60).await;
        report(&db, day).await?;
    }
    db.close().await
}

fn celsius(day: usize, hour: usize, station: usize) -> String {
    let tenths = 80 + 3 * day + 5 * hour.min(24 - hour) + 7 * station % 60;
    format!("{}.{}", tenths / 10, tenths % 10)
}

async fn report<I: Io + Runtime>(db: &Db<I>, day: usize) -> Result<(), Error> {
    let stats = db.stats();
    let mut scan = db.scan(..)?;
    let oldest = scan.next().await?.map(|(key, _)| key.escape_ascii());
    println!(
        "{day:>3}  {:>6}  {:>6}  {:>6}  {:>22}  {}",
        stats.last_seq,
        stats.tables,
        stats.table_bytes,
        stats.compacted_out,
        oldest.map_or_else(String::new, |key| key.to_string())
    );
    Ok(())
}
