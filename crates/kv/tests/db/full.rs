//! Invariant: on a full disk a store goes on being read, and shows what it has answered and nothing
//! else; writes, flushes and compactions fail and say why; nothing that was answered is lost. Once there
//! is room, all works again: where only allocations, writes and creations were refused without opening
//! it anew, and where a sync or a rename was, with it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking, and one fills a real disk and says what it saw"
)]

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use quipu_io::DiskIo;
use quipu_io::sim::{Fault, Operation, Profile, Sim, SimIo, SimOptions};
use quipu_journal::Error as Journal;
use quipu_kv::{Compression, Db, Durability, Error, Options, WriteBatch};
use smol::future::block_on;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn options() -> Options {
    let mut options = Options::default();
    options.memtable_bytes = 2000;
    options.compaction.table_bytes = 3000;
    for log in [&mut options.log, &mut options.manifest.log] {
        log.zero_ahead_bytes = 0;
        log.allocation_bytes = 2048;
        log.segment_bytes = 8192 + 2000;
    }
    options.manifest.snapshots.growth_baseline = 600;
    options
}

/// What an error on a full disk means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Means {
    /// Make room and try again.
    TryAgain,
    /// Close the store and open it again.
    OpenAgain,
}

/// What the error says, which is of the full disk and of nothing else.
fn meaning(error: &Error) -> (Means, bool) {
    let (kind, means, is_doubtful) = match error {
        Error::NoSpace { source } => (Some(source.kind()), Means::TryAgain, false),
        Error::Journal { source } | Error::Wal { source } => {
            let (means, is_doubtful) = match source {
                Journal::InDoubt { .. } => (Means::OpenAgain, true),
                Journal::Poisoned { .. } => (Means::OpenAgain, false),
                _ => (Means::TryAgain, false),
            };
            (source.io_kind(), means, is_doubtful)
        }
        // The names of tables: what a sync of their directory has lost, no later one brings back.
        Error::Io { source } if source.to_string().contains("sync_dir") => {
            (Some(source.kind()), Means::OpenAgain, false)
        }
        _ => panic!("{error:?}"),
    };
    assert_eq!(kind, Some(ErrorKind::StorageFull), "{error:?}");
    (means, is_doubtful)
}

/// A store on a simulated disk that fills up, and what it must hold.
struct Run {
    sim: Sim,
    db: Option<Db<SimIo>>,
    map: Map,
    /// A write that the next open decides about.
    doubtful: Option<Map>,
    /// The strongest thing that an error has asked for.
    asked: Option<Means>,
    failures: u64,
    /// Whether the log takes nothing any more. If it is the manifest that does not, writes go on.
    is_log_stopped: bool,
}

impl Run {
    /// A store that has something in it, and nothing wrong with the disk yet.
    fn new() -> Run {
        let mut run = Run {
            sim: Sim::new(SimOptions::default()),
            db: None,
            map: Map::new(),
            doubtful: None,
            asked: None,
            failures: 0,
            is_log_stopped: false,
        };
        run.open().unwrap();
        let db = run.db();
        run.sim.run(db.create_keyspace("copies")).unwrap().unwrap();
        run.live(0..12);
        assert_eq!(run.failures, 0);
        run
    }

    fn db(&self) -> Db<SimIo> {
        self.db.clone().unwrap()
    }

    fn open(&mut self) -> Result<(), Error> {
        let opened = self.sim.run(Db::open(self.sim.io(), "store", options()));
        self.db = Some(opened.unwrap()?);
        Ok(())
    }

    /// Writes, flushes and compacts as if nothing were wrong, and looks at everything after each step.
    fn live(&mut self, rounds: std::ops::Range<u32>) {
        let db = self.db();
        let copies = db.keyspace("copies").unwrap();
        for round in rounds {
            let key = format!("key {:02}", round * 7 % 30).into_bytes();
            let value = vec![round.to_le_bytes()[0]; 150 + round as usize * 37 % 300];
            let gone = format!("key {:02}", round * 5 % 30).into_bytes();
            let mut next = self.map.clone();
            let mut batch = WriteBatch::new();
            batch.put(&key, &value).put_in(copies.id(), &key, &value);
            batch.delete(&gone).delete_in(copies.id(), &gone);
            next.insert(key, value);
            next.remove(&gone);
            let durability = match round % 3 {
                0 => Durability::Os,
                _ => Durability::Disk,
            };
            match self.sim.run(db.write(batch, durability)).unwrap() {
                Ok(()) => {
                    assert!(!self.is_log_stopped, "written after all");
                    self.map = next;
                }
                Err(error) => {
                    if self.fails(&error) {
                        self.doubtful.get_or_insert(next);
                    }
                }
            }
            self.check();
            let done = match round % 6 {
                2 => self.sim.run(db.flush()).unwrap(),
                5 => self.sim.run(db.compact_range(..)).unwrap(),
                _ => Ok(()),
            };
            if let Err(error) = done {
                self.fails(&error);
            }
            self.check();
        }
    }

