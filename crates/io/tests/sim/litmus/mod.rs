//! Invariant: after a crash exactly those states are possible that the profile allows.
//!
//! Each short program is crashed at its end. The tape of what survives is counted up until every
//! outcome has been seen, and the set must be the one written here by hand.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod lesser_disks;
mod telling;

use std::collections::BTreeSet;
use std::path::Path;

use quipu_io::sim::Profile::{Ext4Ordered, KillOnly, Posix};
use quipu_io::sim::{DiskImage, Profile, Sim, SimIo, SimOptions, Tape};
use quipu_io::{Bytes, File, Io, OpenOptions};

/// Where every program starts: `old` is durable and holds "OLD", and so is the directory `sub`.
fn start() -> DiskImage {
    let mut image = DiskImage::empty(512);
    image.write("old", "OLD").unwrap();
    image.write("sub/kept", "").unwrap();
    image
}

/// The disk after the program has run.
fn run(program: impl AsyncFnOnce(SimIo) -> std::io::Result<()>) -> DiskImage {
    let sim = Sim::boot(start(), SimOptions::default());
    sim.block_on(program(sim.io())).unwrap().unwrap();
    sim.crash()
}

/// The disk after a power loss and another program.
fn next_life(
    image: &DiskImage,
    tape: Tape,
    program: impl AsyncFnOnce(SimIo) -> std::io::Result<()>,
) -> DiskImage {
    let options = SimOptions {
        tape,
        ..SimOptions::default()
    };
    let sim = Sim::boot(image.clone(), options);
    sim.block_on(program(sim.io())).unwrap().unwrap();
    sim.crash()
}

/// What the names hold in every state that a crash can leave.
fn outcomes(image: &DiskImage, profile: Profile, names: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = Some(Tape::zeros());
    while let Some(tape) = next {
        let mut crashed = image.clone().crashed(profile, tape);
        found.insert(show(&mut crashed, names));
        next = crashed.tape().successor();
    }
    let states = u32::try_from(found.len()).unwrap();
    assert!(image.legal_states(profile) >= f64::from(states));
    found
}

fn show(image: &mut DiskImage, names: &[&str]) -> String {
    let shown = names.iter().map(|name| match image.read(name) {
        Ok(content) => show_content(&content),
        Err(_) => "none".to_owned(),
    });
    shown.collect::<Vec<String>>().join(" | ")
}

/// Runs of a byte: `Ax512 .x3` is a sector of A and three zeros. Short runs stay as they are.
fn show_content(content: &[u8]) -> String {
    let runs = content.chunk_by(|a, b| a == b).map(|run| {
        let byte = match run[0] {
            0 => '.',
            byte => byte as char,
        };
        match run.len() {
            len @ 0..4 => byte.to_string().repeat(len),
            len => format!("{byte}x{len} "),
        }
    });
    let shown: String = runs.collect();
    format!("\"{}\"", shown.trim_end())
}

#[track_caller]
fn expect(image: &DiskImage, profile: Profile, names: &[&str], expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&outcome| outcome.into()).collect();
    let found = outcomes(image, profile, names);
    assert_eq!(found, expected, "{profile:?}");
}

async fn create(io: &SimIo, name: &str, content: &'static str) -> std::io::Result<()> {
    let file = io.open(Path::new(name), OpenOptions::CreateNew).await?;
    write(&file, 0, content).await
}

async fn write(file: &impl File, offset: u64, data: &'static str) -> std::io::Result<()> {
    file.write_at(offset, Bytes::from_static(data.as_bytes()))
        .await
}

async fn open(io: &SimIo, name: &str) -> std::io::Result<impl File> {
    io.open(Path::new(name), OpenOptions::ReadWrite).await
}

async fn sync(io: &SimIo, name: &str) -> std::io::Result<()> {
    open(io, name).await?.sync_data().await
}

async fn sync_dir(io: &SimIo, name: &str) -> std::io::Result<()> {
    io.sync_dir(Path::new(name)).await
}

async fn rename(io: &SimIo, from: &str, to: &str) -> std::io::Result<()> {
    io.rename(Path::new(from), Path::new(to)).await
}

const SECTOR_A: &str = match str::from_utf8(&[b'A'; 512]) {
    Ok(sector) => sector,
    Err(_) => "",
};
const SECTOR_B: &str = match str::from_utf8(&[b'B'; 512]) {
    Ok(sector) => sector,
    Err(_) => "",
};

