//! One lifetime, with the disk and the history of every moment at which it could have crashed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quipu_io::sim::{CrashKind, DiskImage, Sim, SimOptions, Tape};
use quipu_journal::check::{History, Life, Program, Verdict};

/// A moment at which a crash could matter, and what had happened until then.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) kind: CrashKind,
    pub(crate) image: DiskImage,
    pub(crate) history: History,
}

/// A life that is over.
#[derive(Debug)]
pub(crate) struct Lived {
    /// Where it could have ended earlier, and the end.
    pub(crate) points: Vec<Point>,
    pub(crate) result: Verdict,
}

/// The mildest world with this kind of crash before it.
pub(crate) fn calm(profile: quipu_io::sim::Profile, tape: Tape, seed: u64) -> SimOptions {
    SimOptions {
        profile,
        tape,
        seed,
        ..SimOptions::default()
    }
}

/// Boots from the image and runs the program until its operations are done.
pub(crate) fn live<P: Program<History = History>>(
    program: &P,
    image: DiskImage,
    history: History,
    ops: &[P::Op],
    options: SimOptions,
) -> Lived {
    let sim = Sim::boot(image, options);
    let life = Life::<P>::new(history, ops);
    let points = Arc::new(Mutex::new(Vec::new()));
    let (seen, collected) = (life.history.clone(), points.clone());
    sim.on_crash_point(move |point| {
        let history = lock(&seen).clone();
        let (kind, image) = (point.kind, point.image);
        lock(&collected).push(Point {
            kind,
            image,
            history,
        });
    });
    let result = sim.block_on(program.live(sim.io(), life)).unwrap();
    let points = std::mem::take(&mut *lock(&points));
    Lived { points, result }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
