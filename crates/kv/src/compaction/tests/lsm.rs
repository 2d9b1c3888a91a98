//! [`Lsm`]: a store without files. Its tables are vectors, its manifest is the real state machine,
//! and its model is the newest entry of each key.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};

use quipu_journal::Replayable;

use crate::compaction::{
    Backpressure, Compaction, CompactionOptions, Kind, Manual, Situation, Strategy, backpressure,
    compact_range, pick,
};
use crate::manifest::{
    FileNum, Keyspace, KeyspaceId, ManifestEdit, ManifestEditV1, ManifestState, SstMetadata,
};

use super::sound::assert_sound;
use super::text::{add, keyspace, show};

/// What one entry takes.
pub(super) const ENTRY_BYTES: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: u32,
    pub(super) seq: u64,
    pub(super) time: u64,
    pub(super) is_tombstone: bool,
}

/// What was written, and what there was at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) flushed_bytes: u64,
    pub(super) compacted_bytes: u64,
    pub(super) merges: u64,
    pub(super) moves: u64,
    pub(super) drops: u64,
    pub(super) stalls: u64,
    pub(super) most_level0: usize,
    pub(super) most_runs: usize,
    /// Bytes of tables and inputs together, over those of live entries, in percent.
    pub(super) most_space: u64,
}

pub(super) struct Lsm {
    state: ManifestState,
    pub(super) options: CompactionOptions,
    tables: BTreeMap<FileNum, Vec<Entry>>,
    next: u64,
    running: Vec<(Compaction, u64)>,
    busy: BTreeSet<FileNum>,
    pub(super) seq: u64,
    pub(super) now: u64,
    /// The newest entry of each key.
    model: Vec<Option<Entry>>,
    /// A snapshot, and what it has to show.
    snapshot: Option<(u64, Vec<Option<Entry>>)>,
    pub(super) figures: Figures,
}

impl Lsm {
    pub(super) fn new(options: CompactionOptions, keys: u32) -> Lsm {
        Lsm {
            state: keyspace(),
            options,
            tables: BTreeMap::new(),
            next: 1,
            running: Vec::new(),
            busy: BTreeSet::new(),
            seq: 0,
            now: 0,
            model: vec![None; keys as usize],
            snapshot: None,
            figures: Figures::default(),
        }
    }

    pub(super) fn keyspace(&self) -> &Keyspace {
        self.state.version().keyspace_named("keyspace").unwrap()
    }

