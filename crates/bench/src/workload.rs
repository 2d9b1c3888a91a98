//! What is measured: the amount of work of each workload, and what bounds it.

use clap::ValueEnum;

use crate::load::Load;

/// The size of a record in the append workloads.
const RECORD_BYTES: usize = 256;

/// About the size of an edit that flushes one table.
const EDIT_BYTES: usize = 100;

/// The size of the state that `snapshot-stall` takes a snapshot of: 1 GB.
const STATE_BYTES: f64 = 1e9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Durable appends by one writer: each returns only when its record is on disk.
    #[value(name = "append-1")]
    Append1,
    /// Durable appends by 64 writers at once.
    #[value(name = "append-64")]
    Append64,
    /// Appends without a sync by one writer.
    #[value(name = "append-os-1")]
    AppendOs1,
    /// Appends without a sync by four writers at once.
    #[value(name = "append-os-4")]
    AppendOs4,
    /// Opening a log of two million edits, from a warm page cache, until each was applied.
    Replay,
    /// Latency of durable appends by one writer while the snapshot of a large state is written.
    SnapshotStall,
    /// Crash executions of a journal in the simulator: open, replay, oracles; on one core.
    Explore,
    /// Opening a manifest of a million live tables after three million edits, from a warm page
    /// cache, until it finds a table.
    ManifestOpen,
    /// Recording one flush durably in a manifest of ten live tables.
    #[value(name = "manifest-flush-10")]
    ManifestFlush10,
    /// The same with 20,000 live tables.
    #[value(name = "manifest-flush-20000")]
    ManifestFlush20000,
}

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Append1 => "append-1",
            Self::Append64 => "append-64",
            Self::AppendOs1 => "append-os-1",
            Self::AppendOs4 => "append-os-4",
            Self::Replay => "replay",
            Self::SnapshotStall => "snapshot-stall",
            Self::Explore => "explore",
            Self::ManifestOpen => "manifest-open",
            Self::ManifestFlush10 => "manifest-flush-10",
            Self::ManifestFlush20000 => "manifest-flush-20000",
        }
    }

    /// The work of one round.
    pub(crate) fn load(self, scale: f64) -> Load {
        let (writers, appends, record_bytes) = match self {
            Self::Append1 => (1, 10_000.0, RECORD_BYTES),
            Self::Append64 => (64, 4_000.0, RECORD_BYTES),
            Self::AppendOs1 => (1, 1_000_000.0, RECORD_BYTES),
            Self::AppendOs4 => (4, 250_000.0, RECORD_BYTES),
            Self::Replay => (1, 2_000_000.0, 100),
            Self::SnapshotStall => (1, 20_000.0, RECORD_BYTES),
            Self::Explore => (1, 20_000.0, 0),
            Self::ManifestOpen => (1, 0.0, 0),
            Self::ManifestFlush10 | Self::ManifestFlush20000 => (1, 5_000.0, EDIT_BYTES),
        };
        #[expect(clippy::cast_possible_truncation, reason = "positive, below 2^52")]
        let scaled = |amount: f64| (amount * scale).ceil() as u64;
        let tables = match self {
            Self::ManifestOpen => scaled(1_000_000.0),
            // Not an amount of work: it is what the flushes find.
            Self::ManifestFlush10 => 10,
            Self::ManifestFlush20000 => 20_000,
            _ => 0,
        };
        let state_bytes = match self {
            Self::SnapshotStall => STATE_BYTES,
            _ => 0.0,
        };
        Load {
            writers,
            appends: scaled(appends),
            record_bytes,
            state_bytes: scaled(state_bytes),
            tables,
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Append1 | Self::Append64 | Self::AppendOs1 | Self::AppendOs4 => "appends/s",
            Self::Replay => "edits/s",
            Self::SnapshotStall => "us",
            Self::Explore => "runs/s",
            Self::ManifestOpen => "tables/s",
            Self::ManifestFlush10 | Self::ManifestFlush20000 => "flushes/s",
        }
    }

    /// What the ratio of this workload is a ratio to, in words.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::Append1 => "one thread's own pwrite + fdatasync into a zeroed file",
            Self::Append64 => "64 x one thread's own pwrite + fdatasync into a zeroed file",
            Self::AppendOs1 | Self::AppendOs4 => "one thread's own pwrite into an allocated file",
            Self::Replay => "framed read and checksum of the same edits",
            Self::SnapshotStall => "the same without a snapshot",
            Self::Explore => "booting a simulated machine and reading one file",
            Self::ManifestOpen => "a manifest of JSON lines, one for each edit",
            Self::ManifestFlush10 | Self::ManifestFlush20000 => {
                "pwrite + fdatasync of as many bytes into a zeroed file"
            }
        }
    }

    /// Whether there is something to be prepared, which all rounds then find.
    pub(crate) fn is_prepared(self) -> bool {
        match self {
            Self::Append1 | Self::Append64 => false,
            Self::AppendOs1 | Self::AppendOs4 | Self::Explore => false,
            Self::Replay | Self::SnapshotStall | Self::ManifestOpen => true,
            Self::ManifestFlush10 | Self::ManifestFlush20000 => true,
        }
    }

    /// Whose rate is the limit of all others.
    pub(crate) fn limit_subject(self) -> &'static str {
        match self {
            Self::ManifestOpen => "json-lines",
            _ => "raw",
        }
    }

    /// How many times the rate of the limit's subject the limit is.
    pub(crate) fn limit_factor(self) -> f64 {
        match self {
            Self::Append64 => 64.0,
            _ => 1.0,
        }
    }
}
