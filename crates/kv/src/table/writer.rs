//! [`TableWriter`]: entries in order, into a new file.
//!
//! ```text
//! | data block ... | partition | data block ... | partition | ... | range tombstones | top index | properties | footer |
//! ```
//!
//! Memory in use is a data block, a partition, the top index, the range tombstones and one large write,
//! however long the table gets.
//!
//! Invariant: the file is durable when [`finish`](TableWriter::finish) has answered. Its name is
//! the caller's to sync, and so is removing it after any failure.

use std::path::Path;

use bytes::Bytes;
use quipu_io::{File, Io, OpenOptions};

use super::builder::BlockBuilder;
use super::compression::Compression;
use super::entry::{Kind, RangeTombstone};
use super::footer::Footer;
use super::index::{IndexBuilder, bound};
use super::layout::{Handle, Seal, common_prefix};
use super::output::Output;
use super::partition::PartitionBuilder;
use super::properties::Properties;
use super::tombstones;
use crate::error::{Error, Result};
use crate::manifest::{FileNum, KeyspaceId, SstMetadata};

/// The longest key.
pub(crate) const MAX_KEY_BYTES: usize = u16::MAX as usize;

/// The longest value.
pub(crate) const MAX_VALUE_BYTES: usize = 1 << 30;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// The size of a data block before it is compressed; one entry may be larger.
    pub block_bytes: usize,
    /// How many entries lie between two whole keys in a data block.
    pub restart_interval: usize,
    /// Bits of the filter for each key; 0 for no filter.
    pub filter_bits_per_key: u32,
    /// The size of a partition: of a part of the index, and of the filter.
    pub partition_bytes: usize,
    /// How blocks are compressed.
    pub compression: Compression,
    /// When the table is made, in the caller's unit.
    pub created: u64,
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions {
            block_bytes: 4096,
            restart_interval: 16,
            filter_bits_per_key: 10,
            partition_bytes: 16 << 10,
            compression: Compression::default(),
            created: 0,
        }
    }
}

/// A table that is finished, as the manifest will know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableSummary {
    pub(crate) filenum: FileNum,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// CRC-32C of the whole file.
    pub(crate) checksum: u64,
    pub(crate) properties: Properties,
}

impl TableSummary {
    /// The table's entry in the manifest. Timestamps are left to the caller.
    ///
    /// The largest key is the last key that an entry is of or a range tombstone deletes; where
    /// such a range has no last key, it is the range's end.
    pub(crate) fn metadata(&self, keyspace: KeyspaceId, level: u32) -> SstMetadata {
        let properties = &self.properties;
        let (smallest, largest) = (&properties.smallest[..], &properties.largest[..]);
        let mut table = SstMetadata::new(self.filenum, keyspace, level, smallest, largest);
        table.size = self.size;
        table.entries = properties.entries + properties.range_tombstones;
        table.tombstones = properties.tombstones + properties.range_tombstones;
        table.min_seq = properties.min_seq;
        table.max_seq = properties.max_seq;
        table.checksum = self.checksum;
        table.created = properties.created;
        table
    }
}

/// Writes one table.
#[derive(Debug)]
pub(crate) struct TableWriter<F> {
    output: Output<F>,
    options: TableOptions,
    footer: Footer,
    block: BlockBuilder,
    partition: PartitionBuilder,
    top: IndexBuilder,
    tombstones: Vec<RangeTombstone>,
    properties: Properties,
    /// The last entry.
    last_key: Vec<u8>,
    last_seq: u64,
    /// Room for partitions and bounds.
    payload: Vec<u8>,
    bound: Vec<u8>,
}

impl<F: File> TableWriter<F> {
    /// Begins a table in a new file.
    pub(crate) async fn create<I: Io<File = F>>(
        io: &I,
        path: &Path,
        filenum: FileNum,
        options: TableOptions,
    ) -> Result<Self> {
        let file = io.open(path, OpenOptions::CreateNew).await?;
        Ok(Self::begin(file, path, filenum, io.random(), options))
    }

    /// Begins a table in an empty file; all of the file's checksums begin with `generation`.
    pub(super) fn begin(
        file: F,
        path: &Path,
        filenum: FileNum,
        generation: u64,
        options: TableOptions,
    ) -> Self {
        let output = Output::new(file, path, Seal::new(filenum.get(), generation));
        let footer = Footer {
            filenum: filenum.get(),
            generation,
            tombstones: Handle::default(),
            top: Handle::default(),
            properties: Handle::default(),
            codecs: 0,
        };
        let properties = Properties {
            min_seq: u64::MAX,
            created: options.created,
            ..Properties::default()
        };
        TableWriter {
            output,
            options,
            footer,
            block: BlockBuilder::new(options.restart_interval),
            partition: PartitionBuilder::new(options.filter_bits_per_key),
            top: IndexBuilder::default(),
            tombstones: Vec::new(),
            properties,
            last_key: Vec::new(),
            last_seq: 0,
            payload: Vec::new(),
            bound: Vec::new(),
        }
    }

    /// Adds the next version: a larger key, or an older version of the same.
    pub(crate) async fn add(
        &mut self,
        key: &[u8],
        seq: u64,
        kind: Kind,
        value: &[u8],
    ) -> Result<()> {
        self.push(key, seq, kind, value)?;
        if self.output.is_full() {
            self.output.write().await?;
        }
        Ok(())
    }

