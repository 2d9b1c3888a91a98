//! Invariants: every kind of fault strikes when it is asked for, does what it says and nothing more, is
//! counted, and is a digit on the tape that can be taken away.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::io;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use quipu_io::sim::{
    DiskImage, DiskModel, FailedSync, Fault, FaultClass, FaultRates, Forget, Operation, Profile,
    Sim, SimFile, SimIo, SimOptions, Tape,
};
use quipu_io::{Bytes, EntryKind, File, Io, OpenOptions, Runtime};

const SECTOR: usize = 512;

fn path(path: &str) -> &Path {
    Path::new(path)
}

/// A durable file `a` of four sectors, each of a byte of its own, and a directory `dir` with `b`.
fn image() -> DiskImage {
    let mut image = DiskImage::empty(512);
    let content: Vec<u8> = (0..4).flat_map(|sector| [b'0' + sector; SECTOR]).collect();
    image.write("a", content).unwrap();
    image.write("dir/b", "b").unwrap();
    image
}

fn sim() -> Sim {
    Sim::boot(image(), SimOptions::default())
}

fn worst(sim: Sim) -> DiskImage {
    let all_lost = Tape::replay([u32::MAX; 99]);
    sim.crash().crashed(Profile::Posix, all_lost)
}

async fn open(io: &SimIo) -> SimFile {
    io.open(path("a"), OpenOptions::ReadWrite).await.unwrap()
}

/// Runs a program in a world in which the fault strikes at its first opportunity, and once.
fn struck<T>(fault: Fault, program: impl AsyncFnOnce(SimIo) -> T) -> (T, Sim) {
    struck_with(fault, Tape::zeros(), program)
}

fn struck_with<T>(fault: Fault, tape: Tape, program: impl AsyncFnOnce(SimIo) -> T) -> (T, Sim) {
    let options = SimOptions {
        tape,
        ..SimOptions::default()
    };
    let sim = Sim::boot(image(), options);
    sim.faults().strike_nth(fault, 1);
    let output = sim.run(program(sim.io())).unwrap();
    assert_eq!(sim.faults().count(fault), 1, "{fault}");
    (output, sim)
}

/// Does everything once, whatever fails.
async fn everything(io: &SimIo, dir: &Path, name: &str) -> io::Result<()> {
    let (first, second) = (dir.join(name), dir.join(format!("{name}-2")));
    let _ = io.create_dir_all(dir).await;
    let _lock = io.lock(&dir.join(format!("{name}.lock"))).await;
    let file = match io.open(&first, OpenOptions::Create).await {
        Ok(file) => file,
        Err(_) => io.open(&first, OpenOptions::Create).await?,
    };
    let _ = file.write_at(0, vec![1; 3000].into()).await;
    let _ = file.sync_data().await;
    let _ = file.write_at(100, vec![2; 5000].into()).await;
    let _ = file.sync_all().await;
    let _ = file.allocate(0, 9000).await;
    let _ = file.read_at(0, 9000).await;
    let _ = file.read_at(700, 10).await;
    let _ = file.set_len(4000).await;
    let _ = file.size().await;
    let _ = file.sync_data().now_or_never();
    let _ = io.hard_link(&first, &second).await;
    let _ = io.rename(&second, &first).await;
    let _ = io.sync_dir(dir).await;
    let _ = io.read_dir(dir).await;
    let _ = io.available_space(dir).await;
    let _ = io.wall_clock();
    let _ = file.write_at(0, vec![3; 2000].into()).await;
    io.remove_file(&second).await
}

/// Three tasks do everything, several times.
async fn workload(io: SimIo) {
    for name in ["a", "b", "c"] {
        let worker = io.clone();
        io.spawn(async move {
            for _ in 0..3 {
                // Faults may strike.
                let _ = everything(&worker, path("dir"), name).await;
            }
        });
    }
    io.sleep(Duration::from_millis(1)).await;
}

/// Reads all that there is.
async fn look(io: SimIo) {
    let listed = io.read_dir(path("dir")).await.unwrap_or_default();
    for entry in listed {
        let path = path("dir").join(entry.name);
        if let Ok(file) = io.open(&path, OpenOptions::ReadOnly).await {
            // A sector that cannot be read stays so until it is written.
            let _ = file.read_at(0, 10_000).await;
        }
    }
}

