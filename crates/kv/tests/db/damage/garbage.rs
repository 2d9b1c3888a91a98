//! Invariant: a directory that is not, or not only, a whole store opens as what it is, or not at all
//! with an error that names what is wrong; no table that is there goes because of it.

use quipu_io::sim::{DiskImage, Operation};
use quipu_journal::Error as Journal;
use quipu_kv::{Db, Error};

use super::damages::Damage;
use super::reading::{Candidates, read_all};
use super::scenes::{Files, Scene, at, unclosed};
use super::{DIR, boot, live};

/// What opening does.
enum Opens {
    /// All is there.
    Whole,
    /// With an error whose text has both of these in it.
    Not(&'static str, &'static str),
}

use Opens::{Not, Whole};

type Case = (&'static str, fn(&mut DiskImage), Opens);

const CASES: &[Case] = &[
    (
        "files and directories that are none of ours",
        |image| {
            for path in [
                "notes.txt",
                "wal/core",
                "wal/lost+found/1",
                "tables/README",
                "tables/x.sst",
            ] {
                image.write(at(path), &b"hello"[..]).unwrap();
            }
            image
                .write(at("tables/000000.sst.bak"), &b"hello"[..])
                .unwrap();
            image
                .write(at("tables/999.d/999.sst"), &b"hello"[..])
                .unwrap();
        },
        Whole,
    ),
    (
        "an empty file that is named like a table",
        |image| image.write(at("tables/000777.sst"), &b""[..]).unwrap(),
        Whole,
    ),
    (
        "what writing a table and publishing a segment left behind",
        |image| {
            image.write(at("tables/000778.sst"), vec![7; 3000]).unwrap();
            let path = "wal/wal-00000000000000000099.log.tmp";
            image.write(at(path), vec![7; 3000]).unwrap();
        },
        Whole,
    ),
    (
        "a text in place of a table",
        |image| change(image, "tables/", ".sst", |_| Some(b"hello".to_vec())),
        Not(".sst", "restore"),
    ),
    (
        "a text of the same length in place of a table",
        |image| change(image, "tables/", ".sst", |len| Some(vec![b' '; len])),
        Not(".sst is not a table", "restore"),
    ),
    (
        "a text in place of a segment of the manifest",
        |image| change(image, "manifest-", ".log", |len| Some(vec![b' '; len])),
        Not("manifest-", "restore"),
    ),
    (
        "a text in place of a segment of the log",
        |image| change(image, "wal/", ".log", |len| Some(vec![b' '; len])),
        Not("wal-", "restore"),
    ),
    (
        "a directory in place of a table",
        |image| to_directory(image, "tables/", ".sst"),
        Not(".sst is missing", "restore"),
    ),
    (
        "a directory in place of a segment of the log",
        |image| to_directory(image, "wal/", ".log"),
        Not("store/wal", "restore"),
    ),
    (
        "a directory in place of a segment of the manifest",
        |image| to_directory(image, "manifest-", ".log"),
        Not("store", "restore"),
    ),
    (
        "no tables",
        |image| keep(image, |path| !path.starts_with("tables/")),
        Not(".sst is missing", "restore"),
    ),
    (
        "no log",
        |image| keep(image, |path| !path.starts_with("wal/")),
        Not("store/wal is incomplete", "there is a manifest, and no log"),
    ),
    (
        "a log of which only the lock file is left",
        |image| keep(image, |path| !path.starts_with("wal/wal-")),
        Not("store/wal is", "restore"),
    ),
    (
        "no manifest",
        |image| keep(image, |path| !path.starts_with("manifest")),
        Not("store is incomplete: there is no manifest", "restore"),
    ),
    (
        "a manifest of which only the lock file is left",
        |image| keep(image, |path| !path.starts_with("manifest-")),
        Not("store is corrupt", "restore"),
    ),
    (
        "a new manifest's lock file beside a log and tables",
        |image| {
            keep(image, |path| !path.starts_with("manifest"));
            image.write(at("manifest.lock"), &b""[..]).unwrap();
        },
        Not("the manifest names nothing", "restore"),
    ),
    (
        "tables only",
        |image| keep(image, |path| path.starts_with("tables/")),
        Not("store is incomplete: there is no manifest", "restore"),
    ),
    (
        "a log only",
        |image| keep(image, |path| path.starts_with("wal/")),
        Not("store is incomplete: there is no manifest", "restore"),
    ),
];

/// Puts other content in place of the last file of a kind.
fn change(image: &mut DiskImage, start: &str, end: &str, content: fn(usize) -> Option<Vec<u8>>) {
    let mut files = Files::of_image(image);
    let path = files.like(start, end).pop().unwrap();
    let len = files.0[&path].len();
    files.0.remove(&path);
    files.put_into(image);
    if let Some(content) = content(len) {
        image.write(at(&path), content).unwrap();
    }
}

fn to_directory(image: &mut DiskImage, start: &str, end: &str) {
    let path = Files::of_image(image).like(start, end).pop().unwrap();
    image.remove(at(&path)).unwrap();
    image.write(at(&path).join("inner"), &b"hello"[..]).unwrap();
}

/// Makes a disk with these files only, without directories for the others.
fn keep(image: &mut DiskImage, keeps: impl Fn(&str) -> bool) {
    let mut files = Files::of_image(image);
    files.0.retain(|path, _| keeps(path));
    *image = DiskImage::empty(512);
    files.put_into(image);
}

fn check(scene: &Scene, (name, garble, expected): &Case) {
    let mut image = scene.image.clone();
    garble(&mut image);
    let before = Files::of_image(&mut image);
    let untouched = Damage {
        label: (*name).to_owned(),
        paths: Vec::new(),
        is_older: false,
        files: before.clone(),
    };
    for _ in 0..2 {
        let (opened, after) = live(image, scene, async |opened| match opened {
            Ok(db) => {
                let mut candidates = Candidates::of(scene, &untouched);
                read_all(&db, scene, &mut candidates).await.unwrap();
                db.put(b"zzzz", b"goes on").await.unwrap();
                db.delete(b"zzzz").await.unwrap();
                db.compact_range(..).await.unwrap();
                db.close().await.unwrap();
                Ok(())
            }
            Err(error) => Err(error),
        });
        image = after;
        match (opened, expected) {
            (Ok(()), Whole) => {}
            (Err(error), Not(what, advice)) => {
                let text = error.to_string();
                assert!(
                    text.contains(what) && text.contains(advice),
                    "{name}: {text}"
                );
                let left = Files::of_image(&mut image);
                for path in before.like("tables/", "") {
                    assert_eq!(left.0.get(&path), before.0.get(&path), "{name}: {path}");
                }
            }
            (Err(error), Whole) => panic!("{name}: {error}"),
            (Ok(()), Not(what, _)) => panic!("{name}: no word of {what}"),
        }
    }
}

#[test]
fn a_directory_opens_as_what_it_is() {
    let scene = unclosed();
    for case in CASES {
        check(&scene, case);
    }
}

/// What a first open leaves that was cut short is nothing, and a store begins.
#[test]
fn a_directory_without_a_store_becomes_one() {
    let scene = unclosed();
    let beginnings: [fn(&mut DiskImage); 3] = [
        |_| (),
        |image| image.write(at("manifest.lock"), &b""[..]).unwrap(),
        |image| image.write(at("tables/README"), &b"hello"[..]).unwrap(),
    ];
    for begin in beginnings {
        let mut image = DiskImage::empty(512);
        begin(&mut image);
        let (_, image) = live(image, &scene, async |opened: Result<Db<_>, _>| {
            let db = opened.unwrap();
            assert!(db.scan(..).unwrap().next().await.unwrap().is_none());
            db.put(b"k", b"v").await.unwrap();
        });
        let (found, _) = live(image, &scene, async |opened: Result<Db<_>, _>| {
            opened.unwrap().get(b"k").await.unwrap()
        });
        assert_eq!(found.as_deref(), Some(&b"v"[..]));
    }
}

/// Wherever the very first open is cut short, by a kill or the loss of power, the next one goes on.
#[test]
fn a_first_open_that_was_cut_short_is_no_loss() {
    use quipu_io::sim::{Profile, Sim, SimOptions};
    use std::sync::{Arc, Mutex};
    let scene = unclosed();
    for wal in [true, false] {
        let mut options = scene.options.clone();
        options.wal = wal;
        let sim = boot(DiskImage::empty(512));
        let images = Arc::new(Mutex::new(Vec::new()));
        let taken = images.clone();
        sim.on_crash_point(move |point| taken.lock().unwrap().push(point.image));
        let opened = sim.run(Db::open(sim.io(), DIR, options.clone()));
        drop(opened.unwrap().unwrap());
        let images = std::mem::take(&mut *images.lock().unwrap());
        assert!(images.len() > 10);
        for image in images {
            for (profile, seed) in [
                (Profile::KillOnly, 0),
                (Profile::Posix, 1),
                (Profile::Posix, 2),
            ] {
                let from = SimOptions {
                    profile,
                    ..SimOptions::seeded(seed)
                };
                let sim = Sim::boot(image.clone(), from);
                let opened = sim.run(Db::open(sim.io(), DIR, options.clone()));
                let db = opened.unwrap().unwrap_or_else(|error| panic!("{error}"));
                sim.run(db.put(b"k", b"v")).unwrap().unwrap();
            }
        }
    }
}

#[test]
fn what_may_not_be_written_to_is_told_with_its_path() {
    let scene = unclosed();
    for operation in [
        Operation::CreateDirAll,
        Operation::Lock,
        Operation::Open,
        Operation::ReadDir,
    ] {
        let kind = std::io::ErrorKind::ReadOnlyFilesystem;
        let sim = boot(scene.image.clone());
        sim.faults().fail_nth(operation, 1, kind);
        let opened = sim.run(Db::open(sim.io(), DIR, scene.options.clone()));
        let error = opened.unwrap().unwrap_err();
        let found = match &error {
            Error::Io { source } => source.kind(),
            Error::Journal {
                source: Journal::Io { source },
            } => source.kind(),
            _ => panic!("{error:?}"),
        };
        assert_eq!(found, kind);
        assert!(error.to_string().contains("store"), "{error}");
    }
}
