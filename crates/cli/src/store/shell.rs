//! `quipu shell`: a store, command by command.
//!
//! Invariants:
//! - Each command is answered, and the answer flushed, before the next line is read.
//! - A command that fails is answered with one line that begins with `error:`, and the shell goes on.

use std::io::{self, BufRead, IsTerminal, Write};
use std::ops::Bound;
use std::path::PathBuf;

use indicatif::BinaryBytes;
use quipu_io::DiskIo;

use super::bulk::Bulk;
use super::command::{self, Command};
use super::figures::Figures;
use super::{Outcome, Store, Writing, say};
use crate::count::Count;
use crate::escape::{self, Escaped};
use crate::failure::Failure;
use crate::levels;
use crate::progress::{Bar, Unit};

/// Work on a store, command by command
///
/// Commands are read from standard input, one a line, and each is answered before the next is read.
/// What was answered with "ok" is durable: a kill, a crash or Ctrl-C loses none of it. A command that
/// fails is answered with a line that begins with "error:", and the shell goes on. At the end of the
/// input the store is closed.
///
/// Where the input is no terminal, the exit code is 1 if a command failed.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(crate) struct Args {
    /// The directory of the store, created where it is missing
    dir: PathBuf,

    #[command(flatten)]
    writing: Writing,
}

fn help() -> String {
    format!(
        "Commands and their answers:\n{}\n\n{}\nA space in a key is \\x20.\n\n\
         Examples:\n  \
         quipu shell store\n  \
         echo \"scan a b\" | quipu shell store",
        command::HELP,
        escape::HELP
    )
}

pub(super) async fn run(io: &DiskIo, args: &Args, stdout: &mut impl Write) -> Outcome {
    let store = Store::for_writing(io, &args.dir, &args.writing).await?;
    let mut shell = Shell {
        io,
        store: &store,
        stdout,
        failed: 0,
    };
    let is_typed = io::stdin().is_terminal();
    let ended = shell.commands(is_typed).await;
    let failed = shell.failed;
    let has_quit = store.close(ended).await?;
    if has_quit {
        writeln!(stdout, "ok")?;
        stdout.flush()?;
    }
    if failed > 0 && !is_typed {
        let failed = Count(failed, "command");
        return Err(Failure::Text(format!(
            "{failed} failed: the answers say why"
        )));
    }
    Ok(())
}

struct Shell<'a, W> {
    io: &'a DiskIo,
    store: &'a Store,
    stdout: &'a mut W,
    /// Commands that have failed.
    failed: u64,
}

impl<W: Write> Shell<'_, W> {
    /// Answers commands until one of them is to quit, which is not answered yet, or the input ends.
    async fn commands(&mut self, is_typed: bool) -> Result<bool, Failure> {
        let mut line = Vec::new();
        if is_typed {
            say("\"help\" lists the commands.\n")?;
        }
        loop {
            if is_typed {
                say("quipu> ")?;
            }
            line.clear();
            // The lock is not held while a command runs.
            let read = io::stdin().lock().read_until(b'\n', &mut line);
            let read = read.map_err(|error| {
                Failure::Text(format!("standard input cannot be read: {error}"))
            })?;
            if read == 0 {
                if is_typed {
                    say("\n")?;
                }
                return Ok(false);
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            match Command::parse(text.strip_suffix(b"\r").unwrap_or(text)) {
                Ok(None) => {}
                Ok(Some(Command::Quit)) => return Ok(true),
                Ok(Some(command)) => match self.answer(command).await {
                    Err(Failure::Output(error)) => return Err(Failure::Output(error)),
                    Err(failure) => self.fail(&failure)?,
                    Ok(()) => {}
                },
                Err(reason) => self.fail(&Failure::Text(reason))?,
            }
            self.stdout.flush()?;
        }
    }

    fn fail(&mut self, failure: &Failure) -> io::Result<()> {
        self.failed += 1;
        writeln!(self.stdout, "error: {failure}")
    }

    async fn answer(&mut self, command: Command) -> Outcome {
        let keyspace = &self.store.keyspace;
        match command {
            Command::Put(key, value) => keyspace.put(key, value).await?,
            Command::Del(key) => keyspace.delete(key).await?,
            Command::Fill(first, last) => self.fill(first, last).await?,
            Command::Flush => self.store.db.flush().await?,
            Command::Compact => keyspace.compact_range(..).await?,
            Command::Get(key) => {
                match keyspace.get(key).await? {
                    Some(value) => writeln!(self.stdout, "{}", Escaped(&value))?,
                    None => writeln!(self.stdout, "(none)")?,
                }
                return Ok(());
            }
            Command::Scan(from, to) => return self.scan(&from, to.as_deref()).await,
            Command::Stats => {
                let figures = Figures::of(&self.store.db);
                figures.print(self.stdout)?;
                writeln!(self.stdout, "({} figures)", figures.len())?;
                return Ok(());
            }
            Command::Dump => return Ok(self.dump()?),
            Command::Help => return Ok(writeln!(self.stdout, "{}", command::HELP)?),
            Command::Quit => {}
        }
        writeln!(self.stdout, "ok")?;
        Ok(())
    }

    async fn scan(&mut self, from: &[u8], to: Option<&[u8]>) -> Outcome {
        let end = to.map_or(Bound::Unbounded, Bound::Included);
        let mut scan = self.store.keyspace.scan((Bound::Included(from), end))?;
        let mut keys = 0u64;
        while let Some((key, value)) = scan.next().await? {
            writeln!(self.stdout, "{}\t{}", Escaped(key), Escaped(value))?;
            keys += 1;
        }
        writeln!(self.stdout, "({keys} keys)")?;
        Ok(())
    }

    async fn fill(&mut self, first: u64, last: u64) -> Outcome {
        let text = format!("fill {}", self.store.dir.display());
        let mut bar = Bar::new(self.io, Unit::Pairs, text, true);
        let mut bulk = Bulk::new(self.store);
        let mut put = Ok(());
        for number in first..=last {
            let (key, value) = (number.to_string(), format!("value{number}"));
            put = bulk.put(key.as_bytes(), value.as_bytes()).await;
            if put.is_err() {
                break;
            }
            bar.reach(number - first, last - first);
        }
        bar.clear();
        put?;
        Ok(bulk.finish().await?)
    }

    fn dump(&mut self) -> io::Result<()> {
        let version = self.store.db.version();
        let stats = self.store.db.stats();
        writeln!(
            self.stdout,
            "store {} as of write {}: {}, {}, {} in tables, {} in memory",
            self.store.dir.display(),
            stats.last_seq,
            Count(version.keyspaces().count() as u64, "keyspace"),
            Count(version.len() as u64, "table"),
            BinaryBytes(version.bytes()),
            BinaryBytes(stats.memtable_bytes)
        )?;
        for keyspace in version.keyspaces() {
            levels::print(self.stdout, keyspace)?;
        }
        writeln!(self.stdout, "\n({} tables)", version.len())
    }
}
