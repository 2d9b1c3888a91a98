//! The same operations on a real disk and on the simulated one give the same, when nothing crashes.

use std::path::Path;

use quipu_io::DiskIo;
use quipu_io::sim::{DiskImage, Random, Sim, SimOptions};
use quipu_journal::check::settings::{self, plain, tiny_segments};
use quipu_journal::check::{
    DIR, History, JournalProgram, Life, LogOp, LogProgram, Notes, Op, Program, Stage, files, shown,
};
use quipu_journal::{Journal, Options};
use smol::block_on;

use crate::life::lock;
use crate::notes::notes;

/// What is left: the history, and the files with their sizes.
type Rest = (usize, usize, Vec<(String, usize)>);

async fn run<P: Program<History = History>, I: Stage>(
    program: &P,
    io: I,
    dir: &Path,
    ops: &[P::Op],
) -> Rest {
    let life = Life::<P>::new(History::default(), ops);
    let history = life.history.clone();
    program.live(io.clone(), life).await.unwrap();
    let files = files(&io, dir).await.unwrap();
    let history = lock(&history);
    let sizes = files
        .into_iter()
        .map(|(name, content)| (name, content.len()));
    (history.line.len(), history.acknowledged, sizes.collect())
}

/// Runs the same on both, given a program with these options in this directory.
fn compare<P: Program<History = History>>(
    make: impl Fn(Options, &Path) -> P,
    keep: impl Fn(&P::Op) -> bool,
) {
    for seed in 0..12 {
        let mut random = Random::new(seed, 5);
        // Snapshots by policy come when they come: only the deterministic part is compared.
        let mut options = tiny_segments();
        let drawn = settings::drawn(&mut |radix| random.below(radix));
        options.log.segment_bytes = drawn.log.segment_bytes;
        options.retention = drawn.retention;
        let draw = make(plain(), Path::new(DIR));
        let mut ops: Vec<_> = (0..12)
            .map(|_| draw.draw(&mut |radix| random.below(radix)))
            .collect();
        ops.retain(&keep);
        let dir = tempfile::tempdir().unwrap();
        let program = make(options.clone(), dir.path());
        let real = block_on(run(&program, DiskIo::new().unwrap(), dir.path(), &ops));
        let sim = Sim::new(SimOptions::default());
        let dir = Path::new("twin");
        let program = make(options, dir);
        let simulated = sim.block_on(run(&program, sim.io(), dir, &ops)).unwrap();
        assert_eq!(real, simulated, "seed {seed}: {ops:?}");
    }
}

fn journal(options: Options, dir: &Path) -> JournalProgram<Notes> {
    let mut program = notes(&options);
    program.dir = dir.to_owned();
    program
}

fn log(options: Options, dir: &Path) -> LogProgram {
    let mut program = LogProgram::new().with(options);
    program.dir = dir.to_owned();
    program
}

#[test]
fn journals_on_both_disks_are_the_same() {
    // What tasks at once put into one frame, and what nobody waits for, is up to the schedule.
    compare(journal, |op| {
        !matches!(
            op,
            Op::Together(..)
                | Op::SnapshotBeside
                | Op::Abandon(_)
                | Op::Cancel(_)
                | Op::ReopenImpatiently
        )
    });
}

#[test]
fn logs_on_both_disks_are_the_same() {
    compare(log, |op| !matches!(op, LogOp::Abandon(..)));
}

/// What one backend has written, the other opens: the bytes are the same but for the generations.
#[test]
fn a_journal_moves_from_the_real_disk_to_the_simulated_one() {
    let dir = tempfile::tempdir().unwrap();
    let ops = [
        Op::Append(5),
        Op::Batch(2, 600),
        Op::Snapshot,
        Op::Append(5),
        Op::Reopen,
    ];
    let disk = DiskIo::new().unwrap();
    let program = journal(tiny_segments(), dir.path());
    let rest = block_on(run(&program, disk.clone(), dir.path(), &ops));
    let mut image = DiskImage::empty(512);
    for (name, content) in block_on(files(&disk, dir.path())).unwrap() {
        image.write(Path::new("twin").join(name), content).unwrap();
    }
    let sim = Sim::boot(image, SimOptions::default());
    let opening = Journal::<Notes, _>::open(sim.io(), "twin", plain());
    let journal = sim.block_on(opening).unwrap().unwrap();
    assert_eq!(shown(&journal).unwrap().last as usize, rest.0);
}
