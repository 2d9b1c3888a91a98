//! Faults while the program runs: planned ones, random ones, and how often each has struck.

use std::collections::BTreeMap;
use std::io;

use super::choice::{Purpose, Tape};
use super::disk::Forget;

/// A method of `Io` or `File`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, derive_more::Display)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the method of its name")]
#[display("{}", self.name())]
pub enum Operation {
    Open,
    CreateDirAll,
    ReadDir,
    Rename,
    RemoveFile,
    HardLink,
    SyncDir,
    Lock,
    AvailableSpace,
    ReadAt,
    WriteAt,
    SyncData,
    SyncAll,
    Size,
    SetLen,
    Allocate,
}

impl Operation {
    /// The method's name.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Open => "open",
            Operation::CreateDirAll => "create_dir_all",
            Operation::ReadDir => "read_dir",
            Operation::Rename => "rename",
            Operation::RemoveFile => "remove_file",
            Operation::HardLink => "hard_link",
            Operation::SyncDir => "sync_dir",
            Operation::Lock => "lock",
            Operation::AvailableSpace => "available_space",
            Operation::ReadAt => "read_at",
            Operation::WriteAt => "write_at",
            Operation::SyncData => "sync_data",
            Operation::SyncAll => "sync_all",
            Operation::Size => "size",
            Operation::SetLen => "set_len",
            Operation::Allocate => "allocate",
        }
    }

    /// Whether it makes something durable.
    pub fn is_sync(self) -> bool {
        matches!(
            self,
            Operation::SyncDir | Operation::SyncData | Operation::SyncAll
        )
    }
}

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

/// Chances of random faults, each in 10,000 operations of its kind. By default all are 0.
///
/// The draws come from the tape, so a run on a tape of zeros has no random fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// A sync fails, in any of the ways of [`FailedSync`].
    pub sync: u32,
    /// A write, an allocation or a change of length fails with an I/O error.
    pub write: u32,
    /// A read fails with an I/O error, this time.
    pub read: u32,
    /// A write, an allocation, a creation or a rename finds the disk full, this time.
    pub full: u32,
}

const RATE_BASE: u32 = 10_000;

/// The kinds of faults, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// An operation failed that would have succeeded.
    Error(Operation),
    /// A sync failed and its caller was told.
    FailedSync,
    /// A sync failed and its caller was not told.
    SilentlyFailedSync,
    /// A failed sync forgot dirty sectors.
    ForgottenSectors,
    /// A failed sync evicted what it forgot.
    EvictedSectors,
    /// A sync lied: it said `Ok` and did nothing.
    LyingSync,
    /// The disk was full.
    StorageFull,
    /// A sector could not be read.
    UnreadableSector,
    /// A future was dropped before its operation was complete.
    DroppedOperation,
    /// A listing came in another order.
    ShuffledListing,
}

/// What is planned to go wrong, and what has.
#[derive(Debug, Default)]
pub(super) struct Faults {
    errors: Vec<PlannedError>,
    syncs: Vec<PlannedSync>,
    pub(super) rates: FaultRates,
    pub(super) lying_sync: bool,
    fired: BTreeMap<Fault, u64>,
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

    /// The error with which this operation fails, if it does.
    pub(super) fn strike(&mut self, operation: Operation, tape: &mut Tape) -> io::Result<()> {
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
        match kind.or_else(|| self.random_error(operation, tape)) {
            None => Ok(()),
            Some(kind) => {
                self.count(Fault::Error(operation));
                Err(io::Error::new(kind, "injected fault"))
            }
        }
    }

    fn random_error(&self, operation: Operation, tape: &mut Tape) -> Option<io::ErrorKind> {
        use Operation::{Allocate, Open, ReadAt, Rename, SetLen, WriteAt};
        let (error, full) = match operation {
            WriteAt | Allocate => (self.rates.write, self.rates.full),
            SetLen => (self.rates.write, 0),
            Open | Rename => (0, self.rates.full),
            ReadAt => (self.rates.read, 0),
            _ => (0, 0),
        };
        if tape.strikes(Purpose::Fault, error, RATE_BASE) {
            Some(io::ErrorKind::Other)
        } else if tape.strikes(Purpose::Fault, full, RATE_BASE) {
            Some(io::ErrorKind::StorageFull)
        } else {
            None
        }
    }

    /// How this sync fails, if it does.
    pub(super) fn strike_sync(&mut self, tape: &mut Tape) -> Option<FailedSync> {
        let mut how = None;
        self.syncs.retain_mut(|planned| {
            planned.left = planned.left.saturating_sub(1);
            if planned.left == 0 {
                how = Some(planned.how);
            }
            planned.left > 0
        });
        let random = how.is_none() && tape.strikes(Purpose::Fault, self.rates.sync, RATE_BASE);
        if random {
            let forget = [Forget::Nothing, Forget::Everything, Forget::Some];
            how = Some(FailedSync {
                told: true,
                forget: forget[tape.choose(Purpose::Fault, 3) as usize],
                evict: tape.choose(Purpose::Fault, 2) == 1,
            });
        }
        let how = how?;
        self.count(match how.told {
            true => Fault::FailedSync,
            false => Fault::SilentlyFailedSync,
        });
        if how.forget != Forget::Nothing {
            self.count(Fault::ForgottenSectors);
        }
        if how.evict {
            self.count(Fault::EvictedSectors);
        }
        Some(how)
    }
}
