//! [`Options`] and [`LogOptions`]: plain data, changed from their defaults.

use std::num::NonZeroUsize;

use crate::snapshot::SnapshotPolicy;
use crate::{Error, Result};

/// The options of a [`Journal`](crate::Journal).
///
/// ```
/// let mut options = quipu_journal::Options::default();
/// options.log.segment_bytes = 16 << 20;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How the log is written.
    pub log: LogOptions,
    /// When a snapshot is taken without being asked for.
    pub snapshots: SnapshotPolicy,
    /// What is kept.
    pub retention: Retention,
}

/// What a journal keeps on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// The newest snapshots, this many, and the log from the oldest of them on.
    Snapshots(NonZeroUsize),
    /// Every segment and every snapshot, for ever.
    All,
}

impl Default for Retention {
    /// Two snapshots: when the newest is damaged, the one before and the log still give all.
    fn default() -> Self {
        Retention::Snapshots(NonZeroUsize::MIN.saturating_add(1))
    }
}

/// How a log is written. All sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogOptions {
    /// A segment that has reached this size is followed by a new one.
    pub segment_bytes: u64,
    /// The largest edit, encoded. Bounds the memory that one edit can take in replay.
    pub max_edit_bytes: usize,
    /// The largest frame, which is also the largest batch: at least `max_edit_bytes` and 4 more.
    pub max_frame_bytes: usize,
    /// How much may wait to be written; beyond it appends fail with `Overloaded`.
    pub max_queue_bytes: usize,
    /// Space is reserved ahead of the writes in steps that grow up to this size.
    pub allocation_bytes: u64,
    /// Zeros are written ahead of the frames in steps of this size, so that a sync has no metadata to
    /// write: a sync of many blocks can take little more than half the time then. Every
    /// byte of log is written twice for it; 0 turns it off.
    pub zero_ahead_bytes: u64,
    /// After so many bytes that nobody asked to be synced, a sync is begun that no append waits for. It
    /// proves nothing, but the next sync that somebody waits for, or the next segment, finds little
    /// left to be done. 0 turns it off.
    pub sync_behind_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            segment_bytes: 64 << 20,
            max_edit_bytes: 64 << 20,
            max_frame_bytes: (64 << 20) + 4096,
            max_queue_bytes: 256 << 20,
            allocation_bytes: 8 << 20,
            zero_ahead_bytes: 256 << 10,
            sync_behind_bytes: 4 << 20,
        }
    }
}

impl LogOptions {
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |reason: &'static str| {
            Err(Error::Invalid {
                reason: reason.into(),
            })
        };
        if self.max_frame_bytes < self.max_edit_bytes.saturating_add(4) {
            return wrong("max_frame_bytes must exceed max_edit_bytes by at least 4");
        }
        if self.max_frame_bytes > 1 << 30 {
            return wrong("max_frame_bytes must not exceed 1 GiB");
        }
        if self.max_queue_bytes < self.max_frame_bytes {
            return wrong("max_queue_bytes must be at least max_frame_bytes");
        }
        if self.allocation_bytes == 0 {
            return wrong("allocation_bytes must not be 0");
        }
        Ok(())
    }
}
