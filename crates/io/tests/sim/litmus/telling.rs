//! What a crash has left, in words.
//!
//! Invariant: there is one account for each outcome that a reader can tell apart, and it says how that
//! outcome differs from what the program saw last.

use quipu_io::sim::DiskModel;

use super::*;

/// A life that looks at these files.
fn look(sim: &Sim, names: &[&str]) {
    let io = sim.io();
    let looks = async {
        for name in names {
            if let Ok(file) = io.open(Path::new(name), OpenOptions::ReadOnly).await {
                file.read_at(0, usize::MAX).await.unwrap();
            }
        }
    };
    sim.block_on(looks).unwrap();
}

/// The accounts of all that a crash can leave, each with its lines joined.
fn accounts(image: &DiskImage, profile: Profile, model: DiskModel, names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = Some(Tape::zeros());
    while let Some(tape) = next {
        let options = SimOptions {
            profile,
            model,
            tape,
            ..SimOptions::default()
        };
        let sim = Sim::boot(image.clone(), options);
        sim.tell_survival();
        look(&sim, names);
        found.push(sim.survival().join("; "));
        next = sim.tape().successor();
    }
    found
}

#[track_caller]
fn expect_told(image: &DiskImage, profile: Profile, names: &[&str], expected: &[&str]) {
    let found = accounts(image, profile, DiskModel::default(), names);
    assert_eq!(found, expected, "{profile:?}");
}

const ALL: &str = "everything that was looked at survived";

/// An account that ends with what has survived.
fn lost(lines: &str) -> String {
    format!("{lines}; all else that was looked at survived")
}

#[test]
fn a_file_without_any_sync() {
    let image = run(async |io| create(&io, "sub/f", "hi").await);
    expect_told(&image, KillOnly, &["sub/f"], &[ALL]);
    let expected = [
        ALL,
        &lost("sector 0 of sub/f is older: zeros"),
        &lost("sub/f has its size of 0 bytes and not 2"),
        &lost("the name sub/f is not there"),
    ];
    expect_told(&image, Ext4Ordered, &["sub/f"], &expected);
    expect_told(&image, Posix, &["sub/f"], &expected);
}

#[test]
fn a_synced_name_whose_file_is_not() {
    let image = run(async |io| {
        create(&io, "sub/f", "").await?;
        sync_dir(&io, "sub").await
    });
    let gone = lost("sub/f was never written (its inode is lost)");
    expect_told(&image, Posix, &["sub/f"], &[ALL, &gone]);
}

#[test]
fn names_that_changed() {
    let removed = run(async |io| io.remove_file(Path::new("old")).await);
    let again = lost("the name old is there again");
    expect_told(&removed, Posix, &["old"], &[ALL, &again]);
    let replaced = run(async |io| {
        io.remove_file(Path::new("old")).await?;
        create(&io, "old", "").await?;
        sync(&io, "old").await
    });
    let absent = lost("the name old is not there");
    let older = lost("the name old leads to an older file");
    expect_told(&replaced, Posix, &["old"], &[ALL, &absent, &older]);
}

/// It is one loss, whichever of the two names is looked at. What was renamed is called what it is
/// called now.
#[test]
fn a_rename() {
    let image = run(async |io| {
        write(&open(&io, "old").await?, 0, "NEW").await?;
        rename(&io, "old", "plain").await
    });
    let [bytes, name] = [
        lost("sector 0 of plain is older"),
        lost("the rename of old to plain is lost"),
    ];
    expect_told(&image, Posix, &["plain"], &[ALL, &bytes, &name]);
    let both = lost("sector 0 of old is older; the rename of old to plain is lost");
    expect_told(&image, Posix, &["old"], &[ALL, &name, &both]);
}

/// Nobody has looked yet whether the older name is still there.
#[test]
fn a_file_with_two_names() {
    let image = run(async |io| {
        write(&open(&io, "old").await?, 0, "NEW").await?;
        io.hard_link(Path::new("old"), Path::new("plain")).await?;
        io.remove_file(Path::new("old")).await
    });
    let bytes = lost("sector 0 of plain is older");
    let name = lost("the name plain is not there");
    expect_told(&image, Posix, &["plain"], &[ALL, &bytes, &name]);
}

/// The directory that it went to may be lost itself.
#[test]
fn a_rename_into_a_new_directory() {
    let image = run(async |io| {
        io.create_dir_all(Path::new("d")).await?;
        rename(&io, "old", "d/old").await
    });
    let found = accounts(&image, Posix, DiskModel::default(), &["d/old", "old"]);
    let expected = lost("the name d is not there; the rename of old to d/old is lost");
    assert_eq!(found.last(), Some(&expected));
}

