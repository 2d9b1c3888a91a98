//! What a store takes of the machine: bytes written, bytes on disk, and when it has come to rest.
//!
//! All of it is the operating system's account of the process, so it is the same for all stores.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::Result;

/// Bytes that this process has caused to be written to disk so far.
pub(crate) fn written_bytes() -> Result<u64> {
    let account = fs::read_to_string("/proc/self/io")?;
    let line = account
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes:"));
    Ok(line.ok_or("no write_bytes")?.trim().parse()?)
}

/// Bytes that the files below `dir` take on disk. A file that goes meanwhile takes none.
pub(crate) fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(found) if found.is_dir() => bytes += disk_bytes(&entry.path())?,
            Ok(found) => bytes += found.blocks() * 512,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// How long nothing must happen for a store to be at rest.
const REST: Duration = Duration::from_millis(500);

const STEP: Duration = Duration::from_millis(50);

/// Waits until the process has neither computed nor written for a while, and tells since when.
pub(crate) fn rest() -> Result<Instant> {
    let mut since = Instant::now();
    let mut before = activity()?;
    while since.elapsed() < REST {
        thread::sleep(STEP);
        let now = activity()?;
        // Looking takes a little time itself.
        if now.0 > before.0 + 1 || now.1 > before.1 {
            since = Instant::now();
        }
        before = now;
    }
    Ok(since)
}

/// Ticks of processor time, and bytes written.
fn activity() -> Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, in parentheses, may hold blanks; user and system time are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in stat")?;
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks = times
        .map(str::parse::<u64>)
        .sum::<std::result::Result<_, _>>()?;
    Ok((ticks, written_bytes()?))
}

/// Copies a directory, and waits until the copy is on disk: nobody else is to pay for that.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            fs::File::open(&target)?.sync_all()?;
        }
    }
    Ok(())
}
