//! The queue between appends and the committer. Pure: bytes, counts and tickets.
//!
//! Invariants:
//! - What is queued first is written first.
//! - A round never exceeds the largest frame, and a batch is never split.
//! - Once the queue is closed or poisoned, nothing enters it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use quipu_io::planted::planted;

use crate::format::frame::HEADER_BYTES;
use crate::{Error, Result, Seq};

/// What one frame will hold, collected while the frame before is being written.
#[derive(Debug)]
pub(crate) struct Round<T> {
    /// Room for the frame's header, and then the edits as they stand in a payload.
    pub(crate) frame: BytesMut,
    pub(crate) edits: u32,
    /// One per append, in order, each with the number of its edits.
    pub(crate) tickets: Vec<(T, u32)>,
    /// Whether somebody waits for a sync.
    pub(crate) sync: bool,
}

/// What the committer does, in order.
#[derive(Debug)]
pub(crate) enum Work<T, C> {
    Frame(Round<T>),
    Command(C),
}

/// Whether appends are taken.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Open,
    Closed,
    Poisoned(Error),
}

#[derive(Debug)]
pub(crate) struct Queue<T, C> {
    work: VecDeque<Work<T, C>>,
    /// Bytes and edits in `work`.
    bytes: usize,
    edits: u64,
    /// Edits that were taken from `work` last, until it is known what became of them.
    pub(crate) in_hand: u64,
    pub(crate) phase: Phase,
    /// Whether a committer is at work, so that an append need not start one.
    pub(crate) running: bool,
    /// Whether the committer is in the middle of something that touches the disk.
    pub(crate) busy: bool,
    pub(crate) written: Seq,
    pub(crate) synced: Seq,
    /// For whoever looks without a lock: the edits in `work`, or [`u64::MAX`] once waiting for more
    /// cannot make the next round larger.
    pub(crate) waiting: Arc<AtomicU64>,
    /// What a round is made of, to be used again.
    spare: Option<BytesMut>,
    spare_tickets: Vec<(T, u32)>,
    max_frame_bytes: usize,
    max_queue_bytes: usize,
}

/// The largest buffer that is kept for the next round.
const MAX_SPARE_BYTES: usize = 1 << 20;

/// The most tickets for which room is kept.
const MAX_SPARE_TICKETS: usize = 1 << 10;

impl<T, C> Queue<T, C> {
    pub(crate) fn new(last: Seq, max_frame_bytes: usize, max_queue_bytes: usize) -> Self {
        Queue {
            work: VecDeque::new(),
            bytes: 0,
            edits: 0,
            in_hand: 0,
            phase: Phase::Open,
            running: false,
            busy: false,
            written: last,
            synced: last,
            waiting: Arc::default(),
            spare: None,
            spare_tickets: Vec::new(),
            max_frame_bytes,
            max_queue_bytes,
        }
    }

    /// Queues one append: `payload`, in pieces, is its edits as they stand in a frame.
    pub(crate) fn push(
        &mut self,
        payload: &[&[u8]],
        edits: u32,
        ticket: T,
        sync: bool,
    ) -> Result<()> {
        self.check_open()?;
        let bytes: usize = payload.iter().map(|piece| piece.len()).sum();
        if bytes > self.max_frame_bytes {
            let (bytes, limit) = (bytes as u64, self.max_frame_bytes as u64);
            return Err(Error::TooLarge { bytes, limit });
        }
        if bytes > self.max_queue_bytes - self.bytes {
            let (queued, limit) = (self.bytes as u64, self.max_queue_bytes as u64);
            return Err(Error::Overloaded { queued, limit });
        }
        let fits = matches!(self.work.back(), Some(Work::Frame(round))
            if round.frame.len() - HEADER_BYTES + bytes <= self.max_frame_bytes);
        if !fits {
            let mut frame = self.spare.take().unwrap_or_default();
            frame.clear();
            frame.resize(HEADER_BYTES, 0);
            self.work.push_back(Work::Frame(Round {
                frame,
                edits: 0,
                tickets: std::mem::take(&mut self.spare_tickets),
                sync: false,
            }));
        }
        if let Some(Work::Frame(round)) = self.work.back_mut() {
            payload
                .iter()
                .for_each(|piece| round.frame.extend_from_slice(piece));
            round.edits += edits;
            round.tickets.push((ticket, edits));
            round.sync |= sync;
        }
        self.bytes += bytes;
        self.edits += u64::from(edits);
        self.publish();
        Ok(())
    }

