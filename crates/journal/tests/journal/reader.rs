//! Invariant: a reader that cannot give the state as of an edit says why, and what it says is true:
//! the edit is pruned, or not proven yet. What it says to do works.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use crate::common::{Edit, Map, set, small_options, state};
use quipu_io::sim::{Sim, SimIo, SimOptions};
use quipu_io::{Bytes, File, Io, OpenOptions};
use quipu_journal::{Error, Journal, Reader, Replayable, Seq};

const DIR: &str = "journal";

async fn append(journal: &Journal<Map, SimIo>, edits: u64) {
    for number in 0..edits {
        journal.append(Edit::Add(number)).await.unwrap().unwrap();
    }
}

async fn replay(io: &SimIo, seq: u64) -> Result<Map, Error> {
    let mut reader = Reader::<Map, _>::open(io.clone(), DIR).await?;
    reader.replay_to(Seq::new(seq)).await
}

fn is_not_proven(result: Result<Map, Error>, asked: u64, known: u64) -> bool {
    let Err(error @ Error::NotProven { seq, proven }) = result else {
        return false;
    };
    let text = error.to_string();
    assert!(
        text.contains(&format!("edit {asked} is not proven")),
        "{text}"
    );
    (seq, proven) == (Seq::new(asked), Seq::new(known))
}

#[test]
fn an_edit_that_nothing_proves_yet_is_called_so() {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let run = async {
        let opening = Journal::<Map, _>::open(io.clone(), DIR, small_options());
        let journal = opening.await.unwrap();
        append(&journal, 1).await;
        assert!(is_not_proven(replay(&io, 1).await, 1, 0));
        append(&journal, 2).await;
        assert!(is_not_proven(replay(&io, 3).await, 3, 2));
        assert!(is_not_proven(replay(&io, 99).await, 99, 2));
        assert_eq!(replay(&io, 2).await.unwrap().count, 2);
        // Another append, a snapshot and a close prove it.
        append(&journal, 1).await;
        assert_eq!(replay(&io, 3).await.unwrap().count, 3);
        assert!(is_not_proven(replay(&io, 4).await, 4, 3));
        journal.snapshot().await.unwrap();
        assert_eq!(replay(&io, 4).await.unwrap(), state(&journal));
        append(&journal, 1).await;
        assert!(is_not_proven(replay(&io, 5).await, 5, 4));
        journal.close().await.unwrap();
        assert_eq!(replay(&io, 5).await.unwrap().count, 5);
    };
    sim.run(run).unwrap();
}

#[test]
fn an_edit_that_is_pruned_is_called_so() {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let run = async {
        let opening = Journal::<Map, _>::open(io.clone(), DIR, small_options());
        let journal = opening.await.unwrap();
        for key in 0..3 {
            for _ in 0..5 {
                journal.append(set(key, 300)).await.unwrap().unwrap();
            }
            journal.snapshot().await.unwrap();
        }
        let mut reader = Reader::<Map, _>::open(io.clone(), DIR).await.unwrap();
        let (first, _) = reader.next().await.unwrap().unwrap();
        assert!(first > Seq::new(1), "something is pruned");
        let error = reader.replay_to(Seq::new(1)).await.unwrap_err();
        match error {
            Error::NotRetained { seq, first: told } => {
                assert_eq!((seq, told), (Seq::new(1), first));
            }
            other => panic!("{other}"),
        }
        assert!(reader.replay_to(Seq::new(10)).await.is_ok());
    };
    sim.run(run).unwrap();
}

/// Invariant: from the oldest state on, applying what comes gives each state that can be asked for.
#[test]
fn the_oldest_state_and_the_edits_behind_it_tell_all_that_is_retained() {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let run = async {
        let opening = Journal::<Map, _>::open(io.clone(), DIR, small_options());
        let journal = opening.await.unwrap();
        let mut in_the_middle = false;
        // The log goes on from the older of two snapshots, and the whole of it is as good as one.
        for oldest in [0, 14, 28, 42] {
            append(&journal, 14).await;
            journal.snapshot().await.unwrap();
            let mut reader = Reader::<Map, _>::open(io.clone(), DIR).await.unwrap();
            let (first, _) = reader.next().await.unwrap().unwrap();
            in_the_middle |= first.get() <= oldest;
            let mut reader = Reader::<Map, _>::open(io.clone(), DIR).await.unwrap();
            let (mut as_of, mut map) = reader.replay_oldest().await.unwrap();
            assert_eq!(as_of, Seq::new(oldest));
            while let Some((seq, edit)) = reader.next().await.unwrap() {
                assert_eq!(seq.get(), as_of.get() + 1);
                as_of = seq;
                map.apply(edit).unwrap();
                assert_eq!(map, replay(&io, seq.get()).await.unwrap());
            }
            assert_eq!(map, state(&journal));
        }
        assert!(in_the_middle, "a segment begins before the oldest state");
    };
    sim.run(run).unwrap();
}

/// Invariant: damage is told as damage, and not as something that was pruned.
#[test]
fn the_oldest_state_is_that_of_a_sound_snapshot() {
    let sim = Sim::new(SimOptions::default());
    let io = sim.io();
    let run = async {
        let opening = Journal::<Map, _>::open(io.clone(), DIR, small_options());
        let journal = opening.await.unwrap();
        for _ in 0..3 {
            for _ in 0..5 {
                journal.append(set(1, 300)).await.unwrap().unwrap();
            }
            journal.snapshot().await.unwrap();
        }
        for (damaged, expected) in [(10, Some(15)), (15, None)] {
            let path = Path::new(DIR).join(format!("map-{damaged:020}.snap"));
            let file = io.open(&path, OpenOptions::ReadWrite).await.unwrap();
            let end = file.size().await.unwrap();
            let garbage = Bytes::from_static(b"garbage!");
            file.write_at(end - 20, garbage).await.unwrap();
            let mut reader = Reader::<Map, _>::open(io.clone(), DIR).await.unwrap();
            match (reader.replay_oldest().await, expected) {
                (Ok((as_of, map)), Some(seq)) => {
                    assert_eq!(as_of, Seq::new(seq));
                    assert_eq!(map, state(&journal));
                }
                (Err(error), None) => {
                    assert!(error.is_corrupt(), "{error}");
                    let error = reader.replay_to(Seq::new(15)).await.unwrap_err();
                    assert!(error.is_corrupt(), "{error}");
                }
                (other, _) => panic!("{other:?} with damage in {damaged}"),
            }
        }
    };
    sim.run(run).unwrap();
}
