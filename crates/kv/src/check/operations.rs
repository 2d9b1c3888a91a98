//! What a [`Driver`] does, operation by operation, each in the order that the manifest asks for: write
//! a table, sync it, sync its name, record it.

use quipu_journal::check::{SMALL, Stage, Verdict};

use super::driver::{Driver, Fate, of_journal};
use super::program::ManifestOp;
use super::tables::seal;
use crate::manifest::{
    FileNum, Flushed, Keyspace, KeyspaceId, KeyspaceOptions, ManifestEditV1, SstMetadata,
};

/// Entries that come with each flush.
const ENTRIES: u64 = 2;

/// Keys that a flushed table spans, and those that the first ones of tables are chosen from.
const KEYS: [u64; 2] = [6, 11];

impl<I: Stage> Driver<I> {
    /// `None` when nothing more can be done.
    pub(super) async fn perform(mut self, op: ManifestOp) -> Verdict<Option<Self>> {
        match op {
            ManifestOp::Flush(size) => self.flush(&[size]).await?,
            ManifestOp::FlushNothing => self.flush(&[]).await?,
            ManifestOp::FlushTwo => self.flush(&[SMALL, SMALL]).await?,
            ManifestOp::GiveUp => self.give_up().await?,
            ManifestOp::ThinkAgain => self.think_again().await?,
            ManifestOp::Import => self.import().await?,
            ManifestOp::Compact(outputs) => self.compact(outputs).await?,
            ManifestOp::Move => self.move_down().await?,
            ManifestOp::Recreate => self.recreate().await?,
            ManifestOp::Create => self.create(self.new_name()).await?,
            ManifestOp::Refused(misfit) => self.misfit(misfit).await?,
            // Where an edit may fail, somebody has to hear of it.
            ManifestOp::Abandon if self.answers.is_faulty() => self.flush(&[SMALL]).await?,
            ManifestOp::Abandon => self.abandon().await?,
            ManifestOp::Together => self.together().await?,
            ManifestOp::Pin => self.held.push(self.manifest.version()),
            ManifestOp::Unpin => {
                self.read_held().await?;
                self.held.clear();
            }
            ManifestOp::Sweep(synced) => self.sweep(synced).await?,
            ManifestOp::Snapshot => {
                let applied = self.manifest.status().applied;
                let taken = of_journal(self.manifest.snapshot().await)?;
                if self.answers.of_snapshot(taken, applied)? {
                    self.io.promised("snapshot").await;
                }
            }
            ManifestOp::SnapshotBeside => drop(self.manifest.snapshot()),
            ManifestOp::Reopen => return self.reopen().await,
        }
        Ok(self.goes_on().then_some(self))
    }

    /// Two keyspaces, a table in level 0 of each, and one in level 1.
    pub(super) async fn furnish(&mut self) -> Verdict {
        self.create(self.new_name()).await?;
        self.create(self.new_name()).await?;
        self.flush(&[SMALL]).await?;
        self.compact(1).await?;
        self.flush(&[SMALL, SMALL]).await
    }

    /// Flushes tables of these sizes: one of the first keyspace, and another of the last. Without any,
    /// there is nothing to be flushed of the first keyspace.
    async fn flush(&mut self, sizes: &[usize]) -> Verdict {
        let (tables, flushed) = self.flushed(sizes).await?;
        if self.write(&tables).await? {
            self.record_flush(tables, flushed).await?;
        }
        Ok(())
    }

    pub(super) async fn flushed(
        &mut self,
        sizes: &[usize],
    ) -> Verdict<(Vec<SstMetadata>, Vec<Flushed>)> {
        self.have_a_keyspace().await?;
        let through = self.answers.history().write(ENTRIES);
        let version = self.manifest.version();
        let mut keyspaces = vec![];
        keyspaces.extend(version.keyspaces().next());
        keyspaces.extend(version.keyspaces().next_back());
        let (mut tables, mut flushed): (_, Vec<Flushed>) = (Vec::new(), Vec::new());
        for (keyspace, size) in keyspaces.iter().zip(sizes) {
            tables.push(self.new_table(keyspace, 0, *size, through)?);
        }
        for keyspace in keyspaces.iter().take(sizes.len().max(1)) {
            if flushed
                .iter()
                .all(|before| before.keyspace != keyspace.id())
            {
                flushed.push(Flushed {
                    keyspace: keyspace.id(),
                    after: keyspace.flushed_through(),
                    through,
                });
            }
        }
        Ok((tables, flushed))
    }