    /// Queues something to do behind everything that is queued.
    pub(crate) fn push_command(&mut self, command: C) {
        match planted("a command overtakes the appends before it") {
            true => self.work.push_front(Work::Command(command)),
            false => self.work.push_back(Work::Command(command)),
        }
        self.publish();
    }

    /// Takes what is to be done next.
    pub(crate) fn pop(&mut self) -> Option<Work<T, C>> {
        let work = self.work.pop_front();
        self.busy = work.is_some();
        if let Some(Work::Frame(round)) = &work {
            self.bytes -= round.frame.len() - HEADER_BYTES;
            self.edits -= u64::from(round.edits);
            self.in_hand = u64::from(round.edits);
        }
        self.publish();
        work
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Closed => Err(Error::Closed),
            Phase::Poisoned(error) => Err(error.clone()),
        }
    }

    fn publish(&self) {
        // A round without a sync is not worth waiting for company.
        let complete = match self.work.front() {
            Some(Work::Frame(round)) => !round.sync || self.work.len() > 1,
            Some(Work::Command(_)) => true,
            None => false,
        };
        let waiting = if complete { u64::MAX } else { self.edits };
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Edits that wait to be written.
    pub(crate) fn edits(&self) -> u64 {
        self.edits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// Keeps a buffer for a later round.
    pub(crate) fn recycle(&mut self, buffer: Option<BytesMut>) {
        self.spare = buffer.filter(|buffer| buffer.capacity() <= MAX_SPARE_BYTES);
    }

    /// Keeps the room for tickets, all of which are answered.
    pub(crate) fn recycle_tickets(&mut self, tickets: Vec<(T, u32)>) {
        let is_better = tickets.capacity() > self.spare_tickets.capacity();
        if is_better && tickets.capacity() <= MAX_SPARE_TICKETS {
            self.spare_tickets = tickets;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue<u32, ()> {
        Queue::new(Seq::ZERO, 10, 25)
    }

    fn waiting(queue: &Queue<u32, ()>) -> u64 {
        queue.waiting.load(Ordering::Relaxed)
    }

    #[test]
    fn a_round_takes_whole_appends_up_to_the_largest_frame() {
        let mut queue = queue();
        for ticket in 0..3 {
            queue.push(&[&[0; 5]], 2, ticket, ticket == 2).unwrap();
        }
        assert_eq!(queue.edits(), 6);
        assert_eq!(waiting(&queue), u64::MAX);
        let Some(Work::Frame(first)) = queue.pop() else {
            panic!()
        };
        assert_eq!(
            (first.edits, first.sync, first.tickets),
            (4, false, vec![(0, 2), (1, 2)])
        );
        assert_eq!(waiting(&queue), 2);
        let Some(Work::Frame(second)) = queue.pop() else {
            panic!()
        };
        assert_eq!(
            (second.edits, second.sync, second.tickets),
            (2, true, vec![(2, 2)])
        );
        assert!(queue.is_empty() && queue.edits() == 0);
    }

    #[test]
    fn the_queue_is_bounded_in_bytes() {
        let mut queue = queue();
        for ticket in 0..5 {
            queue.push(&[&[0; 5]], 1, ticket, true).unwrap();
        }
        let error = queue.push(&[&[0; 1]], 1, 5, true).unwrap_err();
        assert!(matches!(
            error,
            Error::Overloaded {
                queued: 25,
                limit: 25
            }
        ));
        queue.pop();
        queue.push(&[&[0; 10]], 1, 5, true).unwrap();
    }

    #[test]
    fn commands_keep_their_place_and_a_closed_queue_takes_nothing() {
        let mut queue = queue();
        queue.push(&[&[0; 1]], 1, 0, true).unwrap();
        queue.push_command(());
        queue.push(&[&[0; 1]], 1, 1, true).unwrap();
        assert!(matches!(queue.pop(), Some(Work::Frame(_))));
        assert_eq!(waiting(&queue), u64::MAX);
        assert!(matches!(queue.pop(), Some(Work::Command(()))));
        assert!(matches!(queue.pop(), Some(Work::Frame(_))));
        queue.phase = Phase::Closed;
        assert!(matches!(queue.push(&[], 1, 2, true), Err(Error::Closed)));
    }
}
