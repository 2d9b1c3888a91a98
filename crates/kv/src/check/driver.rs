//! [`Driver`]: one life of a manifest and its tables. Everything that it shows and answers is judged.

use std::collections::BTreeSet;
use std::future::ready;
use std::io;
use std::sync::Arc;

use quipu_journal::check::oracles::FUTURE;
use quipu_journal::check::{Answers, Stage, Verdict, shown};
use quipu_journal::{Seq, laws};

use super::history::ManifestHistory;
use super::oracles::{self, ANSWERS};
use super::program::ManifestProgram;
use super::reference::Reference;
use super::tables::Tables;
use crate::manifest::{
    FileNum, Manifest, ManifestEdit, ManifestEditV1, ManifestState, Recovered, Version,
};

/// An open manifest with its tables, and what is known of both.
pub(super) struct Driver<I: Stage> {
    pub(super) io: I,
    pub(super) program: ManifestProgram,
    pub(super) answers: Answers<ManifestHistory>,
    pub(super) tables: Tables<I>,
    pub(super) manifest: Manifest<I>,
    /// What the edits come to that were visible last.
    pub(super) reference: Reference,
    /// The numbers that files bore at open, and those that were handed out since.
    pub(super) seen: BTreeSet<FileNum>,
    /// Those of edits that nobody waits for: whether they were refused is never known.
    pub(super) abandoned: BTreeSet<FileNum>,
    /// Versions that somebody reads.
    pub(super) held: Vec<Arc<Version>>,
    /// Whether the disk has failed so that only opening again can help.
    pub(super) is_over: bool,
}

/// What became of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Accepted,
    Refused,
    /// It is not there and never will be, or nobody knows: the disk has failed.
    Failed,
}

/// `None` where the disk may fail and has.
pub(super) fn unless_failed<T>(
    answers: &Answers<ManifestHistory>,
    done: io::Result<T>,
) -> Verdict<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(_) if answers.is_faulty() => Ok(None),
        Err(error) => ANSWERS.broken(format!("nothing was wrong, and the disk: {error}")),
    }
}

/// What the journal underneath has answered.
pub(super) fn of_journal<T>(answer: crate::Result<T>) -> Verdict<quipu_journal::Result<T>> {
    match answer {
        Ok(done) => Ok(Ok(done)),
        Err(crate::Error::Journal { source }) => Ok(Err(source)),
        Err(error) => ANSWERS.broken(format!("an answer that nobody expects: {error}")),
    }
}

impl<I: Stage> Driver<I> {
    /// Opens the manifest and holds what it shows against the history and the tables. `None` if it
    /// does not open, for a reason that is the disk's.
    pub(super) async fn open(
        program: ManifestProgram,
        io: I,
        answers: Answers<ManifestHistory>,
    ) -> Verdict<Option<Self>> {
        let tables = Tables::new(io.clone(), &program.tables);
        let Some(found) = unless_failed(&answers, tables.list().await)? else {
            return Ok(None);
        };
        let options = program.options.clone();
        let opening = Manifest::open(io.clone(), &program.dir, options, ready(Ok(found.clone())));
        let Some(manifest) = answers.of_open(of_journal(opening.await)?)? else {
            return Ok(None);
        };
        let mut driver = Driver {
            io,
            program,
            answers,
            tables,
            manifest,
            reference: Reference::default(),
            seen: found.iter().copied().collect(),
            abandoned: BTreeSet::new(),
            held: Vec::new(),
            is_over: false,
        };
        driver.judge_open(&found).await?;
        driver.io.promised("opened").await;
        let is_new = {
            let history = driver.answers.history();
            history.edits.opens == 1 && history.edits.line.is_empty()
        };
        if driver.program.is_furnished && is_new {
            driver.furnish().await?;
        }
        Ok(driver.goes_on().then_some(driver))
    }

