//! [`Waiting`]: an answer that the committer will give.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::oneshot;

use crate::{Error, Result};

/// Gives an answer.
pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// A future that owns nothing but its place in the line: dropping it takes nothing back.
#[derive(Debug)]
pub(crate) enum Waiting<T> {
    Answer(oneshot::Receiver<Result<T>>),
    Refused(Option<Error>),
}

impl<T> Waiting<T> {
    pub(crate) fn new() -> (Answer<T>, Waiting<T>) {
        let (sender, receiver) = oneshot::channel();
        (sender, Waiting::Answer(receiver))
    }

    pub(crate) fn refused(error: Error) -> Waiting<T> {
        Waiting::Refused(Some(error))
    }
}

impl<T> Future for Waiting<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        match self.get_mut() {
            Waiting::Answer(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|answer| answer.unwrap_or_else(|_| Err(unanswered()))),
            Waiting::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Closed))),
        }
    }
}

/// The committer was torn down, by a panic or with the backend that ran it: whether the edit is on
/// disk is not known.
fn unanswered() -> Error {
    let source = std::io::Error::other("nobody is left to answer");
    Error::Poisoned {
        source: Arc::new(Error::io(source)),
    }
}
