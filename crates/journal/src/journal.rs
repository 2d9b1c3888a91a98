//! [`Journal`]: a state machine whose edits are durable before anybody sees them.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use quipu_io::planted::planted;
use quipu_io::{DiskIo, Io};

use crate::append::{Append, AppendBatch};
use crate::codec::{self, Codec};
use crate::directory::Directory;
use crate::format::frame::EDIT_HEADER_BYTES;
use crate::log::core::{Core, Handle, lock};
use crate::log::waiting::Waiting;
use crate::options::{LogOptions, Options};
use crate::reader;
use crate::recovery::{Recovered, Recovery};
use crate::snapshots::{self, Keeper};
use crate::state::{Applied, State, Ticket};
use crate::{Error, Replayable, Result, Seq};

/// A durable state machine. A clone is another handle to the same one.
///
/// Any number of tasks may append and read at once, under any executor. See the
/// [front page](crate) for an example and for what is guaranteed.
pub struct Journal<S: Replayable, I: Io = DiskIo> {
    core: Arc<Handle<I, Applied<S>>>,
}

/// How far a journal has come, and what it keeps.
///
/// `snapshot ≤ applied ≤ synced ≤ written ≤ queued` holds at any time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The edits that the newest snapshot stands for.
    pub snapshot: Seq,
    /// The edits that `read` sees.
    pub applied: Seq,
    /// The edits on disk.
    pub synced: Seq,
    /// The edits in the operating system's hands.
    pub written: Seq,
    /// The edits handed in. Numbers above `written` are not final.
    pub queued: Seq,
    /// Segments on disk.
    pub segments: usize,
    /// Snapshots on disk.
    pub snapshots: usize,
    /// Why the last snapshot or prune failed, if it did. The log goes on, and it is tried again.
    pub snapshot_failure: Option<Error>,
}

impl<S: Replayable, I: Io> Journal<S, I> {
    /// Opens the journal in `dir`, or begins one; the directory is created where it is missing.
    ///
    /// Replays the newest sound snapshot and the edits behind it. When this answers, everything
    /// that it shows is durable, and no later crash takes it back. It runs on the backend's own
    /// threads, and to its end even if the future is dropped.
    ///
    /// # Errors
    ///
    /// Nothing of the journal has changed when this fails before the last step, which can only fail
    /// with `Io` or `NoSpace`; the directory and an empty lock file may have been created.
    ///
    /// - `Locked` while it is open elsewhere.
    /// - `Corrupt`, `NotAJournal`: damage that no crash explains. `UnsupportedVersion`,
    ///   `UnsupportedCodec`: a newer release wrote it.
    /// - `Decode`, `Apply`: an intact edit that this program cannot take.
    /// - `NoSpace`: an unclean journal needs a new segment. A [`Reader`](crate::Reader) reads it all
    ///   the same.
    /// - `Io`, `Invalid`.
    pub fn open(
        io: I,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> impl Future<Output = Result<Self>> + Send + 'static {
        let directory = Directory::new(io.clone(), dir.as_ref(), S::filename_prefix());
        async move {
            options.log.check()?;
            let directory = directory?;
            let (answer, waiting) = Waiting::new();
            io.spawn(async move {
                // If nobody is waiting any more, the journal ends here.
                let _ = answer.send(open(directory, options).await);
            });
            waiting.await
        }
    }

    /// Appends an edit, applies it once it is durable, and answers what `apply` said.
    ///
    /// Queued when called: the order of calls is the order of edits, before anything is polled.
    /// Dropping the future takes nothing back.
    ///
    /// # Errors
    ///
    /// - `NotCommitted`: it was not written and never will be; try again once its cause is gone.
    /// - `InDoubt`: the write or the sync failed; the next open decides.
    /// - `Poisoned`, `Closed`, `Overloaded`, `TooLarge`, `Encode`: refused at once.
    pub fn append(&self, edit: S::Edit) -> Append<S> {
        let (answer, waiting) = Waiting::patient(&self.core.patience);
        let mut payload = Vec::with_capacity(128);
        let queued = put_edit(&mut payload, &edit, &self.core.options).and_then(|()| {
            self.core
                .append(&[&payload], 1, Ticket::One(edit, answer), true)
        });
        Append(match queued {
            Ok(()) => waiting,
            Err(error) => Waiting::refused(error),
        })
    }

