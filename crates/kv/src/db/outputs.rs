//! [`Outputs`]: the tables that a merge writes, one behind the other.
//!
//! Invariants: versions of one key never stand in two of them, so they do not overlap; range tombstones
//! are cut where they are.

use std::sync::Arc;

use bytes::Bytes;
use quipu_io::{Io, Runtime};

use super::core::Core;
use crate::Result;
use crate::compaction::Compaction;
use crate::manifest::{FileNum, KeyspaceId, SstMetadata};
use crate::merge::Retention;
use crate::table::{RangeTombstone, TableWriter};

/// See the [module](self).
pub(crate) struct Outputs<'a, I: Io> {
    core: &'a Arc<Core<I>>,
    keyspace: KeyspaceId,
    compaction: &'a Compaction,
    writer: Option<(FileNum, TableWriter<I::File>)>,
    /// The last key that was written.
    last: Vec<u8>,
    /// From here on range tombstones are still to be written.
    tombstones_from: Bytes,
    /// How many of the places to cut at lie behind us.
    cuts: usize,
    pub(crate) numbers: Vec<FileNum>,
    pub(crate) tables: Vec<SstMetadata>,
}

impl<'a, I: Io + Runtime> Outputs<'a, I> {
    pub(crate) fn new(
        core: &'a Arc<Core<I>>,
        keyspace: KeyspaceId,
        compaction: &'a Compaction,
    ) -> Self {
        Outputs {
            core,
            keyspace,
            compaction,
            writer: None,
            last: Vec::new(),
            tombstones_from: Bytes::new(),
            cuts: 0,
            numbers: Vec::new(),
            tables: Vec::new(),
        }
    }

    pub(crate) async fn add(
        &mut self,
        key: &[u8],
        seq: u64,
        kind: crate::entry::Kind,
        value: &[u8],
        retention: &Retention,
    ) -> Result<()> {
        if self.is_full(key) {
            // The first key that is not in this output any more.
            let end = [&self.last[..], &[0]].concat();
            self.end(Some(end.into()), retention).await?;
        }
        let writer = self.writer().await?;
        writer.add(key, seq, kind, value).await?;
        self.last.clear();
        self.last.extend_from_slice(key);
        Ok(())
    }

    /// Whether an output ends before this key.
    pub(crate) fn is_full(&mut self, key: &[u8]) -> bool {
        let before = self.cuts;
        let cut_at = &self.compaction.cut_at;
        while cut_at.get(self.cuts).is_some_and(|cut| key > &**cut) {
            self.cuts += 1;
        }
        match &self.writer {
            Some((_, writer)) if *key != *self.last => {
                self.cuts > before && self.compaction.max_output_bytes < u64::MAX
                    || writer.estimated_bytes() >= self.compaction.max_output_bytes
            }
            _ => false,
        }
    }

    pub(crate) async fn finish(&mut self, retention: &Retention) -> Result<()> {
        self.end(None, retention).await
    }

    /// Ends an output, which gets the range tombstones up to `end`.
    async fn end(&mut self, end: Option<Bytes>, retention: &Retention) -> Result<()> {
        let kept = retention
            .deleted()
            .iter()
            .filter(|range| retention.keeps_range(range));
        let cut: Vec<RangeTombstone> = kept
            .filter_map(|range| cut(range, &self.tombstones_from, end.as_ref()))
            .collect();
        if self.writer.is_none() && cut.is_empty() {
            return Ok(());
        }
        self.writer().await?;
        let Some((_, mut writer)) = self.writer.take() else {
            return Ok(());
        };
        for range in cut {
            writer.add_range_tombstone(&range.start, &range.end, range.seq)?;
        }
        let summary = writer.finish().await?;
        let inputs = &self.compaction.inputs;
        let mut table = summary.metadata(self.keyspace, self.compaction.output_level);
        table.min_timestamp = inputs
            .iter()
            .map(|input| input.min_timestamp)
            .min()
            .unwrap_or(0);
        table.max_timestamp = inputs
            .iter()
            .map(|input| input.max_timestamp)
            .max()
            .unwrap_or(0);
        table.created = self.core.now();
        self.tables.push(table);
        if let Some(end) = end {
            self.tombstones_from = end;
        }
        Ok(())
    }

    async fn writer(&mut self) -> Result<&mut TableWriter<I::File>> {
        if self.writer.is_none() {
            let filenum = self.core.manifest.alloc_filenum()?;
            self.numbers.push(filenum);
            let writer = self.core.create_table(filenum).await?;
            self.writer = Some((filenum, writer));
        }
        match &mut self.writer {
            Some((_, writer)) => Ok(writer),
            None => unreachable!("it was made above"),
        }
    }
}

/// What of a range tombstone lies between two keys.
fn cut(range: &RangeTombstone, from: &Bytes, to: Option<&Bytes>) -> Option<RangeTombstone> {
    let start = range.start.clone().max(from.clone());
    let end = match to {
        Some(to) => range.end.clone().min(to.clone()),
        None => range.end.clone(),
    };
    (start < end).then_some(RangeTombstone {
        start,
        end,
        seq: range.seq,
    })
}
