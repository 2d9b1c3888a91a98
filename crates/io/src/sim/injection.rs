//! [`SimFaults`]: how a test makes things go wrong, and sees that they did.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::fault::Fault;
use super::operation::Operation;
use super::plan::FailedSync;
use super::rate::FaultRates;
use super::world::World;

/// Plans faults in a world and counts those that have struck.
#[derive(Clone, Copy, Debug)]
pub struct SimFaults<'a> {
    world: &'a World,
}

impl<'a> SimFaults<'a> {
    pub(super) fn of(world: &'a World) -> SimFaults<'a> {
        SimFaults { world }
    }

    /// Fails the `nth` call of this operation from now on, the next one being 1, without effect;
    /// except that a write leaves as many of its sectors as the tape says, 0 being none.
    pub fn fail_nth(&self, operation: Operation, nth: u64, kind: io::ErrorKind) {
        let mut state = self.world.state();
        state.faults.plan_error(operation, nth, kind);
    }

    /// Makes the fault strike at its `nth` opportunity from now on, the next one being 1.
    ///
    /// An opportunity is where the fault could have an effect: for an error in `open` every `open`, for a
    /// flipped read every read that finds something in a file that has not been damaged yet, for a
    /// delayed wake every step of a task.
    ///
    /// # Panics
    ///
    /// If the kind is one that never strikes by itself: see [`Fault::is_drawn`].
    pub fn strike_nth(&self, fault: Fault, nth: u64) {
        assert!(fault.is_drawn(), "{fault} follows from other faults");
        self.world.state().faults.plan(fault, nth);
    }

    /// Fails the `nth` sync from now on that completes, the next one being 1, of whatever file or
    /// directory.
    pub fn fail_nth_sync(&self, nth: u64, how: FailedSync) {
        self.world.state().faults.plan_sync(nth, how);
    }

    /// Leaves room for so many bytes more. `u64::MAX` is as much as anybody likes.
    pub fn full_after(&self, bytes: u64) {
        let mut state = self.world.state();
        state.disk.limit(bytes);
        state.disk.full = false;
        state.faults.full_for = 0;
    }

    /// Makes reads of the sector of the file that holds `offset` fail until it is written.
    pub fn make_unreadable(&self, path: impl AsRef<Path>, offset: u64) -> io::Result<()> {
        let mut state = self.world.state();
        let state = &mut *state;
        let id = state.disk.walk(path.as_ref(), &mut state.tape)?;
        state.disk.content_mut(id)?.make_unreadable(offset);
        Ok(())
    }

    /// Makes every sync say `Ok` and do nothing: a test suite that passes on such a disk tests
    /// nothing.
    pub fn lie_about_syncs(&self, lie: bool) {
        self.world.state().faults.lying_sync = lie;
    }

    /// Makes faults strike by chance.
    pub fn set_rates(&self, rates: FaultRates) {
        self.world.state().faults.rates = rates;
    }

    /// The kinds of [`Fault::ALL`] that have not struck.
    pub fn never_fired(&self) -> Vec<Fault> {
        let fired = self.fired();
        let kinds = Fault::ALL.iter().copied();
        kinds.filter(|fault| !fired.contains_key(fault)).collect()
    }

    /// How often each kind of fault has struck.
    pub fn fired(&self) -> BTreeMap<Fault, u64> {
        let state = self.world.state();
        let mut fired = state.faults.fired().clone();
        let lapses = state.disk.lapses;
        let lapses = [
            (Fault::StaleBlock, lapses.stale),
            (Fault::TornSector, lapses.torn),
            (Fault::DestroyedSector, lapses.destroyed),
        ];
        fired.extend(lapses.into_iter().filter(|(_, count)| *count > 0));
        fired
    }

    /// How often this kind of fault has struck.
    pub fn count(&self, fault: Fault) -> u64 {
        self.fired().get(&fault).copied().unwrap_or(0)
    }
}