    /// Appends edits that become durable together, next to each other in the log.
    ///
    /// Each answers for itself: one that is refused does not undo the others. Whatever must be
    /// decided as a whole is one edit. Errors as for [`append`](Journal::append).
    pub fn append_batch(&self, edits: impl IntoIterator<Item = S::Edit>) -> AppendBatch<S> {
        let edits: Vec<S::Edit> = edits.into_iter().collect();
        let (answer, waiting) = Waiting::patient(&self.core.patience);
        if edits.is_empty() {
            let open = self.core.check_open();
            // The receiver is at hand, so this cannot fail.
            let _ = answer.send(open.map(|()| (Seq::ZERO, Vec::new())));
            return AppendBatch(waiting);
        }
        let mut payload = Vec::new();
        let encoded = edits
            .iter()
            .try_for_each(|edit| put_edit(&mut payload, edit, &self.core.options));
        let queued = encoded.and_then(|()| {
            let count = u32::try_from(edits.len()).map_err(|_| Error::TooLarge {
                bytes: payload.len() as u64,
                limit: self.core.options.max_frame_bytes as u64,
            })?;
            self.core
                .append(&[&payload], count, Ticket::Batch(edits, answer), true)
        });
        AppendBatch(match queued {
            Ok(()) => waiting,
            Err(error) => Waiting::refused(error),
        })
    }

    /// Looks at the state as of the last durable edit.
    ///
    /// Edits are not applied while `look` runs: keep it short, and do not wait in it. To append in
    /// it is fine; `read`, [`status`](Journal::status) and `Debug` of the same journal may wait
    /// for ever there, behind an edit that waits for `look` to end.
    pub fn read<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        look(&self.core.machine.read().machine)
    }

    /// Takes a snapshot of the durable state, and removes what it makes superfluous.
    ///
    /// Answers with the edits that it stands for, at once if the newest stands for all. Runs to its
    /// end even if the future is dropped. A failure leaves the log as it was.
    pub fn snapshot(&self) -> impl Future<Output = Result<Seq>> + Send + 'static {
        let (answer, waiting) = Waiting::new();
        let core = self.core.clone();
        self.core.directory.io.spawn(async move {
            // Nobody may be waiting any more.
            let _ = answer.send(snapshots::take(&core).await);
        });
        waiting
    }

    /// Finishes what is queued, seals the log and releases the lock, for all clones.
    ///
    /// Takes effect when called; the future only waits. A snapshot under way is given up. Later
    /// appends fail with `Closed`, and so does a second close. Without it the next open finds the
    /// journal unclean, and loses nothing.
    pub fn close(&self) -> impl Future<Output = Result<()>> + Send + 'static {
        self.core.close()
    }

    /// Why nothing more can be appended: `Poisoned` with the first failure, or `Closed`. `None` while
    /// the journal works.
    pub fn stopped(&self) -> Option<Error> {
        self.core.check_open().err()
    }

    /// What open found and did.
    pub fn recovered(&self) -> &Recovered {
        &self.core.recovered
    }

    /// How far the journal has come.
    pub fn status(&self) -> Status {
        // Each position is read before those that may not be below it.
        let keeper = lock(&self.core.machine.keeper);
        let snapshot = keeper.newest.map_or(Seq::ZERO, |newest| newest.seq);
        let snapshot_failure = keeper.failure.clone();
        drop(keeper);
        let applied = self.core.machine.read().applied;
        let positions = self.core.positions();
        assert!(
            snapshot <= applied && applied <= positions.synced,
            "positions are out of order"
        );
        let files = lock(&self.core.files);
        Status {
            snapshot,
            applied,
            synced: positions.synced,
            written: positions.written,
            queued: positions.queued,
            segments: files.segments.len(),
            snapshots: files.snapshots.len(),
            snapshot_failure,
        }
    }
}

