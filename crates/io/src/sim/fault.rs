//! The kinds of faults: their names, which contract each falls under, and who causes it.

use std::fmt;

use super::operation::Operation;

/// The kinds of faults, as they are drawn and counted.
///
/// Most can be asked for, by a rate or as the n-th opportunity; some are what others lead to, or what
/// the program does to itself, and are only counted (see [`Fault::is_drawn`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// An operation failed that would have succeeded. It had no effect, except that a write may leave
    /// a part behind.
    Error(Operation),
    /// A write that failed had written its first sectors, or all of them: counted beside the error.
    BrokenWrite,
    /// An operation found no file descriptor left.
    TooManyFiles,
    /// The disk was full for a number of operations.
    FullDisk,
    /// This operation found no room. Writes, allocations and creations do on a full disk; a rename,
    /// a link and a sync (of what was allocated late) may.
    StorageFull(Operation),
    /// There was room again.
    RoomAgain,
    /// A write ran out of room after a part of it.
    PartialWrite,
    /// A sync failed and its caller was told.
    FailedSync,
    /// A sync failed and its caller was not told.
    SilentlyFailedSync,
    /// A sync that failed, told or not, was that of a directory: counted beside the two above.
    FailedDirectorySync,
    /// A failed sync forgot dirty sectors, all of them.
    ForgottenSectors,
    /// A failed sync forgot some of the dirty sectors, each by a choice of its own.
    PartlyForgottenSectors,
    /// A failed sync evicted what it forgot: reads show what is on the disk.
    EvictedSectors,
    /// Reads went on showing what a failed sync forgot.
    ShownSectors,
    /// A write made forgotten or lost sectors dirty again, so that the next sync saves them.
    RedirtiedSectors,
    /// A sync lied: it said `Ok` and did nothing.
    LyingSync,
    /// A sector could not be read, until it was written.
    UnreadableSector,
    /// A read gave a wrong byte, this time.
    FlippedRead,
    /// A read gave the bytes of another sector, this time.
    MisdirectedRead,
    /// A bit of a file turned over, for good.
    Rot,
    /// A write said `Ok` and never reached the disk.
    LostWrite,
    /// A write said `Ok` and landed on other sectors of the file.
    MisdirectedWrite,
    /// A sector that nobody had written held what was there before, or noise.
    StaleBlock,
    /// A sector was a part of one version and a part of another after a crash.
    TornSector,
    /// A sector had lost in a crash what was durable, because it was being written again.
    DestroyedSector,
    /// A future was dropped before its operation was complete.
    DroppedOperation,
    /// A listing came in another order.
    ShuffledListing,
    /// A file that nobody knows appeared in a directory before it was listed.
    StrayFile,
    /// The same, a directory.
    StrayDirectory,
    /// An operation took very long.
    Stall,
    /// An operation completed before one that was submitted earlier.
    OutOfOrder,
    /// A task was polled though nobody had woken it.
    SpuriousWake,
    /// A task that could run was held back for a while.
    DelayedWake,
    /// The calendar's time jumped, forward or back.
    ClockJump,
}

/// Which contract a program has to keep under a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultClass {
    /// Legal on hardware that works: nothing acknowledged is lost, and nothing torn is visible.
    Crash,
    /// Broken hardware, or a file system that breaks its promises: never a wrong answer, and never a
    /// loss in silence that a checksum or a count could reveal.
    Device,
}

impl Fault {
    /// All kinds.
    pub const ALL: &[Fault] = &[
        Fault::Error(Operation::Open),
        Fault::Error(Operation::CreateDirAll),
        Fault::Error(Operation::ReadDir),
        Fault::Error(Operation::Rename),
        Fault::Error(Operation::RemoveFile),
        Fault::Error(Operation::HardLink),
        Fault::Error(Operation::SyncDir),
        Fault::Error(Operation::Lock),
        Fault::Error(Operation::AvailableSpace),
        Fault::Error(Operation::ReadAt),
        Fault::Error(Operation::WriteAt),
        Fault::Error(Operation::SyncData),
        Fault::Error(Operation::SyncAll),
        Fault::Error(Operation::Size),
        Fault::Error(Operation::SetLen),
        Fault::Error(Operation::Allocate),
        Fault::TooManyFiles,
        Fault::FullDisk,
        Fault::StorageFull(Operation::Open),
        Fault::StorageFull(Operation::CreateDirAll),
        Fault::StorageFull(Operation::Rename),
        Fault::StorageFull(Operation::HardLink),
        Fault::StorageFull(Operation::SyncDir),
        Fault::StorageFull(Operation::Lock),
        Fault::StorageFull(Operation::WriteAt),
        Fault::StorageFull(Operation::SyncData),
        Fault::StorageFull(Operation::SyncAll),
        Fault::StorageFull(Operation::Allocate),
        Fault::RoomAgain,
        Fault::PartialWrite,
        Fault::FailedSync,
        Fault::SilentlyFailedSync,
        Fault::FailedDirectorySync,
        Fault::ForgottenSectors,
        Fault::PartlyForgottenSectors,
        Fault::EvictedSectors,
        Fault::ShownSectors,
        Fault::RedirtiedSectors,
        Fault::LyingSync,
        Fault::UnreadableSector,
        Fault::FlippedRead,
        Fault::MisdirectedRead,
        Fault::Rot,
        Fault::LostWrite,
        Fault::MisdirectedWrite,
        Fault::StaleBlock,
        Fault::TornSector,
        Fault::DestroyedSector,
        Fault::DroppedOperation,
        Fault::ShuffledListing,
        Fault::StrayFile,
        Fault::StrayDirectory,
        Fault::Stall,
        Fault::OutOfOrder,
        Fault::SpuriousWake,
        Fault::DelayedWake,
        Fault::ClockJump,
        Fault::BrokenWrite,
    ];

