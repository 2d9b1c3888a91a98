//! What a user of the store meets first, on a real disk: keyspaces, snapshots, ranges, what is refused,
//! and what is there after each kind of end.
#![expect(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "values are short, and a test takes a file away behind the store's back"
)]

use quipu_io::DiskIo;
use quipu_journal::Error as Journal;
use quipu_kv::{Db, Durability, Error, Options, Result, Scan, Strategy, WriteBatch};
use smol::future::block_on;
use tempfile::tempdir;

fn options() -> Options {
    let mut options = Options::default();
    options.memtable_bytes = 64 << 10;
    options.compaction.table_bytes = 64 << 10;
    options
}

async fn keys(mut scan: Scan<DiskIo>) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    while let Some((key, _)) = scan.next().await? {
        keys.push(String::from_utf8_lossy(key).into_owned());
    }
    Ok(keys)
}

async fn fill(db: &Db, numbers: std::ops::Range<u32>) -> Result<()> {
    for number in numbers {
        let mut batch = WriteBatch::new();
        batch.put(format!("{number:06}"), [number as u8; 100]);
        db.write(batch, Durability::Os).await?;
    }
    Ok(())
}

#[test]
fn every_strategy_keeps_what_was_written_through_flush_compaction_and_close() {
    for strategy in [
        Strategy::Leveled(Default::default()),
        Strategy::SimpleLeveled(Default::default()),
        Strategy::Tiered(Default::default()),
        Strategy::TimeWindow(Default::default()),
    ] {
        for wal in [true, false] {
            let dir = tempdir().unwrap();
            let mut options = options();
            options.compaction.strategy = strategy.clone();
            options.wal = wal;
            block_on(async {
                for life in 0..3 {
                    let db = Db::open(DiskIo::new()?, dir.path(), options.clone()).await?;
                    assert_eq!(keys(db.scan(..)?).await?.len(), 4000 * life);
                    let first = u32::try_from(4000 * life).unwrap();
                    fill(&db, first..first + 4000).await?;
                    db.close().await?;
                }
                let db = Db::open(DiskIo::new()?, dir.path(), options.clone()).await?;
                db.compact_range(..).await?;
                for number in 0..12_000u32 {
                    let value = db.get(format!("{number:06}")).await?;
                    assert_eq!(value.as_deref(), Some(&[number as u8; 100][..]));
                }
                assert_eq!(keys(db.scan_reverse(..)?).await?.len(), 12_000);
                db.delete_range("000000", "011990").await?;
                db.compact_range(..).await?;
                assert_eq!(keys(db.scan(..)?).await?.len(), 10);
                assert!(db.stats().table_bytes < 100_000, "{:?}", db.stats());
                db.close().await
            })
            .unwrap();
        }
    }
}

#[test]
fn keyspaces_share_batches_and_go_alone() {
    let dir = tempdir().unwrap();
    block_on(async {
        let db = Db::open(DiskIo::new()?, dir.path(), options()).await?;
        let users = db.create_keyspace("users").await?;
        assert!(
            db.create_keyspace("users")
                .await
                .unwrap_err()
                .refusal()
                .is_some()
        );
        let mut batch = WriteBatch::new();
        batch
            .put(b"k", b"default")
            .put_in(users.id(), b"k", b"users");
        db.write(batch, Durability::Disk).await?;
        db.close().await?;

        let db = Db::open(DiskIo::new()?, dir.path(), options()).await?;
        let users = db.keyspace("users").unwrap();
        assert_eq!(users.get(b"k").await?.as_deref(), Some(&b"users"[..]));
        assert_eq!(db.get(b"k").await?.as_deref(), Some(&b"default"[..]));
        let snapshot = db.snapshot();
        users.put(b"l", b"later").await?;
        assert_eq!(snapshot.get_in(users.id(), b"l").await?, None);
        assert_eq!(keys(users.prefix(b"k")?).await?, ["k"]);

        db.drop_keyspace(users.id()).await?;
        assert!(matches!(
            users.get(b"k").await,
            Err(Error::UnknownKeyspace { .. })
        ));
        assert!(matches!(
            users.put(b"k", b"v").await,
            Err(Error::UnknownKeyspace { .. })
        ));
        let default = db.keyspace("default").unwrap();
        assert!(matches!(
            db.drop_keyspace(default.id()).await,
            Err(Error::DefaultKeyspace)
        ));
        db.close().await?;
        let db = Db::open(DiskIo::new()?, dir.path(), options()).await?;
        assert!(db.keyspace("users").is_none());
        db.close().await
    })
    .unwrap();
}

#[test]
fn what_cannot_be_is_refused_and_harms_nothing() {
    let dir = tempdir().unwrap();
    block_on(async {
        let db = Db::open(DiskIo::new()?, dir.path(), options()).await?;
        let second = Db::open(DiskIo::new()?, dir.path(), options()).await;
        let Error::Journal { source } = second.unwrap_err() else {
            panic!("it is locked")
        };
        assert!(matches!(source, Journal::Locked { .. }), "{source}");
        let refused = db.put(vec![1; 70_000], b"v").await.unwrap_err();
        assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
        let refused = db.delete_range(b"a", vec![b'b'; 70_000]).await.unwrap_err();
        assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
        db.write(WriteBatch::new(), Durability::Disk).await?;
        db.delete_range(b"z", b"a").await?;
        assert_eq!(db.stats().last_seq, 0);
        db.put(b"", b"the empty key is one").await?;
        db.flush().await?;
        assert_eq!(
            db.get(b"").await?.as_deref(),
            Some(&b"the empty key is one"[..])
        );
        db.close().await?;
        assert!(matches!(db.put(b"k", b"v").await, Err(Error::Closed)));
        assert!(matches!(db.close().await, Err(Error::Closed)));

        let tables = dir.path().join("tables");
        let name = std::fs::read_dir(&tables)?.next().unwrap()?.path();
        std::fs::remove_file(&name)?;
        let missing = Db::open(DiskIo::new()?, dir.path(), options())
            .await
            .unwrap_err();
        assert!(missing.to_string().contains("restore"), "{missing}");
        Ok::<_, Error>(())
    })
    .unwrap();
}
