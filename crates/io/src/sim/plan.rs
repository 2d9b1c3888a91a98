//! What is planned to go wrong in a world, by number or by chance, and what has.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::choice::{Purpose, Tape};
use super::disk::Forget;
use super::fault::Fault;
use super::inode::InodeId;
use super::operation::Operation;
use super::rate::FaultRates;

/// How a sync fails. By default its caller gets the error and nothing else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedSync {
    /// Whether the caller gets the error. If not, somebody else has, and this sync says `Ok`.
    pub told: bool,
    /// Which of the dirty sectors now count as clean without being on the disk, so that the next
    /// sync says `Ok` and does not save them. A later write to the same page makes it dirty again.
    pub forget: Forget,
    /// Whether reads show at once what is on the disk. If not, they show the forgotten data.
    pub evict: bool,
}

impl Default for FailedSync {
    fn default() -> FailedSync {
        FailedSync {
            told: true,
            forget: Forget::Nothing,
            evict: false,
        }
    }
}

/// The faults of a world.
///
/// Where a fault could strike, the world asks [`strike`](Faults::strike): once for each opportunity, and
/// only there, so that the n-th opportunity is the same in every run that did the same before.
#[derive(Debug, Default)]
pub(super) struct Faults {
    planned: Vec<Planned>,
    errors: Vec<PlannedError>,
    syncs: Vec<PlannedSync>,
    pub(super) rates: FaultRates,
    pub(super) lying_sync: bool,
    /// For so many more operations the disk is full.
    pub(super) full_for: u32,
    /// Files that were written where nothing had been allocated, so that their next sync may find no
    /// room.
    pub(super) late: BTreeSet<InodeId>,
    /// Files that were damaged in this lifetime.
    damaged: BTreeSet<InodeId>,
    fired: BTreeMap<Fault, u64>,
}

/// The fault strikes when its opportunities have been counted down.
#[derive(Debug)]
struct Planned {
    fault: Fault,
    left: u64,
}

#[derive(Debug)]
struct PlannedError {
    operation: Operation,
    left: u64,
    kind: io::ErrorKind,
}

#[derive(Debug)]
struct PlannedSync {
    left: u64,
    how: FailedSync,
}

impl Faults {
    pub(super) fn plan(&mut self, fault: Fault, nth: u64) {
        self.planned.push(Planned { fault, left: nth });
    }

    pub(super) fn plan_error(&mut self, operation: Operation, nth: u64, kind: io::ErrorKind) {
        self.errors.push(PlannedError {
            operation,
            left: nth,
            kind,
        });
    }

    pub(super) fn plan_sync(&mut self, nth: u64, how: FailedSync) {
        self.syncs.push(PlannedSync { left: nth, how });
    }

    pub(super) fn count(&mut self, fault: Fault) {
        *self.fired.entry(fault).or_insert(0) += 1;
    }

    pub(super) fn fired(&self) -> &BTreeMap<Fault, u64> {
        &self.fired
    }

    /// Whether nothing is planned or under way, so that nobody needs to ask.
    pub(super) fn is_calm(&self) -> bool {
        self.planned.is_empty()
            && self.errors.is_empty()
            && self.rates.is_empty()
            && self.full_for == 0
    }

    /// Whether the fault strikes at this opportunity. It is then counted.
    pub(super) fn strike(&mut self, fault: Fault, tape: &mut Tape) -> bool {
        let strikes = self.strikes(fault, tape);
        if strikes {
            self.count(fault);
        }
        strikes
    }

    /// The same for a fault that is counted where its effect is met.
    pub(super) fn strikes(&mut self, fault: Fault, tape: &mut Tape) -> bool {
        self.is_due(fault) || self.rates.strikes(fault, tape)
    }

    /// Whether a fault that damages a file strikes: it does so once in a lifetime of the machine, as
    /// more than one damage between two recoveries is more than anybody promises to stand.
    pub(super) fn damages(&mut self, fault: Fault, file: InodeId, tape: &mut Tape) -> bool {
        let strikes = !self.damaged.contains(&file) && self.strikes(fault, tape);
        if strikes {
            self.damaged.insert(file);
        }
        strikes
    }

