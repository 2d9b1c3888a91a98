//! Invariant: however many tables there are, only so many of their files are open, and every read gets
//! what it got before.

use futures::future::join_all;
use quipu_io::DiskIo;
use quipu_kv::{Db, Durability, Error, Options, WriteBatch};

/// Files of tables that this process has open.
#[expect(
    clippy::disallowed_methods,
    reason = "the system says which files are open"
)]
fn open_tables(dir: &std::path::Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let names = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let of_dir =
        names.filter(|name| name.starts_with(dir) && name.extension() == Some("sst".as_ref()));
    of_dir.count()
}

#[test]
#[cfg(target_os = "linux")]
fn few_files_are_open_of_many_tables() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.memtable_bytes = 16 << 10;
    options.open_files = 5;
    options.cache_bytes = 1; // every read goes to a file
    options.compaction.table_bytes = 2000;
    let key = |number: u32| (number * 7919 % 3001).to_be_bytes();
    let test = async {
        let db = Db::open(DiskIo::new()?, dir.path(), options.clone()).await?;
        for number in 0..3000_u32 {
            let mut batch = WriteBatch::new();
            batch.put(key(number), [7; 100]);
            db.write(batch, Durability::Os).await?;
        }
        db.compact_range(..).await?;
        db.close().await?;
        drop(db);
        let db = Db::open(DiskIo::new()?, dir.path(), options.clone()).await?;
        assert!(db.stats().tables > 8, "{:?}", db.stats());
        for first in (0..3000).step_by(50) {
            let reads = (first..first + 50).map(|number| {
                let db = db.clone();
                async move { db.get(key(number)).await }
            });
            for found in join_all(reads).await {
                assert_eq!(found?.as_deref(), Some(&[7; 100][..]));
            }
            assert!(open_tables(dir.path()) <= 5);
        }
        let mut scan = db.scan(..)?;
        let mut pairs = 0;
        while scan.next().await?.is_some() {
            pairs += 1;
        }
        assert_eq!(pairs, 3000);
        drop(scan);
        assert!((1..=5).contains(&open_tables(dir.path())));
        db.compact_range(..).await?;
        db.close().await?;
        drop(db);
        assert_eq!(open_tables(dir.path()), 0);
        Ok::<_, Error>(())
    };
    smol::block_on(test).unwrap();
}
