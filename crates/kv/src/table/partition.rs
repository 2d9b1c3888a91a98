//! A partition: the filter and the index of a run of data blocks, in one block behind them.
//!
//! ```text
//! | filter: lines of 64 bytes | index | lines: u32 | probes: u32 |
//! ```
//!
//! Filter and index of the same keys are one block, so that a query that gets past the filter finds
//! what it needs next beside it: one look into the cache, or one read. Partitions go through the
//! cache as data blocks do, so a table of any size keeps only the index of its partitions in memory.

use bytes::Bytes;

use quipu_io::planted::planted;

use super::filter;
use super::index::{Index, IndexBuilder};
use super::layout::{Handle, Malformed, u32_at, u32_of, usize_of};

const FOOTER_BYTES: usize = 8;

/// Builds the payload of a partition.
#[derive(Debug)]
pub(crate) struct PartitionBuilder {
    index: IndexBuilder,
    hashes: Vec<u64>,
    bits_per_key: u32,
}

impl PartitionBuilder {
    pub(crate) fn new(bits_per_key: u32) -> Self {
        PartitionBuilder {
            index: IndexBuilder::default(),
            hashes: Vec::new(),
            bits_per_key,
        }
    }

    /// Bytes of the payload, at most.
    pub(crate) fn len(&self) -> usize {
        self.index.len() + filter::filter_bytes(self.hashes.len(), self.bits_per_key) + FOOTER_BYTES
    }

    /// Whether no key has been added since the last one ended.
    #[inline]
    pub(crate) fn is_new(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Adds a key; one that comes several times in a row is to be added once.
    #[inline]
    pub(crate) fn add_key(&mut self, key: &[u8]) {
        if self.bits_per_key > 0 {
            self.hashes.push(filter::hash(key));
        }
    }

    /// Adds a block, whose keys have been added.
    pub(crate) fn add_block(&mut self, bound: &[u8], seq: u64, handle: Handle) {
        self.index.add(bound, seq, handle);
    }

    /// Replaces `out` by the payload, and begins anew.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        out.clear();
        filter::build(&self.hashes, self.bits_per_key, out);
        let lines = out.len() / filter::LINE_BYTES;
        self.hashes.clear();
        self.index.finish(out);
        out.extend_from_slice(&u32_of(lines).to_le_bytes());
        out.extend_from_slice(&filter::probes(self.bits_per_key).to_le_bytes());
    }
}

/// A partition in memory.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    filter: Bytes,
    probes: u32,
    pub(crate) index: Index,
}

impl Partition {
    /// Takes the partition that `payload` is, for blocks below `limit`.
    pub(crate) fn decode(mut payload: Bytes, limit: u64) -> Result<Partition, Malformed> {
        let malformed = Malformed("the partition is malformed");
        let footer = payload.len().checked_sub(FOOTER_BYTES).ok_or(malformed)?;
        let lines = u32_at(&payload, footer).ok_or(malformed)?;
        let probes = u32_at(&payload, footer + 4).ok_or(malformed)?;
        let filter_bytes = usize_of(u64::from(lines)).checked_mul(filter::LINE_BYTES);
        let filter_bytes = filter_bytes.filter(|bytes| *bytes <= footer);
        let filter = payload.split_to(filter_bytes.ok_or(malformed)?);
        payload.truncate(payload.len() - FOOTER_BYTES);
        let index = Index::decode(payload, limit)?;
        if index.len() == 0 {
            return Err(Malformed("the partition has no blocks"));
        }
        Ok(Partition {
            filter,
            probes,
            index,
        })
    }

    /// Whether a key with this hash may be in these blocks.
    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let more = u32::from(planted("a filter is asked for more bits than were set"));
        filter::may_contain(&self.filter, self.probes + more, hash)
    }

    /// Bytes that this keeps in memory.
    pub(crate) fn weight(&self) -> usize {
        self.filter.len() + self.index.weight() + size_of::<Partition>()
    }
}