#[test]
fn a_file_without_any_sync() {
    let image = run(async |io| create(&io, "f", "hi").await);
    expect(&image, KillOnly, &["f"], &["\"hi\""]);
    // Empty, or the size without the bytes.
    let any = ["none", "\"\"", "\"..\"", "\"hi\""];
    expect(&image, Ext4Ordered, &["f"], &any);
    expect(&image, Posix, &["f"], &any);
}

#[test]
fn a_synced_file_whose_name_is_not() {
    let image = run(async |io| {
        create(&io, "f", "hi").await?;
        sync(&io, "f").await
    });
    // One journal: the name is older than the size that the sync made durable.
    expect(&image, Ext4Ordered, &["f"], &["\"hi\""]);
    expect(&image, Posix, &["f"], &["none", "\"hi\""]);
}

#[test]
fn a_synced_name_whose_file_is_not() {
    let image = run(async |io| {
        create(&io, "f", "hi").await?;
        sync_dir(&io, "").await
    });
    expect(&image, Ext4Ordered, &["f"], &["\"\"", "\"..\"", "\"hi\""]);
    // The name leads to an inode that was never written, and is dropped.
    let any = ["none", "\"\"", "\"..\"", "\"hi\""];
    expect(&image, Posix, &["f"], &any);
}

#[test]
fn a_file_and_its_name_synced() {
    let image = run(async |io| {
        create(&io, "f", "hi").await?;
        sync(&io, "f").await?;
        sync_dir(&io, "").await
    });
    for profile in [KillOnly, Ext4Ordered, Posix] {
        expect(&image, profile, &["f"], &["\"hi\""]);
    }
}

#[test]
fn replace_by_rename_with_every_sync() {
    let image = run(async |io| {
        create(&io, "new", "NEW").await?;
        sync(&io, "new").await?;
        rename(&io, "new", "old").await?;
        sync_dir(&io, "").await
    });
    for profile in [KillOnly, Ext4Ordered, Posix] {
        expect(&image, profile, &["old", "new"], &["\"NEW\" | none"]);
    }
}

#[test]
fn replace_by_rename_without_the_directory() {
    let image = run(async |io| {
        create(&io, "new", "NEW").await?;
        sync(&io, "new").await?;
        rename(&io, "new", "old").await
    });
    let (before, after) = ("\"OLD\" | \"NEW\"", "\"NEW\" | none");
    expect(&image, Ext4Ordered, &["old", "new"], &[before, after]);
    let unnamed = "\"OLD\" | none";
    expect(&image, Posix, &["old", "new"], &[before, after, unnamed]);
    // Whichever name is looked at first: both or neither.
    let swapped = ["\"NEW\" | \"OLD\"", "none | \"NEW\"", "none | \"OLD\""];
    expect(&image, Posix, &["new", "old"], &swapped);
}

#[test]
fn replace_by_rename_without_the_file() {
    let image = run(async |io| {
        create(&io, "new", "NEW").await?;
        rename(&io, "new", "old").await?;
        sync_dir(&io, "").await
    });
    // The size is older than the rename that survived.
    let zeros = ["\"...\"", "\"NEW\""];
    expect(&image, Ext4Ordered, &["old"], &zeros);
    let torn = ["none", "\"\"", "\"...\"", "\"NEW\""];
    expect(&image, Posix, &["old"], &torn);
}

#[test]
fn two_renames_in_order() {
    let image = run(async |io| {
        rename(&io, "old", "a").await?;
        rename(&io, "a", "b").await
    });
    let states = [
        "\"OLD\" | none | none",
        "none | \"OLD\" | none",
        "none | none | \"OLD\"",
    ];
    for profile in [Ext4Ordered, Posix] {
        expect(&image, profile, &["old", "a", "b"], &states);
        let reversed = [
            "none | none | \"OLD\"",
            "none | \"OLD\" | none",
            "\"OLD\" | none | none",
        ];
        expect(&image, profile, &["b", "a", "old"], &reversed);
    }
}

