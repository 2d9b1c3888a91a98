//! The same operations on a real disk and on the simulated one give the same, when nothing crashes.

use std::path::Path;
use std::sync::{Arc, Mutex};

use quipu_io::DiskIo;
use quipu_io::sim::{Random, Sim, SimOptions};
use quipu_journal::Journal;
use smol::block_on;

use crate::history::History;
use crate::life::{JournalProgram, files, lock, shown};
use crate::log_life::LogProgram;
use crate::notes::Notes;
use crate::workload::{Op, Program, Stage, plain, random_ops, random_options, tiny_segments};

/// What is left: the history, and the files with their sizes.
type Rest = (usize, usize, Vec<(String, usize)>);

async fn run<P: Program, I: Stage>(io: I, dir: &Path, ops: &[P::Op], seed: u64) -> Rest {
    let history: Arc<Mutex<History>> = Arc::default();
    // Snapshots by policy come when they come: only the deterministic part is compared.
    let mut options = tiny_segments();
    options.log.segment_bytes = random_options(&mut Random::new(seed, 3)).log.segment_bytes;
    options.retention = random_options(&mut Random::new(seed, 4)).retention;
    let dir: Arc<Path> = dir.into();
    P::run(
        io.clone(),
        dir.clone(),
        history.clone(),
        ops.to_vec(),
        options,
    )
    .await
    .unwrap();
    let files = files(&io, &dir).await;
    let history = lock(&history);
    let sizes = files
        .into_iter()
        .map(|(name, content)| (name, content.len()));
    (history.line.len(), history.acknowledged, sizes.collect())
}

fn compare<P: Program>(keep: impl Fn(&P::Op) -> bool) {
    for seed in 0..12 {
        let mut ops = random_ops::<P>(&mut Random::new(seed, 5), 12);
        ops.retain(&keep);
        let dir = tempfile::tempdir().unwrap();
        let real = block_on(run::<P, _>(DiskIo::new().unwrap(), dir.path(), &ops, seed));
        let sim = Sim::new(SimOptions::default());
        let dir = Path::new("twin");
        let simulated = sim
            .block_on(run::<P, _>(sim.io(), dir, &ops, seed))
            .unwrap();
        assert_eq!(real, simulated, "seed {seed}: {ops:?}");
    }
}

#[test]
fn journals_on_both_disks_are_the_same() {
    // What tasks at once put into one frame, and what nobody waits for, is up to the schedule.
    compare::<JournalProgram<Notes>>(|op| {
        !matches!(
            op,
            Op::Together(..) | Op::SnapshotBeside | Op::Abandon(_) | Op::Cancel(_)
        )
    });
}

#[test]
fn logs_on_both_disks_are_the_same() {
    compare::<LogProgram>(|op| !matches!(op, crate::workload::LogOp::Abandon(..)));
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
    let rest = block_on(run::<JournalProgram<Notes>, _>(
        DiskIo::new().unwrap(),
        dir.path(),
        &ops,
        0,
    ));
    let mut image = quipu_io::sim::DiskImage::empty(512);
    for (name, content) in block_on(files(&DiskIo::new().unwrap(), dir.path())) {
        image.write(Path::new("twin").join(name), content).unwrap();
    }
    let sim = Sim::boot(image, SimOptions::default());
    let opening = Journal::<Notes, _>::open(sim.io(), "twin", plain());
    let journal = sim.block_on(opening).unwrap().unwrap();
    assert_eq!(shown(&journal).last as usize, rest.0);
}
