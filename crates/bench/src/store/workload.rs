//! What is done to a store, and what it finds.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::settings::Settings;

/// What is measured. The order is that of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Puts in the order of keys, into an empty store.
    Fillseq,
    /// Puts in random order, into an empty store, each key once.
    Fillrandom,
    /// Puts in random order, each key of a settled store once.
    Overwrite,
    /// Deletes, in random order, half of the keys of a settled store.
    DeleteRandom,
    /// Durable puts by one writer, into an empty store.
    Fillsync,
    /// Durable puts by 64 writers at once: threads, or tasks where the store is asynchronous.
    #[value(name = "fillsync-64")]
    #[serde(rename = "fillsync-64")]
    Fillsync64,
    /// Gets in random order.
    Readrandom,
    /// Gets of keys that are not there, between those that are.
    Readmissing,
    /// Gets in random order, a hundred at a time.
    Multiget,
    /// All pairs in the order of keys.
    Scan,
    /// All pairs in reverse order.
    ScanReverse,
    /// Scans that begin at a random key and end after ten pairs.
    #[value(name = "seek-next10")]
    #[serde(rename = "seek-next10")]
    SeekNext10,
    /// Gets in random order while another thread puts 50,000 times a second.
    ReadWhileWriting,
    /// Gets in random order of a store that was just filled, and is still at work.
    ReadUnsettled,
    /// Opening a settled store, until the first get is answered.
    Open,
    /// The same with 10,000 small tables.
    OpenTables,
}

/// What a workload finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Base {
    /// Nothing.
    Empty,
    /// A store that was filled in random order and compacted.
    Settled,
    /// The same in small tables.
    SmallTables,
}

/// How many tables `open-tables` is to find.
const SMALL_TABLES: u64 = 10_000;

/// What an entry takes in a table, about, beside key and value.
const ENTRY_OVERHEAD: u64 = 4;

impl Workload {
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().into())
    }

    pub(crate) fn base(self) -> Base {
        match self {
            Self::Fillseq | Self::Fillrandom | Self::Fillsync | Self::Fillsync64 => Base::Empty,
            Self::ReadUnsettled => Base::Empty,
            Self::OpenTables => Base::SmallTables,
            _ => Base::Settled,
        }
    }

    /// Whether it leaves its base as it was, so that the next may find it.
    pub(crate) fn is_reading(self) -> bool {
        match self {
            Self::Readrandom | Self::Readmissing | Self::Multiget | Self::Scan => true,
            Self::ScanReverse | Self::SeekNext10 | Self::Open | Self::OpenTables => true,
            _ => false,
        }
    }

    /// How many operations of one round are timed.
    pub(crate) fn operations(self, settings: &Settings) -> u64 {
        let keys = settings.keys;
        let share = match self {
            Self::Fillseq | Self::Fillrandom | Self::Overwrite => 1,
            Self::Scan | Self::ScanReverse => 1,
            Self::DeleteRandom => 2,
            Self::Readrandom | Self::Readmissing | Self::Multiget => 2,
            Self::ReadWhileWriting | Self::ReadUnsettled => 4,
            Self::Fillsync64 => 10,
            Self::SeekNext10 => 10,
            Self::Fillsync => 200,
            Self::Open | Self::OpenTables => return 1,
        };
        keys.div_ceil(share)
    }

    /// What an operation is.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Fillseq | Self::Fillrandom | Self::Overwrite => "puts/s",
            Self::Fillsync | Self::Fillsync64 => "puts/s",
            Self::DeleteRandom => "deletes/s",
            Self::Scan | Self::ScanReverse => "pairs/s",
            Self::SeekNext10 => "seeks/s",
            Self::Open | Self::OpenTables => "opens/s",
            _ => "gets/s",
        }
    }
}

impl Base {
    /// The settings with which it is made and opened.
    pub(crate) fn settings(self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        if self == Self::SmallTables {
            let bytes = settings.user_bytes(settings.keys) + settings.keys * ENTRY_OVERHEAD;
            settings.table_bytes = bytes.div_ceil(SMALL_TABLES);
        }
        settings
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Settled => "settled",
            Self::SmallTables => "small-tables",
        }
    }
}