fn swarm(mut tape: Tape, rates: impl FnOnce(&mut Tape) -> FaultRates) -> Sim {
    let rates = rates(&mut tape);
    let sim = Sim::new(SimOptions {
        tape,
        ..SimOptions::seeded(1)
    });
    sim.faults().set_rates(rates);
    sim.run(workload(sim.io())).unwrap();
    sim
}

fn both(tape: &mut Tape) -> FaultRates {
    let legal = FaultRates::swarm(tape, FaultClass::Crash);
    legal.and(&FaultRates::swarm(tape, FaultClass::Device))
}

/// A disk that promises less than any is allowed to.
fn lesser() -> DiskModel {
    DiskModel {
        sector_atomic: false,
        powersafe_overwrite: false,
        stale_blocks: true,
    }
}

fn every_rate(chances: u32) -> FaultRates {
    let drawn = Fault::ALL.iter().filter(|fault| fault.is_drawn());
    drawn.fold(FaultRates::default(), |rates, fault| {
        rates.with(*fault, chances)
    })
}

mod on_the_tape {
    use super::*;

    #[test]
    fn every_kind_fires_in_a_swarm_of_runs() {
        let mut never: BTreeSet<Fault> = Fault::ALL.iter().copied().collect();
        for seed in 0..200 {
            let sim = swarm(Tape::seeded(seed), both);
            never.retain(|fault| sim.faults().count(*fault) == 0);
            let next = Sim::boot(
                sim.crash(),
                SimOptions {
                    model: lesser(),
                    ..SimOptions::seeded(seed)
                },
            );
            next.run(look(next.io())).unwrap();
            never.retain(|fault| next.faults().never_fired().contains(fault));
        }
        assert!(never.is_empty(), "{never:?}");
    }

    /// A run has faults of the class that it was given, and of no other.
    #[test]
    fn a_swarm_of_one_class_stays_in_it() {
        for class in [FaultClass::Crash, FaultClass::Device] {
            for seed in 0..50 {
                let sim = swarm(Tape::seeded(seed), |tape| FaultRates::swarm(tape, class));
                let legal = [
                    Fault::DroppedOperation,
                    Fault::ShuffledListing,
                    Fault::OutOfOrder,
                ];
                // A sync that finds no room fails as any other, and forgets as any other.
                let sync = [
                    Fault::FailedDirectorySync,
                    Fault::ForgottenSectors,
                    Fault::PartlyForgottenSectors,
                    Fault::EvictedSectors,
                    Fault::ShownSectors,
                    Fault::RedirtiedSectors,
                ];
                for fault in sim.faults().fired().keys() {
                    let follows = legal.contains(fault) || sync.contains(fault);
                    assert!(follows || fault.class() == class, "{fault} in {class:?}");
                }
            }
        }
    }

    #[test]
    fn a_tape_of_zeros_has_no_fault() {
        let sim = Sim::new(SimOptions::default());
        sim.faults().set_rates(every_rate(10_000));
        sim.run(workload(sim.io())).unwrap();
        let fired = sim.faults().fired();
        // What the program does to itself and what tasks do to each other.
        let own = [Fault::DroppedOperation, Fault::OutOfOrder];
        assert!(fired.keys().all(|fault| own.contains(fault)), "{fired:?}");
    }

    #[test]
    fn the_digits_of_a_swarm_replay_it() {
        for seed in 0..20 {
            let first = swarm(Tape::seeded(seed), both);
            let digits: Vec<u32> = first.tape().digits().iter().map(|d| d.value).collect();
            let again = swarm(Tape::replay(digits), both);
            assert_eq!(first.trace_hash(), again.trace_hash());
            assert_eq!(first.faults().fired(), again.faults().fired());
        }
    }

