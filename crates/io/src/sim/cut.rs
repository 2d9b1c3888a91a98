//! [`drop_after`]: a future that is dropped at one of its waits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs `future` and drops it at its `waits`-th wait, the first being 1: when it is polled and cannot go
/// on for the so-manyth time. Gives its output if it is complete by then, else `None`.
///
/// Every public future has to stand this at every wait. Counting up visits them all:
///
/// ```
/// use std::path::Path;
/// use quipu_io::{Bytes, File, Io, OpenOptions};
/// use quipu_io::sim::{Sim, SimIo, SimOptions, drop_after};
///
/// async fn save(io: SimIo) -> std::io::Result<()> {
///     let file = io.open(Path::new("a"), OpenOptions::Create).await?;
///     file.write_at(0, Bytes::from_static(b"hello")).await?;
///     file.sync_data().await
/// }
///
/// for waits in 1.. {
///     let sim = Sim::new(SimOptions::default());
///     let saved = sim.block_on(drop_after(save(sim.io()), waits))?;
///     // Here a test looks at what is there now.
///     if saved.is_some() {
///         assert_eq!(waits, 4);
///         break;
///     }
/// }
/// # Ok::<(), quipu_io::sim::Stopped>(())
/// ```
pub fn drop_after<F: Future>(future: F, waits: u64) -> DropAfter<F> {
    DropAfter {
        future: Some(Box::pin(future)),
        waits,
    }
}

/// The future of [`drop_after`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct DropAfter<F> {
    future: Option<Pin<Box<F>>>,
    /// Waits that are left.
    waits: u64,
}

impl<F: Future> Future for DropAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let Some(future) = &mut self.future else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            self.future = None;
            return Poll::Ready(Some(output));
        }
        self.waits = self.waits.saturating_sub(1);
        if self.waits > 0 {
            return Poll::Pending;
        }
        self.future = None;
        Poll::Ready(None)
    }
}
