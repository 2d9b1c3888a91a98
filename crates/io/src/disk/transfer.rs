//! Bytes in and out of a file, complete or an error. All functions here may block.
//!
//! The kernel may move less than asked, and a signal may interrupt it before it has moved anything;
//! both are repeated here, so that nobody else has to.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;

use crate::planted::planted;

/// What [`allocate_with_zeros`] writes at a time.
const ZEROS: &[u8] = &[0; 64 << 10];

/// Fills `buffer` from `offset`, and says how much of it: less than all only where the file ends.
pub(super) fn read(file: &fs::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match repeat(|| file.read_at(&mut buffer[done..], offset + done as u64))? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Writes all of `data` at `offset`.
pub(super) fn write(file: &fs::File, offset: u64, data: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < data.len() {
        match repeat(|| file.write_at(&data[done..], offset + done as u64))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => done += count,
        }
    }
    Ok(())
}

/// Reserves the range and grows the file over it with zeros.
#[cfg(target_os = "linux")]
pub(super) fn allocate(file: &fs::File, offset: u64, len: u64) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    use rustix::io::Errno;

    if len == 0 {
        return Ok(());
    }
    let mut flags = FallocateFlags::empty();
    flags.set(
        FallocateFlags::KEEP_SIZE,
        planted("allocate does not grow the file"),
    );
    let reserve = || rustix::fs::fallocate(file, flags, offset, len);
    match rustix::io::retry_on_intr(reserve) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => allocate_with_zeros(file, offset, len),
        result => Ok(result?),
    }
}

/// Reserves the range and grows the file over it with zeros.
#[cfg(not(target_os = "linux"))]
pub(super) fn allocate(file: &fs::File, offset: u64, len: u64) -> io::Result<()> {
    allocate_with_zeros(file, offset, len)
}

/// The same where the file system cannot reserve: zeros are written from the file's end on.
///
/// Inside the file nothing is written, because that would destroy bytes; a hole there stays one,
/// and a later write into it can fail for lack of space.
fn allocate_with_zeros(file: &fs::File, offset: u64, len: u64) -> io::Result<()> {
    let end = offset.checked_add(len).ok_or(io::ErrorKind::InvalidInput)?;
    let mut position = file.metadata()?.len().max(offset);
    while position < end {
        let count = ZEROS
            .len()
            .min(usize::try_from(end - position).unwrap_or(usize::MAX));
        write(file, position, &ZEROS[..count])?;
        position += count as u64;
    }
    Ok(())
}

/// Calls again what was interrupted, or what the file system put off.
fn repeat(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error)
                if error.kind() == io::ErrorKind::Interrupted
                    && !planted("an interrupted call is an error") => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file systems of most machines can reserve, so no other test comes here.
    #[test]
    fn zeros_reserve_space_and_keep_what_is_there() {
        let file = tempfile::tempfile().unwrap();
        write(&file, 0, b"content").unwrap();
        let mut expected = b"content".to_vec();
        let chunk = ZEROS.len();
        for (offset, len) in [(0, 5), (2, 20), (5, 3 * chunk + 1), (5 * chunk, 1), (1, 0)] {
            allocate_with_zeros(&file, offset as u64, len as u64).unwrap();
            expected.resize(expected.len().max(offset + len), 0);
            let mut found = vec![1; expected.len() + 1];
            let count = read(&file, 0, &mut found).unwrap();
            assert!(
                found[..count] == expected,
                "after allocate({offset}, {len})"
            );
        }
        assert!(allocate_with_zeros(&file, u64::MAX, 1).is_err());
    }

    #[test]
    fn what_was_interrupted_or_put_off_is_repeated() {
        let mut answers = [
            Err(io::ErrorKind::Interrupted.into()),
            Err(io::ErrorKind::WouldBlock.into()),
            Ok(7),
        ]
        .into_iter();
        assert_eq!(repeat(|| answers.next().unwrap()).unwrap(), 7);
        let failed = repeat(|| Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
