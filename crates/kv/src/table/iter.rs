//! [`TableIter`]: a walk over a table, both ways.
//!
//! A step within a block is [`advance`](TableIter::advance) or [`retreat`](TableIter::retreat), which
//! neither wait nor allocate; only going to the next block waits, and only if it is not in memory.
//!
//! Invariants:
//! - It stands on an entry or nowhere; after an error, nowhere.
//! - It does not skip: what lies between two steps in one direction was not in the table.

use std::sync::Arc;

use bytes::Bytes;
use quipu_io::File;

use super::block::Block;
use super::cursor::Cursor;
use super::entry::Kind;
use super::layout::{Handle, Malformed, usize_of};
use super::partition::Partition;
use super::reader::Table;
use super::run::{Direction, Run};
use crate::error::{Error, Result};

/// How a walk reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IterOptions {
    /// Whether blocks that it reads stay in the cache. A compaction, which reads everything once,
    /// would only drive out what others need.
    pub(crate) fill_cache: bool,
    /// The most that it reads ahead, in bytes; 0 for nothing.
    pub(crate) readahead: usize,
}

impl Default for IterOptions {
    fn default() -> Self {
        IterOptions {
            fill_cache: true,
            readahead: 256 << 10,
        }
    }
}

/// A walk over a table.
#[derive(Debug)]
pub(crate) struct TableIter<F> {
    table: Arc<Table<F>>,
    options: IterOptions,
    /// The partition's place in the top index.
    at: usize,
    partition: Option<Arc<Partition>>,
    /// The block's place in the partition.
    block: usize,
    cursor: Cursor,
    run: Run,
}

impl<F: File> TableIter<F> {
    /// A walk that stands nowhere yet.
    pub(crate) fn new(table: Arc<Table<F>>, options: IterOptions) -> Self {
        TableIter {
            table,
            options,
            at: 0,
            partition: None,
            block: 0,
            cursor: Cursor::default(),
            run: Run::new(options.readahead),
        }
    }

    /// Whether it stands on an entry. The accessors below are of that entry.
    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        self.cursor.is_valid()
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    #[inline]
    pub(crate) fn seq(&self) -> u64 {
        self.cursor.seq()
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.cursor.kind()
    }

