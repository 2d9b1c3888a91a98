//! [`Hardship`]: what may go wrong in a drawn run besides crashes, and what that excuses.

use quipu_io::sim::{DiskModel, Fault, FaultClass, FaultRates, Purpose, Sim, Tape};

use super::plan::Drawn;

/// What may go wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Hardship {
    pub(super) disk: DiskModel,
    rates: FaultRates,
    lying_syncs: bool,
    /// Operations may fail for reasons that are not the program's.
    pub(super) is_faulty: bool,
    /// The disk itself does damage.
    pub(super) is_damaging: bool,
}

impl Hardship {
    /// Nothing; whatever is legal on hardware that works; errors that are told; or everything.
    pub(super) fn drawn(drawn: &Drawn, tape: &mut Tape) -> Hardship {
        let mut hardship = Hardship {
            lying_syncs: drawn.lying_syncs,
            ..Hardship::default()
        };
        let level = tape.choose(Purpose::Fault, 4);
        if level == 0 || drawn.lying_syncs {
            return hardship;
        }
        hardship.is_faulty = true;
        hardship.rates = FaultRates::swarm(tape, FaultClass::Crash);
        hardship.disk.stale_blocks = tape.choose(Purpose::Fault, 2) == 1;
        if level == 1 {
            return hardship;
        }
        let broken = FaultRates::swarm(tape, FaultClass::Device);
        hardship.rates = hardship.rates.and(&broken);
        if level == 2 {
            for fault in Fault::ALL.iter().filter(|fault| damages(**fault)) {
                hardship.rates = hardship.rates.with(*fault, 0);
            }
            return hardship;
        }
        hardship.disk.sector_atomic = tape.choose(Purpose::Fault, 2) == 0;
        hardship.disk.powersafe_overwrite = tape.choose(Purpose::Fault, 2) == 0;
        hardship.is_damaging = true;
        hardship
    }

    /// Lets it happen in this world.
    pub(super) fn befall(&self, sim: &Sim) {
        sim.faults().set_rates(self.rates.clone());
        sim.faults().lie_about_syncs(self.lying_syncs);
    }
}

/// Whether the fault breaks a promise of the disk without saying so.
fn damages(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::SilentlyFailedSync
            | Fault::LyingSync
            | Fault::UnreadableSector
            | Fault::FlippedRead
            | Fault::MisdirectedRead
            | Fault::Rot
            | Fault::LostWrite
            | Fault::MisdirectedWrite
    )
}