    /// The contract that it falls under.
    pub fn class(self) -> FaultClass {
        match self {
            Fault::TooManyFiles
            | Fault::FullDisk
            | Fault::StorageFull(_)
            | Fault::RoomAgain
            | Fault::PartialWrite
            | Fault::StaleBlock
            | Fault::DroppedOperation
            | Fault::ShuffledListing
            | Fault::StrayFile
            | Fault::StrayDirectory
            | Fault::Stall
            | Fault::OutOfOrder
            | Fault::SpuriousWake
            | Fault::DelayedWake
            | Fault::ClockJump => FaultClass::Crash,
            Fault::Error(_)
            | Fault::BrokenWrite
            | Fault::FailedSync
            | Fault::SilentlyFailedSync
            | Fault::FailedDirectorySync
            | Fault::ForgottenSectors
            | Fault::PartlyForgottenSectors
            | Fault::EvictedSectors
            | Fault::ShownSectors
            | Fault::RedirtiedSectors
            | Fault::LyingSync
            | Fault::UnreadableSector
            | Fault::FlippedRead
            | Fault::MisdirectedRead
            | Fault::Rot
            | Fault::LostWrite
            | Fault::MisdirectedWrite
            | Fault::TornSector
            | Fault::DestroyedSector => FaultClass::Device,
        }
    }

    /// Whether it strikes when asked to. The others follow from these (a full disk refuses writes, a
    /// failing sync forgets sectors, a failing write leaves a part), from the [`DiskModel`](super::DiskModel), or from what the program
    /// does: it drops futures.
    pub fn is_drawn(self) -> bool {
        match self {
            Fault::StorageFull(operation) => {
                operation.is_sync() || matches!(operation, Operation::Rename | Operation::HardLink)
            }
            Fault::BrokenWrite
            | Fault::RoomAgain
            | Fault::FailedDirectorySync
            | Fault::ForgottenSectors
            | Fault::PartlyForgottenSectors
            | Fault::EvictedSectors
            | Fault::ShownSectors
            | Fault::RedirtiedSectors
            | Fault::StaleBlock
            | Fault::TornSector
            | Fault::DestroyedSector
            | Fault::DroppedOperation
            | Fault::OutOfOrder => false,
            _ => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Error(operation) => write!(f, "error in {operation}"),
            Fault::StorageFull(operation) => write!(f, "no room in {operation}"),
            Fault::BrokenWrite => f.write_str("part of a failed write"),
            Fault::TooManyFiles => f.write_str("too many open files"),
            Fault::FullDisk => f.write_str("full disk"),
            Fault::RoomAgain => f.write_str("room again"),
            Fault::PartialWrite => f.write_str("partial write"),
            Fault::FailedSync => f.write_str("failed sync"),
            Fault::SilentlyFailedSync => f.write_str("silently failed sync"),
            Fault::FailedDirectorySync => f.write_str("failed sync of a directory"),
            Fault::ForgottenSectors => f.write_str("forgotten sectors"),
            Fault::PartlyForgottenSectors => f.write_str("partly forgotten sectors"),
            Fault::EvictedSectors => f.write_str("evicted sectors"),
            Fault::ShownSectors => f.write_str("forgotten sectors still shown"),
            Fault::RedirtiedSectors => f.write_str("forgotten sectors dirty again"),
            Fault::LyingSync => f.write_str("lying sync"),
            Fault::UnreadableSector => f.write_str("unreadable sector"),
            Fault::FlippedRead => f.write_str("flipped read"),
            Fault::MisdirectedRead => f.write_str("misdirected read"),
            Fault::Rot => f.write_str("rot"),
            Fault::LostWrite => f.write_str("lost write"),
            Fault::MisdirectedWrite => f.write_str("misdirected write"),
            Fault::StaleBlock => f.write_str("stale block"),
            Fault::TornSector => f.write_str("torn sector"),
            Fault::DestroyedSector => f.write_str("destroyed sector"),
            Fault::DroppedOperation => f.write_str("dropped operation"),
            Fault::ShuffledListing => f.write_str("shuffled listing"),
            Fault::StrayFile => f.write_str("stray file"),
            Fault::StrayDirectory => f.write_str("stray directory"),
            Fault::Stall => f.write_str("stall"),
            Fault::OutOfOrder => f.write_str("completion out of order"),
            Fault::SpuriousWake => f.write_str("spurious wake"),
            Fault::DelayedWake => f.write_str("delayed wake"),
            Fault::ClockJump => f.write_str("clock jump"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_every_kind_once() {
        let mut sorted = Fault::ALL.to_vec();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), Fault::ALL.len());
        assert!(Fault::ALL.len() >= 30);
        let names: std::collections::BTreeSet<String> =
            Fault::ALL.iter().map(Fault::to_string).collect();
        assert_eq!(names.len(), Fault::ALL.len());
    }
}
