//! [`Lines`]: the lines of a file or of standard input, without reading all of it into memory.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::path::{Path, PathBuf};

use quipu_io::{DiskIo, File, Io, OpenOptions};

use crate::failure::Failure;

/// So much is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A longer line is taken for a mistake: no pair of a store takes so much.
const LONGEST_BYTES: usize = 256 << 20;

/// Lines end with a newline, or with a carriage return and a newline; the last one may end with the
/// input.
pub(super) struct Lines {
    source: Source,
    buffer: Vec<u8>,
    /// What of the buffer was given out.
    used: usize,
    /// Bytes that were read from the source.
    read: u64,
    number: u64,
}

enum Source {
    File {
        path: PathBuf,
        file: <DiskIo as Io>::File,
        bytes: u64,
    },
    Stdin,
}

impl Lines {
    /// The lines of a file, or of standard input.
    pub(super) async fn open(io: &DiskIo, path: Option<&Path>) -> Result<Lines, Failure> {
        let source = match path {
            Some(path) if path != "-" => Source::open(io, path).await?,
            _ => Source::Stdin,
        };
        Ok(Lines {
            source,
            buffer: Vec::new(),
            used: 0,
            read: 0,
            number: 0,
        })
    }

    /// The next line, without its end.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        let mut searched = 0;
        let (end, next) = loop {
            let rest = &self.buffer[self.used..];
            if let Some(at) = rest[searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.used + searched + at;
                break (end, end + 1);
            }
            searched = rest.len();
            if searched > LONGEST_BYTES {
                let text = format!("{self} does not end: is this a text file?");
                return Err(Failure::Text(text));
            }
            if !self.fill().await? {
                let end = self.buffer.len();
                break (end, end);
            }
        };
        let start = std::mem::replace(&mut self.used, next);
        if start == next {
            return Ok(None);
        }
        self.number += 1;
        let line = &self.buffer[start..end];
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// How many bytes were read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// How many bytes there are, if that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        match &self.source {
            Source::File { bytes, .. } => Some(*bytes),
            Source::Stdin => None,
        }
    }

    /// Whether somebody types them.
    pub(super) fn are_typed(&self) -> bool {
        matches!(self.source, Source::Stdin) && io::stdin().is_terminal()
    }

    /// Reads more. Says whether there was more.
    async fn fill(&mut self) -> Result<bool, Failure> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let before = self.buffer.len();
        match &self.source {
            Source::File { path, file, .. } => {
                let chunk = file.read_at(self.read, CHUNK_BYTES).await;
                let chunk = chunk.map_err(|error| unread(path, &error))?;
                self.buffer.extend_from_slice(&chunk);
            }
            Source::Stdin => {
                self.buffer.resize(before + CHUNK_BYTES, 0);
                let found = read_stdin(&mut self.buffer[before..]);
                let found = found.map_err(|error| {
                    Failure::Text(format!("standard input cannot be read: {error}"))
                })?;
                self.buffer.truncate(before + found);
            }
        }
        let found = self.buffer.len() - before;
        self.read += found as u64;
        Ok(found > 0)
    }
}

impl Source {
    async fn open(io: &DiskIo, path: &Path) -> Result<Source, Failure> {
        let opened = io.open(path, OpenOptions::ReadOnly).await;
        let file = opened.map_err(|error| unread(path, &error))?;
        let bytes = file.size().await.map_err(|error| unread(path, &error))?;
        // Whatever cannot be read shows it here, before anything is created.
        let first = file.read_at(0, 1).await;
        first.map_err(|error| unread(path, &error))?;
        let path = path.to_owned();
        Ok(Source::File { path, file, bytes })
    }
}

fn read_stdin(buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match io::stdin().lock().read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            found => return found,
        }
    }
}

fn unread(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    Failure::Text(match error.kind() {
        ErrorKind::NotFound => format!("{shown} does not exist: name a file with pairs"),
        ErrorKind::IsADirectory => format!("{shown} is a directory: name a file with pairs"),
        ErrorKind::NotSeekable => {
            format!("{shown} is no file: give it as standard input, behind \"<\"")
        }
        _ => error.to_string(),
    })
}

/// Where it has come to: `pairs.tsv line 17`.
impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File { path, .. } => write!(f, "{} ", path.display())?,
            Source::Stdin => write!(f, "standard input ")?,
        }
        write!(f, "line {}", self.number)
    }
}
