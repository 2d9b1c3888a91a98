//! [`IoCounts`]: how much a program has asked of the disk.

/// What the operations of one lifetime add up to, for bounds on what a recovery costs.
///
/// An operation counts when it has its effect: not when a fault fails it instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoCounts {
    /// Calls of `read_at`.
    pub reads: u64,
    /// Bytes that they gave.
    pub bytes_read: u64,
    /// The most bytes that one of them asked for, whether the file had them or not.
    pub largest_read: u64,
    /// Calls of `write_at`.
    pub writes: u64,
    /// Bytes that they wrote.
    pub bytes_written: u64,
    /// Calls of `sync_data`, `sync_all` and `sync_dir`.
    pub syncs: u64,
    /// Files and locks that are open now.
    pub open_handles: u64,
}

impl IoCounts {
    pub(super) fn read(&mut self, asked: usize, given: usize) {
        self.reads += 1;
        self.bytes_read += given as u64;
        self.largest_read = self.largest_read.max(asked as u64);
    }

    pub(super) fn write(&mut self, bytes: usize) {
        self.writes += 1;
        self.bytes_written += bytes as u64;
    }
}
