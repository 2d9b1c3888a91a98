//! A copy of a closed store that lacks a piece of its log (oracle M5).

use std::io;
use std::path::{Path, PathBuf};

use quipu_io::{EntryKind, File, Io, OpenOptions};
use quipu_journal::check::{Stage, Verdict, files};

use super::driver::{Before, Driver};
use super::oracles::LOG;
use super::state::{Found, told};
use crate::{Db, Result};

/// Where the copy is.
const COPY: &str = "state/copy";

impl<I: Stage> Driver<I> {
    /// Closes, and opens a copy without one of the segments of the log: it shows the same, or does not
    /// open.
    pub(super) async fn mislay(mut self, piece: usize) -> Verdict<Option<Self>> {
        if !self.close().await? {
            return self.abort().await;
        }
        if !self.may_fail() {
            let copied = copy(&self.io, &self.program.dir, piece).await;
            if let Err(error) = copied {
                return LOG.broken(format!("nothing was wrong, and a copy: {error}"));
            }
            self.judge_copy().await?;
        }
        let before = Before {
            at_least: self.history().durable,
            may_be_locked: false,
            oracle: None,
        };
        let setting = self.setting.clone();
        self.begin_again(setting, before).await
    }

    async fn judge_copy(&self) -> Verdict {
        let options = self.setting.options();
        let Ok(db) = Db::open(self.io.clone(), COPY, options).await else {
            return Ok(());
        };
        let keyspaces = self.history().keyspaces();
        let found: Result<Found> = self.found(&db.snapshot(), &keyspaces).await;
        let closed = db.close().await;
        let (Some(found), Some(())) = (self.of_call(found)?, self.of_call(closed)?) else {
            return Ok(());
        };
        self.note_expiry();
        let history = self.history();
        if history.state().fits(&found, history.expired) {
            return Ok(());
        }
        let found: Vec<_> = found.values().map(told).collect();
        LOG.broken(format!(
            "it opens without a segment of the log, and shows {}",
            found.join(", ")
        ))
    }
}

/// Copies a closed store without the segment of the log that has this place.
async fn copy<I: Io>(io: &I, dir: &Path, piece: usize) -> io::Result<()> {
    for part in ["", "wal", "tables"] {
        let (from, to) = (dir.join(part), PathBuf::from(COPY).join(part));
        io.create_dir_all(&to).await?;
        for entry in io.read_dir(&to).await? {
            if entry.kind == EntryKind::File {
                io.remove_file(&to.join(&entry.name)).await?;
            }
        }
        let mut segments = 0;
        for (name, content) in files(io, &from).await? {
            if part == "wal" && name.ends_with(".log") {
                segments += 1;
                if segments == piece + 1 {
                    continue;
                }
            }
            let file = io.open(&to.join(name), OpenOptions::Create).await?;
            file.write_at(0, content).await?;
        }
    }
    Ok(())
}
