//! [`Bar`]: how far long work has come, on stderr where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quipu_io::{DiskIo, Runtime};

/// Work that ends sooner draws nothing.
const DELAY: Duration = Duration::from_millis(500);

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Bytes,
    /// Bytes, of nobody knows how many.
    BytesUntilNow,
    /// Pairs of keys and values, of nobody knows how many.
    Pairs,
    /// Millionths of the whole, where that has no size of its own.
    Millionths,
}

/// A bar that appears once the work has turned out to be long.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    io: DiskIo,
    /// When it is to appear; `None` once it has, or if it never will.
    due: Option<Duration>,
}

impl Unit {
    fn template(self) -> &'static str {
        match self {
            Unit::Bytes => "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            Unit::BytesUntilNow => "{msg}: {bytes}, {bytes_per_sec}",
            Unit::Pairs => "{msg}: {human_pos} pairs in {elapsed}",
            // How long it takes cannot be told: the parts are of very different size.
            Unit::Millionths => "{msg} [{bar:30}] {percent} %, {elapsed} until now",
        }
    }
}

impl Bar {
    /// A bar with this text before it. It appears only if it is `wanted`.
    pub(crate) fn new(io: &DiskIo, unit: Unit, text: String, wanted: bool) -> Bar {
        let style = ProgressStyle::with_template(unit.template());
        let bar = ProgressBar::hidden().with_message(text);
        Bar {
            bar: match style {
                Ok(style) => bar.with_style(style.progress_chars("=> ")),
                Err(_) => bar,
            },
            io: io.clone(),
            due: wanted.then(|| io.now() + DELAY),
        }
    }

    pub(crate) fn reach(&mut self, done: u64, total: u64) {
        if self.due.is_some_and(|due| self.io.now() >= due) {
            self.due = None;
            // This target draws nothing where stderr is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }

    /// Reaches this share of the whole, of 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a million is between 0 and a million"
    )]
    pub(crate) fn reach_share(&mut self, share: f64) {
        const WHOLE: u64 = 1_000_000;
        self.reach((share * WHOLE as f64) as u64, WHOLE);
    }

    /// Takes it off the screen: the report says the rest.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