    /// Shrinking takes faults away one by one: a strike that is set to 0 does not strike, and what was
    /// before it stays as it was.
    #[test]
    fn a_zero_takes_a_strike_away() {
        let rates =
            |_: &mut Tape| FaultRates::default().with(Fault::Error(Operation::WriteAt), 5000);
        let count = |tape| {
            let sim = swarm(tape, rates);
            (sim.faults().count(Fault::Error(Operation::WriteAt)), sim)
        };
        let (struck, sim) = count(Tape::seeded(3));
        assert!(struck > 1);
        let digits = sim.tape().digits().to_vec();
        let last = digits
            .iter()
            .rposition(|d| matches!(d.purpose, quipu_io::sim::Purpose::Strike(_)) && d.value == 1)
            .unwrap();
        let fewer = digits[..last].iter().map(|digit| digit.value);
        assert_eq!(count(Tape::replay(fewer)).0, struck - 1);
    }

    #[test]
    #[should_panic(expected = "follows from other faults")]
    fn what_follows_from_others_has_no_rate() {
        let _ = FaultRates::default().with(Fault::RoomAgain, 1);
    }
}

mod errors {
    use super::*;

    /// One error in each operation, at its first call: the second works.
    #[test]
    fn each_operation_fails_once() {
        for fault in Fault::ALL {
            let Fault::Error(_) = fault else { continue };
            let ((), sim) = struck(*fault, async |io| {
                let _ = everything(&io, path("dir"), "x").await;
                let _ = everything(&io, path("dir"), "y").await;
            });
            let own = sim.faults().fired().into_keys();
            let others: Vec<Fault> = own.filter(|other| other != fault).collect();
            assert!(
                others.iter().all(|other| *other == Fault::DroppedOperation),
                "{fault}: {others:?}"
            );
        }
    }

    /// A failing write leaves as many of its sectors as the tape says, from none to all; and that part
    /// is not durable.
    #[test]
    fn a_write_leaves_a_part() {
        for sectors in 0..5u32 {
            let tape = Tape::replay([sectors]);
            let fault = Fault::Error(Operation::WriteAt);
            let (seen, sim) = struck_with(fault, tape, async |io| {
                let file = open(&io).await;
                let written = file.write_at(1024, vec![b'x'; 2048].into()).await;
                assert_eq!(written.unwrap_err().kind(), ErrorKind::Other);
                file.read_at(0, 9999).await.unwrap()
            });
            let end = 1024 + 512 * sectors as usize;
            assert_eq!(seen.len(), end.max(2048));
            assert!(seen[1024..end].iter().all(|byte| *byte == b'x'));
            assert!(end >= 2048 || seen[end..].iter().all(|byte| *byte != b'x'));
            let broken = sim.faults().count(Fault::BrokenWrite);
            assert_eq!(broken, u64::from(sectors > 0));
            assert_eq!(sim.io_counts().writes, 0);
            assert_eq!(worst(sim).read("a").unwrap(), image().read("a").unwrap());
        }
    }

    #[test]
    fn an_empty_write_leaves_nothing() {
        let tape = Tape::replay([4]);
        let (_, sim) = struck_with(Fault::Error(Operation::WriteAt), tape, async |io| {
            let written = open(&io).await.write_at(9999, Bytes::new()).await;
            assert!(written.is_err());
        });
        assert!(sim.tape().digits().is_empty());
    }

    #[test]
    fn no_descriptor_is_left() {
        let (error, _) = struck(Fault::TooManyFiles, async |io| {
            let error = io.open(path("a"), OpenOptions::ReadOnly).await.unwrap_err();
            open(&io).await;
            error
        });
        let detail = quipu_io::IoError::of(&error).unwrap();
        assert_eq!(detail.cause().raw_os_error(), Some(24));
    }
}

mod room {
    use super::*;

    fn is_full<T>(result: &io::Result<T>) -> bool {
        matches!(result, Err(error) if error.kind() == ErrorKind::StorageFull)
    }

