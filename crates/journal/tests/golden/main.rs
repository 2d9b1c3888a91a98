//! Invariants: every format version that was ever frozen is opened by this release, with every edit,
//! and nothing of it reads differently than on the day it was frozen; what this release writes is the
//! newest frozen version, byte for byte; and what a newer release has written is refused, and left as
//! it is.
//!
//! `tests/golden/vN` holds the files of version N, a directory for each of the `scenes`. They are never
//! changed. Those of a new version are written, once, by
//! `QUIPU_WRITE_GOLDEN=1 cargo test -p quipu-journal --test golden write`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests read and write the files of the repository, and fail by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod ledger;
mod reading;
mod scenes;

use std::fs;
use std::path::{Path, PathBuf};

use common::Files;
use quipu_io::DiskIo;
use quipu_io::sim::Sim;
use quipu_journal::log::Log;
use quipu_journal::{Error, Journal, verify};

use crate::ledger::Ledger;
use crate::scenes::{LARGE, SCENES, Scene, boot, options};

/// The frozen versions; this release writes the last one.
const FROZEN: [u32; 1] = [1];

const DIR: &str = "golden";

/// The prefix of the logs; that of the journals is the machine's.
const LOG: &str = "wal";

impl Scene {
    fn generate(&self) -> Files {
        Files::of_image(&mut (self.write)(), DIR)
    }

    fn directory(&self, version: u32) -> PathBuf {
        version_directory(version).join(self.name)
    }

    pub(crate) fn is_log(&self) -> bool {
        self.prefix == LOG
    }

    /// Opens the files, in memory, as what they are.
    fn open(&self, sim: &Sim) -> Result<(), Error> {
        let opened = async {
            match self.is_log() {
                true => {
                    let opening = Log::open(sim.io(), DIR, LOG, options(LARGE).log).await?;
                    opening.finish().await?.close().await
                }
                false => {
                    let opening = Journal::<Ledger, _>::open(sim.io(), DIR, options(LARGE));
                    opening.await?.close().await
                }
            }
        };
        sim.run(opened).unwrap()
    }
}

fn version_directory(version: u32) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    tests.join("golden").join(format!("v{version}"))
}

/// The version that a file states, if it is of a kind that does.
fn version_of(content: &[u8]) -> Option<u32> {
    content
        .starts_with(b"QUIPU")
        .then(|| content.get(8..12))?
        .filter(|_| !content.starts_with(b"QUIPU JOURNAL"))
        .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
}

fn newest() -> u32 {
    FROZEN[FROZEN.len() - 1]
}

#[test]
fn every_frozen_version_is_opened_in_memory() {
    for version in FROZEN {
        for scene in SCENES {
            let files = Files::of_directory(&scene.directory(version));
            let sim = boot(files.to_image(DIR));
            sim.run(scene.examine(sim.io(), Path::new(DIR))).unwrap();
        }
    }
}

#[test]
fn every_frozen_version_is_opened_on_a_real_disk() {
    let io = DiskIo::new().unwrap();
    for version in FROZEN {
        for scene in SCENES {
            let dir = tempfile::tempdir().unwrap();
            Files::of_directory(&scene.directory(version)).to_directory(dir.path());
            smol::block_on(scene.examine(io.clone(), dir.path()));
        }
    }
}

#[test]
fn what_is_written_is_the_newest_frozen_version() {
    for scene in SCENES {
        let frozen = Files::of_directory(&scene.directory(newest()));
        let written = scene.generate();
        assert!(
            written.0.keys().eq(frozen.0.keys()),
            "{}: {:?}, and the frozen files are {:?}",
            scene.name,
            written.0.keys(),
            frozen.0.keys()
        );
        for (name, content) in &written.0 {
            let other = &frozen.0[name];
            let differs =
                (0..content.len().max(other.len())).find(|at| content.get(*at) != other.get(*at));
            assert_eq!(
                differs,
                None,
                "{}/{name} differs at this offset: version {} is frozen, so make version {}",
                scene.name,
                newest(),
                newest() + 1
            );
        }
    }
}

/// Whatever else has changed in the file, so that its checksum need not fit.
#[test]
fn a_newer_version_is_refused_and_left_as_it_is() {
    for scene in SCENES {
        let frozen = Files::of_directory(&scene.directory(newest()));
        // Older snapshots are not looked at.
        let snapshot = frozen.ending(".snap").pop();
        for name in frozen.ending(".log").into_iter().chain(snapshot) {
            let mut files = frozen.clone();
            let mut content = files.0[&name].to_vec();
            content[8..12].copy_from_slice(&(newest() + 1).to_le_bytes());
            files.0.insert(name.clone(), content.into());
            let sim = boot(files.to_image(DIR));
            let is_told = |error: &Error| match error {
                Error::UnsupportedVersion {
                    path,
                    found,
                    supported,
                } => {
                    *path == Path::new(DIR).join(&name)
                        && (*found, *supported) == (newest() + 1, newest())
                }
                _ => false,
            };
            let error = scene.open(&sim).unwrap_err();
            assert!(is_told(&error), "{}/{name}: {error}", scene.name);
            let verified = sim.run(verify(sim.io(), DIR, scene.prefix, |_| ()));
            let findings = verified.unwrap().unwrap().findings;
            assert!(
                findings.iter().any(is_told),
                "{}/{name}: {findings:?}",
                scene.name
            );
            assert!(
                Files::of_image(&mut sim.image(), DIR) == files,
                "{name} has changed"
            );
        }
    }
}

/// Does nothing unless it is asked to, and never touches what is frozen.
#[test]
fn write_the_files_of_a_new_version() {
    if std::env::var("QUIPU_WRITE_GOLDEN").is_err() {
        return;
    }
    let scenes = SCENES.map(|scene| (scene.name, scene.generate()));
    let contents = scenes.iter().flat_map(|(_, files)| files.0.values());
    let version = contents.filter_map(|content| version_of(content)).max();
    let directory = version_directory(version.unwrap());
    assert!(
        !directory.exists(),
        "{} is there, and what is frozen is never written again",
        directory.display()
    );
    for (name, files) in scenes {
        fs::create_dir_all(directory.join(name)).unwrap();
        files.to_directory(&directory.join(name));
    }
}
