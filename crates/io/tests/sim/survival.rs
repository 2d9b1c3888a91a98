//! Invariant: a seeded tape finds the crashes that even draws never would: nothing is lost but one thing,
//! nothing is kept but one kind, one file fares well and another badly.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::path::Path;

use quipu_io::sim::{DiskImage, Profile, Sim, SimIo, SimOptions, Tape};
use quipu_io::{Bytes, File, Io, OpenOptions};

const SECTORS: usize = 20;
const SECTOR: usize = 512;
const SEEDS: u64 = 1000;
const OVER: [&str; 4] = ["over-1", "over-2", "over-3", "over-4"];
const GROWN: [&str; 4] = ["grown-1", "grown-2", "grown-3", "grown-4"];

fn sectors(byte: u8, count: usize) -> Bytes {
    vec![byte; count * SECTOR].into()
}

/// Four files with sectors that were written over, four that have grown, two new names, and a file of
/// which nothing is open but a few sectors in the middle. Nothing is synced.
fn image() -> DiskImage {
    let mut image = DiskImage::empty(512);
    for name in ["over-1", "over-2", "over-3", "over-4", "middle"] {
        image.write(name, sectors(b'0', SECTORS)).unwrap();
    }
    for name in GROWN {
        image.write(name, "").unwrap();
    }
    let sim = Sim::boot(image, SimOptions::default());
    let io = sim.io();
    sim.block_on(write(&io)).unwrap().unwrap();
    sim.crash()
}

async fn write(io: &SimIo) -> std::io::Result<()> {
    let open = async |name: &'static str| io.open(Path::new(name), OpenOptions::Create).await;
    for name in OVER.into_iter().chain(GROWN) {
        open(name)
            .await?
            .write_at(0, sectors(b'1', SECTORS))
            .await?;
    }
    open("middle")
        .await?
        .write_at(5 * SECTOR as u64, sectors(b'1', 3))
        .await?;
    for name in ["new-1", "new-2"] {
        open(name).await?.sync_all().await?;
    }
    Ok(())
}

/// Whether each new name is there, each grown file is long, and which sectors survived: `1` for each of
/// a file that did. What lies beyond the size is as a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Left {
    names: usize,
    over: [String; 4],
    grown: [String; 4],
    middle: String,
}

fn left(image: &DiskImage, seed: u64) -> Left {
    let mut image = image.clone().crashed(Profile::Posix, Tape::seeded(seed));
    let names = image.list("").unwrap();
    let names = names
        .iter()
        .filter(|n| n.to_string_lossy().starts_with("new"));
    let names = names.count();
    // Not in the order of the sectors, and a file in several reads.
    let mut read = |name: &str| -> String {
        let content = image.read(name).unwrap();
        content
            .chunks(SECTOR)
            .map(|s| if s[0] == b'1' { '1' } else { '0' })
            .collect()
    };
    Left {
        names,
        over: OVER.map(&mut read),
        grown: GROWN.map(&mut read),
        middle: read("middle"),
    }
}

fn of(byte: &str, count: usize) -> String {
    byte.repeat(count)
}

fn middle(part: &str) -> String {
    let around = |count| of("0", count);
    format!("{}{part}{}", around(5), around(SECTORS - 8))
}

