//! [`Source`]: one of the places that entries come from, in order.

use std::sync::Arc;

use bytes::Bytes;
use quipu_io::File;

use crate::Result;
use crate::entry::{Entry, Kind};
use crate::handle::TableHandle;
use crate::key::Sought;
use crate::table::{IterOptions, TableIter};
use crate::tree::Finger;

/// Entries by key, and the newest version of a key first, from wherever they are.
///
/// A source stands at an entry, or at none. It goes on in the direction in which it was sought.
pub(crate) enum Source<F: File> {
    Memory(Finger<Entry>),
    Table(Box<TableIter<F>>),
    Run(Box<Run<F>>),
}

/// Tables one behind the other.
pub(crate) struct Run<F: File> {
    /// In the order of keys, without overlaps.
    tables: Vec<Arc<TableHandle<F>>>,
    options: IterOptions,
    at: usize,
    iter: Option<TableIter<F>>,
}

impl<F: File> Source<F> {
    /// A source of one table, or of several in the order of keys.
    pub(crate) fn of_tables(mut tables: Vec<Arc<TableHandle<F>>>, options: IterOptions) -> Self {
        match (tables.len(), tables.pop()) {
            (1, Some(table)) => Source::Table(Box::new(table.iter(options))),
            (_, last) => {
                tables.extend(last);
                Source::Run(Box::new(Run {
                    tables,
                    options,
                    at: 0,
                    iter: None,
                }))
            }
        }
    }

    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Source::Memory(finger) => finger.item().is_some(),
            Source::Table(iter) => iter.is_valid(),
            Source::Run(run) => run.iter.as_ref().is_some_and(TableIter::is_valid),
        }
    }

    /// The key of the entry; empty where there is none.
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Source::Memory(finger) => finger.item().map_or(&[], Entry::key),
            Source::Table(iter) => iter.key(),
            Source::Run(run) => run.iter.as_ref().map_or(&[], TableIter::key),
        }
    }

    /// The number of the entry; 0 where there is none.
    pub(crate) fn seq(&self) -> u64 {
        match self {
            Source::Memory(finger) => finger.item().map_or(0, |entry| entry.seq),
            Source::Table(iter) => iter.seq(),
            Source::Run(run) => run.iter.as_ref().map_or(0, TableIter::seq),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Source::Memory(finger) => finger.item().map_or(Kind::Delete, |entry| entry.kind),
            Source::Table(iter) => iter.kind(),
            Source::Run(run) => run.iter.as_ref().map_or(Kind::Delete, TableIter::kind),
        }
    }

    /// The value of the entry, which keeps what it stands in in memory.
    pub(crate) fn value(&self) -> Bytes {
        match self {
            Source::Memory(finger) => finger.item().map_or_else(Bytes::new, Entry::value),
            Source::Table(iter) => iter.value_bytes(),
            Source::Run(run) => {
                let iter = run.iter.as_ref();
                iter.map_or_else(Bytes::new, TableIter::value_bytes)
            }
        }
    }

    /// Goes to the first entry that is not before this version of a key.
    pub(crate) async fn seek(&mut self, key: &[u8], seq: u64) -> Result<()> {
        match self {
            Source::Memory(finger) => {
                finger.seek(Entry::place(&Sought::new(key), seq));
                Ok(())
            }
            Source::Table(iter) => iter.seek(key, seq).await.map(drop),
            Source::Run(run) => run.seek(key, seq).await,
        }
    }

    /// Goes to the last entry before this version of a key, which must be none that is there; to the
    /// last of all without one.
    pub(crate) async fn seek_before(&mut self, place: Option<(&[u8], u64)>) -> Result<()> {
        match (self, place) {
            (Source::Memory(finger), None) => {
                finger.seek_last();
                Ok(())
            }
            (Source::Memory(finger), Some((key, seq))) => {
                finger.seek_before(Entry::place(&Sought::new(key), seq));
                Ok(())
            }
            (Source::Table(iter), None) => iter.seek_to_last().await.map(drop),
            (Source::Table(iter), Some((key, seq))) => iter.seek_for_prev(key, seq).await.map(drop),
            (Source::Run(run), place) => run.seek_before(place).await,
        }
    }

    pub(crate) async fn next(&mut self) -> Result<()> {
        match self {
            Source::Memory(finger) => {
                finger.next();
                Ok(())
            }
            Source::Table(iter) => iter.next().await.map(drop),
            Source::Run(run) => run.next().await,
        }
    }

    pub(crate) async fn prev(&mut self) -> Result<()> {
        match self {
            Source::Memory(finger) => {
                finger.prev();
                Ok(())
            }
            Source::Table(iter) => iter.prev().await.map(drop),
            Source::Run(run) => run.prev().await,
        }
    }
}

impl<F: File> Run<F> {
    async fn seek(&mut self, key: &[u8], seq: u64) -> Result<()> {
        self.at = self.tables.partition_point(|table| table.largest() < key);
        self.iter = self
            .tables
            .get(self.at)
            .map(|table| table.iter(self.options));
        if let Some(iter) = &mut self.iter {
            iter.seek(key, seq).await?;
        }
        self.skip_forward().await
    }

    async fn seek_before(&mut self, place: Option<(&[u8], u64)>) -> Result<()> {
        let behind = match place {
            Some((key, _)) => self.tables.partition_point(|table| table.smallest() <= key),
            None => self.tables.len(),
        };
        self.iter = None;
        if let Some(at) = behind.checked_sub(1) {
            self.at = at;
            let mut iter = self.tables[at].iter(self.options);
            match place {
                Some((key, seq)) => drop(iter.seek_for_prev(key, seq).await?),
                None => drop(iter.seek_to_last().await?),
            }
            self.iter = Some(iter);
        }
        self.skip_back().await
    }

    async fn next(&mut self) -> Result<()> {
        if let Some(iter) = &mut self.iter {
            iter.next().await?;
        }
        self.skip_forward().await
    }

    async fn prev(&mut self) -> Result<()> {
        if let Some(iter) = &mut self.iter {
            iter.prev().await?;
        }
        self.skip_back().await
    }

    /// Goes to the next tables until there is an entry. One may hold range tombstones only.
    async fn skip_forward(&mut self) -> Result<()> {
        while self.iter.as_ref().is_some_and(|iter| !iter.is_valid()) {
            self.at += 1;
            self.iter = self
                .tables
                .get(self.at)
                .map(|table| table.iter(self.options));
            if let Some(iter) = &mut self.iter {
                iter.seek_to_first().await?;
            }
        }
        Ok(())
    }

    async fn skip_back(&mut self) -> Result<()> {
        while self.iter.as_ref().is_some_and(|iter| !iter.is_valid()) {
            self.iter = None;
            if let Some(at) = self.at.checked_sub(1) {
                self.at = at;
                let mut iter = self.tables[at].iter(self.options);
                iter.seek_to_last().await?;
                self.iter = Some(iter);
            }
        }
        Ok(())
    }
}
