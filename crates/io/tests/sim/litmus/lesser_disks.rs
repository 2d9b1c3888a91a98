//! What a sector may be on disks that promise less.

use quipu_io::sim::DiskModel;

use super::*;

const TORN: DiskModel = DiskModel {
    sector_atomic: false,
    powersafe_overwrite: true,
    stale_blocks: false,
};
const UNSAFE: DiskModel = DiskModel {
    sector_atomic: true,
    powersafe_overwrite: false,
    stale_blocks: false,
};
const STALE: DiskModel = DiskModel {
    sector_atomic: true,
    powersafe_overwrite: true,
    stale_blocks: true,
};

/// The disk after a life on such a disk.
fn live(
    image: &DiskImage,
    model: DiskModel,
    tape: Tape,
    program: impl AsyncFnOnce(SimIo) -> std::io::Result<()>,
) -> DiskImage {
    let options = SimOptions {
        model,
        tape,
        ..SimOptions::default()
    };
    let sim = Sim::boot(image.clone(), options);
    sim.block_on(program(sim.io())).unwrap().unwrap();
    sim.crash()
}

/// All outcomes but these, which must be there.
fn others(image: &DiskImage, profile: Profile, expected: &[&str]) -> Vec<String> {
    let mut found = outcomes(image, profile, &["old"]);
    for outcome in expected {
        assert!(found.remove(*outcome), "{outcome} of {found:?}");
    }
    found.into_iter().collect()
}

#[test]
fn a_torn_sector() {
    let overwrite = async |io: SimIo| write(&open(&io, "old").await?, 0, "NEW").await;
    let image = live(&start(), TORN, Tape::zeros(), overwrite);
    let whole = ["\"OLD\"", "\"NEW\""];
    let new_first = ["\"NLD\"", "\"NED\""];
    let old_first = ["\"OEW\"", "\"OLW\""];
    for profile in [Ext4Ordered, Posix] {
        let states = [whole, new_first, old_first].concat();
        expect(&image, profile, &["old"], &states);
    }
    expect(&image, KillOnly, &["old"], &["\"NEW\""]);
    let image = live(&start(), TORN, Tape::zeros(), async |io| {
        write(&open(&io, "old").await?, 0, "NEW").await?;
        sync(&io, "old").await
    });
    expect(&image, Posix, &["old"], &["\"NEW\""]);
}

/// It is torn inside of what changes.
#[test]
fn a_torn_append() {
    let image = live(&start(), TORN, Tape::zeros(), async |io| {
        let file = open(&io, "old").await?;
        file.set_len(1024).await?;
        file.sync_data().await?;
        write(&file, 1000, "abcd").await
    });
    let mut found = BTreeSet::new();
    let mut next = Some(Tape::zeros());
    while let Some(tape) = next {
        let mut crashed = image.clone().crashed(Posix, tape);
        let content = crashed.read("old").unwrap();
        found.insert(show_content(&content[1000..1004]));
        next = crashed.tape().successor();
    }
    let torn = ["a...", "ab..", "abc.", ".bcd", "..cd", "...d"];
    let states = [&torn[..], &["abcd", ".x4"]].concat();
    let expected = states.iter().map(|state| format!("\"{state}\"")).collect();
    assert_eq!(found, expected);
}

#[test]
fn an_overwrite_that_destroys() {
    let image = live(&start(), UNSAFE, Tape::zeros(), async |io| {
        let file = open(&io, "old").await?;
        file.set_len(1024).await?;
        file.sync_data().await?;
        write(&file, 0, "NEW").await
    });
    let known = ["\"OLD.x1021\"", "\"NEW.x1021\"", "\".x1024\""];
    let noise = others(&image, Posix, &known);
    assert_eq!(noise.len(), 1);
    assert!(noise[0].ends_with(".x512\""), "one sector only: {noise:?}");
    // Where nothing was durable there is nothing to destroy.
    let image = live(&start(), UNSAFE, Tape::zeros(), async |io| {
        write(&open(&io, "old").await?, 512, SECTOR_A).await?;
        sync(&io, "old").await?;
        open(&io, "old").await?.set_len(2048).await?;
        sync(&io, "old").await?;
        write(&open(&io, "old").await?, 1024, SECTOR_B).await
    });
    let states = [
        "\"OLD.x509 Ax512 .x1024\"",
        "\"OLD.x509 Ax512 Bx512 .x512\"",
    ];
    expect(&image, Posix, &["old"], &states);
}

