//! The store in one program: pairs, batches, snapshots, ranges and keyspaces, and all of it again after
//! the store was closed.
//!
//! ```text
//! cargo run -p quipu-examples --example kv_basic [DIR]
//! ```
#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use quipu_io::DiskIo;
use quipu_kv::{Db, Durability, Error, Options, Scan, WriteBatch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args_os().nth(1);
    let dir = dir.unwrap_or("target/kv-basic".into());
    smol::block_on(async {
        let db = Db::open(DiskIo::new()?, &dir, Options::default()).await?;
        db.put("ada/born", "1815").await?; // answers once it is on disk

        let mut batch = WriteBatch::new(); // all of it or nothing, whatever happens
        batch
            .put("ada/field", "computing")
            .put("grace/born", "1906");
        batch.put("draft/1", "...").put("draft/2", "...");
        db.write(batch, Durability::Disk).await?;

        let before = db.snapshot(); // the store as of now, for as long as it is held
        db.delete_range("draft/", "draft0").await?; // from here up to, and without, there
        print("all, as of the snapshot", before.scan(..)?).await?;
        print("what begins with ada/", db.prefix("ada/")?).await?;

        let runs = match db.keyspace("runs") {
            Some(runs) => runs,
            None => db.create_keyspace("runs").await?, // has keys of its own
        };
        let count = match runs.get("count").await? {
            Some(count) => str::from_utf8(&count)?.parse()?,
            None => 0u64,
        };
        runs.put("count", (count + 1).to_string()).await?;
        db.close().await?;

        let db = Db::open(DiskIo::new()?, &dir, Options::default()).await?;
        print("all, after opening again", db.scan(..)?).await?;
        println!("this was run {}", count + 1);
        db.close().await?;
        Ok(())
    })
}

async fn print(title: &str, mut scan: Scan<DiskIo>) -> Result<(), Error> {
    println!("{title}:");
    while let Some((key, value)) = scan.next().await? {
        println!("  {} = {}", key.escape_ascii(), value.escape_ascii());
    }
    Ok(())
}