    /// What there is to say of a table of this keyspace that holds all that is not flushed yet.
    fn new_table(
        &mut self,
        keyspace: &Keyspace,
        level: u32,
        size: usize,
        through: u64,
    ) -> Verdict<SstMetadata> {
        let filenum = self.number()?;
        let [span, starts] = KEYS;
        let first = b'a' + (filenum.get() * 5 % starts) as u8;
        let mut table = between(filenum, keyspace.id(), level, [first, first + span as u8]);
        table.min_seq = keyspace.flushed_through() + 1;
        table.max_seq = through.max(table.min_seq);
        table.entries = ENTRIES;
        seal(&mut table, size);
        Ok(table)
    }

    /// Writes half of a table, and gives it up.
    async fn give_up(&mut self) -> Verdict {
        let (tables, _) = self.flushed(&[SMALL]).await?;
        for table in &tables {
            if self.prepare().await? {
                self.disk(self.tables.write_half(table).await)?;
            }
            self.manifest.abandon(table.filenum);
        }
        Ok(())
    }

    /// Gives a number up, and uses it all the same.
    async fn think_again(&mut self) -> Verdict {
        let (tables, flushed) = self.flushed(&[SMALL]).await?;
        for table in &tables {
            self.manifest.abandon(table.filenum);
        }
        if self.write(&tables).await? {
            self.record_flush(tables, flushed).await?;
        }
        Ok(())
    }

    /// Records a table with a number that was not handed out, as whoever brings tables along.
    async fn import(&mut self) -> Verdict {
        self.have_a_keyspace().await?;
        let version = self.manifest.version();
        let highest = self.seen.last().map_or(0, |filenum| filenum.get());
        let filenum = FileNum::new(highest + 3);
        let Some(keyspace) = version.keyspaces().next() else {
            return Ok(());
        };
        let mut table = between(filenum, keyspace.id(), 0, *b"bc");
        table.min_seq = self.answers.history().write(1);
        table.max_seq = table.min_seq;
        seal(&mut table, SMALL);
        // Until it is recorded nobody but the importer knows of it.
        self.abandoned.insert(filenum);
        if self.write(&[table.clone()]).await? {
            self.seen.insert(filenum);
            self.record_flush(vec![table], Vec::new()).await?;
        }
        Ok(())
    }

    pub(super) fn new_name(&self) -> String {
        format!("k{}", self.reference.created)
    }

    async fn have_a_keyspace(&mut self) -> Verdict {
        match self.manifest.version().keyspaces().next() {
            None => self.create(self.new_name()).await,
            Some(_) => Ok(()),
        }
    }

    async fn create(&mut self, name: String) -> Verdict {
        let flushed_through = self.answers.history().log_last;
        self.create_from(name, flushed_through).await
    }

    pub(super) async fn create_from(&mut self, name: String, flushed_through: u64) -> Verdict {
        let options = KeyspaceOptions {
            flushed_through,
            ..KeyspaceOptions::default()
        };
        let group = self.issue(ManifestEditV1::CreateKeyspace {
            name: name.clone(),
            options: options.clone(),
        })?;
        let answer = self.manifest.create_keyspace(name, options).await;
        self.judge(group, answer).await.map(drop)
    }

