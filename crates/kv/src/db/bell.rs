//! [`Bell`]: waking those who wait for something to change, without a clock.

use std::sync::{Mutex, PoisonError};

use futures::channel::oneshot;

/// Who listens is woken by the next ring. What is waited for is looked at again then: a ring says
/// that something has changed, not what.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    listening: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Bell {
    /// Answers once the bell has rung. Listen first, then look, then wait: so no ring is missed.
    pub(crate) fn listen(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listening.retain(|sender| !sender.is_canceled());
        listening.push(sender);
        receiver
    }

    pub(crate) fn ring(&self) {
        let mut listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let woken = std::mem::take(&mut *listening);
        drop(listening);
        for sender in woken {
            // Nobody may be waiting any more.
            let _ = sender.send(());
        }
    }
}