/// Encodes one edit as it stands in a frame.
fn put_edit<E: serde::Serialize>(
    payload: &mut Vec<u8>,
    edit: &E,
    options: &LogOptions,
) -> Result<()> {
    let start = payload.len() + EDIT_HEADER_BYTES;
    payload.resize(start, 0);
    codec::encode(edit, payload).map_err(|reason| Error::Encode { reason })?;
    let len = payload.len() - start;
    match u32::try_from(len) {
        Ok(stored) if len <= options.max_edit_bytes => {
            payload[start - EDIT_HEADER_BYTES..start].copy_from_slice(&stored.to_le_bytes());
            Ok(())
        }
        _ => {
            let (bytes, limit) = (len as u64, options.max_edit_bytes as u64);
            Err(Error::TooLarge { bytes, limit })
        }
    }
}

#[tracing::instrument(name = "journal.open", level = "debug", skip_all, fields(path = %directory.path.display()))]
async fn open<S: Replayable, I: Io>(
    directory: Directory<I>,
    options: Options,
) -> Result<Journal<S, I>> {
    let mut recovery = Recovery::begin(directory, Codec::Bincode).await?;
    let mut state = load_snapshot::<S, I>(&mut recovery).await?;
    recovery.start_after(state.applied);
    while let Some(frame) = recovery.next_frame().await? {
        state.replay(&frame, &recovery.current_path())?;
    }
    let damaged: Vec<Seq> = recovery
        .snapshots()
        .iter()
        .copied()
        .filter(|seq| {
            let path = recovery.directory().snapshot(*seq);
            recovery
                .report()
                .skipped_snapshots
                .iter()
                .any(|(skipped, _)| *skipped == path)
        })
        .collect();
    let opened = recovery.finish(&options.log).await?;
    assert_eq!(
        opened.report.last_seq, state.applied,
        "replay went through the whole log"
    );
    tracing::info!(recovered = %opened.report, "journal opened");
    let keeper = Keeper {
        policy: options.snapshots,
        retention: options.retention,
        newest: opened.report.snapshot,
        damaged,
        log_bytes: opened.report.log_bytes,
        excused_segments: 0,
        automatic: false,
        failure: None,
    };
    let core = Core::new(opened, options.log, Applied::new(state, keeper));
    if !planted("open answers before an overdue snapshot") {
        snapshots::catch_up(&core).await;
    }
    snapshots::after_round(&core, 0);
    Ok(Journal {
        core: Arc::new(Handle(core)),
    })
}

/// The state of the newest sound snapshot; the initial one if the log goes back to the first edit.
async fn load_snapshot<S: Replayable, I: Io>(recovery: &mut Recovery<I>) -> Result<State<S>> {
    let mut newest_error = None;
    for seq in recovery.snapshots().to_vec().into_iter().rev() {
        match reader::load_snapshot::<S, I>(recovery.directory(), seq).await {
            Ok((state, loaded)) => {
                recovery.report_mut().snapshot = Some(loaded);
                return Ok(state);
            }
            // Damage falls back to the one before; what this program cannot take does not.
            Err(error) if reader::is_damage(&error) => {
                let path = recovery.directory().snapshot(seq);
                recovery
                    .report_mut()
                    .skipped_snapshots
                    .push((path, error.clone()));
                newest_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match newest_error {
        Some(error)
            if !recovery.reaches_first_edit() && !planted("no sound snapshot is no snapshot") =>
        {
            Err(error)
        }
        _ => Ok(State::initial()),
    }
}

impl<S: Replayable, I: Io> Clone for Journal<S, I> {
    fn clone(&self) -> Self {
        Journal {
            core: self.core.clone(),
        }
    }
}

impl<S: Replayable, I: Io> fmt::Debug for Journal<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.core.directory.path)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