    async fn recreate(&mut self) -> Verdict {
        let version = self.manifest.version();
        let Some(keyspace) = version.keyspaces().next_back() else {
            return Ok(());
        };
        let id: KeyspaceId = keyspace.id();
        let group = self.issue(ManifestEditV1::DropKeyspace { keyspace: id })?;
        let answer = self.manifest.drop_keyspace(id).await;
        if self.judge(group, answer).await? == Fate::Accepted {
            self.create(keyspace.name().to_owned()).await?;
        }
        Ok(())
    }

    /// Records a flush, and neither waits for it nor needs it any more.
    async fn abandon(&mut self) -> Verdict {
        let (tables, flushed) = self.flushed(&[SMALL]).await?;
        if self.write(&tables).await? {
            let filenums: Vec<_> = tables.iter().map(|table| table.filenum).collect();
            self.issue(ManifestEditV1::AddFile {
                files: tables.clone(),
                flushed: flushed.clone(),
            })?;
            drop(self.manifest.record_flush(tables, flushed));
            for filenum in filenums {
                self.manifest.abandon(filenum);
                self.abandoned.insert(filenum);
            }
        }
        Ok(())
    }

    /// A flush and a compaction are under way, and somebody deletes what is obsolete.
    async fn together(&mut self) -> Verdict {
        let (tables, flushed) = self.flushed(&[SMALL]).await?;
        let Some((added, removed)) = self.compaction(1)? else {
            if self.write(&tables).await? {
                self.record_flush(tables, flushed).await?;
            }
            return Ok(());
        };
        let written: Vec<_> = tables.iter().chain(&added).cloned().collect();
        if !self.write(&written).await? {
            return Ok(());
        }
        let flush = self.issue(ManifestEditV1::AddFile {
            files: tables.clone(),
            flushed: flushed.clone(),
        })?;
        let flushing = self.manifest.record_flush(tables.clone(), flushed);
        let compaction = self.issue(ManifestEditV1::Compaction {
            added: added.clone(),
            removed: removed.clone(),
        })?;
        let compacting = self
            .manifest
            .record_compaction(added.clone(), removed.clone());
        self.sweep(false).await?;
        let answer = flushing.await;
        let fate = self.judge(flush, answer).await?;
        self.give_back(fate, &tables, &[]);
        let answer = compacting.await;
        let fate = self.judge(compaction, answer).await?;
        self.give_back(fate, &added, &removed);
        Ok(())
    }

    pub(super) async fn record_flush(
        &mut self,
        tables: Vec<SstMetadata>,
        flushed: Vec<Flushed>,
    ) -> Verdict {
        let group = self.issue(ManifestEditV1::AddFile {
            files: tables.clone(),
            flushed: flushed.clone(),
        })?;
        let answer = self.manifest.record_flush(tables.clone(), flushed).await;
        let fate = self.judge(group, answer).await?;
        self.give_back(fate, &tables, &[]);
        Ok(())
    }

    pub(super) async fn record_compaction(
        &mut self,
        added: Vec<SstMetadata>,
        removed: Vec<FileNum>,
    ) -> Verdict {
        let group = self.issue(ManifestEditV1::Compaction {
            added: added.clone(),
            removed: removed.clone(),
        })?;
        let answer = self
            .manifest
            .record_compaction(added.clone(), removed.clone())
            .await;
        let fate = self.judge(group, answer).await?;
        self.give_back(fate, &added, &removed);
        Ok(())
    }

    /// Gives up the new tables of an edit that is not there.
    fn give_back(&self, fate: Fate, added: &[SstMetadata], removed: &[FileNum]) {
        let new = added.iter().map(|table| table.filenum);
        for filenum in new.filter(|filenum| !removed.contains(filenum)) {
            if fate != Fate::Accepted && self.goes_on() {
                self.manifest.abandon(filenum);
            }
        }
    }
}

/// A table with these keys, and nothing else.
pub(super) fn between(
    filenum: FileNum,
    keyspace: KeyspaceId,
    level: u32,
    keys: [u8; 2],
) -> SstMetadata {
    let [smallest, largest] = keys;
    SstMetadata::new(filenum, keyspace, level, [smallest], [largest])
}