#[test]
fn two_independent_renames() {
    let image = run(async |io| {
        rename(&io, "old", "a").await?;
        rename(&io, "sub/kept", "sub/b").await
    });
    let names = ["a", "sub/b"];
    let prefix = ["none | none", "\"OLD\" | none", "\"OLD\" | \"\""];
    expect(&image, Ext4Ordered, &names, &prefix);
    let any = [
        "none | none",
        "\"OLD\" | none",
        "\"OLD\" | \"\"",
        "none | \"\"",
    ];
    expect(&image, Posix, &names, &any);
    // The later one is looked at first.
    let names = ["sub/b", "a"];
    let prefix = ["none | none", "none | \"OLD\"", "\"\" | \"OLD\""];
    expect(&image, Ext4Ordered, &names, &prefix);
}

#[test]
fn a_rename_between_directories_is_durable_with_either() {
    for synced in ["", "sub"] {
        let image = run(async |io| {
            rename(&io, "old", "sub/moved").await?;
            sync_dir(&io, synced).await
        });
        for profile in [Ext4Ordered, Posix] {
            expect(&image, profile, &["old", "sub/moved"], &["none | \"OLD\""]);
        }
    }
}

#[test]
fn an_append_behind_a_sync() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        write(&file, 3, "+1").await?;
        file.sync_data().await?;
        write(&file, 5, "+2").await
    });
    let states = ["\"OLD+1\"", "\"OLD+1..\"", "\"OLD+1+2\""];
    for profile in [Ext4Ordered, Posix] {
        expect(&image, profile, &["old"], &states);
    }
}

/// A sync covers what was issued when it was submitted, and no more.
#[test]
fn a_write_beside_a_running_sync() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        write(&file, 0, "1").await?;
        let (synced, written) = futures::future::join(file.sync_data(), write(&file, 0, "2")).await;
        synced.and(written)
    });
    expect(&image, Posix, &["old"], &["\"1LD\"", "\"2LD\""]);
}

#[test]
fn two_sectors_are_independent() {
    let image = run(async |io| {
        let file = io.open(Path::new("old"), OpenOptions::ReadWrite).await?;
        file.set_len(1024).await?;
        file.sync_data().await?;
        let both = [SECTOR_A, SECTOR_B].concat();
        file.write_at(0, both.into()).await
    });
    let states = [
        "\"OLD.x1021\"",
        "\"OLD.x509 Bx512\"",
        "\"Ax512 .x512\"",
        "\"Ax512 Bx512\"",
    ];
    for profile in [Ext4Ordered, Posix] {
        expect(&image, profile, &["old"], &states);
    }
}

#[test]
fn growing_and_allocating_show_zeros() {
    let grown = run(async |io| open(&io, "old").await?.set_len(5).await);
    let allocated = run(async |io| open(&io, "old").await?.allocate(0, 5).await);
    for image in [grown, allocated] {
        for profile in [Ext4Ordered, Posix] {
            expect(&image, profile, &["old"], &["\"OLD\"", "\"OLD..\""]);
        }
    }
}

#[test]
fn a_write_into_allocated_space() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        file.allocate(0, 5).await?;
        file.sync_data().await?;
        write(&file, 3, "hi").await
    });
    for profile in [Ext4Ordered, Posix] {
        expect(&image, profile, &["old"], &["\"OLD..\"", "\"OLDhi\""]);
    }
}

/// Bytes that were cut do not come back when the file grows again, unless the cut itself is lost.
/// The rest of the sector in which it lies is zeroed in place, which may survive without the cut.
#[test]
fn a_cut_and_growth() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        write(&file, 512, SECTOR_A).await?;
        file.sync_data().await?;
        file.set_len(2).await?;
        file.set_len(1536).await
    });
    let states = [
        "\"OLD.x509 Ax512\"",
        "\"OL.x510 Ax512\"",
        "\"OL\"",
        "\"OL.x1534\"",
    ];
    for profile in [Ext4Ordered, Posix] {
        expect(&image, profile, &["old"], &states);
    }
}

#[test]
fn an_unlink() {
    let lost = run(async |io| io.remove_file(Path::new("old")).await);
    let kept = run(async |io| {
        io.remove_file(Path::new("old")).await?;
        sync_dir(&io, "").await
    });
    for profile in [Ext4Ordered, Posix] {
        expect(&lost, profile, &["old"], &["none", "\"OLD\""]);
        expect(&kept, profile, &["old"], &["none"]);
    }
}

