//! Planted bugs: single faults in Quipu's own code, one of which can be switched on, to show that
//! the tests find it.
//!
//! A site asks [`planted`] for a bug by its name. Without `--cfg quipu_planted`, which only
//! `RUSTFLAGS` can set, the answer is a constant `false` and the site compiles to nothing. With it,
//! the answer is "yes" for the one bug that was chosen by `plant`, or by the environment variable
//! `QUIPU_PLANTED`.
//!
//! Invariants:
//! - No release has a bug: with the cfg and without debug assertions nothing builds.
//! - At most one bug is on at a time, in all threads.

#[cfg(all(quipu_planted, not(debug_assertions)))]
compile_error!("bugs can be planted only where debug assertions are on: no release has them");

#[cfg(quipu_planted)]
pub use switch::{plant, planted, reached, varying};

/// Whether the bug with this name is on: never, in this build.
#[cfg(not(quipu_planted))]
#[inline(always)]
pub const fn planted(_name: &str) -> bool {
    false
}

/// A number that no two calls share, if the bug with this name is on: 0, in this build.
#[cfg(not(quipu_planted))]
#[inline(always)]
pub const fn varying(_name: &str) -> u64 {
    0
}

#[cfg(quipu_planted)]
mod switch {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::{LazyLock, PoisonError, RwLock};

    static CHOSEN: LazyLock<RwLock<Option<String>>> = LazyLock::new(|| {
        let name = std::env::var("QUIPU_PLANTED").ok();
        RwLock::new(name.filter(|name| !name.is_empty()))
    });

    static REACHED: AtomicBool = AtomicBool::new(false);

    /// Switches the bug with this name on and every other off; with `None`, all of them.
    pub fn plant(name: Option<&str>) {
        let mut chosen = CHOSEN.write().unwrap_or_else(PoisonError::into_inner);
        *chosen = name.map(str::to_owned);
        REACHED.store(false, Ordering::SeqCst);
    }

    /// Whether the bug has had a chance since it was switched on: its site has asked for it.
    pub fn reached() -> bool {
        REACHED.load(Ordering::SeqCst)
    }

    /// Whether the bug with this name is on.
    pub fn planted(name: &str) -> bool {
        let chosen = CHOSEN.read().unwrap_or_else(PoisonError::into_inner);
        let on = chosen.as_deref() == Some(name);
        if on {
            REACHED.store(true, Ordering::SeqCst);
        }
        on
    }

    /// A number that no two calls share, if the bug with this name is on; 0 otherwise.
    pub fn varying(name: &str) -> u64 {
        static CALLS: AtomicU64 = AtomicU64::new(1);
        if planted(name) {
            CALLS.fetch_add(1, Ordering::SeqCst)
        } else {
            0
        }
    }
}