    /// Notes a failure; gives whether it leaves a write in doubt.
    fn fails(&mut self, error: &Error) -> bool {
        let (means, is_doubtful) = meaning(error);
        self.asked = self.asked.max(Some(means));
        self.failures += 1;
        let is_of_log = matches!(error, Error::Wal { .. });
        self.is_log_stopped |= is_of_log && means == Means::OpenAgain;
        is_doubtful && is_of_log
    }

    /// Reads everything, which works at any time.
    fn check(&mut self) {
        let db = self.db();
        let map = &self.map;
        self.sim
            .run(async {
                for name in ["default", "copies"] {
                    let keyspace = db.keyspace(name).unwrap();
                    let mut found = Map::new();
                    let mut scan = keyspace.scan(..).unwrap();
                    while let Some((key, value)) = scan.next().await.unwrap() {
                        found.insert(key.to_vec(), value.to_vec());
                    }
                    assert_eq!(found, *map, "{name}");
                    for number in 0..30 {
                        let key = format!("key {number:02}").into_bytes();
                        let found = keyspace.get(&key).await.unwrap();
                        assert_eq!(found.as_deref(), map.get(&key).map(Vec::as_slice));
                    }
                }
            })
            .unwrap();
    }

    /// There is room again: everything works, after a new open if an error has asked for one.
    fn recover(mut self) -> Option<Means> {
        self.sim.faults().full_after(u64::MAX);
        let asked = self.asked.take();
        self.is_log_stopped = false;
        if asked == Some(Means::OpenAgain) {
            let db = self.db.take().unwrap();
            // It may well say again what is wrong.
            let _ = self.sim.run(db.close()).unwrap();
            drop(db);
            self.reopen();
        }
        let before = self.failures;
        self.live(100..111);
        assert_eq!(self.failures, before, "there is room");
        // What is answered is there after a loss of power. The last write was a durable one.
        self.db = None;
        let options = SimOptions {
            profile: Profile::Posix,
            ..SimOptions::seeded(self.failures)
        };
        let sim = std::mem::replace(&mut self.sim, Sim::new(SimOptions::default()));
        self.sim = Sim::boot(sim.crash(), options);
        self.open().unwrap();
        self.check();
        asked
    }

    /// Opens the store again; what was in doubt is there or not.
    fn reopen(&mut self) {
        self.open().unwrap();
        if let Some(doubtful) = self.doubtful.take() {
            let db = self.db();
            let found = self.sim.run(async {
                let mut found = Map::new();
                let mut scan = db.scan(..).unwrap();
                while let Some((key, value)) = scan.next().await.unwrap() {
                    found.insert(key.to_vec(), value.to_vec());
                }
                found
            });
            if found.unwrap() == doubtful {
                self.map = doubtful;
            }
        }
        self.check();
    }
}

/// The disk is full after so many bytes more, wherever that is.
#[test]
fn a_disk_that_fills_up_stops_nothing_for_good() {
    let mut failures = 0;
    for room in (0..60_000).step_by(199) {
        let mut run = Run::new();
        run.sim.faults().full_after(room);
        run.live(12..30);
        failures += run.failures;
        let asked = run.recover();
        assert_ne!(asked, Some(Means::OpenAgain), "{room}");
    }
    assert!(failures > 1000, "{failures}");
}

/// The disk is full at each operation once, for some operations: from any of those that may be refused.
#[test]
fn a_disk_that_is_full_for_a_while_is_full_anywhere() {
    let kinds = [
        Fault::FullDisk,
        Fault::PartialWrite,
        Fault::StorageFull(Operation::Rename),
        Fault::StorageFull(Operation::SyncDir),
        Fault::StorageFull(Operation::SyncData),
        Fault::StorageFull(Operation::SyncAll),
    ];
    for fault in kinds {
        let mut asked = BTreeMap::new();
        let mut nth = 1;
        loop {
            let mut run = Run::new();
            run.sim.faults().strike_nth(fault, nth);
            run.live(12..24);
            if run.sim.faults().count(fault) == 0 {
                break;
            }
            nth += 1;
            *asked.entry(run.recover()).or_insert(0) += 1;
        }
        println!("{fault}: {} places, asked for {asked:?}", nth - 1);
    }
}

