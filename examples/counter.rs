//! The shortest complete program: a counter that goes on where the last run stopped.
//!
//! ```text
//! cargo run -p quipu-examples --example counter [DIR]
//! ```
#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use quipu_io::DiskIo;
use quipu_journal::{Journal, Options, Replayable};

struct Counter(u64);

impl Replayable for Counter {
    type Edit = u64;
    type Output = u64;

    fn filename_prefix() -> &'static str {
        "counter"
    }

    fn initial() -> Self {
        Counter(0)
    }

    fn apply(&mut self, edit: u64) -> u64 {
        self.0 = self.0.saturating_add(edit);
        self.0
    }

    fn snapshot(&self) -> u64 {
        self.0
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args_os().nth(1);
    let dir = dir.unwrap_or("target/counter-data".into());
    smol::block_on(async {
        let journal = Journal::<Counter>::open(DiskIo::new()?, dir, Options::default()).await?;
        let count = journal.append(1).await?; // answers once the edit is on disk
        println!("counted to {count}");
        journal.close().await?;
        Ok(())
    })
}