/// Allocated space that nobody has written, with a removed file's blocks to recycle.
fn allocated(size: u64) -> DiskImage {
    let mut image = start();
    let removed = [SECTOR_A, SECTOR_B].concat();
    image.write("gone", removed).unwrap();
    live(&image, STALE, Tape::zeros(), async |io| {
        io.remove_file(Path::new("gone")).await?;
        sync_dir(&io, "").await?;
        let file = open(&io, "old").await?;
        file.allocate(0, size).await?;
        assert_eq!(file.read_at(512, 3).await?, "\0\0\0");
        file.sync_data().await
    })
}

#[test]
fn unwritten_space_holds_what_was_there_before() {
    let image = allocated(1024);
    let known = ["\"OLD.x1021\"", "\"OLD.x509 Bx512\""];
    for profile in [Ext4Ordered, Posix] {
        let noise = others(&image, profile, &known);
        assert_eq!(noise.len(), 1);
        assert!(
            noise[0].starts_with("\"OLD.x509"),
            "only where nothing was written"
        );
    }
    expect(&image, KillOnly, &["old"], &[known[0]]);
}

/// Also where a write did not survive, but not where it was synced.
#[test]
fn lost_appends_leave_what_was_there_before() {
    let append = async |io: SimIo| write(&open(&io, "old").await?, 512, SECTOR_A).await;
    let image = live(&start(), STALE, Tape::zeros(), append);
    let known = ["\"OLD\"", "\"OLD.x1021\"", "\"OLD.x509 Ax512\""];
    assert_eq!(others(&image, Posix, &known).len(), 1);
    let image = live(&start(), STALE, Tape::zeros(), async |io| {
        append(io.clone()).await?;
        sync(&io, "old").await
    });
    expect(&image, Posix, &["old"], &[known[2]]);
}

#[test]
fn what_was_found_in_unwritten_space_stays() {
    let image = allocated(1024);
    for digit in 0..3 {
        let mut found = image.clone().crashed(Posix, Tape::replay([digit]));
        let found = show(&mut found, &["old"]);
        let seen = live(&image, STALE, Tape::replay([digit]), async |io| {
            let file = open(&io, "old").await?;
            file.read_at(512, 1).await?;
            file.set_len(600).await?;
            file.set_len(1024).await?;
            file.sync_data().await
        });
        let states = outcomes(&seen, Posix, &["old"]);
        let first = |state: &str| state.chars().take(11).collect::<String>();
        assert!(states.iter().all(|state| first(state) == first(&found)));
    }
    let written_after_zeros_were_seen = live(&image, STALE, Tape::zeros(), async |io| {
        let file = open(&io, "old").await?;
        file.read_at(512, 1).await?;
        write(&file, 512, SECTOR_A).await
    });
    let states = ["\"OLD.x1021\"", "\"OLD.x509 Ax512\""];
    expect(&written_after_zeros_were_seen, Posix, &["old"], &states);
    let unseen = live(&image, STALE, Tape::zeros(), async |io| {
        open(&io, "old").await?.read_at(0, 3).await.map(drop)
    });
    assert_eq!(outcomes(&unseen, Posix, &["old"]).len(), 3);
}

/// The running system shows zeros where a file grows, whatever an earlier life has left.
#[test]
fn growth_shows_zeros() {
    let image = allocated(1024);
    live(&image, STALE, Tape::replay([1; 9]), async |io| {
        let file = open(&io, "old").await?;
        file.set_len(512).await?;
        file.set_len(2048).await?;
        let read = file.read_at(512, 1536).await?;
        assert!(read.iter().all(|byte| *byte == 0));
        Ok(())
    });
}
