//! What can be seen of a journal: what an open has shown, every edit, the files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use bytes::Bytes;
use quipu_io::{EntryKind, File, Io, OpenOptions};

use super::history::History;
use super::oracles::{self, PREFIX, Shown};
use super::violation::Verdict;
use crate::{Error, Journal, Reader, Replayable, Seq, laws};

/// What this journal showed when it was opened.
pub fn shown<S: Replayable, I: Io>(journal: &Journal<S, I>) -> Verdict<Shown> {
    let recovered = journal.recovered();
    Ok(Shown {
        last: recovered.last_seq.get(),
        state: Some(journal.read(oracles::state::<S>)?),
        snapshot: recovered.snapshot.map(|snapshot| snapshot.seq.get()),
        ..Shown::default()
    })
}

/// Reads every edit of a closed journal, and goes back in time.
pub(super) async fn read_all<S: Replayable, I: Io>(
    io: &I,
    dir: &Path,
    history: &History,
) -> Verdict {
    let opened = Reader::<S, I>::open(io.clone(), dir).await;
    let mut reader = opened.or_else(unread)?;
    let mut edits = Vec::new();
    let mut first = None;
    while let Some((seq, edit)) = reader.next().await.or_else(unread)? {
        first.get_or_insert(seq.get());
        let bytes = laws::encode::<S>(&edit);
        edits.push(bytes.or_else(|error| PREFIX.broken(error.to_string()))?);
    }
    let last = history.line.len() as u64;
    let floor = first.map_or(last, |first| first - 1);
    let shown = Shown {
        last,
        floor,
        edits: Some(edits),
        ..Shown::default()
    };
    oracles::recovered_edits_are_a_prefix(history, &shown)?;
    for seq in [last, (floor + last).div_ceil(2)] {
        let opened = Reader::<S, I>::open(io.clone(), dir).await;
        let machine = match opened.or_else(unread)?.replay_to(Seq::new(seq)).await {
            Err(Error::NotRetained { .. }) if seq < last => continue,
            other => other.or_else(unread)?,
        };
        let expected = oracles::encoded_fold::<S>(history, seq)?;
        oracles::replays_are_equal(&expected, &oracles::state(&machine)?)?;
    }
    Ok(())
}

/// Oracle 14: what a life has left unfinished is gone once the next has opened.
pub(super) async fn nothing_temporary_is_left<I: Io>(io: &I, dir: &Path) -> Verdict {
    let entries = io.read_dir(dir).await.or_else(unread)?;
    let mut names = entries.iter().map(|entry| entry.name.to_string_lossy());
    match names.find(|name| name.ends_with(".tmp")) {
        Some(name) => oracles::BOUNDED.broken(format!("{name} is still there")),
        None => Ok(()),
    }
}

pub(super) fn unread<T>(error: impl fmt::Display) -> Verdict<T> {
    oracles::OPENS.broken(format!("a reader: {error}"))
}

/// All files of a directory, with their bytes.
pub async fn files<I: Io>(io: &I, dir: &Path) -> std::io::Result<BTreeMap<String, Bytes>> {
    let mut files = BTreeMap::new();
    for entry in io.read_dir(dir).await? {
        if entry.kind == EntryKind::File {
            let path = dir.join(&entry.name);
            let file = io.open(&path, OpenOptions::ReadOnly).await?;
            let size = usize::try_from(file.size().await?).unwrap_or(usize::MAX);
            let content = file.read_at(0, size).await?;
            files.insert(entry.name.to_string_lossy().into_owned(), content);
        }
    }
    Ok(files)
}
