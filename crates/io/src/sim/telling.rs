//! What a crash has left, in words: the account of every decision in which not the newest survived.
//!
//! Invariants:
//! - It decides nothing and looks at nothing that is open: a run is the same with it and without it.
//! - What a reader could not tell from the newest version is no loss.
//! - Things are called what they were called when it was decided, as far as a name was left by then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::disk::{Disk, ROOT};
use super::inode::{Body, InodeId};
use super::medium::{Origin, Possibility};
use super::name::Place;
use super::run::reads_same;

/// What has been lost since the machine was booted.
#[derive(Clone, Debug)]
pub(super) struct Telling {
    /// What everything was called at first, for what has lost its name since.
    names: BTreeMap<InodeId, PathBuf>,
    lost: BTreeSet<Loss>,
}

/// One thing of which not the newest version has survived. Their order is that of the account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Loss {
    path: PathBuf,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The rename from there to the path.
    Rename(PathBuf),
    Name(Left),
    Inode,
    Size {
        left: u64,
        newest: u64,
    },
    Sector(Fate, u64),
}

/// What is left of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Nothing,
    /// It had been taken away.
    Removed,
    /// Another file than the newest.
    Older,
}

/// What has become of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    Zeros,
    Older,
    Torn,
    Stale,
    Destroyed,
}

impl Fate {
    /// What has become of a sector whose newest version is not what survived.
    pub(super) fn of(survived: &Possibility, newest: &Bytes) -> Option<Fate> {
        if reads_same(&survived.value, newest) {
            return None;
        }
        Some(match survived.origin {
            Origin::Whole if reads_same(&survived.value, &[]) => Fate::Zeros,
            Origin::Whole => Fate::Older,
            Origin::Torn => Fate::Torn,
            Origin::Stale => Fate::Stale,
            Origin::Destroyed => Fate::Destroyed,
        })
    }
}

/// The account as a whole.
impl Disk {
    /// Keeps account from now on, until the next crash.
    pub(super) fn tell_survival(&mut self) {
        self.telling = Some(Box::new(Telling {
            names: self.paths(),
            lost: BTreeSet::new(),
        }));
    }

    /// Whether account is kept.
    pub(super) fn tells(&self) -> bool {
        self.telling.is_some()
    }

    /// One line for each thing that was lost, and one for the rest. None if no account was kept.
    pub(super) fn survival(&self) -> Vec<String> {
        let Some(telling) = &self.telling else {
            return Vec::new();
        };
        let losses: Vec<&Loss> = telling.lost.iter().collect();
        let alike = losses.chunk_by(|one, next| one.is_told_with(next));
        let mut lines: Vec<String> = alike.map(line).collect();
        lines.push(match lines.is_empty() {
            true => "everything that was looked at survived".to_owned(),
            false => "all else that was looked at survived".to_owned(),
        });
        lines
    }
}

/// What was decided. Without an account nothing comes of these.
impl Disk {
    /// Of the versions of the name, which are all there yet, the one at `chosen` has survived.
    pub(super) fn tell_name(&mut self, place: &Place, chosen: usize) {
        if !self.tells() {
            return;
        }
        let Some(chain) = self.chain(place) else {
            return;
        };
        let versions = chain.versions();
        let leads_to = |index: usize| {
            let target = versions[index].value.target;
            target.filter(|id| !self.is_lost(*id))
        };
        // A rename is told by itself: what counts is what was there before it.
        let lost = &versions[chosen + 1..];
        let rename = lost.iter().position(|lost| lost.value.partner.is_some());
        let newest = chosen + rename.unwrap_or(lost.len());
        let left = match (leads_to(chosen), leads_to(newest)) {
            (left, newest) if left == newest => return,
            (None, _) => Left::Nothing,
            (_, None) => Left::Removed,
            (_, Some(_)) => Left::Older,
        };
        let path = self.path_of(place);
        self.tell(path, What::Name(left));
    }

    /// The rename between the two, of which `to` has got an inode, is lost.
    pub(super) fn tell_rename(&mut self, from: &Place, to: &Place) {
        if self.tells() {
            let (from, to) = (self.path_of(from), self.path_of(to));
            self.tell(to, What::Rename(from));
        }
    }

    /// The inode is lost.
    pub(super) fn tell_inode(&mut self, id: InodeId) {
        if self.tells() {
            self.tell(self.name_of(id), What::Inode);
        }
    }

    /// Of the versions of the size, which are all there yet, the one at `chosen` has survived.
    pub(super) fn tell_size(&mut self, id: InodeId, chosen: usize) {
        let versions = self.inode(id).size.versions();
        let last = versions.len() - 1;
        if self.tells() && chosen < last {
            let size = |index: usize| versions[index].value.unwrap_or(0);
            let (left, newest) = (size(chosen), size(last));
            self.tell(self.name_of(id), What::Size { left, newest });
        }
    }

    /// What has become of sectors.
    pub(super) fn tell_sectors(&mut self, id: InodeId, fates: &[(u64, Fate)]) {
        if fates.is_empty() || !self.tells() {
            return;
        }
        let path = self.name_of(id);
        for (index, fate) in fates {
            self.tell(path.clone(), What::Sector(*fate, *index));
        }
    }

