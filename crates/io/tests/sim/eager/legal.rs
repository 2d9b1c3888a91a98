//! The legal states after a crash by brute force: every version of everything, combined in every way,
//! and kept where the rules allow it.
//!
//! It shares no code with the simulator, and no idea but the rules themselves:
//!
//! - A sync leaves one version of what it covers, the newest.
//! - A sector, a size, a name, the existence of an inode is exactly one of the versions it may be.
//! - A truncation that survived has cut all that is older than it.
//! - The two names of a rename change together.
//! - `Ext4Ordered`: names, sizes and inodes are those of one moment, not before the newest that was
//!   synced; what was written to space that a lost truncation had freed is nowhere.

use std::collections::{BTreeMap, BTreeSet};

use quipu_io::sim::Profile;

use super::model::{Disk, FileBody, Id, Inode, Place, ROOT, SECTOR, Sector, Stamp, Versions};

/// One state after a crash: what the names lead to, and what the files hold.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tree {
    names: BTreeMap<Place, Id>,
    files: BTreeMap<Id, Vec<u8>>,
}

/// Crashes.
impl Disk {
    /// A disk on which everything is certain.
    pub(super) fn of(tree: &Tree) -> Disk {
        let last = tree.names.values().max().copied().unwrap_or(ROOT);
        let inodes = (0..=last).map(|id| Inode {
            born: 0,
            exists_for_certain: true,
            file: tree.files.get(&id).cloned().map(FileBody::new),
        });
        let names = tree.names.iter();
        Disk {
            clock: 0,
            synced: 0,
            names: names
                .map(|(place, id)| (place.clone(), vec![(0, Some(*id))]))
                .collect(),
            renames: Vec::new(),
            inodes: inodes.collect(),
        }
    }

    /// The disks that the machine may wake up with.
    pub(super) fn after_crash(&self, profile: Profile) -> Vec<Disk> {
        if profile == Profile::KillOnly {
            return vec![self.clone()];
        }
        self.legal(profile).iter().map(Disk::of).collect()
    }

    /// What a reader may find after a crash.
    pub(super) fn legal(&self, profile: Profile) -> BTreeSet<Tree> {
        match profile {
            Profile::KillOnly => BTreeSet::from([self.seen()]),
            Profile::Ext4Ordered => (self.synced..=self.clock)
                .flat_map(|moment| self.at(moment))
                .collect(),
            Profile::Posix => self.in_any_order(),
        }
    }

    fn seen(&self) -> Tree {
        let names = self.names.iter();
        let names = names.map(|(place, versions)| (place.clone(), versions[versions.len() - 1].1));
        let seen = |file: &FileBody| BTreeSet::from([file.seen.clone()]);
        let trees = self.trees(&names.collect(), &vec![true; self.inodes.len()], &seen);
        trees.into_iter().next().expect("there is always one")
    }

    /// With the metadata of that moment.
    fn at(&self, moment: Stamp) -> BTreeSet<Tree> {
        let names = self.names.iter();
        let names = names.map(|(place, versions)| (place.clone(), newest(versions, moment).1));
        let alive: Vec<bool> = self.inodes.iter().map(|i| i.born <= moment).collect();
        self.trees(&names.collect(), &alive, &|file| {
            let (kept, size) = newest(&file.sizes, moment);
            file.contents(kept, size, Profile::Ext4Ordered)
        })
    }

    fn in_any_order(&self) -> BTreeSet<Tree> {
        let places: Vec<&Place> = self.names.keys().collect();
        let radices: Vec<usize> = self.names.values().map(Vec::len).collect();
        let existence = |inode: &Inode| if inode.exists_for_certain { 1 } else { 2 };
        let lives: Vec<usize> = self.inodes.iter().map(existence).collect();
        let mut trees = BTreeSet::new();
        for chosen in product(&radices) {
            let version = |place: &Place| {
                let at = places.iter().position(|p| *p == place).expect("named");
                self.names[place][chosen[at]]
            };
            let is_whole = |(stamp, from, to): &(Stamp, Place, Place)| {
                (version(from).0 >= *stamp) == (version(to).0 >= *stamp)
            };
            if !self.renames.iter().all(is_whole) {
                continue;
            }
            let names = places.iter().map(|p| ((*p).clone(), version(p).1));
            let names = names.collect();
            for lost in product(&lives) {
                let alive: Vec<bool> = lost.iter().map(|lost| *lost == 0).collect();
                trees.extend(self.trees(&names, &alive, &|file| {
                    let sizes = file.sizes.iter();
                    sizes
                        .flat_map(|(kept, size)| file.contents(*kept, *size, Profile::Posix))
                        .collect()
                }));
            }
        }
        trees
    }

