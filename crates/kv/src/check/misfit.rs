//! What a [`Driver`] records that does not fit: it has to be refused, and to change nothing.

use quipu_journal::check::{SMALL, Stage, Verdict};

use super::driver::Driver;
use super::program::Misfit;
use super::tables::seal;
use crate::manifest::{FileNum, Keyspace, SstMetadata};

/// A number that no table gets to.
const UNKNOWN: FileNum = FileNum::new(1 << 40);

impl<I: Stage> Driver<I> {
    /// Records what does not fit.
    pub(super) async fn misfit(&mut self, misfit: Misfit) -> Verdict {
        match misfit {
            Misfit::Overlap => self.overlap().await,
            Misfit::UsedNumber => self.use_a_number_again().await,
            Misfit::Gap => self.leave_a_gap().await,
            Misfit::UnknownInput => self.compact_what_is_not_there().await,
            Misfit::BehindFloor => {
                let floor = self.manifest.version().wal_floor();
                match floor.checked_sub(1) {
                    Some(behind) => self.create_from(self.new_name(), behind).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn overlap(&mut self) -> Verdict {
        let (mut tables, _) = self.flushed(&[SMALL]).await?;
        let Some(table) = tables.first_mut() else {
            return Ok(());
        };
        table.level = 1;
        let version = self.manifest.version();
        let mut present = version.keyspaces().flat_map(Keyspace::tables);
        match present.find(|other| other.level == 1) {
            Some(other) => {
                table.keyspace = other.keyspace;
                table.smallest = other.largest.clone();
                table.largest = b"~".to_vec().into();
            }
            None => {
                let mut second = table.clone();
                second.filenum = self.number()?;
                tables.push(second);
            }
        }
        tables.iter_mut().for_each(|table| seal(table, SMALL));
        if self.write(&tables).await? {
            self.record_compaction(tables, Vec::new()).await?;
        }
        Ok(())
    }

    /// The first table fits.
    async fn use_a_number_again(&mut self) -> Verdict {
        let (mut tables, flushed) = self.flushed(&[SMALL]).await?;
        let second = tables.first().map(|table| SstMetadata {
            filenum: *self.reference.named.last().unwrap_or(&table.filenum),
            ..table.clone()
        });
        if self.write(&tables).await? {
            tables.extend(second);
            self.record_flush(tables, flushed).await?;
        }
        Ok(())
    }

    async fn leave_a_gap(&mut self) -> Verdict {
        let (tables, mut flushed) = self.flushed(&[SMALL]).await?;
        flushed.iter_mut().for_each(|stretch| stretch.after += 1);
        if self.write(&tables).await? {
            self.record_flush(tables, flushed).await?;
        }
        Ok(())
    }

    /// The first input is there.
    async fn compact_what_is_not_there(&mut self) -> Verdict {
        let (mut tables, _) = self.flushed(&[SMALL]).await?;
        tables.iter_mut().for_each(|table| table.level = 1);
        let version = self.manifest.version();
        let present = version.keyspaces().flat_map(Keyspace::tables);
        let mut removed: Vec<_> = present.map(|table| table.filenum).take(1).collect();
        removed.push(UNKNOWN);
        if self.write(&tables).await? {
            self.record_compaction(tables, removed).await?;
        }
        Ok(())
    }
}
