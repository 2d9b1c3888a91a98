//! The end of the last segment: what is proven, what is only intact, what is torn. Pure.
//!
//! Invariants:
//! - `proven` is the highest seq that anything intact says was durable.
//! - `unproven` holds exactly the intact frames with edits beyond it, as they were verified: reading
//!   them again might give other bytes.

use std::collections::VecDeque;

use quipu_io::planted::planted;

use super::chain::Segment;
use super::scan::{Beyond, Frame};
use crate::Seq;
use crate::format::header::FRAMES_OFFSET;
use crate::format::seal::Seal;

/// The state of the last segment.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The highest seq that is proven to have been durable.
    pub(crate) proven: Seq,
    /// The end of the proven frames.
    pub(crate) proven_end: Mark,
    /// The frames behind it.
    pub(crate) unproven: VecDeque<Frame>,
    /// The end of the intact frames.
    pub(crate) end: Mark,
    /// What stands behind them.
    pub(crate) beyond: Beyond,
    seal: Option<Seal>,
    published_empty: bool,
}

/// The end of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) last: Seq,
    pub(crate) offset: u64,
    pub(crate) fingerprint: u64,
}

impl Tail {
    pub(crate) fn new(segment: &Segment, newest_snapshot: Option<Seq>) -> Tail {
        let header = &segment.header;
        let before = Seq::new(header.first.get() - 1);
        let start = Mark {
            last: before,
            offset: FRAMES_OFFSET,
            fingerprint: 0,
        };
        let sealed = segment.seal.filter(|_| !planted("a seal proves nothing"));
        let sealed = sealed.map_or(Seq::ZERO, |seal| seal.last);
        let whole = match planted("a header's count of copied edits proves nothing") {
            true => before,
            false => header.whole,
        };
        let snapshot = newest_snapshot.unwrap_or(Seq::ZERO);
        Tail {
            proven: whole.max(sealed).max(snapshot),
            proven_end: start,
            unproven: VecDeque::new(),
            end: start,
            beyond: Beyond {
                watermark: Seq::ZERO,
                bytes: 0,
            },
            seal: segment.seal,
            published_empty: header.whole == before,
        }
    }

    /// Takes the next intact frame.
    pub(crate) fn accept(&mut self, frame: &Frame) {
        self.end = Mark {
            last: frame.header.last(),
            offset: frame.header.end(),
            fingerprint: frame.header.fingerprint(),
        };
        self.unproven.push_back(frame.clone());
        self.prove(frame.header.watermark);
    }

    /// There is no further intact frame at the end of the last one.
    pub(crate) fn finish(&mut self, beyond: Beyond) {
        self.beyond = beyond;
        if planted("whatever is intact counts as proven") {
            self.prove(self.end.last);
        }
        self.prove(beyond.watermark);
    }

    fn prove(&mut self, seq: Seq) {
        self.proven = self.proven.max(seq);
        while let Some(front) = self.unproven.front() {
            // A frame is durable as one: a proof of its first edit proves it all.
            if front.header.first > self.proven {
                break;
            }
            self.proven_end = Mark {
                last: front.header.last(),
                offset: front.header.end(),
                fingerprint: front.header.fingerprint(),
            };
            self.unproven.pop_front();
        }
    }

    /// Whether appends may go on behind the last frame.
    ///
    /// The seal says that exactly these frames are durable, and nothing stands behind them: not even
    /// a frame that an earlier lifetime wrote, and that some crash could bring back.
    pub(crate) fn is_clean(&self) -> bool {
        if planted("appends go on behind a torn end") {
            return true;
        }
        let sealed = self.seal.is_some_and(|seal| {
            let ends_here = seal.last == self.end.last && seal.end == self.end.offset;
            seal.successor.is_none() && (ends_here || planted("any seal makes a log clean"))
        });
        sealed && (self.beyond.bytes == 0 || planted("a clean log may have bytes behind its end"))
    }

    /// Whether the segment was published without frames, and has none: nothing that it could hold
    /// was ever there to be shown or taken back, so it serves as well as a new one.
    pub(crate) fn is_untouched(&self) -> bool {
        self.published_empty
            && self.seal.is_none()
            && self.end.offset == FRAMES_OFFSET
            && (self.beyond.bytes == 0 || planted("an untouched segment may hold bytes"))
            && !planted("every open publishes a segment")
    }
}