    async fn judge_open(&mut self, found: &[FileNum]) -> Verdict {
        let version = self.manifest.version();
        let is_damaged = self.answers.history().edits.is_damaged;
        let Recovered {
            orphans, missing, ..
        } = self.manifest.recovered();
        if !is_damaged {
            oracles::nothing_is_missing(missing)?;
            self.all_are_whole(&version).await?;
        }
        let obsolete = self.manifest.obsolete_files();
        oracles::orphans_are_what_nothing_names(found, orphans, &obsolete, &version)?;
        let shown = shown(self.manifest.journal())?;
        {
            let mut history = self.answers.history();
            let line = history.line()?;
            let last = line.len().min(shown.last as usize);
            self.reference = Reference::of(&line[..last]);
            oracles::check(&history, &line, &self.reference, &version)?;
            if !is_damaged {
                oracles::sequence_goes_on(&history, &version)?;
            }
            history.edits.reopen::<ManifestState>(&shown)?;
            history.cut_log(&version);
            // What the disk has lost was given to nobody else.
            history.log_last = history.log_last.max(version.last_seq());
        }
        // Who only looks takes a number, too: that writes nothing.
        let filenum = self.number()?;
        self.manifest.abandon(filenum);
        Ok(())
    }

    /// Whether anything more can be done.
    pub(super) fn goes_on(&self) -> bool {
        !self.is_over && !self.answers.has_stopped()
    }

    /// All edits that were issued and may be there.
    pub(super) fn line(&self) -> Verdict<Vec<ManifestEditV1>> {
        self.answers.history().line()
    }

    /// A number for a file.
    pub(super) fn number(&mut self) -> Verdict<FileNum> {
        let filenum = match self.manifest.alloc_filenum() {
            Ok(filenum) => filenum,
            Err(error) => return ANSWERS.broken(format!("a number: {error}")),
        };
        oracles::a_number_is_new(filenum, &self.line()?, &self.seen)?;
        self.seen.insert(filenum);
        Ok(filenum)
    }

    /// Notes that an edit is about to be recorded. Gives the number of its group.
    pub(super) fn issue(&self, edit: ManifestEditV1) -> Verdict<u64> {
        match laws::encode::<ManifestState>(&ManifestEdit::V1(edit)) {
            Ok(edit) => Ok(self.answers.history().edits.issue([edit])),
            Err(error) => ANSWERS.broken(error.to_string()),
        }
    }

    /// Judges the answer to an edit.
    pub(super) async fn judge<T>(&mut self, group: u64, answer: crate::Result<T>) -> Verdict<Fate> {
        let accepted = answer.is_ok();
        let place = self.answers.history().edits.place(group);
        let answer = match answer {
            Ok(_) | Err(crate::Error::Refused { .. }) => {
                Ok(Seq::new(place.map_or(0, |place| place as u64 + 1)))
            }
            answer => of_journal(answer.map(|_| Seq::ZERO))?,
        };
        if !self.answers.of_append(group, answer, true)? {
            if self.answers.has_stopped() {
                oracles::nothing_may_go_in_doubt(&self.manifest.obsolete_files())?;
            }
            return Ok(Fate::Failed);
        }
        self.look()?;
        let expected = place.and_then(|place| self.reference.accepted.get(place));
        oracles::the_answer_is_right(expected, accepted)?;
        self.io.promised("acknowledged").await;
        Ok(match accepted {
            true => Fate::Accepted,
            false => Fate::Refused,
        })
    }

    /// Holds what is visible against the edits.
    pub(super) fn look(&mut self) -> Verdict {
        let applied = self.manifest.journal().status().applied.get();
        let version = self.manifest.version();
        let mut history = self.answers.history();
        let line = history.line()?;
        let Some(visible) = line.get(..applied as usize) else {
            let issued = line.len();
            return FUTURE.broken(format!("{issued} edits were issued, {applied} are visible"));
        };
        if visible.len() < history.edits.acknowledged && !history.edits.is_damaged {
            return ANSWERS.broken(format!(
                "{} edits are acknowledged, {applied} are visible",
                history.edits.acknowledged
            ));
        }
        for edit in &visible[self.reference.accepted.len()..] {
            self.reference.apply(edit);
        }
        oracles::check(&history, &line, &self.reference, &version)?;
        history.edits.show(applied);
        history.cut_log(&version);
        Ok(())
    }
}
