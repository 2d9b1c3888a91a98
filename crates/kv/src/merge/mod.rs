//! [`Merge`]: the entries of several sources, in order.
//!
//! Invariants:
//! - Entries come by key, and the newest version of a key first; on the way back, the other way
//!   round. An entry that two sources have comes twice, next to each other.
//! - Only the source that was passed is moved, so a step costs one comparison while one source goes
//!   on being the next.

mod retention;
mod source;

use std::cmp::Ordering;

use bytes::Bytes;
use quipu_io::File;

pub(crate) use retention::Retention;
pub(crate) use source::Source;

use crate::Result;
use crate::entry::Kind;

/// See the [module](self).
pub(crate) struct Merge<F: File> {
    sources: Vec<Source<F>>,
    /// Those that stand at an entry, the one that is next first.
    order: Vec<usize>,
    forward: bool,
}

impl<F: File> Merge<F> {
    pub(crate) fn new(sources: Vec<Source<F>>) -> Self {
        Merge {
            sources,
            order: Vec::new(),
            forward: true,
        }
    }

    /// Goes to the first entry that is not before this version of a key, and on from there.
    pub(crate) async fn seek(&mut self, key: &[u8], seq: u64) -> Result<()> {
        self.forward = true;
        for source in &mut self.sources {
            source.seek(key, seq).await?;
        }
        self.sort();
        Ok(())
    }

    /// Goes to the last entry before this version of a key, or to the last of all, and back from
    /// there.
    pub(crate) async fn seek_before(&mut self, place: Option<(&[u8], u64)>) -> Result<()> {
        self.forward = false;
        for source in &mut self.sources {
            source.seek_before(place).await?;
        }
        self.sort();
        Ok(())
    }

    /// Passes the entry.
    pub(crate) async fn step(&mut self) -> Result<()> {
        let Some(first) = self.order.first().copied() else {
            return Ok(());
        };
        let source = &mut self.sources[first];
        if self.forward {
            source.next().await?;
        } else {
            source.prev().await?;
        }
        if !source.is_valid() {
            self.order.remove(0);
            return Ok(());
        }
        let mut at = 0;
        while at + 1 < self.order.len() && self.compare(self.order[at + 1], first).is_lt() {
            self.order.swap(at, at + 1);
            at += 1;
        }
        Ok(())
    }

    fn first(&self) -> Option<&Source<F>> {
        Some(&self.sources[*self.order.first()?])
    }

    /// The entry's key, if there is an entry.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        Some(self.first()?.key())
    }

    pub(crate) fn seq(&self) -> u64 {
        self.first().map_or(0, Source::seq)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.first().map_or(Kind::Delete, Source::kind)
    }

    pub(crate) fn value(&self) -> Bytes {
        self.first().map_or_else(Bytes::new, Source::value)
    }

    fn sort(&mut self) {
        let sources = self.sources.iter().enumerate();
        let valid = sources.filter(|(_, source)| source.is_valid());
        let mut order: Vec<usize> = valid.map(|(index, _)| index).collect();
        order.sort_by(|left, right| self.compare(*left, *right));
        self.order = order;
    }

    /// How two sources stand to each other, in the direction of the walk.
    fn compare(&self, left: usize, right: usize) -> Ordering {
        let (a, b) = (&self.sources[left], &self.sources[right]);
        let order = a.key().cmp(b.key()).then_with(|| b.seq().cmp(&a.seq()));
        match self.forward {
            true => order.then(left.cmp(&right)),
            false => order.reverse().then(left.cmp(&right)),
        }
    }
}
