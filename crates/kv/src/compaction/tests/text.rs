//! A small text form of a tree's shape, and of what is picked for it.
//!
//! ```text
//! options leveled base_bytes=100MB table_bytes=10MB
//! L0: 7[a-f]10MB 6[c-z]10MB
//! L6: 1[a-m]40MB@0-19 2[n-z]40MB,d60%,t5-9
//! running 6
//! ```
//!
//! A table is its number, keys and size; then, as far as they matter, its sequence numbers, its
//! share of tombstones and its timestamps.

use std::collections::BTreeSet;

use quipu_journal::Replayable;

use crate::compaction::{
    Compaction, CompactionOptions, Kind, LeveledOptions, SimpleLeveledOptions, Strategy,
    TieredOptions, TimeWindowOptions,
};
use crate::manifest::{
    FileNum, KeyspaceId, KeyspaceOptions, ManifestEdit, ManifestEditV1, ManifestState, SstMetadata,
};

/// What a picker is asked about.
pub(super) struct Scene {
    pub(super) state: ManifestState,
    pub(super) options: CompactionOptions,
    pub(super) running: BTreeSet<FileNum>,
    pub(super) now: u64,
    pub(super) oldest_snapshot: u64,
    /// The range of a manual compaction.
    pub(super) range: Option<(String, String)>,
    /// Whether the question is whether writers have to wait.
    pub(super) asks_pressure: bool,
}

impl Scene {
    pub(super) fn parse(lines: &str) -> Scene {
        let mut scene = Scene {
            state: keyspace(),
            options: CompactionOptions::default(),
            running: BTreeSet::new(),
            now: 0,
            oldest_snapshot: u64::MAX,
            range: None,
            asks_pressure: false,
        };
        for line in lines.lines().filter(|line| !line.starts_with(['#', '>'])) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            match word {
                "options" => scene.options = options(rest),
                "running" => scene.running = rest.split(' ').map(filenum).collect(),
                "now" => scene.now = rest.parse().unwrap(),
                "snapshot" => scene.oldest_snapshot = rest.parse().unwrap(),
                "compact" => {
                    let (from, to) = rest.split_once('-').unwrap();
                    scene.range = Some((from.to_owned(), to.to_owned()));
                }
                "pressure" => scene.asks_pressure = true,
                _ => {
                    let level = word
                        .strip_prefix('L')
                        .and_then(|word| word.strip_suffix(':'));
                    let level = level.unwrap_or_else(|| panic!("what is {line:?}?"));
                    let level = level.parse().unwrap();
                    let files = rest.split_whitespace().map(|text| table(text, level));
                    add(&mut scene.state, files.collect());
                }
            }
        }
        scene
    }
}

/// A manifest with one keyspace.
pub(super) fn keyspace() -> ManifestState {
    let mut state = ManifestState::initial();
    let created = state.apply(ManifestEdit::V1(ManifestEditV1::CreateKeyspace {
        name: "keyspace".to_owned(),
        options: KeyspaceOptions::default(),
    }));
    created.unwrap();
    state
}

pub(super) fn add(state: &mut ManifestState, files: Vec<SstMetadata>) {
    let flushed = Vec::new();
    let added = state.apply(ManifestEdit::V1(ManifestEditV1::AddFile { files, flushed }));
    added.unwrap();
}

fn table(text: &str, level: u32) -> SstMetadata {
    let (number, rest) = text.split_once('[').unwrap();
    let (keys, rest) = rest.split_once(']').unwrap();
    let (smallest, largest) = keys.split_once('-').unwrap();
    let mut parts = rest.split(',');
    let (size, seqs) = match parts.next().unwrap().split_once('@') {
        Some((size, seqs)) => (size, Some(pair(seqs))),
        None => (parts_size(rest), None),
    };
    let filenum = filenum(number);
    let mut table = SstMetadata::new(
        filenum,
        KeyspaceId::new(0),
        level,
        smallest.as_bytes(),
        largest.as_bytes(),
    );
    table.size = bytes(size);
    table.entries = 100;
    let first = if level == 0 { 10 * filenum.get() } else { 0 };
    (table.min_seq, table.max_seq) = seqs.unwrap_or((first, 10 * filenum.get() + 9));
    for part in parts {
        if let Some(percent) = part.strip_prefix('d') {
            table.tombstones = percent.strip_suffix('%').unwrap().parse().unwrap();
        } else {
            let times = pair(part.strip_prefix('t').unwrap());
            (table.min_timestamp, table.max_timestamp) = times;
        }
    }
    table
}