    /// Adds a deleted range, in any order. It does not delete this table's own entries, unless they
    /// are older than it.
    pub(crate) fn add_range_tombstone(&mut self, start: &[u8], end: &[u8], seq: u64) -> Result<()> {
        if start >= end {
            return Err(self.output.invalid("a range tombstone deletes nothing"));
        }
        check_len("key", end.len().max(start.len()), MAX_KEY_BYTES)?;
        self.count_seq(seq);
        self.tombstones.push(RangeTombstone {
            start: Bytes::copy_from_slice(start),
            end: Bytes::copy_from_slice(end),
            seq,
        });
        Ok(())
    }

    /// Bytes of the file if it ended here, roughly.
    pub(crate) fn estimated_bytes(&self) -> u64 {
        let pending = self.block.len() + self.partition.len() + self.top.len();
        self.output.offset() + pending as u64
    }

    /// Whether nothing has been added: such a table cannot be finished.
    pub(crate) fn is_empty(&self) -> bool {
        self.properties.entries == 0 && self.tombstones.is_empty()
    }

    /// Completes the file and makes it durable.
    pub(crate) async fn finish(mut self) -> Result<TableSummary> {
        if self.is_empty() {
            return Err(self.output.invalid("it holds nothing"));
        }
        if !self.block.is_empty() {
            self.cut_block(None)?;
        }
        self.finish_tombstones()?;
        self.payload.clear();
        self.top.finish(&mut self.payload);
        self.footer.top = self.output.put(&self.payload, Compression::None)?;
        let properties = self.properties.encode();
        self.footer.properties = self.output.put(&properties, Compression::None)?;
        self.footer.codecs = self.output.codecs();
        self.output.put_raw(&self.footer.encode());
        let (size, checksum) = self.output.finish().await?;
        Ok(TableSummary {
            filenum: FileNum::new(self.footer.filenum),
            size,
            checksum,
            properties: self.properties,
        })
    }

    #[inline]
    fn push(&mut self, key: &[u8], seq: u64, kind: Kind, value: &[u8]) -> Result<()> {
        let shared = common_prefix(&self.last_key, key);
        let mut is_new_key = true;
        if self.properties.entries == 0 {
            self.properties.smallest = key.to_vec();
        } else {
            let is_same_key = shared == key.len() && shared == self.last_key.len();
            let follows = if is_same_key {
                seq < self.last_seq
            } else {
                self.last_key.get(shared) < key.get(shared)
            };
            if !follows {
                return Err(self.output.invalid("its entries are out of order"));
            }
            is_new_key = !is_same_key;
        }
        check_len("key", key.len(), MAX_KEY_BYTES)?;
        check_len("value", value.len(), MAX_VALUE_BYTES)?;
        let room = self.block.len() + key.len() - shared + value.len();
        if room > self.options.block_bytes && !self.block.is_empty() {
            self.cut_block(Some(key))?;
        }
        // Each partition's filter has to know the key, also one that the one before knows.
        if is_new_key || self.partition.is_new() {
            self.partition.add_key(key);
        }
        self.block.add(shared, key, seq, kind, value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
        self.last_seq = seq;
        self.count(key, seq, kind, value);
        Ok(())
    }

    fn count(&mut self, key: &[u8], seq: u64, kind: Kind, value: &[u8]) {
        let properties = &mut self.properties;
        properties.entries += 1;
        properties.tombstones += u64::from(kind == Kind::Delete);
        properties.key_bytes += key.len() as u64;
        properties.value_bytes += value.len() as u64;
        self.count_seq(seq);
    }

    fn count_seq(&mut self, seq: u64) {
        let properties = &mut self.properties;
        properties.min_seq = properties.min_seq.min(seq);
        properties.max_seq = properties.max_seq.max(seq);
    }

    /// Ends the data block, and the partition where it is full or the `next` key does not come.
    fn cut_block(&mut self, next: Option<&[u8]>) -> Result<()> {
        let handle = self
            .output
            .put(self.block.finish(), self.options.compression)?;
        self.block.clear();
        self.properties.data_blocks += 1;
        self.properties.data_bytes += u64::from(handle.len);
        let last = (&self.last_key[..], self.last_seq);
        let (key, seq) = match next {
            Some(next) => bound(last, next, &mut self.bound),
            None => (last.0, 0),
        };
        self.partition.add_block(key, seq, handle);
        if next.is_none() || self.partition.len() >= self.options.partition_bytes {
            self.partition.finish(&mut self.payload);
            let handle = self.output.put(&self.payload, Compression::None)?;
            self.top.add(key, seq, handle);
            self.properties.partitions += 1;
        }
        Ok(())
    }

    /// Writes the range tombstones, and states the range of keys that they and the entries span.
    fn finish_tombstones(&mut self) -> Result<()> {
        self.tombstones.sort_by(RangeTombstone::order);
        self.tombstones.dedup();
        if self.properties.entries > 0 {
            self.properties.largest = std::mem::take(&mut self.last_key);
        } else if let Some(first) = self.tombstones.first() {
            self.properties.smallest = first.start.to_vec();
        }
        for tombstone in &self.tombstones {
            if tombstone.start < self.properties.smallest {
                self.properties.smallest = tombstone.start.to_vec();
            }
            if tombstone.last_key() > &self.properties.largest[..] {
                self.properties.largest = tombstone.last_key().to_vec();
            }
        }
        self.properties.range_tombstones = self.tombstones.len() as u64;
        self.footer.tombstones.offset = self.output.offset();
        if !self.tombstones.is_empty() {
            let payload = tombstones::encode(&self.tombstones);
            self.footer.tombstones = self.output.put(&payload, Compression::None)?;
        }
        Ok(())
    }
}

fn check_len(what: &'static str, bytes: usize, limit: usize) -> Result<()> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::TooLarge {
        what,
        bytes: bytes as u64,
        limit: limit as u64,
    })
}
