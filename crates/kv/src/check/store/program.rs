//! [`StoreProgram`]: a store as a program under test.

use std::path::PathBuf;

use quipu_io::sim::IoCounts;
use quipu_journal::check::{Life, PAGE, Program, SECTOR, SMALL, Stage, Verdict, oracles};

use super::driver::Driver;
use super::history::StoreHistory;
use super::setting::Setting;
use crate::Durability;

/// Where the store is.
const DIR: &str = "state/store";

/// The keys that are written: few, so that writes meet, and on the edges of ranges and prefixes.
pub(super) const KEYS: [&[u8]; 8] = [b"b", b"a", b"ab", b"c", b"a\0", b"\xff", b"\xff\xff", b""];

/// The names of the keyspaces, the default one first.
pub(super) const SPACES: [&str; 3] = ["default", "one", "two"];

/// A write to the keyspace of this place in a list of three; to the default one while that is not there.
pub type Write = (usize, Change);

/// From one of the keys up to another one.
pub type Span = (usize, usize);

/// What is written. Keys are given by their places in a list of eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A value of so many bytes.
    Put(usize, usize),
    /// No value any more.
    Delete(usize),
    /// No values from a key up to, and without, another one.
    DeleteRange(Span),
}

/// What a store is asked to do.
#[derive(Clone, Debug)]
pub enum StoreOp {
    /// Write a batch, and wait for the answer.
    Write(Vec<Write>, Durability),
    /// Write a batch, and drop the future at its so-manyth wait.
    Abandon(Vec<Write>, Durability, u64),
    /// Two who write batch after batch at the same time, and one who reads meanwhile.
    Together,
    /// Take a snapshot, and begin a scan.
    Hold,
    /// Read the oldest snapshot and the rest of its scan, and let go of them.
    LetGo,
    /// Flush.
    Flush,
    /// Begin to flush, and go on.
    FlushBeside,
    /// Compact from one key to another one, both included; or all.
    Compact(Option<Span>),
    /// Begin to compact everything, and go on.
    CompactBeside,
    /// Create a keyspace, and drop the future at its so-manyth wait, if it has one.
    Create(usize, Option<u64>),
    /// Drop a keyspace, in the same way.
    Drop(usize, Option<u64>),
    /// Do nothing for so many milliseconds.
    Wait(u64),
    /// Close and open again.
    Reopen,
    /// Close and open again with other options.
    Change(Box<Setting>),
    /// Let go of all handles, and open again.
    Abort,
    /// Begin to close, drop the future at its so-manyth wait, and open again.
    LeaveClose(u64),
    /// Make a checkpoint, and open it; every later open of the store opens it, too.
    Checkpoint,
    /// Close, open a copy that lacks a piece of its log, and open again.
    Mislay(usize),
}

/// A store.
#[derive(Clone, Debug)]
pub struct StoreProgram {
    /// Where it is.
    pub dir: PathBuf,
    /// Its options.
    pub setting: Setting,
    /// Whether it begins with two keyspaces, tables in two levels, and writes in the log.
    pub is_furnished: bool,
}

impl StoreProgram {
    /// With the mildest settings.
    pub fn new() -> StoreProgram {
        StoreProgram {
            dir: DIR.into(),
            setting: Setting::plain(),
            is_furnished: false,
        }
    }

    /// With this setting instead.
    #[must_use]
    pub fn with(mut self, setting: Setting) -> StoreProgram {
        self.setting = setting;
        self
    }

    /// With something in it from the start.
    #[must_use]
    pub fn furnished(mut self) -> StoreProgram {
        self.is_furnished = true;
        self
    }
}

impl Default for StoreProgram {
    fn default() -> Self {
        StoreProgram::new()
    }
}

/// What a furnished store begins with.
pub(super) fn furniture() -> Vec<StoreOp> {
    let put = |key, space| (space, Change::Put(key, SMALL));
    let write = |writes: &[Write]| StoreOp::Write(writes.to_vec(), Durability::Os);
    vec![
        StoreOp::Create(1, None),
        write(&[put(0, 0), put(1, 0), put(2, 0), put(3, 0), put(0, 1)]),
        StoreOp::Compact(None),
        write(&[put(1, 0), (0, Change::Delete(3)), put(1, 1)]),
        StoreOp::Flush,
        write(&[put(2, 0), put(0, 1)]),
    ]
}

impl Program for StoreProgram {
    type Op = StoreOp;
    type History = StoreHistory;

