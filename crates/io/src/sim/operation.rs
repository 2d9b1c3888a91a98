//! [`Operation`]: the methods of `Io` and `File` by name.

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

    /// Whether it needs a file descriptor of its own.
    pub(super) fn takes_descriptor(self) -> bool {
        matches!(
            self,
            Operation::Open | Operation::Lock | Operation::ReadDir | Operation::SyncDir
        )
    }

    /// Whether it may need room on the disk before it has an effect.
    pub(super) fn takes_space(self) -> bool {
        matches!(
            self,
            Operation::Open
                | Operation::CreateDirAll
                | Operation::Rename
                | Operation::HardLink
                | Operation::Lock
                | Operation::WriteAt
                | Operation::Allocate
        )
    }
}