#[test]
fn every_shape_comes_up() {
    let image = image();
    let found: BTreeSet<Left> = (0..SEEDS).map(|seed| left(&image, seed)).collect();
    let each = |state: String| [(); 4].map(|()| state.clone());
    let all = of("1", SECTORS);
    let none = of("0", SECTORS);
    let whole = Left {
        names: 2,
        over: each(all.clone()),
        grown: each(all.clone()),
        middle: middle("111"),
    };
    let nothing = Left {
        names: 0,
        over: each(none.clone()),
        grown: each(String::new()),
        middle: middle("000"),
    };
    let names_only = Left {
        names: 2,
        ..nothing.clone()
    };
    let sizes_only = Left {
        grown: each(none.clone()),
        ..names_only.clone()
    };
    let data_only = Left {
        grown: each(String::new()),
        ..whole.clone()
    };
    let last = of("0", SECTORS - 1) + "1";
    let last_sector = Left {
        over: each(last.clone()),
        grown: each(last),
        middle: middle("001"),
        ..whole.clone()
    };
    let but_first = "0".to_string() + &of("1", SECTORS - 1);
    let all_but_first = Left {
        over: each(but_first.clone()),
        grown: each(but_first),
        middle: middle("011"),
        ..whole.clone()
    };
    for (name, shape) in [
        ("everything", &whole),
        ("nothing", &nothing),
        ("names only", &names_only),
        ("sizes only", &sizes_only),
        ("data only", &data_only),
        ("the last sector only", &last_sector),
        ("all but the first sector", &all_but_first),
    ] {
        assert!(found.contains(shape), "{name} in {SEEDS} seeds");
    }
    let is_one_short = |left: &Left| {
        let mut rest = left.clone();
        rest.over[0] = all.clone();
        left.over[0].matches('0').count() == 1 && rest == whole
    };
    assert!(found.iter().any(is_one_short), "all but one");
}

/// One file or directory fares well and another badly, or in between.
#[test]
fn files_and_directories_fare_apart() {
    let image = image();
    let kept = |left: &Left| -> [usize; 2] {
        let count = |file: &String| file.matches('1').count();
        [count(&left.over[0]), count(&left.over[1])]
    };
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let left = left(&image, seed);
        found.insert((kept(&left).map(|kept| kept * 4 / SECTORS), left.names));
    }
    for both in [[0, 4], [4, 0], [0, 2], [2, 4]] {
        for names in [0, 2] {
            assert!(found.contains(&(both, names)), "{both:?} and {names} names");
        }
    }
}

/// The same file fares otherwise in the next crash.
#[test]
fn crashes_fare_apart() {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let mut kept = [0; 2];
        let mut image = DiskImage::empty(512);
        image.write("a", sectors(b'0', SECTORS)).unwrap();
        let mut tape = Tape::seeded(seed);
        for kept in &mut kept {
            let sim = Sim::boot(
                image,
                SimOptions {
                    tape,
                    ..SimOptions::default()
                },
            );
            let io = sim.io();
            sim.block_on(async {
                let file = io.open(Path::new("a"), OpenOptions::ReadWrite).await?;
                file.write_at(0, sectors(b'0', SECTORS)).await?;
                file.sync_data().await?;
                file.write_at(0, sectors(b'1', SECTORS)).await
            })
            .unwrap()
            .unwrap();
            tape = sim.tape();
            let mut crashed = sim.crash().crashed(Profile::Posix, tape);
            let content = crashed.read("a").unwrap();
            *kept = content.iter().filter(|byte| **byte == b'1').count() * 4 / content.len();
            tape = crashed.tape().clone();
            image = crashed;
        }
        found.insert(kept);
    }
    for both in [[0, 0], [0, 4], [4, 0], [4, 4], [0, 2], [2, 4]] {
        assert!(
            found.contains(&both),
            "{both:?} in {SEEDS} seeds: {found:?}"
        );
    }
}

/// What decides about a file is not in which order it is looked at.
#[test]
fn the_shape_is_that_of_the_file_and_not_of_the_reads() {
    let image = image();
    let only_last = (0..SEEDS).find(|seed| {
        let left = left(&image, *seed);
        left.over[0] == of("0", SECTORS - 1) + "1" && left.over == left.grown
    });
    let sim = Sim::boot(
        image,
        SimOptions {
            tape: Tape::seeded(only_last.unwrap()),
            ..SimOptions::default()
        },
    );
    let io = sim.io();
    let found = sim.block_on(async {
        let file = io.open(Path::new("over-1"), OpenOptions::ReadOnly).await?;
        let mut found = Vec::new();
        for sector in [19, 18, 0, 1, 7] {
            found.push(file.read_at(sector * SECTOR as u64, 1).await?[0]);
        }
        std::io::Result::Ok(found)
    });
    assert_eq!(found.unwrap().unwrap(), b"10000");
}
