//! The subjects as the runs see them: by name, and by the program that measures them.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    Result, child, store,
    subject::{self, Subject},
    workload::Workload,
};

/// A subject, of this program or of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Participant {
    pub(crate) name: String,
    /// Which program's child processes measure it; it is not told, for whoever asks knows it.
    #[serde(skip)]
    pub(crate) program: PathBuf,
    /// By workload's name, why it takes no part in it.
    abstains: BTreeMap<String, String>,
    /// Whether it is a store.
    pub(crate) is_store: bool,
    /// The same of the workloads of stores.
    abstains_from_store: BTreeMap<String, String>,
}

/// The subjects of this program, and of the programs `with`. The limits come first.
pub(crate) fn all(with: &[PathBuf]) -> Result<Vec<Participant>> {
    let mut all = Participant::of(&subject::all())?;
    for program in with {
        for participant in child::subjects(program)? {
            all.push(participant.measured_by(program));
        }
    }
    Ok(all)
}

impl Participant {
    /// `subjects` of this program.
    pub(crate) fn of(subjects: &[Subject]) -> Result<Vec<Self>> {
        let program = env::current_exe()?;
        let participants = subjects.iter().map(|subject| Self {
            name: subject.name.into(),
            program: program.clone(),
            abstains: Workload::value_variants()
                .iter()
                .filter_map(|workload| {
                    let reason = subject.abstains(*workload)?;
                    Some((workload.name().into(), reason.into()))
                })
                .collect(),
            is_store: subject.store.is_ok(),
            abstains_from_store: store::Workload::value_variants()
                .iter()
                .filter_map(|workload| {
                    let reason = (subject.store.ok()?.abstains)(*workload)?;
                    Some((workload.name(), reason.into()))
                })
                .collect(),
        });
        Ok(participants.collect())
    }

    /// Why this subject takes no part in `workload`, if it does not.
    pub(crate) fn abstains(&self, workload: Workload) -> Option<&str> {
        self.abstains.get(workload.name()).map(String::as_str)
    }

    /// Why this store takes no part in `workload`, if it does not.
    pub(crate) fn abstains_from_store(&self, workload: store::Workload) -> Option<&str> {
        let reason = self.abstains_from_store.get(&workload.name());
        reason.map(String::as_str)
    }

    fn measured_by(self, program: &Path) -> Self {
        let program = program.to_path_buf();
        Self { program, ..self }
    }
}