    /// The disk is full from one operation to another, and what was allocated before can be written.
    #[test]
    fn comes_back() {
        // The first digit is how long: 4 operations.
        let tape = Tape::replay([1]);
        let (seen, sim) = struck_with(Fault::FullDisk, tape, async |io| {
            let file = open(&io).await;
            let grown = file.write_at(2048, vec![1; 1].into()).await;
            let within = file.write_at(0, vec![1; 2048].into()).await;
            let created = io.open(path("new"), OpenOptions::Create).await;
            assert_ne!(io.available_space(path("")).await.unwrap(), 0);
            let again = io.open(path("new"), OpenOptions::Create).await;
            let grown_again = file.write_at(2048, vec![1; 1].into()).await;
            [
                is_full(&grown),
                is_full(&within),
                is_full(&created),
                is_full(&again),
                is_full(&grown_again),
            ]
        });
        assert_eq!(seen, [true, false, true, false, false]);
        let count = |operation| sim.faults().count(Fault::StorageFull(operation));
        assert_eq!(count(Operation::WriteAt), 1);
        assert_eq!(count(Operation::Open), 1);
        assert_eq!(sim.faults().count(Fault::RoomAgain), 1);
    }

    /// Nor does it outlive the machine.
    #[test]
    fn is_there_after_a_crash() {
        let (_, sim) = struck(Fault::FullDisk, async |io| open(&io).await);
        let sim = Sim::boot(sim.crash(), SimOptions::default());
        let io = sim.io();
        let opened = sim.block_on(io.open(path("new"), OpenOptions::CreateNew));
        assert!(opened.unwrap().is_ok());
    }

    #[test]
    fn runs_out_in_the_middle_of_a_write() {
        // Two quarters of what is beyond the end.
        let (seen, sim) = struck_with(Fault::PartialWrite, Tape::replay([2]), async |io| {
            let file = open(&io).await;
            let written = file.write_at(1024, vec![b'x'; 2048].into()).await;
            assert!(is_full(&written));
            file.read_at(0, 9999).await.unwrap()
        });
        assert_eq!(seen.len(), 2048 + 512);
        assert!(seen[1024..].iter().all(|byte| *byte == b'x'));
        let full = Fault::StorageFull(Operation::WriteAt);
        assert_eq!(sim.faults().count(full), 1);
    }

    /// Space that was allocated is there, for writes and for syncs.
    #[test]
    fn is_never_missing_where_it_was_allocated() {
        let sim = sim();
        let rates = FaultRates::default()
            .with(Fault::PartialWrite, 10_000)
            .with(Fault::StorageFull(Operation::SyncData), 10_000);
        let io = sim.io();
        sim.faults().set_rates(rates);
        sim.run(async {
            let file = open(&io).await;
            file.allocate(0, 9000).await.unwrap();
            file.write_at(0, vec![1; 9000].into()).await.unwrap();
            file.sync_data().await.unwrap();
        })
        .unwrap();
        assert!(sim.faults().fired().is_empty());
        assert!(sim.tape().digits().is_empty());
    }

    #[test]
    fn is_missing_in_a_rename_a_link_and_a_sync() {
        let full = Fault::StorageFull;
        let (result, _) = struck(full(Operation::Rename), async |io| {
            let result = io.rename(path("a"), path("c")).await;
            assert!(io.open(path("a"), OpenOptions::ReadOnly).await.is_ok());
            result
        });
        assert!(is_full(&result));
        let (result, _) = struck(full(Operation::HardLink), async |io| {
            io.hard_link(path("a"), path("c")).await
        });
        assert!(is_full(&result));
        let (result, _) = struck(full(Operation::SyncDir), async |io| {
            io.sync_dir(path("")).await
        });
        assert!(is_full(&result));
        for operation in [Operation::SyncData, Operation::SyncAll] {
            // What was written behind the end of the file is late: everything of it is forgotten.
            let tape = Tape::replay([1]);
            let (result, sim) = struck_with(full(operation), tape, async |io| {
                let file = open(&io).await;
                file.write_at(2048, vec![b'x'; SECTOR].into())
                    .await
                    .unwrap();
                match operation {
                    Operation::SyncData => file.sync_data().await,
                    _ => file.sync_all().await,
                }
            });
            assert!(is_full(&result));
            assert_eq!(sim.faults().count(Fault::ForgottenSectors), 1);
            assert_eq!(sim.faults().count(Fault::FailedSync), 0);
        }
    }
}

mod syncs {
    use super::*;

