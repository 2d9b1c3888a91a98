//! What may go, and the order in which it goes.
//!
//! Invariants:
//! - Snapshots go first, then their names are durably gone, then segments go from the lowest up: so
//!   in every crash state a gap in the segments is below the oldest snapshot that is there.
//! - The last segment never goes.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Mutex;

use quipu_io::Io;
use quipu_io::planted::planted;

use crate::directory::Directory;
use crate::log::core::{Files, lock};
use crate::log::segment::SegmentSpan;
use crate::options::Retention;
use crate::{Error, Result, Seq};

/// The files that go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prune {
    pub(crate) snapshots: Vec<Seq>,
    pub(crate) segments: Vec<u64>,
}

/// Decides what goes.
///
/// `damaged` are snapshots that did not verify: they count for nothing, and go with the others.
/// Until there are as many snapshots as are kept the log stays whole, so that the first edit serves
/// as one; unless it has more than `max_segments`.
pub(crate) fn plan(
    files: &Files,
    damaged: &[Seq],
    retention: Retention,
    max_segments: usize,
) -> Prune {
    let Retention::Snapshots(keep) = retention else {
        return Prune::default();
    };
    let sound: Vec<Seq> = files
        .snapshots
        .iter()
        .copied()
        .filter(|seq| !damaged.contains(seq) || planted("a damaged snapshot counts as kept"))
        .collect();
    let kept = &sound[sound.len().saturating_sub(keep.get())..];
    let oldest = match planted("segments go by the newest snapshot") {
        true => kept.last(),
        false => kept.first(),
    };
    let Some(&oldest) = oldest else {
        return Prune::default();
    };
    let snapshots = files
        .snapshots
        .iter()
        .copied()
        .filter(|seq| !kept.contains(seq))
        .collect();
    let whole_log = kept.len() < keep.get() && files.segments.len() <= max_segments;
    let segments = if whole_log {
        Vec::new()
    } else {
        covered(&files.segments, oldest)
    };
    Prune {
        snapshots,
        segments,
    }
}

/// The segments all of whose edits a snapshot of `seq` stands for.
pub(crate) fn covered(segments: &[SegmentSpan], seq: Seq) -> Vec<u64> {
    segments
        .windows(2)
        .filter(|pair| {
            pair[1].first <= seq.next()
                || planted("a segment goes that the snapshot covers in part")
                    && pair[0].first <= seq
        })
        .map(|pair| pair[0].number)
        .collect()
}

/// Removes what the plan says.
pub(crate) async fn prune<I: Io>(
    directory: &Directory<I>,
    files: &Mutex<Files>,
    prune: Prune,
) -> Result<()> {
    let changing = directory.change().await;
    for &seq in &prune.snapshots {
        remove(directory, &directory.snapshot(seq)).await?;
    }
    let nothing_goes = prune.snapshots.is_empty() && prune.segments.is_empty();
    if !nothing_goes && !planted("segments go before the snapshots are durably gone") {
        // Also when no snapshot goes now: an earlier removal may have been stopped before its sync.
        directory.sync().await?;
    }
    drop(changing);
    lock(files)
        .snapshots
        .retain(|seq| !prune.snapshots.contains(seq));
    for &number in &prune.segments {
        remove(directory, &directory.segment(number)).await?;
        lock(files)
            .segments
            .retain(|segment| segment.number != number);
    }
    Ok(())
}

async fn remove<I: Io>(directory: &Directory<I>, path: &Path) -> Result<()> {
    match directory.io.remove_file(path).await {
        // An earlier attempt came this far.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.map_err(Error::io),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    /// Segments of ten edits each.
    fn files(segments: u64, snapshots: &[u64]) -> Files {
        let span = |number| SegmentSpan {
            number,
            first: Seq::new((number - 1) * 10 + 1),
        };
        Files {
            segments: (1..=segments).map(span).collect(),
            snapshots: snapshots.iter().copied().map(Seq::new).collect(),
        }
    }

    fn check(files: Files, damaged: &[u64], keep: usize, snapshots: &[u64], segments: &[u64]) {
        let damaged: Vec<_> = damaged.iter().copied().map(Seq::new).collect();
        let keep = Retention::Snapshots(NonZeroUsize::new(keep).unwrap());
        let prune = plan(&files, &damaged, keep, 8);
        let expected: Vec<_> = snapshots.iter().copied().map(Seq::new).collect();
        assert_eq!(
            (prune.snapshots, prune.segments),
            (expected, segments.to_vec())
        );
    }

    #[test]
    fn segments_go_once_the_oldest_kept_snapshot_stands_for_them() {
        check(files(4, &[10, 25, 31]), &[], 2, &[10], &[1, 2]);
        check(files(4, &[10, 20, 30]), &[], 2, &[10], &[1, 2]);
        check(files(4, &[9, 19]), &[], 2, &[], &[]);
        check(files(4, &[30]), &[], 1, &[], &[1, 2, 3]);
    }

    #[test]
    fn the_last_segment_stays_even_if_a_snapshot_stands_for_all_of_it() {
        check(files(1, &[5, 10]), &[], 1, &[5], &[]);
    }

    #[test]
    fn until_enough_snapshots_are_there_the_log_stays() {
        check(files(4, &[40]), &[], 2, &[], &[]);
        check(files(9, &[90]), &[], 2, &[], &[1, 2, 3, 4, 5, 6, 7, 8]);
        check(files(4, &[]), &[], 2, &[], &[]);
    }

    #[test]
    fn damaged_snapshots_count_for_nothing() {
        check(files(4, &[10, 20, 30]), &[20], 2, &[20], &[1]);
        check(files(4, &[10, 20, 30]), &[30], 2, &[30], &[1]);
    }

    #[test]
    fn all_history_stays_when_asked_for() {
        assert_eq!(
            plan(&files(9, &[10, 90]), &[], Retention::All, 8),
            Prune::default()
        );
    }
}
