//! The manifest as plainly as it can be said: maps, sets and loops over all of them.

use std::collections::{BTreeMap, BTreeSet};

use quipu_kv::manifest::{FileNum, Flushed, KeyspaceOptions, ManifestEditV1, SstMetadata, Version};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plain {
    pub(crate) accepted: u64,
    pub(crate) keyspaces: BTreeMap<u32, (String, KeyspaceOptions)>,
    pub(crate) created: u32,
    pub(crate) tables: BTreeMap<FileNum, SstMetadata>,
    pub(crate) named: BTreeSet<FileNum>,
    pub(crate) last_seq: u64,
    pub(crate) floor: u64,
}

impl Plain {
    pub(crate) fn fold<'a>(edits: impl IntoIterator<Item = &'a ManifestEditV1>) -> Plain {
        let mut plain = Plain::default();
        for edit in edits {
            plain.apply(edit);
        }
        plain
    }

    /// Whether it fits.
    pub(crate) fn apply(&mut self, edit: &ManifestEditV1) -> bool {
        let mut after = self.clone();
        let fits = after.change(edit);
        if fits {
            after.accepted += 1;
            let flushed = after.keyspaces.values();
            let lowest = flushed.map(|(_, options)| options.flushed_through).min();
            after.floor = after.floor.max(lowest.unwrap_or(0));
            *self = after;
        }
        fits
    }

    fn change(&mut self, edit: &ManifestEditV1) -> bool {
        match edit {
            ManifestEditV1::AddFile { files, flushed } => {
                self.replace(files, &[]) && flushed.iter().all(|stretch| self.flush(stretch))
            }
            ManifestEditV1::Compaction { added, removed } => self.replace(added, removed),
            ManifestEditV1::CreateKeyspace { name, options } => {
                let taken = self.keyspaces.values().any(|(other, _)| other == name);
                if taken || options.flushed_through < self.floor {
                    return false;
                }
                let keyspace = (name.clone(), options.clone());
                self.keyspaces.insert(self.created, keyspace);
                self.created += 1;
                self.last_seq = self.last_seq.max(options.flushed_through);
                true
            }
            ManifestEditV1::DropKeyspace { keyspace } => {
                self.tables.retain(|_, table| table.keyspace != *keyspace);
                self.keyspaces.remove(&keyspace.get()).is_some()
            }
            ManifestEditV1::Snapshot(_) => unreachable!("nobody appends one"),
        }
    }

    fn flush(&mut self, stretch: &Flushed) -> bool {
        let Some((_, options)) = self.keyspaces.get_mut(&stretch.keyspace.get()) else {
            return false;
        };
        let fits = options.flushed_through == stretch.after && stretch.after <= stretch.through;
        options.flushed_through = stretch.through;
        self.last_seq = self.last_seq.max(stretch.through);
        fits
    }

    fn replace(&mut self, added: &[SstMetadata], removed: &[FileNum]) -> bool {
        let mut gone = BTreeMap::new();
        for filenum in removed {
            match self.tables.remove(filenum) {
                Some(table) => gone.insert(*filenum, table),
                None => return false,
            };
        }
        for table in added {
            let mut unmoved = table.clone();
            let moves = gone.get(&table.filenum).is_some_and(|before| {
                unmoved.level = before.level;
                unmoved == *before
            });
            let well_formed = table.smallest <= table.largest
                && table.min_seq <= table.max_seq
                && table.min_timestamp <= table.max_timestamp;
            let is_new = moves || !self.named.contains(&table.filenum);
            let twice = self.tables.insert(table.filenum, table.clone()).is_some();
            if twice || !is_new || !well_formed {
                return false;
            }
            self.named.insert(table.filenum);
            self.last_seq = self.last_seq.max(table.max_seq);
        }
        added.iter().all(|table| self.keeps_shape(table))
    }

    fn keeps_shape(&self, table: &SstMetadata) -> bool {
        let Some((_, options)) = self.keyspaces.get(&table.keyspace.get()) else {
            return false;
        };
        let sorted = options.sorted_from.is_some_and(|from| table.level >= from);
        let mut others = self.tables.values().filter(|other| {
            (other.keyspace, other.level) == (table.keyspace, table.level)
                && other.filenum != table.filenum
        });
        !sorted
            || others.all(|other| other.largest < table.smallest || table.largest < other.smallest)
    }

    /// The version says the same, whatever it is asked.
    pub(crate) fn compare(&self, version: &Version) {
        assert_eq!(version.number(), self.accepted);
        assert_eq!(version.last_seq(), self.last_seq);
        assert_eq!(version.wal_floor(), self.floor);
        assert_eq!(version.len(), self.tables.len());
        let bytes: u64 = self.tables.values().map(|table| table.size).sum();
        assert_eq!(version.bytes(), bytes);
        assert!(
            version
                .tables()
                .map(|table| &**table)
                .eq(self.tables.values())
        );
        for filenum in &self.named {
            let found = version.table(*filenum).map(|table| &**table);
            assert_eq!(found, self.tables.get(filenum));
        }
        let ids: Vec<u32> = version
            .keyspaces()
            .map(|keyspace| keyspace.id().get())
            .collect();
        assert!(ids.iter().eq(self.keyspaces.keys()));
        for (keyspace, (name, options)) in version.keyspaces().zip(self.keyspaces.values()) {
            assert_eq!(keyspace.name(), name);
            assert_eq!(keyspace.flushed_through(), options.flushed_through);
            assert_eq!(keyspace.sorted_from(), options.sorted_from);
            let named = version.keyspace_named(name);
            assert_eq!(named.map(|named| named.id()), Some(keyspace.id()));
            self.compare_queries(keyspace);
        }
    }

    fn compare_queries(&self, keyspace: &quipu_kv::manifest::Keyspace) {
        let mut own: Vec<&SstMetadata> = self
            .tables
            .values()
            .filter(|table| table.keyspace == keyspace.id())
            .collect();
        own.sort_by_key(|table| (table.level, &table.smallest, table.filenum));
        assert!(
            keyspace
                .tables()
                .map(|table| &**table)
                .eq(own.iter().copied())
        );
        assert_eq!(keyspace.len(), own.len());
        assert_eq!(keyspace.is_empty(), own.is_empty());
        assert_eq!(
            keyspace.bytes(),
            own.iter().map(|table| table.size).sum::<u64>()
        );
        let levels: BTreeSet<u32> = own.iter().map(|table| table.level).collect();
        assert!(keyspace.levels().map(|level| level.number()).eq(levels));
        for level in keyspace.levels() {
            assert!(!level.is_empty());
            let of_level = own.iter().filter(|table| table.level == level.number());
            assert_eq!(level.len(), of_level.clone().count());
            assert_eq!(level.bytes(), of_level.map(|table| table.size).sum::<u64>());
        }
        for (from, to) in [(0, 255), (10, 20), (20, 20), (30, 25), (40, 70)] {
            let (start, end) = ([from], [to]);
            let (start, end) = (&start[..], &end[..]);
            let holding = keyspace.overlapping(start..=end);
            let expected = own
                .iter()
                .copied()
                .filter(|table| &*table.largest >= start && &*table.smallest <= end);
            assert!(holding.map(|table| &**table).eq(expected), "{from}..={to}");
            let holding = keyspace.overlapping(start..end);
            let expected = own
                .iter()
                .copied()
                .filter(|table| &*table.largest >= start && &*table.smallest < end);
            assert!(holding.map(|table| &**table).eq(expected), "{from}..{to}");
            let (from, to) = (u64::from(from), u64::from(to));
            let holding = keyspace.in_time(from..to);
            let expected = own
                .iter()
                .copied()
                .filter(|table| table.max_timestamp >= from && table.min_timestamp < to);
            assert!(
                holding.map(|table| &**table).eq(expected),
                "time {from}..{to}"
            );
        }
        assert_eq!(keyspace.overlapping(..).count(), own.len());
        assert_eq!(keyspace.in_time(..).count(), own.len());
    }
}
