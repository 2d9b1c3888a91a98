//! [`Append`] and [`AppendBatch`]: the answers to appends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::log::waiting::Waiting;
use crate::{Replayable, Result, Seq};

/// The answer to [`Journal::append`](crate::Journal::append): what `apply` said, once the edit is
/// durable.
///
/// The edit was queued when `append` was called. Dropping this takes nothing back: the edit may be
/// written, and nobody waits for the answer.
#[must_use = "an append that nobody waits for may fail without anybody knowing"]
pub struct Append<S: Replayable>(pub(crate) Waiting<(Seq, S::Output)>);

/// The answer to [`Journal::append_batch`](crate::Journal::append_batch): what `apply` said to each
/// edit, in order, once all are durable.
#[must_use = "an append that nobody waits for may fail without anybody knowing"]
pub struct AppendBatch<S: Replayable>(pub(crate) Waiting<(Seq, Vec<S::Output>)>);

impl<S: Replayable> Append<S> {
    /// Answers with the edit's number as well.
    pub fn with_seq(self) -> impl Future<Output = Result<(Seq, S::Output)>> + Send + 'static {
        self.0
    }
}

impl<S: Replayable> AppendBatch<S> {
    /// Answers with the number of the first edit as well; with [`Seq::ZERO`] if there was none.
    pub fn with_seq(self) -> impl Future<Output = Result<(Seq, Vec<S::Output>)>> + Send + 'static {
        self.0
    }
}

impl<S: Replayable> Future for Append<S> {
    type Output = Result<S::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map_ok(|(_, output)| output)
    }
}

impl<S: Replayable> Future for AppendBatch<S> {
    type Output = Result<Vec<S::Output>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map_ok(|(_, outputs)| outputs)
    }
}

impl<S: Replayable> fmt::Debug for Append<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append").finish_non_exhaustive()
    }
}

impl<S: Replayable> fmt::Debug for AppendBatch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppendBatch").finish_non_exhaustive()
    }
}
