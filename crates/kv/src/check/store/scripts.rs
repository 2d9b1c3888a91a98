//! Lives made for one rule, which seeds would take long to hit upon.

use quipu_io::sim::Profile;
use quipu_journal::check::{PAGE, Plan, SMALL, Scene};

use super::program::{Change, StoreOp, Write};
use super::setting::{Setting, Shape};
use crate::Durability;

/// The given lives, each crashed wherever it matters.
pub fn scripts() -> Vec<Plan<StoreOp>> {
    vec![
        replayed_memtables(),
        a_dropped_keyspace_and_a_writer(),
        a_tombstone_behind_a_snapshot(),
        tables_ahead_of_the_log(),
        ranges_in_tables(),
        keyspaces_without_a_log(),
        a_flush_of_another_keyspace(),
        a_log_that_nobody_wants(),
        a_log_that_is_gone(),
        writers_at_the_same_time(),
        tombstones_between_levels(),
        memtables_behind_a_compaction(),
        a_checkpoint_of_two_levels(),
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

/// A flush in the background of one keyspace, and the log need not have what was written before to another.
fn tables_ahead_of_the_log() -> Plan<StoreOp> {
    let setting = Setting {
        memtable: 1000,
        ..Setting::plain()
    };
    script(vec![
        StoreOp::Create(1, None),
        StoreOp::Change(Box::new(setting)),
        write(put(1, 0), Durability::Os),
        write((0, Change::Put(0, PAGE)), Durability::Os),
        StoreOp::Wait(1000),
    ])
}

/// Ranges are deleted of what is in other tables, and read in all ways.
fn ranges_in_tables() -> Plan<StoreOp> {
    let ranges = [(1, 2), (2, 3)].map(|span| (0, Change::DeleteRange(span)));
    script(vec![
        StoreOp::Write(vec![put(0, 1), put(0, 2), put(0, 3)], Durability::Os),
        StoreOp::Flush,
        StoreOp::Write(ranges.to_vec(), Durability::Os),
        StoreOp::Flush,
        StoreOp::Wait(1),
        StoreOp::Wait(1),
        StoreOp::Wait(1),
    ])
}

/// Two keyspaces in one batch, and a flush that is all that makes them durable.
fn keyspaces_without_a_log() -> Plan<StoreOp> {
    script(vec![
        StoreOp::Create(1, None),
        StoreOp::Change(Box::new(Setting::plain().without_log())),
        StoreOp::Write(vec![put(0, 0), put(1, 1)], Durability::Os),
        StoreOp::Flush,
    ])
}

/// A flush has to look at each keyspace.
fn a_flush_of_another_keyspace() -> Plan<StoreOp> {
    script(vec![
        StoreOp::Create(1, None),
        write(put(1, 0), Durability::Os),
        StoreOp::Flush,
    ])
}

/// What was written with a log is read without one.
fn a_log_that_nobody_wants() -> Plan<StoreOp> {
    script(vec![
        write(put(0, 0), Durability::Disk),
        StoreOp::Change(Box::new(Setting::plain().without_log())),
    ])
}

/// What was written is in the log alone, and that is lost.
fn a_log_that_is_gone() -> Plan<StoreOp> {
    script(vec![write(put(0, 0), Durability::Disk), StoreOp::Mislay(0)])
}

fn writers_at_the_same_time() -> Plan<StoreOp> {
    script(vec![StoreOp::Together])
}

/// A tombstone goes down one level, and what it hides is below.
fn tombstones_between_levels() -> Plan<StoreOp> {
    let setting = Setting {
        shape: Shape::SimpleLeveled,
        ..Setting::plain()
    };
    script(vec![
        StoreOp::Change(Box::new(setting)),
        StoreOp::Write(vec![put(0, 0), put(0, 1), put(0, 2)], Durability::Os),
        StoreOp::Compact(None),
        write((0, Change::Delete(0)), Durability::Os),
        StoreOp::Flush,
        write(put(0, 0), Durability::Os),
        write((0, Change::Delete(0)), Durability::Os),
        StoreOp::Flush,
        StoreOp::Wait(1000),
    ])
}

/// Batches become memtables while tables are merged.
fn memtables_behind_a_compaction() -> Plan<StoreOp> {
    let setting = Setting {
        memtable: 1,
        ..Setting::plain()
    };
    script(vec![
        write(put(0, 0), Durability::Os),
        StoreOp::Flush,
        StoreOp::Change(Box::new(setting)),
        StoreOp::CompactBeside,
        write(put(0, 1), Durability::Os),
        write(put(0, 0), Durability::Os),
        StoreOp::Wait(1000),
    ])
}

/// A checkpoint of a memtable and of tables, which the store does not have any more when it is opened.
fn a_checkpoint_of_two_levels() -> Plan<StoreOp> {
    script(vec![
        write(put(0, 0), Durability::Os),
        StoreOp::Compact(None),
        write(put(0, 1), Durability::Os),
        StoreOp::Checkpoint,
        write((0, Change::DeleteRange((1, 3))), Durability::Os),
        StoreOp::Compact(None),
        StoreOp::Reopen,
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
