//! Invariant: whenever a process that writes to a store is killed, the next one to open it finds every
//! write that was answered, every batch whole, and all that an earlier open has shown; in the middle
//! of flushes, compactions and recoveries, too. While it lives, nobody else can open the store.
//!
//! `QUIPU_KILLS=N` kills N processes instead of the few of the default.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the test starts and kills processes, says how many, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use quipu_io::DiskIo;
use quipu_io::sim::Random;
use quipu_journal::Error as Journal;
use quipu_kv::{Db, Durability, Error, Options, Strategy, WriteBatch};
use smol::future::block_on;

const DIRECTORY: &str = "QUIPU_TEST_KILL_DIRECTORY";
const WRITERS: u32 = 4;

/// Small files of everything, so that kills hit flushes, compactions and rotations as well.
fn options(life: u64) -> Options {
    let mut options = Options::default();
    options.memtable_bytes = 24 << 10;
    options.log.segment_bytes = 64 << 10;
    options.log.allocation_bytes = 16 << 10;
    options.log.zero_ahead_bytes = 0;
    options.manifest.log.segment_bytes = 16 << 10;
    options.manifest.log.allocation_bytes = 4096;
    options.manifest.snapshots.growth_baseline = 4096;
    options.compaction.table_bytes = 16 << 10;
    options.compactions = 2;
    options.compaction.strategy = match life % 4 {
        0 | 1 => Strategy::Leveled(Default::default()),
        2 => Strategy::Tiered(Default::default()),
        _ => Strategy::SimpleLeveled(Default::default()),
    };
    options
}

/// How far a writer has come, by its key.
fn counter(writer: u32) -> String {
    format!("last {writer}")
}

/// What a writer writes in its rounds. Every eighth round a range of keys that were written before goes.
fn batch(writer: u32, round: u32, copies: quipu_kv::KeyspaceHandle) -> WriteBatch {
    let key = format!("{writer} {round:08}");
    let value = format!("{key} ").repeat(8);
    let mut batch = WriteBatch::new();
    batch.put(&key, &value).put_in(copies.id(), &key, &value);
    batch.put(counter(writer), round.to_string());
    if round.is_multiple_of(8) && round >= 64 {
        let (from, to) = (round - 64, round - 62);
        batch.delete_range(format!("{writer} {from:08}"), format!("{writer} {to:08}"));
    }
    batch
}

/// Whether a round's key is gone again when its writer has come to `last`.
fn is_deleted(round: u32, last: u32) -> bool {
    round % 8 < 2 && (round - round % 8) + 64 <= last
}

/// What the killed processes run: it writes until it is killed, and says what was answered.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(DIRECTORY) else {
        return;
    };
    say("\nopening".into());
    let life = std::process::id();
    let db = Db::open(DiskIo::new().unwrap(), dir, options(u64::from(life)));
    let db = block_on(db).unwrap();
    let copies = match db.keyspace("copies") {
        Some(copies) => copies,
        None => block_on(db.create_keyspace("copies")).unwrap(),
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (db, copies) = (&db, copies.clone());
            scope.spawn(move || {
                let last = block_on(db.get(counter(writer))).unwrap();
                let last = last.map_or(0, |last| parse(&last));
                for round in last + 1.. {
                    let durability = match writer {
                        0 => Durability::Os,
                        _ => Durability::Disk,
                    };
                    let written = db.write(batch(writer, round, copies.clone()), durability);
                    block_on(written).unwrap();
                    say(format!("{writer} {round}"));
                    match (writer, round % 64) {
                        (1, 40) => block_on(db.compact_range(..)).unwrap(),
                        (2, 20) => block_on(db.flush()).unwrap(),
                        _ => {}
                    }
                }
            });
        }
    });
}

fn parse(number: &[u8]) -> u32 {
    std::str::from_utf8(number).unwrap().parse().unwrap()
}

fn say(line: String) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// A process that writes, and what it says.
struct Writer {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    said: Vec<String>,
}