/// What a rename took away is told as well where that is lost too.
#[test]
fn a_new_file_that_was_renamed() {
    let image = run(async |io| {
        create(&io, "f", "").await?;
        sync(&io, "f").await?;
        rename(&io, "f", "old").await
    });
    let rename = lost("the rename of f to old is lost");
    expect_told(&image, Posix, &["old"], &[ALL, &rename]);
    let also_its_name = lost("the name f is not there; the rename of f to old is lost");
    expect_told(&image, Posix, &["f"], &[ALL, &rename, &also_its_name]);
}

/// Nothing is left that leads to the file once the program has removed it, but a handle.
#[test]
fn a_file_that_has_lost_its_name_since() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        file.set_len(1024).await?;
        file.sync_data().await?;
        write(&file, 512, "more").await
    });
    let options = SimOptions {
        tape: Tape::replay([1]),
        ..SimOptions::default()
    };
    let sim = Sim::boot(image, options);
    sim.tell_survival();
    let io = sim.io();
    let program = async {
        let file = open(&io, "old").await?;
        io.remove_file(Path::new("old")).await?;
        sync_dir(&io, "").await?;
        file.read_at(0, 1024).await
    };
    sim.block_on(program).unwrap().unwrap();
    let expected = [
        "sector 1 of old is older: zeros",
        "all else that was looked at survived",
    ];
    assert_eq!(sim.survival(), expected);
}

#[test]
fn sectors_of_one_fate_have_one_line() {
    let image = run(async |io| {
        let file = open(&io, "old").await?;
        file.set_len(8 * 512).await?;
        file.sync_data().await?;
        for sector in 0..8 {
            write(&file, sector * 512, SECTOR_A).await?;
        }
        Ok(())
    });
    let account = |fates| {
        let options = SimOptions {
            tape: Tape::replay(fates),
            ..SimOptions::default()
        };
        let sim = Sim::boot(image.clone(), options);
        sim.tell_survival();
        look(&sim, &["old"]);
        sim.survival().join("; ")
    };
    let some = lost("sectors 2 to 4 and 7 of old are older: zeros; sector 0 of old is older");
    assert_eq!(account([1, 0, 1, 1, 1, 0, 0, 1]), some);
    let all = lost("sectors 1 to 7 of old are older: zeros; sector 0 of old is older");
    assert_eq!(account([1; 8]), all);
}

/// It is about what was looked at, since this machine was booted, and on demand.
#[test]
fn what_nobody_asks_about_is_not_told() {
    let image = run(async |io| create(&io, "f", "hi").await);
    let boot = |image: &DiskImage| {
        let options = SimOptions {
            tape: Tape::replay([1]),
            ..SimOptions::default()
        };
        Sim::boot(image.clone(), options)
    };
    let silent = boot(&image);
    look(&silent, &["f"]);
    assert!(silent.survival().is_empty());
    let idle = boot(&image);
    idle.tell_survival();
    look(&idle, &["old"]);
    assert_eq!(idle.survival(), [ALL]);
    // What was seen once stays as it is.
    let told = boot(&image);
    told.tell_survival();
    look(&told, &["f"]);
    assert_eq!(told.survival().len(), 2);
    let next = boot(&told.crash());
    assert!(next.survival().is_empty());
    next.tell_survival();
    look(&next, &["f"]);
    assert_eq!(next.survival(), [ALL]);
}

/// A run is the same with an account of it.
#[test]
fn telling_decides_nothing() {
    let image = run(async |io| {
        create(&io, "f", SECTOR_A).await?;
        rename(&io, "f", "sub/g").await?;
        write(&open(&io, "old").await?, 0, "NEW").await
    });
    for seed in 0..50 {
        let hash = |tells| {
            let sim = Sim::boot(image.clone(), SimOptions::seeded(seed));
            if tells {
                sim.tell_survival();
            }
            look(&sim, &["sub/g", "f", "old"]);
            (sim.trace_hash(), sim.image().list("").unwrap())
        };
        assert_eq!(hash(true), hash(false), "seed {seed}");
    }
}

#[test]
fn lesser_disks() {
    let model = DiskModel {
        sector_atomic: false,
        powersafe_overwrite: false,
        stale_blocks: true,
    };
    let image = run(async |io| {
        write(&open(&io, "old").await?, 0, "NEW").await?;
        io.open(Path::new("old"), OpenOptions::ReadWrite)
            .await?
            .allocate(0, 1024)
            .await?;
        sync(&io, "sub/kept").await
    });
    let found = accounts(&image, Posix, model, &["old"]);
    let found: BTreeSet<&str> = found
        .iter()
        .map(|account| account.split("; ").next().unwrap())
        .collect();
    let expected = [
        ALL,
        "old has its size of 3 bytes and not 1024",
        "sector 0 of old is older",
        "sector 0 of old is torn",
        "sector 0 of old was destroyed by writing it again",
        "sector 1 of old holds what lay there before the file",
    ];
    assert_eq!(found.into_iter().collect::<Vec<&str>>(), expected);
}
