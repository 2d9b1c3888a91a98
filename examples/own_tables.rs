//! An LSM tree with a table format of its own: what the manifest does for it, and what is left to do.
//!
//! ```text
//! cargo run -p quipu-examples --example own_tables
//! ```
//!
//! The tables are text files of sorted lines, written through `std::fs`: the manifest reads, writes
//! and deletes none of them. It answers which of them count, under which numbers new ones may be
//! written, and which may be deleted. The program starts itself again to be killed in a flush.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the files are the program's own, as they would be in yours"
)]
#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use quipu_io::DiskIo;
use quipu_journal::Options;
use quipu_kv::manifest::{
    FileNum, Flushed, Keyspace, KeyspaceId, KeyspaceOptions, Manifest, SstMetadata, Version,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A key's newest value, and when it was written.
type Entries = BTreeMap<String, (u64, String)>;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [] => smol::block_on(tell(tempfile::tempdir()?.path())),
        [word, dir] if word == Path::new("be-killed") => smol::block_on(be_killed(dir)),
        _ => Err("usage: own_tables".into()),
    }
}

/// The story, life by life.
async fn tell(dir: &Path) -> Result<()> {
    println!("1. A new store: three memtables are flushed, each into a table of level 0.");
    let mut store = Store::open(dir).await?;
    store.write(10, "ada=1815 grace=1906").await?;
    store.write(20, "alan=1912 kurt=1906").await?;
    store.write(30, "ada=countess tony=1934").await?;
    // Whoever holds a version holds its files: this is all there is to a snapshot for reading.
    let reader = store.manifest.version();
    assert_eq!(reader.len(), 3);
    assert_eq!(store.get(&reader, "ada")?.as_deref(), Some("countess"));

    println!(
        "2. A compaction makes one table of level 1 out of them, and a reader goes on unharmed."
    );
    store.compact().await?;
    assert_eq!(store.sweep()?, 0, "the reader needs the old files");
    assert_eq!(store.get(&reader, "tony")?.as_deref(), Some("1934"));
    drop(reader);
    assert_eq!(store.sweep()?, 3, "nobody does any more");

    println!("3. Only tables that can hold an answer are read, by key and by time.");
    store.write(40, "barbara=1939 edsger=1930").await?;
    let version = store.manifest.version();
    let keyspace = people(&version)?;
    let zoe = b"zoe".as_slice();
    assert_eq!(keyspace.overlapping(zoe..=zoe).count(), 0);
    assert_eq!(keyspace.overlapping(..).count(), 2);
    assert_eq!(keyspace.in_time(35..).count(), 1);
    drop(version);
    store.manifest.close().await?;

    println!("4. The program is killed in a flush: its table is half written, and in no edit.");
    let half_written = kill_in_a_flush(dir)?;
    assert!(path(dir, half_written).exists());

    println!("5. The next open finds the file: its number is not handed out, and it may go.");
    let mut store = Store::open(dir).await?;
    assert_eq!(store.manifest.recovered().orphans, [half_written]);
    assert_eq!(store.manifest.recovered().missing, []);
    // The store's log would hold the entries that were in the memtable; here they are written again.
    store.write(50, "donald=1938").await?;
    let version = store.manifest.version();
    assert!(version.tables().all(|table| table.filenum != half_written));
    assert_eq!(store.sweep()?, 1);
    assert!(!path(dir, half_written).exists());

    for (key, value) in [("ada", "countess"), ("edsger", "1930"), ("donald", "1938")] {
        assert_eq!(store.get(&version, key)?.as_deref(), Some(value));
    }
    println!(
        "   {} tables, {} bytes, every key is there. The log is needed behind {} only.",
        version.len(),
        version.bytes(),
        version.wal_floor()
    );
    store.manifest.close().await?;
    Ok(())
}

/// What it takes besides the manifest: a directory of tables.
struct Store {
    dir: PathBuf,
    manifest: Manifest,
    keyspace: KeyspaceId,
    /// The last sequence number that was given to an entry.
    last_seq: u64,
}

impl Store {
    /// Opens the store. **All numbers that files bear are told to the manifest**, whole or not: it
    /// hands out none of them, and knows which of them no edit names.
    async fn open(dir: &Path) -> Result<Store> {
        fs::create_dir_all(dir.join(TABLES))?;
        // Only read once the manifest is locked: nobody else makes tables then.
        let tables = dir.to_owned();
        let found = async move { list(&tables) };
        let manifest = Manifest::open(DiskIo::new()?, dir, Options::default(), found).await?;
        let version = manifest.version();
        let keyspace = match version.keyspace_named("people") {
            Some(keyspace) => keyspace.id(),
            None => {
                manifest
                    .create_keyspace("people", KeyspaceOptions::default())
                    .await?
            }
        };
        Ok(Store {
            dir: dir.to_owned(),
            manifest,
            keyspace,
            last_seq: version.last_seq(),
        })
    }

    /// Fills a memtable at this time and flushes it.
    async fn write(&mut self, time: u64, entries: &str) -> Result<()> {
        let entries = entries.split(' ').filter_map(|entry| entry.split_once('='));
        let entries = entries.map(|(key, value)| (key.to_owned(), (time, value.to_owned())));
        let memtable = Entries::from_iter(entries);
        let after = self.last_seq;
        self.last_seq += memtable.len() as u64;
        // First a number, then the file, durable under its name, and only then the edit: an edit
        // never names what a crash can take away.
        let mut table = self.write_table(0, &memtable)?;
        (table.min_seq, table.max_seq) = (after + 1, self.last_seq);
        let flushed = Flushed {
            keyspace: self.keyspace,
            after,
            through: self.last_seq,
        };
        self.manifest
            .record_flush(vec![table], vec![flushed])
            .await?;
        Ok(())
    }