    /// What each way of failing is counted as.
    #[test]
    fn every_part_of_a_failure_is_counted() {
        for told in [true, false] {
            for (forget, evict, parts) in [
                (Forget::Nothing, false, &[][..]),
                (
                    Forget::Everything,
                    false,
                    &[Fault::ForgottenSectors, Fault::ShownSectors][..],
                ),
                (
                    Forget::Some,
                    true,
                    &[Fault::PartlyForgottenSectors, Fault::EvictedSectors][..],
                ),
            ] {
                let sim = sim();
                let how = FailedSync {
                    told,
                    forget,
                    evict,
                };
                sim.faults().fail_nth_sync(1, how);
                let io = sim.io();
                let result = sim.run(async {
                    let file = open(&io).await;
                    file.write_at(0, Bytes::from_static(b"x")).await.unwrap();
                    file.sync_data().await
                });
                assert_eq!(result.unwrap().is_err(), told);
                let outcome = match told {
                    true => Fault::FailedSync,
                    false => Fault::SilentlyFailedSync,
                };
                let mut expected = BTreeSet::from([outcome]);
                expected.extend(parts);
                let fired: BTreeSet<Fault> = sim.faults().fired().into_keys().collect();
                assert_eq!(fired, expected);
            }
        }
    }

    #[test]
    fn a_write_makes_forgotten_sectors_dirty_again() {
        let sim = sim();
        let how = FailedSync {
            forget: Forget::Everything,
            ..FailedSync::default()
        };
        sim.faults().fail_nth_sync(1, how);
        let io = sim.io();
        sim.run(async {
            let file = open(&io).await;
            file.write_at(0, Bytes::from_static(b"x")).await.unwrap();
            assert!(file.sync_data().await.is_err());
            file.write_at(4096, Bytes::from_static(b"y")).await.unwrap();
            assert_eq!(sim.faults().count(Fault::RedirtiedSectors), 0);
            file.write_at(600, Bytes::from_static(b"y")).await.unwrap();
            file.write_at(600, Bytes::from_static(b"y")).await.unwrap();
        })
        .unwrap();
        assert_eq!(sim.faults().count(Fault::RedirtiedSectors), 1);
    }

    /// What the disk never saw in one life it cannot be thrown back to in the next.
    #[test]
    fn a_failed_sync_leaves_nothing_that_an_earlier_one_forgot() {
        let fail = |sim: &Sim, byte: u8| {
            let how = FailedSync {
                forget: Forget::Everything,
                evict: byte == b'y',
                ..FailedSync::default()
            };
            sim.faults().fail_nth_sync(1, how);
            let io = sim.io();
            sim.run(async {
                let file = open(&io).await;
                file.write_at(0, vec![byte; SECTOR].into()).await.unwrap();
                assert!(file.sync_data().await.is_err());
                file.read_at(0, 1).await.unwrap()[0]
            })
            .unwrap()
        };
        let first = sim();
        assert_eq!(fail(&first, b'x'), b'x');
        let options = SimOptions {
            tape: Tape::replay([1]),
            ..SimOptions::default()
        };
        let second = Sim::boot(first.crash(), options);
        assert_eq!(fail(&second, b'y'), b'0');
        assert!(second.tape().digits().is_empty());
    }

    /// The names that a failed sync of a directory should have saved are not safe.
    #[test]
    fn a_directory_fails_to_sync() {
        let (result, sim) = struck(Fault::FailedSync, async |io| {
            let file = io.open(path("dir/new"), OpenOptions::Create).await.unwrap();
            let result = io.sync_dir(path("dir")).await;
            file.sync_all().await.unwrap();
            result
        });
        assert!(result.is_err());
        assert_eq!(sim.faults().count(Fault::FailedDirectorySync), 1);
        assert!(worst(sim).read("dir/new").is_err());
    }

    #[test]
    fn a_sync_says_ok_and_saves_nothing() {
        for fault in [Fault::SilentlyFailedSync, Fault::LyingSync] {
            let (result, sim) = struck(fault, async |io| {
                let file = open(&io).await;
                file.write_at(0, Bytes::from_static(b"x")).await.unwrap();
                file.sync_data().await
            });
            assert!(result.is_ok());
            assert_eq!(worst(sim).read("a").unwrap()[0], b'0');
        }
    }
}

mod reads {
    use super::*;