    fn situation<'a>(&'a self) -> Situation<'a> {
        Situation {
            keyspace: self.keyspace(),
            running: &self.busy,
            options: &self.options,
            now: self.now,
            oldest_snapshot: self
                .snapshot
                .as_ref()
                .map_or(self.seq, |snapshot| snapshot.0),
        }
    }

    pub(super) fn must_wait(&self) -> bool {
        matches!(
            backpressure(self.keyspace(), &self.options),
            Backpressure::Stop(_)
        )
    }

    /// Writes a batch, in the order of keys, as one or two tables of level 0.
    pub(super) fn flush(&mut self, batch: &BTreeMap<u32, (bool, u64)>, parts: usize) {
        let mut entries = Vec::new();
        for (key, (is_tombstone, time)) in batch {
            self.seq += 1;
            let entry = Entry {
                key: *key,
                seq: self.seq,
                time: *time,
                is_tombstone: *is_tombstone,
            };
            self.model[*key as usize] = Some(entry);
            entries.push(entry);
        }
        // Keys and sequence numbers of one flush are not in one order.
        let last = self.seq;
        let first = last + 1 - entries.len() as u64;
        for entry in &mut entries {
            entry.seq = first + last - entry.seq;
            self.model[entry.key as usize] = Some(*entry);
        }
        let size = entries.len().div_ceil(parts).max(1);
        let files: Vec<_> = entries
            .chunks(size)
            .map(|part| self.table(part.to_vec(), 0))
            .collect();
        self.figures.flushed_bytes += files.iter().map(|table| table.size).sum::<u64>();
        add(&mut self.state, files);
    }

    fn table(&mut self, entries: Vec<Entry>, level: u32) -> SstMetadata {
        let filenum = FileNum::new(self.next);
        self.next += 1;
        let key = |entry: Option<&Entry>| entry.unwrap().key.to_be_bytes();
        let (smallest, largest) = (key(entries.first()), key(entries.last()));
        let mut table = SstMetadata::new(filenum, KeyspaceId::new(0), level, smallest, largest);
        let seqs = || entries.iter().map(|entry| entry.seq);
        let times = || entries.iter().map(|entry| entry.time);
        table.size = entries.len() as u64 * ENTRY_BYTES;
        table.entries = entries.len() as u64;
        table.tombstones = entries.iter().filter(|entry| entry.is_tombstone).count() as u64;
        (table.min_seq, table.max_seq) = (seqs().min().unwrap(), seqs().max().unwrap());
        (table.min_timestamp, table.max_timestamp) =
            (times().min().unwrap(), times().max().unwrap());
        self.tables.insert(filenum, entries);
        table
    }

    /// Begins what is picked, as long as a slot is free; whether anything was.
    pub(super) fn begin(&mut self, slots: usize) -> bool {
        let mut any = false;
        while self.running.len() < slots {
            let Some(picked) = pick(&self.situation()) else {
                break;
            };
            self.start(picked);
            any = true;
        }
        any
    }

    /// Begins one step of a manual compaction, if there is one and it need not wait.
    pub(super) fn begin_manual(&mut self, keys: RangeInclusive<u32>) {
        let (first, last) = (keys.start().to_be_bytes(), keys.end().to_be_bytes());
        let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        if let Manual::Next(picked) = compact_range(&self.situation(), range) {
            self.start(picked);
        }
    }

    fn start(&mut self, picked: Compaction) {
        assert_sound(&self.situation(), &picked);
        let bytes = match picked.kind {
            Kind::Merge => picked.inputs.iter().map(|table| table.size).sum(),
            Kind::Move | Kind::Drop => 0,
        };
        self.busy
            .extend(picked.inputs.iter().map(|table| table.filenum));
        self.running.push((picked, bytes));
    }

    /// Lets what runs read so many bytes, the compaction at this place first, and ends what is done.
    pub(super) fn work(&mut self, mut bytes: u64, mut place: usize) {
        while !self.running.is_empty() {
            place %= self.running.len();
            let left = &mut self.running[place].1;
            let done = bytes.min(*left);
            *left -= done;
            bytes -= done;
            if *left > 0 {
                return;
            }
            let (picked, _) = self.running.swap_remove(place);
            self.end(&picked);
        }
    }

    fn end(&mut self, picked: &Compaction) {
        let added = match picked.kind {
            Kind::Merge => self.merge(picked),
            Kind::Move => {
                let moved = picked.inputs.iter().map(|table| SstMetadata {
                    level: picked.output_level,
                    ..(**table).clone()
                });
                self.figures.moves += 1;
                moved.collect()
            }
            Kind::Drop => {
                self.figures.drops += 1;
                Vec::new()
            }
        };
        let removed: Vec<_> = picked.inputs.iter().map(|table| table.filenum).collect();
        for filenum in &removed {
            self.busy.remove(filenum);
            if picked.kind != Kind::Move {
                self.tables.remove(filenum);
            }
        }
        let edit = ManifestEditV1::Compaction { added, removed };
        let answer = self.state.apply(ManifestEdit::V1(edit));
        assert!(answer.is_ok(), "{answer:?}: {}", show(Some(picked)));
    }

    fn merge(&mut self, picked: &Compaction) -> Vec<SstMetadata> {
        let mut merged: BTreeMap<u32, Vec<Entry>> = BTreeMap::new();
        for table in &picked.inputs {
            for entry in &self.tables[&table.filenum] {
                merged.entry(entry.key).or_default().push(*entry);
            }
        }
        let mut outputs: Vec<Vec<Entry>> = vec![Vec::new()];
        let mut cuts = picked.cut_at.iter().peekable();
        for (key, mut entries) in merged {
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
            self.keep_what_is_seen(&mut entries, picked.drop_tombstones);
            let mut ends =
                outputs.last().unwrap().len() as u64 * ENTRY_BYTES >= picked.max_output_bytes;
            while cuts
                .next_if(|cut| ***cut < *key.to_be_bytes().as_slice())
                .is_some()
            {
                ends = true;
            }
            if ends && !outputs.last().unwrap().is_empty() {
                outputs.push(Vec::new());
            }
            outputs.last_mut().unwrap().extend(entries);
        }
        outputs.retain(|entries| !entries.is_empty());
        let tables = outputs
            .into_iter()
            .map(|entries| self.table(entries, picked.output_level));
        let tables: Vec<_> = tables.collect();
        self.figures.merges += 1;
        self.figures.compacted_bytes += tables.iter().map(|table| table.size).sum::<u64>();
        tables
    }

    /// Of the entries of one key, the newest first, keeps what a reader or the snapshot sees.
    fn keep_what_is_seen(&self, entries: &mut Vec<Entry>, drop_tombstones: bool) {
        let snapshot = self
            .snapshot
            .as_ref()
            .map_or(u64::MAX, |snapshot| snapshot.0);
        let seen = entries.iter().position(|entry| entry.seq <= snapshot);
        let mut place = 0;
        entries.retain(|_| {
            place += 1;
            place == 1 || Some(place - 1) == seen
        });
        let oldest = entries.last().copied();
        if drop_tombstones
            && oldest.is_some_and(|entry| entry.is_tombstone && entry.seq <= snapshot)
        {
            entries.pop();
        }
    }

    pub(super) fn take_snapshot(&mut self) {
        self.snapshot = Some((self.seq, self.model.clone()));
    }

    pub(super) fn drop_snapshot(&mut self) {
        self.check();
        self.snapshot = None;
    }

    /// Reads every key as a store does, from the newest place down to the first entry, and compares.
    pub(super) fn check(&self) {
        self.check_at(u64::MAX, &self.model);
        if let Some((seq, model)) = &self.snapshot {
            self.check_at(*seq, model);
        }
        let bytes: usize = self.tables.values().map(Vec::len).sum();
        assert_eq!(
            self.keyspace().bytes(),
            bytes as u64 * ENTRY_BYTES,
            "files and manifest"
        );
    }

    fn check_at(&self, seq: u64, model: &[Option<Entry>]) {
        let mut newest_first: Vec<_> = self.keyspace().tables().collect();
        newest_first.sort_by_key(|table| {
            (
                table.level,
                std::cmp::Reverse((table.max_seq, table.filenum)),
            )
        });
        let mut found: Vec<Option<Entry>> = vec![None; model.len()];
        for table in newest_first {
            for entry in self.tables[&table.filenum]
                .iter()
                .filter(|entry| entry.seq <= seq)
            {
                found[entry.key as usize].get_or_insert(*entry);
            }
        }
        for (found, expected) in found.iter().zip(model) {
            let Some(expected) = expected else {
                assert_eq!(*found, None);
                continue;
            };
            let may_be_gone = expected.is_tombstone || self.has_expired(expected);
            assert!(
                *found == Some(*expected) || (found.is_none() && may_be_gone),
                "{found:?} instead of {expected:?} at {}",
                self.now
            );
        }
    }

    fn has_expired(&self, entry: &Entry) -> bool {
        match &self.options.strategy {
            Strategy::TimeWindow(options) => options
                .ttl
                .is_some_and(|ttl| entry.time.saturating_add(ttl) <= self.now),
            _ => false,
        }
    }

    /// Runs all that is picked to its end, of which there must not be more than so many.
    pub(super) fn settle(&mut self, slots: usize, most: usize, mut place: impl FnMut() -> usize) {
        let before = self.done();
        while self.begin(slots) || !self.running.is_empty() {
            self.work(50 * ENTRY_BYTES, place());
            let done = self.done() - before;
            assert!(done <= most, "no end after {done}: {}", self.shape());
        }
    }

    /// Runs a manual compaction of all keys to its end.
    pub(super) fn compact_all(&mut self) -> usize {
        let before = self.done();
        loop {
            match compact_range(&self.situation(), (Bound::Unbounded, Bound::Unbounded)) {
                Manual::Next(picked) => self.start(picked),
                Manual::Busy => {}
                Manual::Done => return self.done() - before,
            }
            self.work(u64::MAX, 0);
        }
    }

    fn done(&self) -> usize {
        let Figures {
            merges,
            moves,
            drops,
            ..
        } = self.figures;
        usize::try_from(merges + moves + drops).unwrap()
    }

    pub(super) fn tombstones(&self) -> u64 {
        self.keyspace().tables().map(|table| table.tombstones).sum()
    }

    pub(super) fn runs(&self) -> usize {
        let levels = self.keyspace().levels();
        levels
            .map(|level| if level.number() == 0 { level.len() } else { 1 })
            .sum()
    }

    pub(super) fn level0(&self) -> usize {
        self.keyspace().level(0).map_or(0, |level| level.len())
    }

    /// Bytes of tables over those of live entries, in percent.
    pub(super) fn space(&self) -> u64 {
        let live = self
            .model
            .iter()
            .flatten()
            .filter(|entry| !entry.is_tombstone && !self.has_expired(entry));
        self.keyspace().bytes() * 100 / (live.count().max(1) as u64 * ENTRY_BYTES)
    }

    pub(super) fn observe(&mut self) {
        self.figures.most_level0 = self.figures.most_level0.max(self.level0());
        self.figures.most_runs = self.figures.most_runs.max(self.runs());
    }

    /// Levels and their bytes, for reports.
    pub(super) fn shape(&self) -> String {
        let levels = self.keyspace().levels();
        let levels = levels.map(|level| {
            format!(
                "L{}:{}x{}kB",
                level.number(),
                level.len(),
                level.bytes() / 1000
            )
        });
        levels.collect::<Vec<_>>().join(" ")
    }
}
