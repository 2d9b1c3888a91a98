//! [`Reader`]: the edits of a journal, and its state as of any of them, without a lock.

use std::fmt;
use std::future::Future;
use std::path::Path;

use futures::stream::{self, Stream};
use quipu_io::planted::planted;
use quipu_io::{DiskIo, Io};

use crate::codec::Codec;
use crate::directory::Directory;
use crate::snapshot::SnapshotReader;
use crate::state::{State, decode};
use crate::{Error, Replayable, Result, Seq, log};

/// Reads a journal's edits in order, from the first that is retained to the last that is proven.
///
/// It takes no lock and changes nothing, so it works beside a writer, on a read-only copy, and on a
/// full disk. What a writer appended last is shown once the next frame, a seal or a snapshot proves
/// it: never an edit that a crash can take back.
pub struct Reader<S: Replayable, I: Io = DiskIo> {
    log: log::Reader<I>,
    machine: std::marker::PhantomData<fn() -> S>,
}

impl<S: Replayable, I: Io> Reader<S, I> {
    /// Opens the journal in `dir` for reading.
    ///
    /// A directory without any file of it gives a reader that ends at once. Fails with `Corrupt`
    /// and others as [`Journal::open`](crate::Journal::open) does, and with `Io` where the directory
    /// is missing.
    pub fn open(
        io: I,
        dir: impl AsRef<Path>,
    ) -> impl Future<Output = Result<Self>> + Send + 'static {
        let opening = log::Reader::open_as(
            Directory::new(io, dir.as_ref(), S::filename_prefix()),
            Some(Codec::Bincode),
        );
        async move {
            Ok(Reader {
                log: opening.await?,
                machine: std::marker::PhantomData,
            })
        }
    }

    /// The next proven edit with its number, or `None` at the end of what is proven.
    ///
    /// Fails with `Decode` at an edit that is not one of `S`, and with `NotRetained` if a writer
    /// has pruned what was to come next.
    pub async fn next(&mut self) -> Result<Option<(Seq, S::Edit)>> {
        let Some(entry) = self.log.next().await? else {
            return Ok(None);
        };
        let edit = decode::<S>(&entry.payload, entry.seq, self.log.path(), entry.offset)?;
        Ok(Some((entry.seq, edit)))
    }

    /// The edits as a stream, which ends behind the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<(Seq, S::Edit)>> + Send {
        stream::unfold(Some(self), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(edit)) => Some((Ok(edit), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The state as of edit `seq`, by the newest snapshot that is not above it and the edits from
    /// there: time travel within what is retained.
    ///
    /// Fails with `NotRetained` if `seq` lies before what is retained, with `NotProven` if it lies
    /// behind what is proven, with `Apply` if an edit panics, and with `Corrupt` if damage is all
    /// that is left to begin with.
    pub async fn replay_to(&mut self, seq: Seq) -> Result<S> {
        let first = self.log.first_retained();
        let usable = self.log.snapshots().iter().copied().filter(|snapshot| {
            *snapshot <= seq || planted("time travel begins at the newest snapshot")
        });
        let newest_first = usable.rev().collect();
        let loaded = self.load(newest_first).await?;
        let mut state =
            loaded
                .filter(|state| state.applied >= first)
                .ok_or(Error::NotRetained {
                    seq,
                    first: first.next(),
                })?;
        self.log.start_after(state.applied);
        while state.applied < seq {
            let Some(entry) = self.log.next().await? else {
                let proven = self.log.proven();
                return Err(Error::NotProven { seq, proven });
            };
            state.apply_encoded(&entry, self.log.path())?;
        }
        Ok(state.machine)
    }

    /// The oldest state that can be had, and the edit that it is as of: the initial state, as of
    /// edit 0, where all edits are retained, or else that of the oldest sound snapshot.
    ///
    /// [`next`](Reader::next) then goes on behind it: whoever applies what that gives has seen every
    /// state there is to be seen. Fails as [`replay_to`](Reader::replay_to) does.
    pub async fn replay_oldest(&mut self) -> Result<(Seq, S)> {
        let first = self.log.first_retained();
        let usable = match first {
            Seq::ZERO => Vec::new(),
            _ => self.log.snapshots().to_vec(),
        };
        let usable = usable.into_iter().filter(|snapshot| *snapshot >= first);
        let state = self
            .load(usable.collect())
            .await?
            .ok_or(Error::NotRetained {
                seq: first,
                first: first.next(),
            })?;
        self.log.start_after(state.applied);
        Ok((state.applied, state.machine))
    }

    /// Everything up to here is proven to be durable, as far as this reader has read.
    pub fn proven(&self) -> Seq {
        self.log.proven()
    }

    /// The state of the first of these snapshots that is sound, or the initial one if nothing that
    /// came after it is missing.
    async fn load(&self, snapshots: Vec<Seq>) -> Result<Option<State<S>>> {
        let mut damage = None;
        for snapshot in snapshots {
            match load_snapshot(self.log.directory(), snapshot).await {
                Ok((state, _)) => return Ok(Some(state)),
                // One that is gone was pruned meanwhile.
                Err(error) if error.is_corrupt() => damage = Some(error),
                Err(error) if is_damage(&error) => {}
                Err(error) => return Err(error),
            }
        }
        match damage {
            _ if self.log.first_retained() == Seq::ZERO => Ok(Some(State::initial())),
            Some(damage) => Err(damage),
            None => Ok(None),
        }
    }
}

/// The state that a snapshot holds, each part verified and applied.
pub(crate) async fn load_snapshot<S: Replayable, I: Io>(
    directory: &Directory<I>,
    seq: Seq,
) -> Result<(State<S>, crate::LoadedSnapshot)> {
    let mut state = State::<S>::initial();
    let mut reader = SnapshotReader::open(directory, Some(Codec::Bincode), seq).await?;
    while let Some((offset, part)) = reader.next().await? {
        state.load(&part, seq, reader.path(), offset)?;
    }
    state.applied = seq;
    Ok((state, reader.loaded()))
}

/// Whether a snapshot may be passed over for the one before: not if this program cannot take it.
pub(crate) fn is_damage(error: &Error) -> bool {
    error.is_corrupt() || matches!(error, Error::Io { .. })
}

impl<S: Replayable, I: Io> fmt::Debug for Reader<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.log).finish()
    }
}
