//! Scripted and random workloads, crashed wherever it matters.

use quipu_io::sim::Random;
use quipu_journal::Options;
use quipu_journal::log::Durability::{Disk, Os};

use crate::explorer::{Budget, Plan, Tally, explore};
use crate::life::JournalProgram;
use crate::log_life::LogProgram;
use crate::notes::Notes;
use crate::workload::{
    LogOp, Op, PAGE, Program, SECTOR, SMALL, busy, plain, random_ops, random_options, tiny_segments,
};

/// Runs a plan calm and wild, with both sizes of sectors.
fn check<P: Program>(ops: &[P::Op], options: &Options) {
    let mut total = Tally::default();
    for sector in [512, 4096] {
        for wild in [false, true] {
            let plan = Plan {
                ops: ops.to_vec(),
                options: options.clone(),
                sector,
                seed: 1,
                wild,
                lie: false,
            };
            let budget = Budget {
                counted: 24,
                sampled: 6,
                branches: 1,
                depth: 3,
                points: 30,
            };
            let tally = explore::<P>(&plan, budget).unwrap();
            total.lives += tally.lives;
            total.points += tally.points;
            total.complete += tally.complete;
        }
    }
    report(total);
}

fn report(
    Tally {
        points,
        lives,
        complete,
    }: Tally,
) {
    #[expect(clippy::print_stdout, reason = "shown by --nocapture only")]
    {
        println!("{lives} lives from {points} points, {complete} of them completely");
    }
}

macro_rules! scripts {
    ($program:ty: $($name:ident: $options:expr, [$($op:expr),* $(,)?];)*) => {
        $(
            #[test]
            fn $name() {
                check::<$program>(&[$($op),*], &$options);
            }
        )*
    };
}

scripts! { JournalProgram<Notes>:
    an_open_alone: plain(), [];
    one_small_append: plain(), [Op::Append(SMALL)];
    appends_across_sectors: plain(), [Op::Append(SECTOR), Op::Append(SMALL), Op::Append(SECTOR)];
    appends_across_pages: plain(), [Op::Append(PAGE), Op::Append(PAGE)];
    batches: plain(), [Op::Batch(3, SECTOR), Op::Batch(2, PAGE)];
    concurrent_appends: plain(), [Op::Together(4, SECTOR), Op::Together(3, SMALL)];
    cancelled_appends: plain(),
        [Op::Abandon(SMALL), Op::Append(SMALL), Op::Cancel(PAGE), Op::Cancel(SMALL)];
    close_and_reopen: plain(), [Op::Append(SMALL), Op::Reopen, Op::Append(SECTOR), Op::Reopen];
    unsynced_frames_after_a_clean_reopen: plain(),
        [Op::Append(SMALL), Op::Reopen, Op::Abandon(SECTOR), Op::Append(SECTOR)];
    rotation: tiny_segments(), [Op::Append(SMALL), Op::Append(SECTOR), Op::Append(SMALL)];
    rotation_under_load: tiny_segments(), [Op::Together(3, SECTOR), Op::Together(3, SMALL)];
    snapshots: plain(), [Op::Append(SMALL), Op::Snapshot, Op::Append(SMALL), Op::Snapshot];
    a_snapshot_beside_appends: plain(),
        [Op::Append(SMALL), Op::SnapshotBeside, Op::Together(3, SECTOR), Op::SnapshotBeside];
    pruning_with_two_kept: busy(2),
        [Op::Append(SMALL), Op::Append(SECTOR), Op::Append(SMALL), Op::Append(SMALL), Op::Snapshot];
    pruning_with_one_kept: busy(1),
        [Op::Append(SMALL), Op::Append(SECTOR), Op::Append(SMALL), Op::Snapshot, Op::Reopen];
    audits: busy(2), [Op::Append(SMALL), Op::Audit, Op::Append(SECTOR), Op::Audit];
}

scripts! { LogProgram:
    a_log_of_os_appends: plain(),
        [LogOp::Append(SMALL, Os), LogOp::Append(SECTOR, Os), LogOp::Sync];
    a_log_that_rotates_os_appends: plain(),
        [LogOp::Append(SMALL, Os), LogOp::Rotate, LogOp::Append(SMALL, Os), LogOp::Rotate];
    a_log_of_both: tiny_segments(),
        [LogOp::Append(SECTOR, Os), LogOp::Append(SMALL, Disk), LogOp::Append(SMALL, Os)];
    a_log_that_is_truncated: tiny_segments(), [
        LogOp::Append(SMALL, Disk), LogOp::Append(SMALL, Disk), LogOp::Append(SMALL, Disk),
        LogOp::Truncate(1), LogOp::Append(SMALL, Disk), LogOp::Truncate(0), LogOp::Reopen,
    ];
}

/// The number in an environment variable.
pub(crate) fn variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

/// A random plan, the same for ever for the same seed.
fn random_plan<P: Program>(seed: u64) -> Plan<P::Op> {
    let mut random = Random::new(seed, 7);
    Plan {
        ops: random_ops::<P>(&mut random, 8),
        options: random_options(&mut random),
        sector: [512, 4096][random.below(2) as usize],
        seed,
        wild: random.below(4) > 0,
        lie: false,
    }
}

fn random_workloads<P: Program>(default: u64) {
    let first = variable("QUIPU_SEED", 0);
    let budget = Budget {
        counted: 4,
        sampled: 2,
        branches: 1,
        depth: 3,
        points: 10,
    };
    let mut total = Tally::default();
    for seed in first..first + variable("QUIPU_SEEDS", default) {
        let tally = explore::<P>(&random_plan::<P>(seed), budget).unwrap();
        total.lives += tally.lives;
        total.points += tally.points;
        total.complete += tally.complete;
    }
    report(total);
}

#[test]
fn random_workloads_of_a_journal() {
    random_workloads::<JournalProgram<Notes>>(60);
}

#[test]
fn random_workloads_of_a_log() {
    random_workloads::<LogProgram>(60);
}

/// The negative control: a disk whose syncs do nothing must not pass.
#[test]
fn lying_syncs_are_noticed() {
    let plan = Plan {
        ops: vec![Op::Append(SMALL), Op::Append(SECTOR)],
        options: plain(),
        sector: 512,
        seed: 1,
        wild: false,
        lie: true,
    };
    let budget = Budget {
        counted: 8,
        sampled: 4,
        branches: 0,
        depth: 1,
        points: 30,
    };
    let found = explore::<JournalProgram<Notes>>(&plan, budget).unwrap_err();
    assert!(
        [2, 9, 10, 12].contains(&found.violation.oracle),
        "{found:?}"
    );
}