impl Writer {
    fn start(dir: &Path) -> Writer {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::writer", "--nocapture"])
            .env(DIRECTORY, dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_opening = lines.any(|line| line.unwrap() == "opening");
        assert!(is_opening, "it ended before it opened the store");
        let said = Vec::new();
        Writer { child, lines, said }
    }

    fn wait(&mut self, lines: usize) {
        let said = self.lines.by_ref().take(lines).map(Result::unwrap);
        self.said.extend(said);
        assert!(
            self.said.len() >= lines,
            "it ended by itself: {:?}",
            self.said
        );
    }

    /// Kills it, and gives the rounds that were answered by writer.
    fn kill(mut self) -> Vec<(u32, u32)> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // What it said between the last line and its end was answered as well.
        self.said.extend(self.lines.map(Result::unwrap));
        let rounds = self.said.iter().map(|line| {
            let (writer, round) = line.split_once(' ').unwrap();
            (writer.parse().unwrap(), round.parse().unwrap())
        });
        rounds.collect()
    }
}

/// Opens the store and checks everything in it. Gives how far each writer has come.
fn check(dir: &Path, at_least: &BTreeMap<u32, u32>, life: u64) -> BTreeMap<u32, u32> {
    block_on(async {
        let db = Db::open(DiskIo::new().unwrap(), dir, options(life))
            .await
            .unwrap();
        let mut all = BTreeMap::new();
        for (name, is_main) in [("default", true), ("copies", false)] {
            let Some(keyspace) = db.keyspace(name) else {
                let is_new = at_least.values().all(|round| *round == 0);
                assert!(is_new && !is_main, "{name} is gone");
                continue;
            };
            let mut scan = keyspace.scan(..).unwrap();
            while let Some((key, value)) = scan.next().await.unwrap() {
                let place = (is_main, String::from_utf8(key.to_vec()).unwrap());
                all.insert(place, String::from_utf8(value.to_vec()).unwrap());
            }
        }
        let mut reached = BTreeMap::new();
        for writer in 0..WRITERS {
            let last = all.remove(&(true, counter(writer)));
            let last = last.map_or(0, |last| parse(last.as_bytes()));
            let answered = at_least.get(&writer).copied().unwrap_or(0);
            assert!(last >= answered, "{writer}: {last} of {answered} rounds");
            reached.insert(writer, last);
            for round in 1..=last {
                let key = format!("{writer} {round:08}");
                let value = format!("{key} ").repeat(8);
                assert_eq!(
                    all.remove(&(false, key.clone())).as_ref(),
                    Some(&value),
                    "{key}"
                );
                let expected = (!is_deleted(round, last)).then_some(value);
                assert_eq!(
                    all.remove(&(true, key.clone())),
                    expected,
                    "{key} of {last}"
                );
            }
        }
        assert!(
            all.is_empty(),
            "from no round that is there: {:?}",
            all.first_key_value()
        );
        db.close().await.unwrap();
        reached
    })
}

#[test]
fn what_was_answered_survives_kills() {
    let kills = std::env::var("QUIPU_KILLS").map_or(30, |kills| kills.parse().unwrap());
    let mut random = Random::new(kills, 11);
    let (mut killed, mut answered, mut opened) = (0, 0, 0);
    while killed < kills {
        let dir = tempfile::tempdir().unwrap();
        let mut at_least = BTreeMap::new();
        for life in 0..15.min(kills - killed) {
            let mut writer = Writer::start(dir.path());
            let lines = match random.below(6) {
                // In the middle of recovery.
                0 => 0,
                1 => random.below(10),
                _ => random.below(400),
            };
            writer.wait(lines as usize);
            if life == 1 && lines > 0 {
                is_locked(dir.path());
            }
            for (writer, round) in writer.kill() {
                let last = at_least.entry(writer).or_insert(0);
                *last = round.max(*last);
                answered += 1;
            }
            killed += 1;
            // Otherwise the next writer is the one to recover, and may be killed while it does.
            if random.below(3) > 0 {
                at_least = check(dir.path(), &at_least, life);
                opened += 1;
            }
        }
        check(dir.path(), &at_least, 0);
    }
    println!("{killed} kills, {answered} answered batches, {opened} checks between");
}

/// A second process does not get in, and is told what to do.
fn is_locked(dir: &Path) {
    let second = block_on(Db::open(DiskIo::new().unwrap(), dir, options(0)));
    let error = second.unwrap_err();
    let is_locked = matches!(
        &error,
        Error::Journal {
            source: Journal::Locked { .. }
        }
    );
    assert!(is_locked, "{error:?}");
    assert!(
        error
            .to_string()
            .contains("open elsewhere, close it there first"),
        "{error}"
    );
}
