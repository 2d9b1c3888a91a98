//! What a [`Driver`] does with files: write tables, read them, and delete what is obsolete.

use std::collections::BTreeSet;
use std::io;

use quipu_journal::check::{Stage, Verdict};

use super::driver::{Driver, of_journal, unless_failed};
use super::oracles;
use crate::manifest::{FileNum, SstMetadata, Version};

impl<I: Stage> Driver<I> {
    /// Writes tables and makes them and their names durable, or gives them up.
    pub(super) async fn write(&mut self, tables: &[SstMetadata]) -> Verdict<bool> {
        let written = tables.is_empty() || self.try_to_write(tables).await?;
        if !written {
            for table in tables {
                self.manifest.abandon(table.filenum);
            }
        }
        Ok(written)
    }

    async fn try_to_write(&mut self, tables: &[SstMetadata]) -> Verdict<bool> {
        if !self.prepare().await? {
            return Ok(false);
        }
        for table in tables {
            if !self.disk(self.tables.write(table).await)? {
                return Ok(false);
            }
        }
        self.disk(self.tables.sync().await)
    }

    /// Makes sure that the directory of the tables is there. A sync that failed is not tried again.
    pub(super) async fn prepare(&mut self) -> Verdict<bool> {
        let prepared = self.tables.prepare().await;
        let is_ready = self.disk(prepared)?;
        self.is_over |= !is_ready;
        Ok(is_ready)
    }

    /// Whether it was done; not where the disk may fail and has.
    pub(super) fn disk(&self, done: io::Result<()>) -> Verdict<bool> {
        Ok(unless_failed(&self.answers, done)?.is_some())
    }

    /// Deletes what is obsolete.
    pub(super) async fn sweep(&mut self, synced: bool) -> Verdict {
        let obsolete = self.manifest.obsolete_files();
        {
            let history = self.answers.history();
            oracles::may_go(&history, &history.line()?, &self.held, &obsolete)?;
        }
        let (mut deleted, mut any_was_there) = (Vec::new(), false);
        for filenum in obsolete {
            let removed = self.tables.remove(filenum).await;
            if let Some(was_there) = unless_failed(&self.answers, removed)? {
                any_was_there |= was_there;
                deleted.push(filenum);
            }
        }
        if synced && any_was_there {
            self.disk(self.tables.sync().await)?;
        }
        self.manifest.forget(&deleted);
        if self.answers.is_faulty() {
            return Ok(());
        }
        self.read_held().await?;
        let Some(found) = unless_failed(&self.answers, self.tables.list().await)? else {
            return Ok(());
        };
        let needed = self.needed()?;
        let left = found
            .into_iter()
            .filter(|filenum| !needed.contains(filenum));
        oracles::nothing_is_left_over(&left.collect())
    }

    /// The files that somebody reads or is going to record, and those that may go.
    fn needed(&self) -> Verdict<BTreeSet<FileNum>> {
        let mut needed: BTreeSet<_> = self.manifest.obsolete_files().into_iter().collect();
        needed.extend(&self.abandoned);
        let newest = self.manifest.version();
        for version in self.held.iter().chain([&newest]) {
            needed.extend(version.tables().map(|table| table.filenum));
        }
        for edit in self.line()?.iter().skip(self.reference.accepted.len()) {
            needed.extend(oracles::added(edit).iter().map(|table| table.filenum));
        }
        Ok(needed)
    }

    /// Reads all tables of the versions that are held.
    pub(super) async fn read_held(&self) -> Verdict {
        for version in &self.held {
            self.all_are_whole(version).await?;
        }
        Ok(())
    }

    /// Reads all tables of a version.
    pub(super) async fn all_are_whole(&self, version: &Version) -> Verdict {
        if self.answers.history().edits.is_damaged {
            return Ok(());
        }
        for table in version.tables() {
            let is_whole = match self.tables.is_whole(table).await {
                // The disk may fail, but a name that is gone is no such failure.
                Err(error)
                    if self.answers.is_faulty() && error.kind() != io::ErrorKind::NotFound =>
                {
                    continue;
                }
                is_whole => is_whole.map_err(|error| error.to_string()),
            };
            oracles::a_table_is_whole(table, is_whole)?;
        }
        Ok(())
    }

    pub(super) async fn reopen(self) -> Verdict<Option<Self>> {
        let closed = of_journal(self.manifest.close().await)?;
        if !self.answers.of_close(closed)? {
            return Ok(None);
        }
        self.answers.history().edits.acknowledge_all();
        self.io.promised("closed").await;
        let Driver {
            io,
            program,
            answers,
            ..
        } = self;
        Box::pin(Driver::open(program, io, answers)).await
    }
}
