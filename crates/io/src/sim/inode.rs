//! What names stand for: files and directories, and whether they exist after a crash.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use super::chain::{Chain, Stamp};
use super::content::Content;
use super::name::Entry;

/// Never used twice on one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(pub(super) u64);

pub(super) type Name = Arc<OsStr>;

#[derive(Clone, Debug)]
pub(super) struct Inode {
    /// The size; `None` is an inode that was never written to the disk. A directory's size is 0.
    pub(super) size: Chain<Option<u64>>,
    pub(super) body: Body,
    /// In how many versions of names it may be found.
    pub(super) references: u32,
    /// Space that is set aside: everything before this offset.
    pub(super) reserved: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    File(Content),
    Directory(Directory),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) entries: BTreeMap<Name, Chain<Entry>>,
    /// Names that were changed since they were last synced, some more than once.
    pub(super) dirty: Vec<Name>,
}

impl Inode {
    pub(super) fn new(stamp: Stamp, body: Body) -> Inode {
        Inode {
            size: Chain::born(None, stamp, Some(0)),
            body,
            references: 0,
            reserved: 0,
        }
    }

    pub(super) fn durable(stamp: Stamp, body: Body) -> Inode {
        Inode {
            size: Chain::settled(stamp, Some(0)),
            ..Inode::new(stamp, body)
        }
    }

    /// The stamps around its creation, if that is of an earlier lifetime and nobody knows whether
    /// it survived.
    pub(super) fn open_birth(&self, boot: Stamp) -> Option<(Stamp, Stamp)> {
        match self.size.versions() {
            [before, birth, ..] if before.value.is_none() && !self.size.is_settled(boot) => {
                Some((before.stamp, birth.stamp))
            }
            _ => None,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }
}
