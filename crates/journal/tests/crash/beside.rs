//! A reader beside a writer, under random schedules.

use std::sync::{Arc, Mutex};

use futures::channel::oneshot;
use quipu_io::sim::{CrashPoint, Profile, Sim, SimIo, SimOptions, Tape};
use quipu_io::{Io, Runtime};
use quipu_journal::check::settings::{busy, plain, tiny_segments};
use quipu_journal::check::{DIR, History, Life, Notes, Op, Program, SECTOR, SMALL, oracles};
use quipu_journal::{Error, Journal, Options, Reader, Seq, laws};

use crate::explored::variable;
use crate::life::lock;
use crate::notes::notes;

/// What a reader has seen of a running journal: the highest edit, at the crash points from then on.
type Seen = Arc<Mutex<u64>>;

/// Reads all there is, again and again, until the writer has ended.
async fn read_on(
    io: SimIo,
    history: Arc<Mutex<History>>,
    seen: Seen,
    mut ended: oneshot::Receiver<()>,
) -> Result<(), String> {
    let mut passes = 0;
    loop {
        let last_pass = ended.try_recv() != Ok(None);
        match read_once(&io, &history, &seen).await {
            Ok(()) | Err(Error::NotRetained { .. }) => {}
            // The directory may not be there yet.
            Err(Error::Io { source }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("pass {passes}: {error:?}")),
        }
        if last_pass {
            return Ok(());
        }
        passes += 1;
        io.sleep(std::time::Duration::from_micros(37)).await;
    }
}

async fn read_once(io: &SimIo, history: &Arc<Mutex<History>>, seen: &Seen) -> Result<(), Error> {
    let mut reader = Reader::<Notes, _>::open(io.clone(), DIR).await?;
    let mut last = Seq::ZERO;
    while let Some((seq, edit)) = reader.next().await? {
        let bytes = laws::encode::<Notes>(&edit).unwrap();
        let issued = lock(history).line[seq.get() as usize - 1].edit.clone();
        assert_eq!(*issued, *bytes, "edit {seq} is not the one that was issued");
        last = seq;
        let mut seen = lock(seen);
        *seen = (*seen).max(seq.get());
    }
    if last > Seq::ZERO {
        let mut reader = Reader::<Notes, _>::open(io.clone(), DIR).await?;
        let machine = reader.replay_to(last).await?;
        let expected = oracles::encoded_fold::<Notes>(&lock(history), last.get()).unwrap();
        assert_eq!(
            oracles::state(&machine).unwrap(),
            expected,
            "time travel to {last}"
        );
    }
    Ok(())
}

/// Runs both; at some crash points loses all that can be lost, and looks whether what the reader
/// was shown is still there.
fn check(seed: u64, options: &Options, ops: &[Op]) {
    let sim = Sim::new(SimOptions {
        step_limit: 2_000_000,
        ..SimOptions::seeded(seed)
    });
    let (history, seen): (Arc<Mutex<History>>, Seen) = Default::default();
    let points = Arc::new(Mutex::new(Vec::<(CrashPoint, u64)>::new()));
    let (collected, shown) = (points.clone(), seen.clone());
    sim.on_crash_point(move |point| {
        let shown = *lock(&shown);
        lock(&collected).push((point, shown));
    });
    let io = sim.io();
    let (end, ended) = oneshot::channel();
    let (answer, answered) = oneshot::channel();
    let reading = read_on(io.clone(), history.clone(), seen, ended);
    io.spawn(async move {
        let _ = answer.send(reading.await);
    });
    let mut life = Life::new(History::default(), ops);
    life.history = history;
    let program = notes(options);
    let writing = program.live(io.clone(), life);
    let both = async {
        writing.await.unwrap();
        let _ = end.send(());
        answered.await.unwrap()
    };
    let read = sim.block_on(both).unwrap();
    read.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    for (point, shown) in lock(&points).drain(..) {
        for tape in [Tape::replay([u32::MAX; 1000]), Tape::seeded(seed)] {
            let sim = Sim::boot(
                point.image.clone(),
                SimOptions {
                    profile: Profile::Posix,
                    tape,
                    ..SimOptions::default()
                },
            );
            let opening = Journal::<Notes, _>::open(sim.io(), DIR, options.clone());
            let journal = sim.block_on(opening).unwrap().unwrap();
            let last = journal.recovered().last_seq.get();
            assert!(
                last >= shown,
                "seed {seed}: {shown} edits were shown, {last} are left"
            );
        }
    }
}

#[test]
fn a_reader_beside_a_writer_sees_only_what_stays() {
    let ops = [
        Op::Append(SMALL),
        Op::Together(3, SECTOR),
        Op::Snapshot,
        Op::Batch(2, SMALL),
        Op::Reopen,
        Op::Together(2, SMALL),
        Op::SnapshotBeside,
        Op::Append(SECTOR),
    ];
    for seed in 0..variable("QUIPU_SEEDS", 30) {
        let options = [plain(), tiny_segments(), busy(1), busy(2)];
        check(seed, &options[seed as usize % 4], &ops);
    }
}
