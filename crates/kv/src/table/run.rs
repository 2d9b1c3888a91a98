//! Read-ahead: several neighbouring blocks with one read, the more the longer a walk goes on.
//!
//! Invariant: after a jump one block is read; each further read of neighbours takes twice as many
//! bytes as the one before, up to the limit, and never more than one index lists.

use std::ops::Range;

use bytes::Bytes;

use super::index::Index;
use super::layout::{Handle, usize_of};

/// What the first read of neighbours takes.
const FIRST_BYTES: usize = 8 << 10;

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// Neighbouring blocks as they were read.
#[derive(Debug)]
pub(super) struct Run {
    limit: usize,
    /// What the next read of neighbours may take; 0 after a jump.
    window: usize,
    offset: u64,
    stored: Bytes,
}

impl Run {
    /// Reads ahead up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Run {
            limit,
            window: 0,
            offset: 0,
            stored: Bytes::new(),
        }
    }

    /// The walk has jumped.
    pub(super) fn jump(&mut self) {
        self.window = 0;
    }

    /// A block as it was stored, if it has been read.
    pub(super) fn stored(&self, handle: Handle) -> Option<Bytes> {
        let start = usize_of(handle.offset.checked_sub(self.offset)?);
        let end = start.checked_add(handle.bytes())?;
        (end <= self.stored.len()).then(|| self.stored.slice(start..end))
    }

    /// Keeps what was read at `offset`.
    pub(super) fn put(&mut self, offset: u64, stored: Bytes) {
        self.offset = offset;
        self.stored = stored;
    }

    /// The bytes to read for the block at `at` and its neighbours on the way, as far as they are
    /// `wanted`.
    pub(super) fn plan(
        &mut self,
        index: &Index,
        at: usize,
        direction: Direction,
        wanted: impl Fn(Handle) -> bool,
    ) -> Range<u64> {
        let first = index.handle(at).unwrap_or_default();
        let mut range = first.offset..first.end();
        let window = self.window as u64;
        self.window = (self.window * 2).clamp(FIRST_BYTES, self.limit.max(FIRST_BYTES));
        if self.limit == 0 {
            return range;
        }
        let mut at = at;
        loop {
            let next = match direction {
                Direction::Forward => at.checked_add(1),
                Direction::Backward => at.checked_sub(1),
            };
            let handle = next.and_then(|next| index.handle(next));
            let (Some(next), Some(handle)) = (next, handle) else {
                return range;
            };
            let wider = range.start.min(handle.offset)..range.end.max(handle.end());
            if wider.end - wider.start > window || !wanted(handle) {
                return range;
            }
            (at, range) = (next, wider);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::IndexBuilder;
    use super::*;

    /// 100 blocks of 1000 bytes.
    fn index() -> Index {
        let mut builder = IndexBuilder::default();
        for block in 0..100u8 {
            let offset = u64::from(block) * 1000;
            builder.add(&[block], 0, Handle { offset, len: 1000 });
        }
        let mut payload = Vec::new();
        builder.finish(&mut payload);
        Index::decode(payload.into(), 100_000).unwrap()
    }

    #[test]
    fn reads_grow_while_the_walk_goes_on() {
        let index = index();
        let mut run = Run::new(20_000);
        let mut plan = |at, direction| {
            let range = run.plan(&index, at, direction, |_| true);
            range.start / 1000..range.end / 1000
        };
        assert_eq!(plan(0, Direction::Forward), 0..1);
        assert_eq!(plan(1, Direction::Forward), 1..9);
        assert_eq!(plan(9, Direction::Forward), 9..25);
        assert_eq!(plan(25, Direction::Forward), 25..45);
        assert_eq!(plan(45, Direction::Forward), 45..65);
        assert_eq!(plan(95, Direction::Forward), 95..100);
        assert_eq!(plan(50, Direction::Backward), 31..51);
        assert_eq!(plan(5, Direction::Backward), 0..6);
        run.jump();
        assert_eq!(
            run.plan(&index, 7, Direction::Forward, |_| true),
            7000..8000
        );
        let is_low = |handle: Handle| handle.offset < 11_000;
        assert_eq!(
            run.plan(&index, 8, Direction::Forward, is_low),
            8000..11_000
        );
    }

    #[test]
    fn without_a_limit_nothing_is_read_ahead() {
        let mut run = Run::new(0);
        for at in 0..5 {
            let range = run.plan(&index(), at, Direction::Forward, |_| true);
            assert_eq!(range.end - range.start, 1000);
        }
    }

    #[test]
    fn only_what_was_read_whole_is_there() {
        let mut run = Run::new(1 << 20);
        run.put(500, Bytes::from(vec![1; 100]));
        let stored = |offset, len| run.stored(Handle { offset, len }).map(|bytes| bytes.len());
        assert_eq!(stored(500, 100), Some(100));
        assert_eq!(stored(550, 50), Some(50));
        assert_eq!(stored(550, 51), None);
        assert_eq!(stored(499, 10), None);
    }
}
