//! Lives made for one rule, which seeds would take long to hit upon.

use quipu_io::sim::Profile;
use quipu_journal::check::{Plan, SMALL, Scene};

use super::program::{Change, StoreOp, Write};
use super::setting::Setting;
use crate::Durability;

/// The given lives, each crashed wherever it matters.
pub fn scripts() -> Vec<Plan<StoreOp>> {
    vec![
        replayed_memtables(),
        a_dropped_keyspace_and_a_writer(),
        a_tombstone_behind_a_snapshot(),
    ]
}

/// The log is read into several memtables, and the manifest knows of a later number than they hold.
fn replayed_memtables() -> Plan<StoreOp> {
    script(vec![
        write(put(0, 0), Durability::Os),
        write(put(0, 1), Durability::Os),
        StoreOp::Create(1, None),
        tight(),
        StoreOp::Wait(1000),
    ])
}

/// A writer waits for room in a keyspace that is dropped.
fn a_dropped_keyspace_and_a_writer() -> Plan<StoreOp> {
    script(vec![
        StoreOp::Create(1, None),
        tight(),
        write(put(1, 0), Durability::Disk),
        StoreOp::Drop(1, None),
        write(put(0, 0), Durability::Disk),
    ])
}

/// What a snapshot shows is deleted and compacted.
fn a_tombstone_behind_a_snapshot() -> Plan<StoreOp> {
    script(vec![
        write(put(0, 0), Durability::Os),
        StoreOp::Hold,
        write((0, Change::Delete(0)), Durability::Os),
        StoreOp::Compact(None),
        StoreOp::LetGo,
    ])
}

fn put(space: usize, key: usize) -> Write {
    (space, Change::Put(key, SMALL))
}

fn write(write: Write, durability: Durability) -> StoreOp {
    StoreOp::Write(vec![write], durability)
}

/// Every batch is a memtable of its own, and one that waits stalls writers.
fn tight() -> StoreOp {
    StoreOp::Change(Box::new(Setting {
        memtable: 1,
        frozen: 1,
        ..Setting::plain()
    }))
}

fn script(ops: Vec<StoreOp>) -> Plan<StoreOp> {
    Plan::Scripted {
        sector: 512,
        scenes: vec![Scene {
            ops,
            crashes: vec![Profile::KillOnly, Profile::Posix],
        }],
    }
}
