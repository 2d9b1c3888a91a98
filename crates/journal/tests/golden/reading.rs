//! Everything that can be read of a scene, in every way in which it can be read.

use std::path::Path;

use quipu_io::Io;
use quipu_journal::log::{self, Durability, Log};
use quipu_journal::{Journal, Left, Reader, Recovered, Seq, Verified, verify};

use crate::LOG;
use crate::ledger::{Ledger, entry, ledger};
use crate::scenes::{LARGE, Scene, options, payload};

impl Scene {
    /// All that can be read is as it was, and goes on.
    pub(crate) async fn examine<I: Io>(&self, io: I, dir: &Path) {
        self.check_verified(&verify(io.clone(), dir, self.prefix, |_| ()).await.unwrap());
        match self.is_log() {
            true => self.examine_log(io, dir).await,
            false => self.examine_journal(io, dir).await,
        }
    }

    fn check_verified(&self, verified: &Verified) {
        let name = self.name;
        assert!(verified.is_sound(), "{name}: {verified:?}");
        assert_eq!(verified.segments, self.segments, "{name}: {verified:?}");
        assert_eq!(verified.first_seq, Seq::new(self.pruned + 1), "{name}");
        assert_eq!(verified.last_seq, Seq::new(self.proven), "{name}");
        assert_eq!(verified.edits, self.proven - self.pruned, "{name}");
        assert_eq!(verified.unproven_edits, self.last - self.proven, "{name}");
        let snapshots = verified.snapshots.iter();
        let snapshots = snapshots.map(|snapshot| (snapshot.seq.get(), snapshot.parts));
        assert!(
            snapshots.eq(self.snapshots.iter().copied()),
            "{name}: {verified:?}"
        );
    }

    fn check_recovered(&self, recovered: &Recovered) {
        let name = self.name;
        assert_eq!(recovered.left, self.left, "{name}: {recovered}");
        assert_eq!(
            recovered.last_seq,
            Seq::new(self.last),
            "{name}: {recovered}"
        );
        assert_eq!(recovered.unproven_edits, self.last - self.proven, "{name}");
        assert_eq!(recovered.discarded, None, "{name}");
        assert!(
            recovered.skipped_snapshots.is_empty(),
            "{name}: {recovered}"
        );
        let begun = self.snapshots.last().map_or(0, |(seq, _)| *seq);
        assert_eq!(recovered.edits, self.last - begun, "{name}: {recovered}");
    }

    async fn examine_journal<I: Io>(&self, io: I, dir: &Path) {
        let mut reader = Reader::<Ledger, I>::open(io.clone(), dir).await.unwrap();
        for seq in self.pruned + 1..=self.proven {
            let read = reader.next().await.unwrap();
            assert_eq!(read, Some((Seq::new(seq), entry(seq))), "{}", self.name);
        }
        assert_eq!(reader.next().await.unwrap(), None, "{}", self.name);
        let middle = self.snapshots.first().map_or(1, |(seq, _)| seq + 1);
        let then = reader.replay_to(Seq::new(middle)).await.unwrap();
        assert_eq!(then, ledger(middle), "{}", self.name);

        let open = || Journal::<Ledger, I>::open(io.clone(), dir, options(LARGE));
        let journal = open().await.unwrap();
        self.check_recovered(journal.recovered());
        let snapshot = journal.recovered().snapshot;
        let snapshot = snapshot.map(|snapshot| (snapshot.seq.get(), snapshot.parts));
        assert_eq!(snapshot, self.snapshots.last().copied(), "{}", self.name);
        assert_eq!(journal.read(Ledger::clone), ledger(self.last));
        journal.append(entry(self.last + 1)).await.unwrap();
        journal.close().await.unwrap();
        let journal = open().await.unwrap();
        assert_eq!(journal.recovered().left, Left::Clean);
        assert_eq!(journal.read(Ledger::clone), ledger(self.last + 1));
        journal.close().await.unwrap();
    }

    async fn examine_log<I: Io>(&self, io: I, dir: &Path) {
        let reading = log::Reader::open(io.clone(), dir, LOG).await;
        let mut reader = reading.unwrap();
        for seq in self.pruned + 1..=self.proven {
            let read = reader.next().await.unwrap().unwrap();
            assert_eq!((read.seq, read.payload), (Seq::new(seq), payload(seq)));
        }
        assert_eq!(reader.next().await.unwrap(), None, "{}", self.name);

        let floor = self.snapshots.last().map_or(0, |(seq, _)| *seq);
        for last in [self.last, self.last + 1] {
            let opening = Log::open(io.clone(), dir, LOG, options(LARGE).log).await;
            let mut opening = opening.unwrap();
            for seq in floor + 1..=last {
                let read = opening.next().await.unwrap();
                assert_eq!(read, Some((Seq::new(seq), payload(seq))), "{}", self.name);
            }
            assert_eq!(opening.next().await.unwrap(), None, "{}", self.name);
            let log = opening.finish().await.unwrap();
            if last == self.last {
                self.check_recovered(log.recovered());
                log.append(payload(last + 1), Durability::Disk)
                    .await
                    .unwrap();
            }
            log.close().await.unwrap();
        }
    }
}
