//! What a [`Driver`] compacts.

use quipu_journal::check::{SMALL, Stage, Verdict};

use super::driver::Driver;
use super::operations::between;
use super::tables::seal;
use crate::manifest::{FileNum, Keyspace, SstMetadata};

/// What replaces what.
type Compaction = (Vec<SstMetadata>, Vec<FileNum>);

impl<I: Stage> Driver<I> {
    /// Replaces level 0 and what it overlaps by so many tables.
    pub(super) async fn compact(&mut self, outputs: usize) -> Verdict {
        if let Some((added, removed)) = self.compaction(outputs)?
            && self.write(&added).await?
        {
            self.record_compaction(added, removed).await?;
        }
        Ok(())
    }

    /// All of level 0 and what it overlaps in level 1, as so many tables; `None` if there is nothing.
    pub(super) fn compaction(&mut self, outputs: usize) -> Verdict<Option<Compaction>> {
        let version = self.manifest.version();
        let Some(keyspace) = version.keyspaces().next() else {
            return Ok(None);
        };
        let level = |number| keyspace.level(number);
        let mut inputs: Vec<_> = level(0)
            .into_iter()
            .flat_map(|level| level.tables())
            .collect();
        let smallest = inputs.iter().map(|table| table.smallest[0]).min();
        let largest = inputs.iter().map(|table| table.largest[0]).max();
        let (Some(smallest), Some(largest)) = (smallest, largest) else {
            return Ok(None);
        };
        let hull: [&[u8]; 2] = [&[smallest], &[largest]];
        inputs.extend(
            level(1)
                .into_iter()
                .flat_map(|level| level.overlapping(hull[0]..=hull[1])),
        );
        let smallest = inputs
            .iter()
            .map(|table| table.smallest[0])
            .fold(smallest, u8::min);
        let largest = inputs
            .iter()
            .map(|table| table.largest[0])
            .fold(largest, u8::max);
        let keys = usize::from(largest - smallest) + 1;
        let outputs = outputs.min(keys);
        let mut added = Vec::new();
        for output in 0..outputs {
            let first = smallest + (keys * output / outputs) as u8;
            let last = smallest + (keys * (output + 1) / outputs - 1) as u8;
            let mut table = between(self.number()?, keyspace.id(), 1, [first, last]);
            table.min_seq = inputs
                .iter()
                .map(|table| table.min_seq)
                .fold(u64::MAX, u64::min);
            table.max_seq = inputs.iter().map(|table| table.max_seq).fold(0, u64::max);
            seal(&mut table, SMALL);
            added.push(table);
        }
        let removed = inputs.iter().map(|table| table.filenum).collect();
        Ok(Some((added, removed)))
    }

    /// Moves the first table of the first keyspace; that is refused if it does not fit.
    pub(super) async fn move_down(&mut self) -> Verdict {
        let version = self.manifest.version();
        let mut tables = version.keyspaces().flat_map(Keyspace::tables);
        if let Some(table) = tables.next() {
            let mut moved = (**table).clone();
            moved.level += 1;
            let removed = vec![moved.filenum];
            self.record_compaction(vec![moved], removed).await?;
        }
        Ok(())
    }
}
