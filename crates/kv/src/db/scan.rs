//! [`Scan`]: the pairs of a range of keys, in one direction, as of one number.
//!
//! Invariants:
//! - Of each key at most the newest version that is visible at the number comes, and none that a
//!   newer range tombstone covers.
//! - A scan holds its view and its number: flushes, compactions and writes change nothing in it.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use quipu_io::Io;
use quipu_io::planted::planted;

use super::snapshots::Held;
use super::view::View;
use crate::entry::Kind;
use crate::merge::{Merge, Source};
use crate::table::IterOptions;
use crate::tombstone::RangeTombstones;
use crate::{Error, Result};

/// A range of keys, within which it ends.
pub(crate) type Range = (Bound<Bytes>, Bound<Bytes>);

/// Key-value pairs of a keyspace in order, or in reverse order.
///
/// ```
/// # async fn example(db: quipu_kv::Db) -> Result<(), quipu_kv::Error> {
/// let mut scan = db.scan(b"a".as_slice()..b"c")?;
/// while let Some((key, value)) = scan.next().await? {
///     println!("{key:?}: {value:?}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// Who drops a future of [`next`](Scan::next) before it has answered may have skipped a pair, and
/// begins another scan.
pub struct Scan<I: Io> {
    merge: Merge<I::File>,
    range: Range,
    reverse: bool,
    is_begun: bool,
    /// The pair that was given out last; its key is also the one whose other versions are passed.
    key: Vec<u8>,
    value: Bytes,
    has_key: bool,
    deleted: Vec<RangeTombstones>,
    /// What has ended it.
    failure: Option<Error>,
    /// Keeps files and memtables.
    _view: Arc<View<I>>,
    /// Let go behind the files, which may go then.
    held: Arc<Held>,
}

impl<I: Io> Scan<I> {
    pub(crate) fn new(view: Arc<View<I>>, held: Arc<Held>, range: Range, reverse: bool) -> Self {
        let mut deleted = Vec::new();
        let mut sources = Vec::new();
        let frozen = view.frozen.iter().map(|frozen| &frozen.memtable);
        for memtable in [&view.active].into_iter().chain(frozen) {
            let content = memtable.snapshot();
            sources.push(Source::Memory(content.walk()));
            deleted.push(content.ranges);
        }
        for level in &view.tables.levels {
            let overlapping = level.overlapping(&range);
            deleted.extend(overlapping.iter().map(|table| table.deleted().clone()));
            match level.is_sorted {
                true if overlapping.is_empty() => {}
                true => sources.push(Source::of_tables(overlapping, IterOptions::default())),
                false => {
                    let single = overlapping.into_iter().map(|table| vec![table]);
                    let options = IterOptions::default();
                    sources.extend(single.map(|table| Source::of_tables(table, options)));
                }
            }
        }
        deleted.retain(|ranges| !ranges.is_empty());
        Scan {
            merge: Merge::new(sources),
            range,
            reverse,
            is_begun: false,
            key: Vec::new(),
            value: Bytes::new(),
            has_key: false,
            deleted,
            held,
            failure: None,
            _view: view,
        }
    }

    /// The next pair, or `None` at the end.
    ///
    /// # Errors
    ///
    /// `Corrupt` and `Io`, with file and offset. Nothing comes behind an error: it is the answer from
    /// then on.
    pub async fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        match self.step().await {
            Ok(found) => Ok(found.then_some((&self.key[..], &self.value[..]))),
            Err(error) => {
                self.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Whether there is another pair: then it is in `key` and `value`.
    async fn step(&mut self) -> Result<bool> {
        if !self.is_begun {
            self.begin().await?;
            self.is_begun = true;
        }
        match self.reverse {
            false => self.next_forward().await,
            true => self.next_back().await,
        }
    }

    async fn begin(&mut self) -> Result<()> {
        let after_all_versions = 0;
        let before_all_versions = u64::MAX;
        match (self.reverse, &self.range) {
            (false, (Bound::Unbounded, _)) => self.merge.seek(&[], before_all_versions).await,
            (false, (Bound::Included(key), _)) => self.merge.seek(key, before_all_versions).await,
            (false, (Bound::Excluded(key), _)) => self.merge.seek(key, after_all_versions).await,
            (true, (_, Bound::Unbounded)) => self.merge.seek_before(None).await,
            (true, (_, Bound::Included(key))) => {
                let place = (&key[..], after_all_versions);
                self.merge.seek_before(Some(place)).await
            }
            (true, (_, Bound::Excluded(key))) => {
                let place = (&key[..], before_all_versions);
                self.merge.seek_before(Some(place)).await
            }
        }
    }

    async fn next_forward(&mut self) -> Result<bool> {
        let seq = self.held.seq();
        while let Some(key) = self.merge.key() {
            if self.is_behind(key) {
                return Ok(false);
            }
            // Of the versions of a key that are visible, the first decides.
            if self.merge.seq() > seq || (self.has_key && *key == *self.key) {
                self.merge.step().await?;
                continue;
            }
            self.key.clear();
            self.key.extend_from_slice(key);
            self.has_key = true;
            let is_there =
                self.merge.kind() == Kind::Put && self.merge.seq() > self.covering(&self.key);
            if is_there {
                self.value = self.merge.value();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same backwards, where the version that decides is the last one that is visible.
    async fn next_back(&mut self) -> Result<bool> {
        let seq = self.held.seq();
        loop {
            let Some(key) = self.merge.key().filter(|key| !self.is_before(key)) else {
                return Ok(false);
            };
            self.key.clear();
            self.key.extend_from_slice(key);
            let mut newest = None;
            while self.merge.key() == Some(&self.key[..]) {
                if self.merge.seq() <= seq {
                    let is_put = self.merge.kind() == Kind::Put;
                    newest = Some((self.merge.seq(), is_put.then(|| self.merge.value())));
                }
                self.merge.step().await?;
            }
            if let Some((found, Some(value))) = newest
                && (found > self.covering(&self.key)
                    || planted("a reverse scan does not see range tombstones"))
            {
                self.value = value;
                return Ok(true);
            }
        }
    }

    fn covering(&self, key: &[u8]) -> u64 {
        let seq = self.held.seq();
        let covering = self.deleted.iter().map(|ranges| ranges.covering(key, seq));
        covering.max().unwrap_or(0)
    }

    fn is_behind(&self, key: &[u8]) -> bool {
        match &self.range.1 {
            Bound::Included(end) => *key > **end,
            Bound::Excluded(end) => *key >= **end,
            Bound::Unbounded => false,
        }
    }

    fn is_before(&self, key: &[u8]) -> bool {
        match &self.range.0 {
            Bound::Included(start) => *key < **start,
            Bound::Excluded(start) => *key <= **start,
            Bound::Unbounded => false,
        }
    }
}

impl<I: Io> fmt::Debug for Scan<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("range", &self.range)
            .field("reverse", &self.reverse)
            .finish_non_exhaustive()
    }
}