    /// The value; empty for a deletion.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.cursor.value()
    }

    /// The value, without a copy. It keeps its block in memory, or all that was read ahead with it.
    pub(crate) fn value_bytes(&self) -> Bytes {
        self.cursor.value_bytes()
    }

    /// Goes to the first entry; `false` if there is none.
    pub(crate) async fn seek_to_first(&mut self) -> Result<bool> {
        self.begin();
        self.enter_edge(0, Direction::Forward).await
    }

    /// Goes to the last entry; `false` if there is none.
    pub(crate) async fn seek_to_last(&mut self) -> Result<bool> {
        self.begin();
        let Some(last) = self.table.top().len().checked_sub(1) else {
            return Ok(false);
        };
        self.enter_edge(last, Direction::Backward).await
    }

    /// Goes to the first entry at or behind a version: the newest of `key` at or below `seq`, or
    /// the first of the next key. `false` if there is none.
    pub(crate) async fn seek(&mut self, key: &[u8], seq: u64) -> Result<bool> {
        self.begin();
        let Some(at) = self.table.top().find(key, seq) else {
            return Ok(false);
        };
        let partition = self.table.partition(at).await?;
        let Some(block) = partition.index.find(key, seq) else {
            return Err(self.disagreement(at));
        };
        self.enter_block(at, partition, block, Direction::Forward)
            .await?;
        if self.within(|cursor| cursor.seek(key, seq))? {
            return Ok(true);
        }
        // The version would stand between this block's last entry and its bound.
        self.next_block().await
    }

    /// Goes to the last entry at or before a version: the oldest of `key` at or above `seq`, or the
    /// last of the key before. `false` if there is none.
    pub(crate) async fn seek_for_prev(&mut self, key: &[u8], seq: u64) -> Result<bool> {
        if !self.seek(key, seq).await? {
            return self.seek_to_last().await;
        }
        if self.seq() == seq && self.key() == key {
            return Ok(true);
        }
        self.prev().await
    }

    /// Goes to the next entry; `false` behind the last.
    #[inline]
    pub(crate) async fn next(&mut self) -> Result<bool> {
        Ok(self.advance()? || self.next_block().await?)
    }

    /// Goes to the entry before; `false` before the first.
    #[inline]
    pub(crate) async fn prev(&mut self) -> Result<bool> {
        Ok(self.retreat()? || self.prev_block().await?)
    }

    /// Goes to the next entry of the block. If it answers `false`,
    /// [`next_block`](TableIter::next_block) goes on.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool> {
        self.within(Cursor::next)
    }

    /// Goes to the entry before, in the block. If it answers `false`,
    /// [`prev_block`](TableIter::prev_block) goes on.
    #[inline]
    pub(crate) fn retreat(&mut self) -> Result<bool> {
        self.within(Cursor::prev)
    }

    /// Goes to the first entry of the next block; `false` behind the last.
    pub(crate) async fn next_block(&mut self) -> Result<bool> {
        let Some(partition) = &self.partition else {
            return Ok(false);
        };
        if self.block + 1 < partition.index.len() {
            let partition = Arc::clone(partition);
            self.enter_block(self.at, partition, self.block + 1, Direction::Forward)
                .await?;
            return self.within(Cursor::seek_to_first);
        }
        self.enter_edge(self.at + 1, Direction::Forward).await
    }

    /// Goes to the last entry of the block before; `false` before the first.
    pub(crate) async fn prev_block(&mut self) -> Result<bool> {
        let Some(partition) = &self.partition else {
            return Ok(false);
        };
        if let Some(before) = self.block.checked_sub(1) {
            let partition = Arc::clone(partition);
            self.enter_block(self.at, partition, before, Direction::Backward)
                .await?;
            return self.within(Cursor::seek_to_last);
        }
        match self.at.checked_sub(1) {
            Some(before) => self.enter_edge(before, Direction::Backward).await,
            None => Ok(self.end()),
        }
    }

    /// Goes to the entry of a partition that a walk in this direction meets first.
    async fn enter_edge(&mut self, at: usize, direction: Direction) -> Result<bool> {
        if at >= self.table.top().len() {
            return Ok(self.end());
        }
        let partition = self.table.partition(at).await?;
        match direction {
            Direction::Forward => {
                self.enter_block(at, partition, 0, direction).await?;
                self.within(Cursor::seek_to_first)
            }
            Direction::Backward => {
                let last = partition.index.len() - 1;
                self.enter_block(at, partition, last, direction).await?;
                self.within(Cursor::seek_to_last)
            }
        }
    }

    /// Goes to a block of the partition with the place `at`.
    ///
    /// Until the block is there the walk keeps its place, so that a step whose future was dropped
    /// can be taken again.
    async fn enter_block(
        &mut self,
        at: usize,
        partition: Arc<Partition>,
        block: usize,
        direction: Direction,
    ) -> Result<()> {
        self.cursor.clear();
        let Some(handle) = partition.index.handle(block) else {
            return Err(self.disagreement(at));
        };
        let found = match self.block_in_memory(handle)? {
            Some(found) => found,
            None => {
                self.read_ahead(&partition, block, handle, direction)
                    .await?
            }
        };
        self.at = at;
        self.partition = Some(partition);
        self.block = block;
        self.cursor.enter(found);
        Ok(())
    }

    /// A block that has been read ahead or is in the cache.
    fn block_in_memory(&self, handle: Handle) -> Result<Option<Block>> {
        if let Some(stored) = self.run.stored(handle) {
            let keep = self.options.fill_cache;
            return self.table.unpack_block(handle, stored, keep).map(Some);
        }
        Ok(self.table.cached_block(handle))
    }

    /// Reads a block, and its neighbours with it.
    async fn read_ahead(
        &mut self,
        partition: &Partition,
        block: usize,
        handle: Handle,
        direction: Direction,
    ) -> Result<Block> {
        let (table, keep) = (&self.table, self.options.fill_cache);
        let wanted = |neighbour| !table.is_cached(neighbour);
        let range = self.run.plan(&partition.index, block, direction, wanted);
        if range == (handle.offset..handle.end()) {
            return table.read_block(handle, keep).await;
        }
        let len = range.end - range.start;
        let stored = table.read_stored(range.start, len).await?;
        let start = usize_of(handle.offset - range.start);
        let own = stored.slice(start..start + handle.bytes());
        self.run.put(range.start, stored);
        table.unpack_block(handle, own, keep)
    }

    /// A step in the block; a failure ends the walk.
    #[inline]
    fn within(
        &mut self,
        step: impl FnOnce(&mut Cursor) -> Result<bool, Malformed>,
    ) -> Result<bool> {
        match step(&mut self.cursor) {
            Ok(moved) => Ok(moved),
            Err(malformed) => {
                let partition = self.partition.take();
                let handle = partition.and_then(|partition| partition.index.handle(self.block));
                let handle = handle.unwrap_or_default();
                self.end();
                Err(self.table.corrupt(handle, malformed))
            }
        }
    }

    /// Stands nowhere, and reads no more than is asked for.
    fn begin(&mut self) {
        self.end();
        self.run.jump();
    }

    fn end(&mut self) -> bool {
        self.cursor.clear();
        self.partition = None;
        false
    }

    /// Two levels of the index contradict each other: only a writer can have done that.
    fn disagreement(&self, at: usize) -> Error {
        let handle = self.table.top().handle(at).unwrap_or_default();
        let reason = Malformed("the partition does not fit the index above it");
        self.table.corrupt(handle, reason)
    }
}
