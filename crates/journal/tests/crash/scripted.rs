//! Given workloads, crashed wherever it matters, in every way that recovery can tell apart.

use quipu_io::sim::Profile;
use quipu_journal::Options;
use quipu_journal::check::settings::{busy, plain, tiny_segments};
use quipu_journal::check::{
    Check, LogOp, LogProgram, Op, PAGE, Plan, Program, SECTOR, SMALL, Scene,
};
use quipu_journal::log::Durability::{Disk, Os};

use crate::notes::notes;

/// Explores all crashes of these operations, with both sizes of sectors.
fn check<P: Program>(program: &P, ops: &[P::Op]) {
    for sector in [512, 4096] {
        let scenes = vec![Scene {
            ops: ops.to_vec(),
            crashes: vec![Profile::Posix],
        }];
        let tally = Check::of(program.clone()).finish(Plan::Scripted { sector, scenes });
        let tally = tally.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(tally.crashes > 0);
    }
}

fn log(options: &Options) -> LogProgram {
    LogProgram::new().with(options.clone())
}

macro_rules! scripts {
    ($program:ident: $($name:ident: $options:expr, [$($op:expr),* $(,)?];)*) => {
        $(
            #[test]
            fn $name() {
                check(&$program(&$options), &[$($op),*]);
            }
        )*
    };
}

scripts! { notes:
    an_open_alone: plain(), [];
    one_small_append: plain(), [Op::Append(SMALL)];
    appends_across_sectors: plain(), [Op::Append(SECTOR), Op::Append(SMALL), Op::Append(SECTOR)];
    appends_across_pages: plain(), [Op::Append(PAGE), Op::Append(PAGE)];
    batches: plain(), [Op::Batch(3, SECTOR), Op::Batch(2, SECTOR)];
    concurrent_appends: plain(), [Op::Together(4, SECTOR), Op::Together(3, SMALL)];
    cancelled_appends: plain(),
        [Op::Abandon(SMALL), Op::Append(SMALL), Op::Cancel(SECTOR), Op::Cancel(SMALL)];
    close_and_reopen: plain(), [Op::Append(SMALL), Op::Reopen, Op::Append(SECTOR), Op::Reopen];
    an_impatient_reopen: plain(),
        [Op::Append(SMALL), Op::Abandon(SMALL), Op::ReopenImpatiently, Op::Append(SMALL)];
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

scripts! { log:
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