    fn is_due(&mut self, fault: Fault) -> bool {
        let mut is_due = false;
        self.planned.retain_mut(|planned| {
            if planned.fault == fault {
                planned.left = planned.left.saturating_sub(1);
                is_due |= planned.left == 0;
            }
            planned.left > 0
        });
        is_due
    }

    /// The error with which this operation fails before it has done anything, if it does; a write may
    /// have left a part.
    pub(super) fn refuse(&mut self, operation: Operation, tape: &mut Tape) -> io::Result<()> {
        if self.is_calm() {
            return Ok(());
        }
        if let Some(kind) = self.due_error(operation) {
            self.count(Fault::Error(operation));
            return Err(io::Error::new(kind, "injected fault"));
        }
        if self.strike(Fault::Error(operation), tape) {
            return Err(io::Error::other("injected fault"));
        }
        if operation.takes_descriptor() && self.strike(Fault::TooManyFiles, tape) {
            return Err(rustix::io::Errno::MFILE.into());
        }
        if matches!(operation, Operation::Rename | Operation::HardLink)
            && self.has_no_room(operation, tape)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn due_error(&mut self, operation: Operation) -> Option<io::ErrorKind> {
        let mut kind = None;
        self.errors.retain_mut(|planned| {
            if planned.operation == operation {
                planned.left = planned.left.saturating_sub(1);
                if planned.left == 0 {
                    kind = Some(planned.kind);
                }
            }
            planned.left > 0
        });
        kind
    }

    /// Whether an operation that a full disk may refuse and may not is refused. The refusal is counted
    /// where the error is met.
    fn has_no_room(&mut self, operation: Operation, tape: &mut Tape) -> bool {
        let fault = Fault::StorageFull(operation);
        let is_refused = self.full_for > 0 && tape.choose(Purpose::Fault, 2) == 1;
        is_refused || self.strikes(fault, tape)
    }

    /// How this sync fails, if it does: what happens to the file, and the error.
    pub(super) fn fail_sync(
        &mut self,
        operation: Operation,
        inode: InodeId,
        tape: &mut Tape,
    ) -> Option<(FailedSync, io::ErrorKind)> {
        let takes_room = operation == Operation::SyncDir || self.late.contains(&inode);
        let failed = match self.due_sync() {
            Some(how) => (how, io::ErrorKind::Other),
            None if self.is_calm() => return None,
            None if takes_room && self.has_no_room(operation, tape) => {
                self.count(Fault::StorageFull(operation));
                (draw_failure(true, tape), io::ErrorKind::StorageFull)
            }
            None => (self.random_failure(tape)?, io::ErrorKind::Other),
        };
        self.count_failed_sync(operation, failed);
        Some(failed)
    }

    fn due_sync(&mut self) -> Option<FailedSync> {
        let mut how = None;
        self.syncs.retain_mut(|planned| {
            planned.left = planned.left.saturating_sub(1);
            if planned.left == 0 {
                how = Some(planned.how);
            }
            planned.left > 0
        });
        how
    }

    fn random_failure(&mut self, tape: &mut Tape) -> Option<FailedSync> {
        let told = self.strikes(Fault::FailedSync, tape);
        let strikes = told || self.strikes(Fault::SilentlyFailedSync, tape);
        strikes.then(|| draw_failure(told, tape))
    }

    fn count_failed_sync(&mut self, operation: Operation, failed: (FailedSync, io::ErrorKind)) {
        let (how, kind) = failed;
        if kind != io::ErrorKind::StorageFull {
            self.count(match how.told {
                true => Fault::FailedSync,
                false => Fault::SilentlyFailedSync,
            });
        }
        if operation == Operation::SyncDir {
            self.count(Fault::FailedDirectorySync);
            return;
        }
        match how.forget {
            Forget::Nothing => return,
            Forget::Everything => self.count(Fault::ForgottenSectors),
            Forget::Some => self.count(Fault::PartlyForgottenSectors),
        }
        self.count(match how.evict {
            true => Fault::EvictedSectors,
            false => Fault::ShownSectors,
        });
    }
}

fn draw_failure(told: bool, tape: &mut Tape) -> FailedSync {
    let forget = [Forget::Nothing, Forget::Everything, Forget::Some];
    FailedSync {
        told,
        forget: forget[tape.choose(Purpose::Fault, 3) as usize],
        evict: tape.choose(Purpose::Fault, 2) == 1,
    }
}