    fn tell(&mut self, path: PathBuf, what: What) {
        if let Some(telling) = &mut self.telling {
            telling.lost.insert(Loss { path, what });
        }
    }
}

/// What things are called.
impl Disk {
    fn path_of(&self, place: &Place) -> PathBuf {
        self.name_of(place.directory).join(&*place.name)
    }

    /// Its newest name, or what it was called at first.
    fn name_of(&self, id: InodeId) -> PathBuf {
        let first = || self.telling.as_ref()?.names.get(&id).cloned();
        let name = self.paths().remove(&id).or_else(first);
        name.unwrap_or_else(|| PathBuf::from("a file without a name"))
    }

    /// A path to everything that has one: by the newest versions of names where they lead there.
    fn paths(&self) -> BTreeMap<InodeId, PathBuf> {
        let mut paths = BTreeMap::from([(ROOT, PathBuf::new())]);
        for versions in [1, usize::MAX] {
            let mut open: Vec<InodeId> = paths.keys().copied().collect();
            while let Some(id) = open.pop() {
                for (name, target) in self.targets(id, versions) {
                    if !paths.contains_key(&target) {
                        let path = paths[&id].join(name);
                        paths.insert(target, path);
                        open.push(target);
                    }
                }
            }
        }
        paths
    }

    /// The names in a directory and what the newest of their versions lead to, so many of each.
    fn targets(&self, id: InodeId, versions: usize) -> impl Iterator<Item = (&Path, InodeId)> {
        let directory = match &self.inode(id).body {
            Body::Directory(directory) => Some(directory),
            Body::File(_) => None,
        };
        let entries = directory.into_iter().flat_map(|d| &d.entries);
        entries.flat_map(move |(name, chain)| {
            let newest = chain.versions().iter().rev().take(versions);
            let targets = newest.filter_map(|version| version.value.target);
            targets.map(|target| (Path::new(&**name), target))
        })
    }
}

impl Loss {
    /// Whether the two have one line: sectors of one file with the same fate.
    fn is_told_with(&self, other: &Loss) -> bool {
        let (What::Sector(fate, _), What::Sector(others, _)) = (&self.what, &other.what) else {
            return false;
        };
        self.path == other.path && fate == others
    }

    fn sector(&self) -> Option<u64> {
        match self.what {
            What::Sector(_, index) => Some(index),
            _ => None,
        }
    }
}

/// One line for losses that are told together.
fn line(losses: &[&Loss]) -> String {
    let path = losses[0].path.display();
    match &losses[0].what {
        What::Rename(from) => format!("the rename of {} to {path} is lost", from.display()),
        What::Name(Left::Nothing) => format!("the name {path} is not there"),
        What::Name(Left::Removed) => format!("the name {path} is there again"),
        What::Name(Left::Older) => format!("the name {path} leads to an older file"),
        What::Inode => format!("{path} was never written (its inode is lost)"),
        What::Size { left, newest } if left == newest => {
            format!("{path} has an older size, which is {left} bytes too")
        }
        What::Size { left, newest } => {
            format!("{path} has its size of {left} bytes and not {newest}")
        }
        What::Sector(fate, _) => {
            let sectors = Sectors(losses.iter().filter_map(|loss| loss.sector()).collect());
            let is_one = losses.len() == 1;
            let fate = match (fate, is_one) {
                (Fate::Zeros, true) => "is older: zeros",
                (Fate::Zeros, false) => "are older: zeros",
                (Fate::Older, true) => "is older",
                (Fate::Older, false) => "are older",
                (Fate::Torn, true) => "is torn",
                (Fate::Torn, false) => "are torn",
                (Fate::Stale, true) => "holds what lay there before the file",
                (Fate::Stale, false) => "hold what lay there before the file",
                (Fate::Destroyed, true) => "was destroyed by writing it again",
                (Fate::Destroyed, false) => "were destroyed by writing them again",
            };
            format!("{sectors} of {path} {fate}")
        }
    }
}

/// Sectors, which rise: `sector 3`, `sectors 1, 3 to 5 and 9`.
struct Sectors(Vec<u64>);

impl Display for Sectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.len() {
            1 => "sector ",
            _ => "sectors ",
        })?;
        let ranges: Vec<&[u64]> = self.0.chunk_by(|one, next| one + 1 == *next).collect();
        for (index, range) in ranges.iter().enumerate() {
            f.write_str(match index {
                0 => "",
                _ if index + 1 == ranges.len() => " and ",
                _ => ", ",
            })?;
            match range {
                [one] => write!(f, "{one}")?,
                _ => write!(f, "{} to {}", range[0], range[range.len() - 1])?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_sectors_are_one_range() {
        for (sectors, text) in [
            (vec![3], "sector 3"),
            (vec![3, 4], "sectors 3 to 4"),
            (vec![1, 3, 4, 5, 9], "sectors 1, 3 to 5 and 9"),
            (vec![1, 3], "sectors 1 and 3"),
        ] {
            assert_eq!(Sectors(sectors).to_string(), text);
        }
    }
}