    /// The states with these names and inodes, whatever their files may hold.
    fn trees(
        &self,
        names: &BTreeMap<Place, Option<Id>>,
        alive: &[bool],
        contents: &dyn Fn(&FileBody) -> BTreeSet<Vec<u8>>,
    ) -> BTreeSet<Tree> {
        let mut tree = Tree {
            names: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        let mut directories = vec![ROOT];
        while let Some(directory) = directories.pop() {
            let there = names.iter().filter(|(place, _)| place.0 == directory);
            for (place, target) in there {
                let Some(id) = target.filter(|id| alive[*id]) else {
                    continue;
                };
                tree.names.insert(place.clone(), id);
                match self.inodes[id].file {
                    Some(_) => _ = tree.files.insert(id, Vec::new()),
                    None => directories.push(id),
                }
            }
        }
        let mut trees = BTreeSet::from([tree.clone()]);
        for id in tree.files.into_keys() {
            let file = self.inodes[id].file.as_ref().expect("a file");
            let possible = contents(file);
            trees = trees
                .iter()
                .flat_map(|tree| possible.iter().map(|content| tree.with(id, content)))
                .collect();
        }
        trees
    }
}

fn newest<T: Copy>(versions: &Versions<T>, moment: Stamp) -> (Stamp, T) {
    let survived = versions.iter().rfind(|(stamp, _)| *stamp <= moment);
    *survived.unwrap_or(&versions[0])
}

/// All numbers whose digits have these radices.
fn product(radices: &[usize]) -> Vec<Vec<usize>> {
    radices.iter().fold(vec![Vec::new()], |numbers, radix| {
        let longer = |number: &Vec<usize>| {
            let number = number.clone();
            (0..*radix).map(move |digit| [&number[..], &[digit]].concat())
        };
        numbers.iter().flat_map(longer).collect()
    })
}

impl Tree {
    /// The files and directories that are there, with the files' contents.
    pub(super) fn new(entries: &[(&str, Option<&str>)]) -> Tree {
        let mut tree = Tree {
            names: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        for (id, (name, content)) in (1..).zip(entries) {
            tree.names.insert((ROOT, (*name).to_owned()), id);
            if let Some(content) = content {
                tree.files.insert(id, content.as_bytes().to_vec());
            }
        }
        tree
    }

    fn with(&self, id: Id, content: &[u8]) -> Tree {
        let mut tree = self.clone();
        tree.files.insert(id, content.to_vec());
        tree
    }

    /// What a reader sees: every path, sorted, and every byte.
    pub(super) fn show(&self) -> String {
        self.show_directory(ROOT, "")
    }

    fn show_directory(&self, id: Id, path: &str) -> String {
        let there = self.names.iter().filter(|(place, _)| place.0 == id);
        let shown = there.map(|((_, name), id)| {
            let path = format!("{path}{name}");
            match self.files.get(id) {
                Some(content) => show_file(&path, content),
                None => format!("{path}/ {}", self.show_directory(*id, &format!("{path}/"))),
            }
        });
        shown.collect()
    }
}

impl FileBody {
    /// All that the file may hold if its size is the one of stamp `kept`.
    fn contents(&self, kept: Stamp, size: usize, profile: Profile) -> BTreeSet<Vec<u8>> {
        let mut contents = BTreeSet::from([Vec::new()]);
        for sector in 0..size.div_ceil(SECTOR) {
            let possible = self.possible(sector, kept, profile);
            contents = contents
                .iter()
                .flat_map(|before| possible.iter().map(|s| [before, &s[..]].concat()))
                .collect();
        }
        contents
            .into_iter()
            .map(|mut content| {
                content.truncate(size);
                content
            })
            .collect()
    }

    fn possible(&self, sector: usize, kept: Stamp, profile: Profile) -> BTreeSet<Sector> {
        let start = sector * SECTOR;
        let never_written = vec![(0, [0; SECTOR])];
        let versions = self.sectors.get(sector).unwrap_or(&never_written);
        let in_freed_space = |stamp: Stamp| {
            let mut cuts = self.cuts.iter();
            profile == Profile::Ext4Ordered
                && cuts.any(|(cut, size)| kept < *cut && *cut < stamp && *size <= start)
        };
        let after_cuts = |(stamp, mut bytes): (Stamp, Sector)| {
            for (cut, size) in &self.cuts {
                if stamp < *cut && *cut <= kept {
                    bytes[size.saturating_sub(start).min(SECTOR)..].fill(0);
                }
            }
            bytes
        };
        let versions = versions.iter().copied();
        versions
            .filter(|(stamp, _)| !in_freed_space(*stamp))
            .map(after_cuts)
            .collect()
    }
}

pub(super) fn show_file(path: &str, content: &[u8]) -> String {
    let content = String::from_utf8_lossy(content).replace('\0', ".");
    format!("{path}={content} ")
}
