//! Snapshots: when to take one, how it is written and read, and what it lets go.

mod file;
mod policy;
mod retention;

pub use policy::SnapshotPolicy;

pub(crate) use file::{SnapshotReader, write};
pub(crate) use policy::Growth;
pub(crate) use retention::{Prune, covered, plan, prune};