#[test]
fn a_name_that_is_used_again() {
    let image = run(async |io| {
        io.remove_file(Path::new("old")).await?;
        create(&io, "old", "NEW").await?;
        sync(&io, "old").await
    });
    expect(&image, Ext4Ordered, &["old"], &["\"NEW\""]);
    let states = ["none", "\"OLD\"", "\"NEW\""];
    expect(&image, Posix, &["old"], &states);
}

#[test]
fn a_hard_link() {
    let image = run(async |io| {
        io.hard_link(Path::new("old"), Path::new("link")).await?;
        let file = open(&io, "link").await?;
        write(&file, 0, "NEW").await?;
        file.sync_data().await
    });
    for profile in [Ext4Ordered, Posix] {
        let states = ["\"NEW\" | none", "\"NEW\" | \"NEW\""];
        expect(&image, profile, &["old", "link"], &states);
    }
}

/// Both names lead to the inode, or neither, unless a name did not survive by itself.
#[test]
fn two_names_of_an_inode_that_may_not_survive() {
    let linked = async |io: &SimIo| {
        create(io, "f", "").await?;
        io.hard_link(Path::new("f"), Path::new("sub/g")).await
    };
    let names = ["f", "sub/g"];
    let any = ["none | none", "\"\" | none", "none | \"\"", "\"\" | \"\""];
    let nothing = run(async |io| linked(&io).await);
    expect(&nothing, Ext4Ordered, &names, &[any[0], any[1], any[3]]);
    expect(&nothing, Posix, &names, &any);

    let one_name = run(async |io| {
        linked(&io).await?;
        sync_dir(&io, "").await
    });
    expect(&one_name, Posix, &names, &[any[0], any[1], any[3]]);

    let both_names = run(async |io| {
        linked(&io).await?;
        sync_dir(&io, "").await?;
        sync_dir(&io, "sub").await
    });
    expect(&both_names, Ext4Ordered, &names, &[any[3]]);
    expect(&both_names, Posix, &names, &[any[0], any[3]]);
}

#[test]
fn a_new_directory() {
    let image = run(async |io| {
        io.create_dir_all(Path::new("dir")).await?;
        create(&io, "dir/f", "hi").await?;
        sync(&io, "dir/f").await?;
        sync_dir(&io, "dir").await
    });
    expect(&image, Ext4Ordered, &["dir/f"], &["\"hi\""]);
    // The directory's own name is its parent's affair.
    expect(&image, Posix, &["dir/f"], &["none", "\"hi\""]);

    let image = run(async |io| {
        io.create_dir_all(Path::new("dir")).await?;
        create(&io, "dir/f", "hi").await?;
        sync(&io, "dir/f").await?;
        sync_dir(&io, "dir").await?;
        sync_dir(&io, "").await
    });
    expect(&image, Posix, &["dir/f"], &["\"hi\""]);
}

/// What recovery does not read stays open, and a second crash may show it another way.
#[test]
fn an_unread_sector_stays_open_for_the_next_lifetime() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        file.set_len(1024).await?;
        file.sync_data().await?;
        write(&file, 512, SECTOR_A).await
    });
    let read_again = |tape: Tape, len: usize| {
        let options = SimOptions {
            tape,
            ..SimOptions::default()
        };
        let sim = Sim::boot(image.clone(), options);
        let io = sim.io();
        let read = async {
            let file = open(&io, "old").await?;
            file.read_at(0, len).await?;
            file.sync_data().await
        };
        sim.block_on(read).unwrap().unwrap();
        let choices = sim.tape().digits().len();
        (choices, sim.crash())
    };
    let (choices, unread) = read_again(Tape::zeros(), 512);
    assert_eq!(choices, 0, "nothing open was read");
    let states = ["\"OLD.x1021\"", "\"OLD.x509 Ax512\""];
    expect(&unread, Posix, &["old"], &states);
    for (digit, state) in [(1, states[0]), (0, states[1])] {
        let (choices, read) = read_again(Tape::replay([digit]), 1024);
        assert_eq!(choices, 1, "one sector was open");
        expect(&read, Posix, &["old"], &[state]);
    }
}