    fn name(&self) -> &'static str {
        "store"
    }

    fn variants(&self) -> Vec<Self> {
        vec![
            self.clone(),
            self.clone().furnished().with(Setting::busy()),
            self.clone().furnished().with(Setting::busy().without_log()),
        ]
    }

    fn alphabet(&self, large: usize) -> Vec<StoreOp> {
        let put = |key, bytes| (0, Change::Put(key, bytes));
        let across = vec![(1, Change::Put(0, SMALL)), (0, Change::Delete(1))];
        vec![
            StoreOp::Write(vec![put(0, large)], Durability::Disk),
            StoreOp::Write(across, Durability::Os),
            StoreOp::Write(vec![(0, Change::DeleteRange((1, 3)))], Durability::Disk),
            StoreOp::Abandon(vec![put(0, SMALL)], Durability::Disk, 0),
            StoreOp::Together,
            StoreOp::Hold,
            StoreOp::Flush,
            StoreOp::Compact(None),
            StoreOp::Create(2, None),
            StoreOp::Drop(1, None),
            StoreOp::Reopen,
            StoreOp::Abort,
            StoreOp::Checkpoint,
        ]
    }

    fn drawn(&self, choose: &mut dyn FnMut(u32) -> u32) -> Self {
        let is_furnished = choose(2) == 1;
        let drawn = self.clone().with(Setting::drawn(choose));
        match is_furnished {
            false => drawn,
            true => drawn.furnished(),
        }
    }

    fn draw(&self, choose: &mut dyn FnMut(u32) -> u32) -> StoreOp {
        match choose(43) {
            0..14 => StoreOp::Write(batch(choose), durability(choose)),
            14 | 15 => StoreOp::Abandon(batch(choose), durability(choose), choose(4).into()),
            16 | 17 => StoreOp::Together,
            18 | 19 => StoreOp::Hold,
            20 => StoreOp::LetGo,
            21..24 => StoreOp::Flush,
            24 | 25 => StoreOp::FlushBeside,
            26 | 27 => StoreOp::Compact(match choose(2) {
                0 => None,
                _ => Some(span(choose)),
            }),
            28 | 29 => StoreOp::CompactBeside,
            30 | 31 => StoreOp::Create(1 + choose(2) as usize, waits(choose)),
            32 | 33 => StoreOp::Drop(1 + choose(2) as usize, waits(choose)),
            34 => StoreOp::Wait([1, 100, 1500, 6000][choose(4) as usize]),
            35 => StoreOp::Reopen,
            36 => StoreOp::Change(Box::new(Setting::drawn(choose))),
            37 | 38 => StoreOp::Abort,
            39 => StoreOp::Mislay(choose(4) as usize),
            40 => StoreOp::LeaveClose(choose(8).into()),
            _ => StoreOp::Checkpoint,
        }
    }

    fn damaged(history: &mut StoreHistory) {
        history.is_damaged = true;
    }

    fn judge_io(&self, counts: &IoCounts, bytes_on_disk: u64) -> Verdict {
        oracles::recovery_is_bounded(counts, bytes_on_disk)
    }

    async fn live<I: Stage>(&self, io: I, mut life: Life<Self>) -> Verdict {
        let is_faulty = life.is_faulty;
        let opened = Driver::open(self.clone(), io.clone(), life.history.clone(), is_faulty);
        let mut driver = opened.await?;
        while let Some(open) = driver {
            let Some(op) = life.next_op(self, &io) else {
                return open.end().await;
            };
            driver = open.perform(op).await?;
        }
        Ok(())
    }
}

fn batch(choose: &mut dyn FnMut(u32) -> u32) -> Vec<Write> {
    let writes = 1 + choose(4);
    let mut write = || {
        let space = [0, 0, 1, 2][choose(4) as usize];
        let change = match choose(6) {
            0..4 => {
                let key = choose(KEYS.len() as u32) as usize;
                Change::Put(key, [SMALL, 0, SECTOR, PAGE][choose(4) as usize])
            }
            4 => Change::Delete(choose(KEYS.len() as u32) as usize),
            _ => Change::DeleteRange(span(choose)),
        };
        (space, change)
    };
    (0..writes).map(|_| write()).collect()
}

fn span(choose: &mut dyn FnMut(u32) -> u32) -> Span {
    let keys = KEYS.len() as u32;
    (choose(keys) as usize, choose(keys) as usize)
}

fn durability(choose: &mut dyn FnMut(u32) -> u32) -> Durability {
    [Durability::Disk, Durability::Os][choose(2) as usize]
}

fn waits(choose: &mut dyn FnMut(u32) -> u32) -> Option<u64> {
    match choose(3) {
        2 => Some(choose(4).into()),
        _ => None,
    }
}