    async fn two_reads(io: SimIo) -> [io::Result<Bytes>; 2] {
        let file = open(&io).await;
        [file.read_at(600, 600).await, file.read_at(600, 600).await]
    }

    fn right() -> Bytes {
        image().read("a").unwrap().slice(600..1200)
    }

    #[test]
    fn one_bit_is_wrong_once() {
        let tape = Tape::replay([3, 2]);
        let ([first, second], _) = struck_with(Fault::FlippedRead, tape, two_reads);
        let mut expected = right().to_vec();
        expected[3] ^= 4;
        assert_eq!(first.unwrap(), expected);
        assert_eq!(second.unwrap(), right());
    }

    /// Bytes 600 to 1024 are those of a sector that was not asked for: the fourth.
    #[test]
    fn one_sector_is_another_once() {
        let tape = Tape::replay([0, 2]);
        let ([first, second], _) = struck_with(Fault::MisdirectedRead, tape, two_reads);
        let first = first.unwrap();
        assert!(first[..424].iter().all(|byte| *byte == b'3'));
        assert_eq!(first[424..], right()[424..]);
        assert_eq!(second.unwrap(), right());
    }

    /// The other sector may be the last, of which there is only a part.
    #[test]
    fn what_another_sector_does_not_have_is_zeros() {
        let tape = Tape::replay([0, 3]);
        let ((), _) = struck_with(Fault::MisdirectedRead, tape, async |io| {
            let file = open(&io).await;
            file.write_at(2048, Bytes::from_static(b"xy"))
                .await
                .unwrap();
            let read = file.read_at(512, 512).await.unwrap();
            assert_eq!(read[..3], *b"xy\0");
            assert!(read[2..].iter().all(|byte| *byte == 0));
        });
    }

    #[test]
    fn a_sector_stays_unreadable() {
        let tape = Tape::replay([424]);
        let ([first, second], sim) = {
            let options = SimOptions {
                tape,
                ..SimOptions::default()
            };
            let sim = Sim::boot(image(), options);
            sim.faults().strike_nth(Fault::UnreadableSector, 1);
            (sim.run(two_reads(sim.io())).unwrap(), sim)
        };
        assert!(first.is_err() && second.is_err());
        assert_eq!(sim.faults().count(Fault::UnreadableSector), 2);
        let io = sim.io();
        sim.run(async {
            let file = open(&io).await;
            file.read_at(0, 1024).await.unwrap();
            assert!(file.read_at(1024, 1).await.is_err());
            file.write_at(1024, vec![0; SECTOR].into()).await.unwrap();
            file.read_at(0, 2048).await.unwrap();
        })
        .unwrap();
    }

    /// A file is damaged once in a lifetime, and another file once too.
    #[test]
    fn a_file_is_damaged_once() {
        let sim = Sim::boot(
            image(),
            SimOptions {
                tape: Tape::seeded(1),
                ..SimOptions::default()
            },
        );
        sim.faults()
            .set_rates(FaultRates::default().with(Fault::FlippedRead, 10_000));
        let io = sim.io();
        sim.run(async {
            for name in ["a", "dir/b"] {
                let file = io.open(path(name), OpenOptions::ReadOnly).await.unwrap();
                for _ in 0..5 {
                    file.read_at(0, 10).await.unwrap();
                }
            }
        })
        .unwrap();
        assert_eq!(sim.faults().count(Fault::FlippedRead), 2);
    }
}

mod writes {
    use super::*;

    /// Writes a sector and syncs it.
    async fn write(io: SimIo) -> Bytes {
        let file = open(&io).await;
        file.write_at(512, vec![b'x'; SECTOR].into()).await.unwrap();
        file.sync_data().await.unwrap();
        file.read_at(0, 2048).await.unwrap()
    }

    fn sectors(content: &Bytes) -> String {
        content.chunks(SECTOR).map(|s| char::from(s[0])).collect()
    }

    /// The first digit is whether the page cache has it.
    #[test]
    fn one_is_lost() {
        for (evicted, seen) in [(0, "0x23"), (1, "0123")] {
            let tape = Tape::replay([evicted]);
            let (shown, sim) = struck_with(Fault::LostWrite, tape, write);
            assert_eq!(sectors(&shown), seen);
            assert_eq!(sectors(&worst(sim).read("a").unwrap()), "0123");
        }
    }