/// A whole sector that is written over an open one needs no choice before the next crash.
#[test]
fn a_sector_written_over_an_open_one() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        write(&file, 0, SECTOR_A).await?;
        file.set_len(512).await
    });
    let sim = Sim::boot(image, SimOptions::default());
    let io = sim.io();
    let overwrite = async {
        let file = open(&io, "old").await?;
        write(&file, 0, SECTOR_B).await
    };
    sim.block_on(overwrite).unwrap().unwrap();
    assert_eq!(sim.tape().digits().len(), 1, "only the size was decided");
    let image = sim.crash();
    let states = ["\"OLD.x509\"", "\"Ax512\"", "\"Bx512\""];
    expect(&image, Posix, &["old"], &states);
}

/// A killed process loses nothing, but what it wrote is no more durable than before.
#[test]
fn a_kill_and_then_a_power_loss() {
    let image = run(async |io| write(&open(&io, "old").await?, 0, "NEW").await);
    let killed = image.crashed(KillOnly, Tape::zeros());
    expect(&killed, KillOnly, &["old"], &["\"NEW\""]);
    expect(&killed, Posix, &["old"], &["\"OLD\"", "\"NEW\""]);
}

/// A write to a part of an open sector decides what the rest of it is.
#[test]
fn a_part_written_over_an_open_sector() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        file.set_len(512).await?;
        file.sync_data().await?;
        write(&file, 0, SECTOR_A).await
    });
    for (digit, state) in [(0, "\"xAx511\""), (1, "\"xLD.x509\"")] {
        let image = next_life(&image, Tape::replay([digit]), async |io| {
            let file = open(&io, "old").await?;
            write(&file, 0, "x").await?;
            file.sync_data().await
        });
        expect(&image, Posix, &["old"], &[state]);
    }
}

/// What lay beyond the surviving size does not come back when the file grows again.
#[test]
fn growth_over_lost_appends() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        write(&file, 3, "+1").await?;
        write(&file, 512, SECTOR_A).await
    });
    let size_lost = Tape::replay([2]);
    let image = next_life(&image, size_lost, async |io| {
        let file = open(&io, "old").await?;
        file.set_len(1024).await?;
        file.sync_data().await
    });
    expect(&image, Posix, &["old"], &["\"OLD.x1021\""]);
}

/// Without any order the bytes may be there and the cut that made room for them not. With a
/// journal for the metadata they went to space to which nothing leads.
#[test]
fn what_is_written_behind_a_cut() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        write(&file, 512, SECTOR_A).await?;
        write(&file, 1024, SECTOR_A).await?;
        file.sync_data().await?;
        file.set_len(512).await?;
        write(&file, 512, SECTOR_B).await
    });
    let ordered = [
        "\"OLD.x509 Ax1024\"",
        "\"OLD.x509\"",
        "\"OLD.x1021\"",
        "\"OLD.x509 Bx512\"",
    ];
    expect(&image, Ext4Ordered, &["old"], &ordered);
    let any = [&ordered[..], &["\"OLD.x509 Bx512 Ax512\""]].concat();
    expect(&image, Posix, &["old"], &any);
}

/// A sync covers nothing that an earlier crash has left open.
#[test]
fn a_cut_that_nobody_has_looked_at_stays_open() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        write(&file, 512, SECTOR_A).await?;
        file.sync_data().await?;
        file.set_len(2).await
    });
    let image = next_life(&image, Tape::zeros(), async |io| sync(&io, "old").await);
    let states = ["\"OLD.x509 Ax512\"", "\"OL.x510 Ax512\"", "\"OL\""];
    expect(&image, Posix, &["old"], &states);
}

/// The number that no enumeration reaches.
#[test]
fn states_are_counted_without_visiting_them() {
    let records = |sectors: usize| {
        run(async move |io| {
            let file = open(&io, "old").await?;
            file.set_len(512 * sectors as u64).await?;
            file.sync_data().await?;
            file.write_at(0, vec![b'x'; 512 * sectors].into()).await
        })
    };
    for profile in [Ext4Ordered, Posix] {
        assert_eq!(records(2).legal_states(profile), 4.0);
        assert_eq!(records(128).legal_states(profile), 2_f64.powi(128));
        assert_eq!(records(5000).legal_states(profile), f64::MAX);
    }
    assert_eq!(records(128).legal_states(KillOnly), 1.0);

    let renames = run(async |io| {
        rename(&io, "old", "a").await?;
        rename(&io, "sub/kept", "sub/b").await
    });
    assert_eq!(renames.legal_states(Ext4Ordered), 3.0, "in their order");
    assert_eq!(renames.legal_states(Posix), 4.0, "each once");
}
