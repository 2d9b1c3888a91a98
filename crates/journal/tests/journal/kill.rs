//! Invariant: whenever a process that appends is killed, the next one to open the journal finds
//! every edit that was acknowledged under its number, nothing twice, and all that an earlier open
//! has shown; in the middle of rotations, snapshots and recoveries, too.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the test starts and kills processes, and fails by panicking"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::small_options;
use quipu_io::DiskIo;
use quipu_journal::{Journal, Options, Replayable};
use smol::future::block_on;

/// All numbers that were ever appended, in order.
#[derive(Clone, Debug, Default)]
struct Roll(Vec<u64>);

impl Replayable for Roll {
    type Edit = Vec<u64>;
    type Output = ();

    fn filename_prefix() -> &'static str {
        "roll"
    }

    fn initial() -> Self {
        Roll::default()
    }

    fn apply(&mut self, numbers: Vec<u64>) {
        self.0.extend(numbers);
    }

    fn snapshot(&self) -> Vec<u64> {
        self.0.clone()
    }

    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = Vec<u64>> + Send> {
        let parts: Vec<_> = self.0.chunks(50).map(<[u64]>::to_vec).collect();
        Box::new(parts.into_iter())
    }
}

/// Small segments and frequent snapshots, so that kills hit rotations and prunes as well.
fn options() -> Options {
    let mut options = small_options();
    options.log.segment_bytes = 8192 + 2000;
    options.snapshots.growth_baseline = 4000;
    options.snapshots.max_segments = 4;
    options
}

const DIRECTORY: &str = "QUIPU_TEST_KILL_DIRECTORY";
const APPENDERS: u64 = 4;

/// What the killed processes run: it appends until it is killed, and says what was acknowledged.
#[test]
fn appender() {
    let Some(dir) = std::env::var_os(DIRECTORY) else {
        return;
    };
    say("\nopening".into());
    let journal = Journal::<Roll>::open(DiskIo::new().unwrap(), dir, options());
    let journal = block_on(journal).unwrap();
    let first = journal.recovered().last_seq.get() * APPENDERS;
    std::thread::scope(|scope| {
        for appender in 0..APPENDERS {
            let journal = &journal;
            scope.spawn(move || {
                for round in 0.. {
                    let number = first + round * APPENDERS + appender;
                    // One of them appends two at once.
                    let seq = if appender == 0 {
                        let batch = [vec![number], vec![u64::MAX - number]];
                        block_on(journal.append_batch(batch).with_seq()).unwrap().0
                    } else {
                        block_on(journal.append(vec![number]).with_seq()).unwrap().0
                    };
                    say(format!("{seq} {number}"));
                    if appender == 1 && round % 16 == 7 {
                        block_on(journal.snapshot()).unwrap();
                    }
                }
            });
        }
    });
}

fn say(line: String) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Starts an appender and kills it after so many lines. Gives what it said: numbers with their seq.
fn append_until_killed(dir: &Path, lines: usize) -> Vec<(usize, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::appender", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let opening = output.any(|line| line.unwrap() == "opening");
    assert!(opening, "it ended before it opened the journal");
    let mut said: Vec<String> = output.by_ref().take(lines).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said between the last line and its end was acknowledged as well.
    said.extend(output.map(Result::unwrap));
    assert!(said.len() >= lines, "it ended by itself: {said:?}");
    said.iter()
        .map(|line| {
            let (seq, number) = line.split_once(' ').unwrap();
            (seq.parse().unwrap(), number.parse().unwrap())
        })
        .collect()
}

#[test]
fn what_was_acknowledged_survives_kills() {
    for run in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let mut acknowledged = Vec::new();
        let mut shown: Vec<u64> = Vec::new();
        let kills = [0, 1, 3, 7, 0, 20, 45, 90, 160].map(|lines| lines * (run + 1) / 2);
        for lines in kills {
            acknowledged.extend(append_until_killed(dir.path(), lines));
            if run % 2 == 1 && lines % 2 == 1 {
                // The next appender is the one to recover, and may be killed while it does.
                continue;
            }
            let journal = Journal::<Roll>::open(DiskIo::new().unwrap(), dir.path(), options());
            let journal = block_on(journal).unwrap();
            let all = journal.read(|roll| roll.0.clone());
            assert_eq!(journal.recovered().last_seq.get(), all.len() as u64);
            check(&all, &acknowledged, &shown);
            shown = all;
            block_on(journal.close()).unwrap();
        }
        let segments = std::fs::read_dir(dir.path()).unwrap().count();
        assert!(segments < 40, "{segments} files");
    }
}

fn check(all: &[u64], acknowledged: &[(usize, u64)], shown: &[u64]) {
    for (seq, number) in acknowledged {
        assert_eq!(all.get(seq - 1), Some(number), "edit {seq}");
    }
    assert!(all.starts_with(shown), "what was shown is taken back");
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "something is there twice");
    let batches = |number: &u64| number.is_multiple_of(APPENDERS) && *number < u64::MAX / 2;
    for (index, number) in all.iter().enumerate().filter(|(_, number)| batches(number)) {
        assert_eq!(
            all.get(index + 1),
            Some(&(u64::MAX - number)),
            "half a batch"
        );
    }
}
