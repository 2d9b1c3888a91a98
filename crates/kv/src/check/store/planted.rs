//! The bugs that can be planted in the store: which there are, what each breaks, and who must find it.
//!
//! Each stands at one site in `crates/kv/src`, under its name; a test holds this list against the
//! sources.

use quipu_journal::check::planted::{Finder, Planted};

/// All of them.
pub const PLANTED: &[Planted] = &[
    // Flushing.
    Planted {
        name: "a flush is recorded without a sync of the log",
        breaks: "no table has writes that the log may lose",
        finder: Finder::Store,
        // 12: the log is seen to have lost its end before anything is shown.
        oracles: &["13", "K1", "K2", "12"],
        source: "RocksDB: a flushed column family ahead of the others behind a crash (atomic_flush)",
    },
    Planted {
        name: "a table is recorded without a sync",
        breaks: "a table is durable before the manifest names it",
        finder: Finder::Store,
        oracles: &["12"],
        source: "files of length zero behind a crash, in many stores",
    },
    Planted {
        name: "the names of tables are not synced",
        breaks: "a table's name is durable before the manifest names it",
        finder: Finder::Store,
        oracles: &["12"],
        source: "LevelDB (Pillai et al., OSDI 2014): the directory was not synced",
    },
    Planted {
        name: "the log goes as far as it is visible",
        breaks: "the log is kept until what it holds is in tables",
        finder: Finder::Store,
        oracles: &["K1", "K2", "M4", "12"],
        source: "write-ahead logs deleted when a flush begins",
    },
    Planted {
        name: "the newest memtable is flushed first",
        breaks: "memtables are flushed in the order in which they were frozen",
        finder: Finder::Store,
        oracles: &["K1", "K2", "K3"],
        source: "RocksDB: memtables flushed out of order",
    },
    Planted {
        name: "each keyspace is flushed by itself",
        breaks: "without a log, a crash leaves the store as of one moment",
        finder: Finder::Store,
        oracles: &["K2"],
        source: "RocksDB: column families apart behind a crash without a log",
    },
    Planted {
        name: "a flush looks at the default keyspace only",
        breaks: "behind a flush nothing is in memory",
        finder: Finder::Store,
        oracles: &["K7", "K1", "K2"],
        source: "flushes that leave column families out",
    },
    Planted {
        name: "a flush leaves out a range tombstone",
        breaks: "a table has all that the memtable had",
        finder: Finder::Store,
        oracles: &["K3"],
        source: "range deletions lost by the path that writes tables",
    },
    // Compaction.
    Planted {
        name: "inputs are deleted before the outputs are recorded",
        breaks: "inputs go when the manifest no longer names them",
        finder: Finder::Store,
        oracles: &["12"],
        source: "compactions that delete as soon as they have written",
    },
    Planted {
        name: "a compaction forgets the memtables that were frozen meanwhile",
        breaks: "a compaction changes tables only",
        finder: Finder::Store,
        oracles: &["K3", "K1"],
        source: "a new version installed over one that has changed",
    },
    Planted {
        name: "a compaction does not know of snapshots",
        breaks: "a version stays for as long as a snapshot shows it",
        finder: Finder::Store,
        oracles: &["K3"],
        source: "snapshots that lose keys behind a compaction",
    },
    Planted {
        name: "tombstones go above older versions",
        breaks: "a tombstone stays while it hides something",
        finder: Finder::Store,
        oracles: &["K3", "K1"],
        source: "deleted keys that come back, in many LSM trees",
    },
    Planted {
        name: "tombstones go that a snapshot needs",
        breaks: "what a snapshot shows is hidden from those who came later",
        finder: Finder::Store,
        oracles: &["K3"],
        source: "deleted keys that come back while a snapshot is held",
    },
    Planted {
        name: "a table goes before what it hides",
        breaks: "what has expired never brings back what it hid",
        // It takes entries that come late: the pickers' own simulation has them.
        finder: Finder::Unit,
        oracles: &[],
        source: "expired files dropped by age alone (FIFO compaction)",
    },
    // Reading.
    Planted {
        name: "a get does not see the range tombstones of tables",
        breaks: "all ways to read agree",
        finder: Finder::Store,
        oracles: &["K3"],
        source: "RocksDB: point reads that missed range tombstones",
    },
    Planted {
        name: "a reverse scan does not see range tombstones",
        breaks: "all ways to read agree",
        finder: Finder::Store,
        oracles: &["K3"],
        source: "RocksDB: SeekForPrev over range tombstones",
    },
    Planted {
        name: "the last key of a table is looked for in the next",
        breaks: "the largest key of a table is in it",
        finder: Finder::Store,
        oracles: &["K3"],
        source: "bounds that are off by one, in any search",
    },
    Planted {
        name: "a filter is asked for more bits than were set",
        breaks: "a filter never says no wrongly",
        finder: Finder::Store,
        oracles: &["K3"],
        source: "filters read with other parameters than they were written with",
    },
    Planted {
        name: "the cache takes blocks of all tables for the same",
        breaks: "a cached block is that of one table",
        finder: Finder::Store,
        oracles: &["K3", "13", "12", "panic"],
        source: "block caches keyed by an offset, or by a number that was used again",
    },
    // Recovery.
    Planted {
        name: "replay begins one write too late",
        breaks: "what is in no table is replayed",
        finder: Finder::Store,
        oracles: &["K1", "K2", "K4"],
        source: "replay from the number behind the right one",
    },
    Planted {
        name: "the last number is given again",
        breaks: "no number of an entry is given twice",
        finder: Finder::Store,
        oracles: &["M4"],
        source: "LevelDB: a last sequence that recovery sets too low",
    },
    Planted {
        name: "a memtable counts as all writes that the manifest knows of",
        breaks: "a flush covers what was read of the log until then",
        finder: Finder::Store,
        oracles: &["K1", "K2", "9"],
        source: "this store, until the explorer found it: regressions/store.txt",
    },
    Planted {
        name: "without a log, what is left of one is not read",
        breaks: "other options show the same",
        finder: Finder::Store,
        oracles: &["K4", "12"],
        source: "options that are taken for what is on disk",
    },
    Planted {
        name: "a log that does not open is begun anew",
        breaks: "a piece of the log that is missing is an error",
        finder: Finder::Store,
        oracles: &["M5", "K1"],
        source: "LevelDB: a missing log file read as an empty one",
    },
    // Checkpoints.
    Planted {
        name: "the names of a checkpoint's tables are not synced",
        breaks: "everything of a checkpoint is durable before it gets its name",
        finder: Finder::Store,
        oracles: &["K9"],
        source: "backups that are whole until the power fails",
    },
    Planted {
        name: "a checkpoint leaves out what is in memory",
        breaks: "a checkpoint holds all that was visible",
        finder: Finder::Store,
        oracles: &["K9"],
        source: "RocksDB: checkpoints without the write-ahead log",
    },
    // Writing.
    Planted {
        name: "writers at the same time get the same number",
        breaks: "writes at the same time come one behind the other",
        finder: Finder::Store,
        oracles: &["K8", "K3"],
        source: "a counter that is read and written in two steps",
    },
    Planted {
        name: "writers wait for a keyspace that is dropped",
        breaks: "whatever was begun comes to an end",
        finder: Finder::Store,
        oracles: &["progress"],
        source: "this store, until the explorer found it: regressions/store.txt",
    },
];