    /// Merges all tables into one of level 1.
    async fn compact(&self) -> Result<()> {
        let version = self.manifest.version();
        let mut merged = Entries::new();
        for table in newest_first(people(&version)?.tables()).iter().rev() {
            merged.extend(read_table(&path(&self.dir, table.filenum))?);
        }
        let mut table = self.write_table(1, &merged)?;
        (table.min_seq, table.max_seq) = (1, version.last_seq());
        let removed = version.tables().map(|table| table.filenum).collect();
        // Before this edit is durable the old tables count, and then the new one does. Nothing is
        // deleted here: whether somebody reads is not this function's business.
        self.manifest
            .record_compaction(vec![table], removed)
            .await?;
        Ok(())
    }

    /// Deletes what nobody needs, and says how many files that were.
    fn sweep(&self) -> Result<usize> {
        let obsolete = self.manifest.obsolete_files();
        for filenum in &obsolete {
            match fs::remove_file(path(&self.dir, *filenum)) {
                // Given up before anything was written.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        // A crash before this changes nothing: what is still there is an orphan at the next open.
        self.manifest.forget(&obsolete);
        Ok(obsolete.len())
    }

    /// The newest value of a key, from the first table that has one.
    fn get(&self, version: &Version, key: &str) -> Result<Option<String>> {
        let range = key.as_bytes()..=key.as_bytes();
        let tables = people(version)?.overlapping(range);
        for table in newest_first(tables) {
            let mut entries = read_table(&path(&self.dir, table.filenum))?;
            if let Some((_, value)) = entries.remove(key) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Writes a table under a new number, and makes it and its name durable.
    fn write_table(&self, level: u32, entries: &Entries) -> Result<SstMetadata> {
        let filenum = self.manifest.alloc_filenum()?;
        let written = write_file(&self.dir, filenum, entries);
        // An edit will not name this number, so its file may go.
        let size = written.inspect_err(|_| self.manifest.abandon(filenum))?;
        let (Some((first, _)), Some((last, _))) =
            (entries.first_key_value(), entries.last_key_value())
        else {
            return Err("a table holds one entry at the least".into());
        };
        let mut table = SstMetadata::new(
            filenum,
            self.keyspace,
            level,
            first.as_bytes(),
            last.as_bytes(),
        );
        (table.size, table.entries) = (size, entries.len() as u64);
        let times = || entries.values().map(|(time, _)| *time);
        table.min_timestamp = times().min().unwrap_or(0);
        table.max_timestamp = times().max().unwrap_or(0);
        Ok(table)
    }
}

fn people(version: &Version) -> Result<&Keyspace> {
    let keyspace = version.keyspace_named("people");
    keyspace.ok_or_else(|| "there is no such keyspace".into())
}

/// Tables by age: what is deeper is older, and within level 0 the sequence numbers tell.
fn newest_first<'a>(tables: impl Iterator<Item = &'a Arc<SstMetadata>>) -> Vec<&'a SstMetadata> {
    let mut tables: Vec<_> = tables.map(|table| &**table).collect();
    tables.sort_by_key(|table| (table.level, Reverse(table.max_seq)));
    tables
}

/// The tables have a directory of their own: if a sync of a directory fails, whoever has changed it
/// hears of it.
const TABLES: &str = "tables";

fn path(dir: &Path, filenum: FileNum) -> PathBuf {
    dir.join(TABLES).join(format!("{filenum}.table"))
}

/// The numbers of all tables on disk, whole or not.
fn list(dir: &Path) -> io::Result<Vec<FileNum>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir.join(TABLES))? {
        let path = PathBuf::from(entry?.file_name());
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok());
        found.extend(number.map(FileNum::new));
    }
    Ok(found)
}

fn write_file(dir: &Path, filenum: FileNum, entries: &Entries) -> io::Result<u64> {
    let mut file = File::create_new(path(dir, filenum))?;
    for (key, (time, value)) in entries {
        writeln!(file, "{key}\t{time}\t{value}")?;
    }
    file.sync_all()?;
    File::open(dir.join(TABLES))?.sync_all()?; // the name
    Ok(file.metadata()?.len())
}

fn read_table(path: &Path) -> Result<Entries> {
    let mut entries = Entries::new();
    for line in fs::read_to_string(path)?.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [key, time, value] = fields[..] else {
            return Err(format!("{}: {line:?} is no entry", path.display()).into());
        };
        entries.insert(key.to_owned(), (time.parse()?, value.to_owned()));
    }
    Ok(entries)
}

/// Starts this program again, waits until it is in the middle of a table, and kills it.
fn kill_in_a_flush(dir: &Path) -> Result<FileNum> {
    let mut command = Command::new(std::env::current_exe()?);
    let command = command.arg("be-killed").arg(dir);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("it has a standard output")?;
    BufReader::new(stdout).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    Ok(FileNum::new(line.trim().parse()?))
}

/// Writes the first half of a table, says its number, and waits for the end.
async fn be_killed(dir: &Path) -> Result<()> {
    let store = Store::open(dir).await?;
    let filenum = store.manifest.alloc_filenum()?;
    fs::write(path(dir, filenum), "donald\t50\t19")?;
    println!("{}", filenum.get());
    io::stdin().lock().read_line(&mut String::new())?;
    Err("it was not killed".into())
}