/// What an attempt leaves behind that found no room would take the room of the next ones.
#[test]
fn attempts_without_room_leave_nothing_behind() {
    for room in [1, 50, 100] {
        let mut run = Run::new();
        run.live(12..14);
        let db = run.db();
        let files = |sim: &Sim| sim.image().list("store/tables").unwrap();
        let before = files(&run.sim);
        run.sim.faults().full_after(room);
        for _ in 0..5 {
            let flushed = run.sim.run(db.flush()).unwrap();
            meaning(&flushed.unwrap_err());
            assert_eq!(files(&run.sim), before, "with room for {room}");
        }
        run.recover();
    }
}

/// When there is no room to begin with.
#[test]
fn an_open_without_room_says_so_and_harms_nothing() {
    for room in (0..40_000).step_by(397) {
        let mut run = Run::new();
        run.db = None;
        run.sim.run_until_idle().unwrap();
        run.sim.faults().full_after(room);
        if let Err(error) = run.open() {
            assert_eq!(meaning(&error).0, Means::TryAgain, "{error}");
            run.sim.run_until_idle().unwrap();
            run.sim.faults().full_after(u64::MAX);
            run.open().unwrap();
        }
        run.check();
        run.recover();
    }
}

const DIRECTORY: &str = "QUIPU_TEST_FULL_DIRECTORY";

/// The same on a real file system of 4 MB, which a process of its own mounts.
#[test]
fn a_real_disk_that_fills_up() {
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=4m none \"$0\" 2>/dev/null || exit 77; exec \"$1\" --exact full::on_a_small_disk --nocapture";
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, dir.path())
        .output();
    let skip = |reason: &str| println!("skipped: a small file system cannot be mounted: {reason}");
    let output = match ran {
        Ok(output) => output,
        Err(error) => return skip(&error.to_string()),
    };
    let (out, err) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8_lossy(out);
    if output.status.code() == Some(77) || err.starts_with("unshare:") {
        return skip(&err);
    }
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("full and emptied"), "{out}");
    println!("{out}");
}

/// What the process runs that has mounted it.
#[test]
fn on_a_small_disk() {
    let Some(dir) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let dir = Path::new(&dir);
    let store = dir.join("store");
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let mut options = Options::default();
    options.memtable_bytes = 128 << 10;
    options.table.compression = Compression::None;
    options.compaction.table_bytes = 64 << 10;
    options.log.segment_bytes = 256 << 10;
    options.log.allocation_bytes = 64 << 10;
    options.manifest.log.allocation_bytes = 64 << 10;
    let io = DiskIo::new().unwrap();
    block_on(async {
        let mut map: BTreeMap<u32, u8> = BTreeMap::new();
        let db = Db::open(io.clone(), &store, options.clone()).await.unwrap();
        let mut errors: BTreeMap<String, u32> = BTreeMap::new();
        let mut failed = 0;
        for round in 0..20_000u32 {
            let number = round.wrapping_mul(2_654_435_761) % 20_000;
            let fill = round.to_le_bytes()[0];
            match db.put(number.to_be_bytes(), [fill; 1000]).await {
                Ok(()) => drop(map.insert(number, fill)),
                Err(error) => {
                    let (means, _) = meaning(&error);
                    assert_eq!(means, Means::TryAgain, "{error}");
                    *errors.entry(error.to_string()).or_insert(0) += 1;
                    failed += 1;
                    if failed == 50 {
                        break;
                    }
                }
            }
        }
        println!("{} keys, then {errors:#?}", map.len());
        assert!(failed == 50 && map.len() > 100);
        same(&db, &map).await;
        println!(
            "a flush: {:?}",
            db.flush().await.map_err(|error| meaning(&error).0)
        );
        std::fs::remove_file(&ballast).unwrap();
        for number in 0..100u32 {
            db.put(number.to_be_bytes(), [9; 1000]).await.unwrap();
            map.insert(number, 9);
        }
        db.flush().await.unwrap();
        same(&db, &map).await;
        db.close().await.unwrap();
        let db = Db::open(io.clone(), &store, options.clone()).await.unwrap();
        same(&db, &map).await;
        db.close().await.unwrap();
        let remounted = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(dir)
            .status();
        if remounted.is_ok_and(|status| status.success()) {
            let error = Db::open(io, &store, options).await.unwrap_err();
            println!("read-only: {error}");
            assert!(error.to_string().contains("store"), "{error}");
        }
        println!("full and emptied");
    });
}

async fn same(db: &Db, map: &BTreeMap<u32, u8>) {
    let mut scan = db.scan(..).unwrap();
    let mut expected = map.iter();
    while let Some((key, value)) = scan.next().await.unwrap() {
        let (number, fill) = expected.next().unwrap();
        assert_eq!(
            (key, value),
            (&number.to_be_bytes()[..], &[*fill; 1000][..])
        );
    }
    assert!(expected.next().is_none());
}