fn parts_size(rest: &str) -> &str {
    rest.split(',').next().unwrap()
}

fn pair(text: &str) -> (u64, u64) {
    let (first, last) = text.split_once('-').unwrap();
    (first.parse().unwrap(), last.parse().unwrap())
}

fn filenum(text: &str) -> FileNum {
    FileNum::new(text.parse().unwrap())
}

const UNITS: [(&str, u64); 4] = [("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("", 1)];

fn bytes(text: &str) -> u64 {
    let (unit, factor) = UNITS.iter().find(|unit| text.ends_with(unit.0)).unwrap();
    let number = text.strip_suffix(unit).unwrap();
    number.parse::<u64>().unwrap() * factor
}

fn show_bytes(bytes: u64) -> String {
    let fits = |unit: &&(&str, u64)| bytes.is_multiple_of(unit.1);
    let (unit, factor) = UNITS.iter().find(fits).unwrap();
    format!("{}{unit}", bytes / factor)
}

fn options(text: &str) -> CompactionOptions {
    let mut words = text.split_whitespace();
    let mut options = CompactionOptions::default();
    let strategy = words.next().unwrap();
    let mut leveled = LeveledOptions::default();
    let mut simple = SimpleLeveledOptions::default();
    let mut tiered = TieredOptions::default();
    let mut windows = TimeWindowOptions::default();
    for word in words {
        let (name, value) = word.split_once('=').unwrap();
        let value = bytes(value);
        let count = usize::try_from(value).unwrap();
        let level = u32::try_from(value).unwrap_or_default();
        let limits = &mut options.backpressure;
        match name {
            "table_bytes" => options.table_bytes = value,
            "max_compaction_bytes" => options.max_compaction_bytes = value,
            "max_overlap_bytes" => options.max_overlap_bytes = value,
            "slow_level0_tables" => limits.slow_level0_tables = count,
            "stop_level0_tables" => limits.stop_level0_tables = count,
            "slow_runs" => limits.slow_runs = count,
            "stop_runs" => limits.stop_runs = count,
            "slow_pending_bytes" => limits.slow_pending_bytes = value,
            "stop_pending_bytes" => limits.stop_pending_bytes = value,
            "level0_tables" => leveled.level0_tables = count,
            "levels" => leveled.levels = level,
            "base_bytes" => leveled.base_bytes = value,
            "multiplier" => leveled.multiplier = value,
            "tombstone_percent" => leveled.tombstone_percent = value,
            "trigger" => simple.level0_file_num_compaction_trigger = count,
            "ratio" => simple.size_ratio_percent = value,
            "max_levels" => simple.max_levels = level,
            "runs" => tiered.runs = count,
            "space" => tiered.max_space_amplification_percent = value,
            "similar" => tiered.size_ratio_percent = value,
            "least_width" => tiered.min_merge_width = count,
            "most_width" => tiered.max_merge_width = count,
            "window" => windows.window = value,
            "ttl" => windows.ttl = Some(value),
            "current_runs" => windows.current.runs = count,
            _ => panic!("what is {name}?"),
        }
    }
    options.strategy = match strategy {
        "leveled" => Strategy::Leveled(leveled),
        "simple" => Strategy::SimpleLeveled(simple),
        "tiered" => Strategy::Tiered(tiered),
        "windows" => Strategy::TimeWindow(windows),
        _ => panic!("what is {strategy}?"),
    };
    options
}

/// What was picked, in a line.
pub(super) fn show(picked: Option<&Compaction>) -> String {
    let Some(picked) = picked else {
        return "> nothing\n".to_owned();
    };
    let mut text = format!("> {} ({}):", picked.kind, picked.reason);
    for level in picked.inputs.chunk_by(|a, b| a.level == b.level) {
        text += &format!(" L{}", level[0].level);
        for table in level {
            text += &format!(" {}", table.filenum.get());
        }
    }
    if picked.kind != Kind::Drop {
        text += &format!(" -> L{}", picked.output_level);
    }
    if picked.kind == Kind::Merge {
        text += match picked.drop_tombstones {
            true => ", without tombstones",
            false => ", with tombstones",
        };
        text += &match picked.max_output_bytes {
            u64::MAX => ", one table".to_owned(),
            bytes => format!(", tables of {}", show_bytes(bytes)),
        };
        for key in &picked.cut_at {
            text += &format!(", cut at {}", String::from_utf8_lossy(key));
        }
    }
    text + "\n"
}