    #[test]
    fn one_lands_elsewhere() {
        for (evicted, seen) in [(0, "0xx3"), (1, "01x3")] {
            let tape = Tape::replay([1, evicted]);
            let (shown, sim) = struck_with(Fault::MisdirectedWrite, tape, write);
            assert_eq!(sectors(&shown), seen);
            assert_eq!(sectors(&worst(sim).read("a").unwrap()), "01x3");
        }
    }

    #[test]
    fn a_bit_rots_for_good() {
        let read = async |io: SimIo| open(&io).await.read_at(0, 2048).await.unwrap();
        let (shown, sim) = struck_with(Fault::Rot, Tape::replay([512, 1]), read);
        assert_eq!(sectors(&shown), "0323");
        let again = sim.run(read(sim.io())).unwrap();
        assert_eq!(again, shown);
        assert_eq!(worst(sim).read("a").unwrap(), shown);
    }
}

mod surroundings {
    use super::*;

    /// All the names of strays, over both kinds and all choices.
    #[test]
    fn strays_lie_in_a_listed_directory() {
        let mut names = BTreeSet::new();
        for (fault, kind, choices) in [
            (Fault::StrayFile, EntryKind::File, 5),
            (Fault::StrayDirectory, EntryKind::Directory, 2),
        ] {
            for choice in 0..choices {
                let tape = Tape::replay([choice]);
                let (listed, sim) = struck_with(fault, tape, async |io| {
                    io.read_dir(path("dir")).await.unwrap()
                });
                assert_eq!(listed.len(), 2);
                let stray = listed.into_iter().find(|entry| entry.name != "b").unwrap();
                assert_eq!(stray.kind, kind);
                let mut image = worst(sim);
                assert_eq!(image.list("dir").unwrap().len(), 2);
                names.insert(stray.name.into_string().unwrap());
            }
        }
        let expected = [
            "core",
            ".nfs0001",
            "b~",
            "b.bak",
            "b.swp",
            "lost+found",
            "b.d",
        ];
        assert_eq!(names, expected.map(String::from).into());
    }

    /// A directory that is not there is not made by a stray.
    #[test]
    fn strays_make_no_directory() {
        let sim = sim();
        sim.faults().strike_nth(Fault::StrayDirectory, 1);
        sim.faults().strike_nth(Fault::StrayFile, 1);
        let io = sim.io();
        let listed = sim.run(io.read_dir(path("missing"))).unwrap();
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(sim.faults().fired().is_empty());
    }

    #[test]
    fn a_listing_is_shuffled() {
        let (listed, _) = struck_with(Fault::ShuffledListing, Tape::replay([1]), async |io| {
            io.read_dir(path("")).await.unwrap()
        });
        assert_eq!([&listed[0].name, &listed[1].name], ["dir", "a"]);
    }

    #[test]
    fn an_operation_stalls_and_another_overtakes_it() {
        let (order, sim) = struck_with(Fault::Stall, Tape::replay([1]), async |io| {
            let order = std::sync::Mutex::new(Vec::new());
            let read = async |label| {
                io.available_space(path("")).await.unwrap();
                order.lock().unwrap().push((label, io.now()));
            };
            futures::future::join(read("stalled"), read("quick")).await;
            order.into_inner().unwrap()
        });
        let usual = Duration::from_micros(10);
        let stalled = usual + Duration::from_secs(10);
        assert_eq!(order, [("quick", usual), ("stalled", stalled)]);
        assert_eq!(sim.faults().count(Fault::OutOfOrder), 1);
    }

    #[test]
    fn the_calendar_jumps() {
        let (jump, _) = struck_with(Fault::ClockJump, Tape::replay([3]), async |io| {
            let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            let first = before.duration_since(io.wall_clock()).unwrap();
            // It stays where it has jumped to, and monotonic time knows nothing of it.
            assert_eq!(before.duration_since(io.wall_clock()).unwrap(), first);
            assert_eq!(io.now(), Duration::ZERO);
            first
        });
        assert_eq!(jump, Duration::from_secs(3600));
    }
}
