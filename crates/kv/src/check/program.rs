//! [`ManifestProgram`]: the life of an LSM tree as a program under test.

use std::path::PathBuf;

use quipu_io::sim::IoCounts;
use quipu_journal::Options;
use quipu_journal::check::{
    Answers, Life, Program, SECTOR, SMALL, Stage, Verdict, oracles, settings,
};

use super::driver::Driver;
use super::history::ManifestHistory;

/// The directory of the manifest, and the one of the tables beside it.
const DIRS: [&str; 2] = ["state/manifest", "state/tables"];

/// What the owner of a manifest does. Sizes are bytes of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestOp {
    /// Write a table of the first keyspace, and record it.
    Flush(usize),
    /// Record that nothing is to be flushed up to here.
    FlushNothing,
    /// Write a table of the first keyspace and one of the last, and record both at once.
    FlushTwo,
    /// Write half of a table, and give it up.
    GiveUp,
    /// Give a number up, and use it all the same.
    ThinkAgain,
    /// Record a table under a number that nobody has handed out.
    Import,
    /// Replace level 0 of the first keyspace, and what it overlaps in level 1, by so many tables.
    Compact(usize),
    /// Move a table of the first keyspace to the next level, if it fits there.
    Move,
    /// Drop the last keyspace and create it anew.
    Recreate,
    /// Create another keyspace.
    Create,
    /// Record what does not fit.
    Refused(Misfit),
    /// Record a flush, do not wait for it, and give its number up.
    Abandon,
    /// Record a flush and a compaction, and delete what is obsolete while they are under way.
    Together,
    /// Hold the version.
    Pin,
    /// Read all tables of the versions that are held, and let go of them.
    Unpin,
    /// Delete what is obsolete, and sync the directory or not.
    Sweep(bool),
    /// Take a snapshot and wait for it.
    Snapshot,
    /// Begin a snapshot, and go on.
    SnapshotBeside,
    /// Close and open again.
    Reopen,
}

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// A compaction whose output overlaps what stays in its level.
    Overlap,
    /// A flush whose second table has a number that was used.
    UsedNumber,
    /// A flush that leaves a gap behind the last one.
    Gap,
    /// A compaction of a table that is not there.
    UnknownInput,
    /// A keyspace that needs what is cut off the log.
    BehindFloor,
}

const MISFITS: [Misfit; 5] = [
    Misfit::Overlap,
    Misfit::UsedNumber,
    Misfit::Gap,
    Misfit::UnknownInput,
    Misfit::BehindFloor,
];

/// A manifest, and a directory of tables beside it.
#[derive(Clone, Debug)]
pub struct ManifestProgram {
    /// Where the manifest is.
    pub dir: PathBuf,
    /// Where its tables are.
    pub tables: PathBuf,
    /// The options of the journal underneath.
    pub options: Options,
    /// Whether it begins with two keyspaces, a table in level 0 of each, and one in level 1.
    pub is_furnished: bool,
}

impl ManifestProgram {
    /// With the mildest settings.
    pub fn new() -> ManifestProgram {
        let [dir, tables] = DIRS.map(PathBuf::from);
        ManifestProgram {
            dir,
            tables,
            options: settings::plain(),
            is_furnished: false,
        }
    }

    /// With these options instead.
    #[must_use]
    pub fn with(mut self, options: Options) -> ManifestProgram {
        self.options = options;
        self
    }

    /// With something in it from the start.
    #[must_use]
    pub fn furnished(mut self) -> ManifestProgram {
        self.is_furnished = true;
        self
    }
}

impl Default for ManifestProgram {
    fn default() -> Self {
        ManifestProgram::new()
    }
}

impl Program for ManifestProgram {
    type Op = ManifestOp;
    type History = ManifestHistory;

    fn name(&self) -> &'static str {
        "manifest"
    }

    fn variants(&self) -> Vec<Self> {
        vec![
            self.clone(),
            self.clone().furnished(),
            self.clone().furnished().with(settings::eager()),
        ]
    }

    fn alphabet(&self, large: usize) -> Vec<ManifestOp> {
        vec![
            ManifestOp::Flush(large),
            ManifestOp::FlushTwo,
            ManifestOp::Compact(2),
            ManifestOp::Move,
            ManifestOp::Recreate,
            ManifestOp::Refused(Misfit::Overlap),
            ManifestOp::Abandon,
            ManifestOp::Together,
            ManifestOp::Pin,
            ManifestOp::Sweep(true),
            ManifestOp::Snapshot,
            ManifestOp::Reopen,
        ]
    }

    fn drawn(&self, choose: &mut dyn FnMut(u32) -> u32) -> Self {
        let drawn = self.clone().with(settings::drawn(choose));
        match choose(2) {
            0 => drawn,
            _ => drawn.furnished(),
        }
    }

    fn draw(&self, choose: &mut dyn FnMut(u32) -> u32) -> ManifestOp {
        match choose(30) {
            0..5 => ManifestOp::Flush([SMALL, SECTOR][choose(2) as usize]),
            5 => ManifestOp::FlushNothing,
            6 | 7 => ManifestOp::FlushTwo,
            8 => ManifestOp::GiveUp,
            9 => ManifestOp::ThinkAgain,
            10 => ManifestOp::Import,
            11..14 => ManifestOp::Compact(1 + choose(3) as usize),
            14 | 15 => ManifestOp::Move,
            16 => ManifestOp::Recreate,
            17 => ManifestOp::Create,
            18 | 19 => ManifestOp::Refused(MISFITS[choose(MISFITS.len() as u32) as usize]),
            20 => ManifestOp::Abandon,
            21 | 22 => ManifestOp::Together,
            23 => ManifestOp::Pin,
            24 => ManifestOp::Unpin,
            25 | 26 => ManifestOp::Sweep(choose(2) == 0),
            27 => ManifestOp::Snapshot,
            28 => ManifestOp::SnapshotBeside,
            _ => ManifestOp::Reopen,
        }
    }

    fn damaged(history: &mut ManifestHistory) {
        history.edits.is_damaged = true;
    }

    fn judge_io(&self, counts: &IoCounts, bytes_on_disk: u64) -> Verdict {
        oracles::recovery_is_bounded(counts, bytes_on_disk)
    }

    async fn live<I: Stage>(&self, io: I, mut life: Life<Self>) -> Verdict {
        let answers = Answers::new(life.is_faulty, life.history.clone());
        let mut driver = Driver::open(self.clone(), io.clone(), answers).await?;
        while let Some(open) = driver {
            let Some(op) = life.next_op(self, &io) else {
                io.promised("the end").await;
                return Ok(());
            };
            driver = open.perform(op).await?;
        }
        Ok(())
    }
}
