//! Invariant: whatever one piece of damage does to a journal's directory, open gives the right
//! state, or an error that names a file of it and has changed nothing; or, only where nothing intact
//! proves more, the longest intact prefix, and the report names what was dropped. Never a wrong
//! state, and never a panic. A journal that opens goes on.
//!
//! What is allowed is judged by a second reading of the format, below, which shares no code with
//! the journal's own.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking, and their files are small"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use common::{Edit, Files, Map, last_seq, set, small_options, state};
use quipu_io::sim::{DiskImage, Sim, SimIo, SimOptions};
use quipu_io::{Bytes, DiskIo, Io};
use quipu_journal::{Error, Journal, Left, Reader};

const DIR: &str = "journal";
const SEAL: usize = 4096;
const FRAMES: usize = 8192;

/// Checksums, positions and proofs, read from the bytes of a directory as the format describes them.
mod judge {
    use super::*;

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    pub(super) fn sum(generation: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&generation.to_le_bytes()), bytes)
    }

    pub(super) fn generation(segment: &[u8]) -> u64 {
        u64_at(segment, 24)
    }

    struct Segment {
        first: u64,
        /// The highest number that anything intact in it proves.
        proven: u64,
        names_successor: bool,
        /// The last edit of its intact frames, and where they end.
        last: u64,
        end: usize,
        /// The last byte that is not zero, and one.
        used: usize,
    }

    fn read(bytes: &[u8]) -> Option<Segment> {
        if bytes.len() < FRAMES || &bytes[..8] != b"QUIPULOG" {
            return None;
        }
        let generation = generation(bytes);
        if sum(generation, &bytes[..156]) != u32_at(bytes, 156) {
            return None;
        }
        let first = u64_at(bytes, 32);
        let mut segment = Segment {
            first,
            proven: u64_at(bytes, 80).max(first - 1),
            names_successor: false,
            last: first - 1,
            end: FRAMES,
            used: bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1,
        };
        let seal = &bytes[SEAL..SEAL + 64];
        if &seal[..8] == b"QUIPSEAL" && sum(generation, &seal[..60]) == u32_at(seal, 60) {
            segment.proven = segment.proven.max(u64_at(seal, 24));
            segment.names_successor = u64_at(seal, 40) != 0;
        }
        for at in (FRAMES..bytes.len().saturating_sub(39)).step_by(8) {
            let header = &bytes[at..at + 40];
            if u64_at(header, 32) != at as u64 || sum(generation, &header[4..]) != u32_at(header, 0)
            {
                continue;
            }
            segment.proven = segment.proven.max(u64_at(header, 24));
            let end = at + 40 + (u32_at(header, 8) as usize).next_multiple_of(8);
            let payload = bytes.get(at + 40..end);
            if at == segment.end
                && payload.is_some_and(|payload| sum(generation, payload) == u32_at(header, 4))
            {
                segment.end = end;
                segment.last = u64_at(header, 16) + u64::from(u32_at(header, 12)) - 1;
            }
        }
        Some(segment)
    }

    /// A prefix that may be shown, and what has to be reported as dropped.
    pub(super) struct Prefix {
        pub(super) last: u64,
        pub(super) discarded: Option<(String, usize, usize)>,
    }

    /// The only prefix that may be shown of these files; `None` if less than all is an error.
    pub(super) fn prefix(files: &Files) -> Option<Prefix> {
        let names = files.ending(".log");
        let mut proven = 0;
        for name in files.ending(".snap") {
            proven = proven.max(name["map-".len()..][..20].parse().unwrap());
        }
        let mut last = None;
        for name in &names {
            let segment = read(&files.0[name])?;
            proven = proven.max(segment.proven);
            last = Some((name, segment));
        }
        let (name, segment) = last?;
        if segment.names_successor || proven > segment.last || segment.first == 0 {
            return None;
        }
        let discarded = (segment.used > segment.end)
            .then(|| (name.clone(), segment.end, segment.used - segment.end));
        Some(Prefix {
            last: segment.last,
            discarded,
        })
    }
}

/// A directory with a known history.
struct Scene {
    name: &'static str,
    edits: Vec<Edit>,
    /// The states after each number of edits.
    states: Vec<Map>,
    files: Files,
    image: DiskImage,
    /// What each file held at earlier moments.
    older: BTreeMap<String, BTreeSet<Bytes>>,
}

/// Makes a scene, step by step, in a simulated world.
struct Builder {
    sim: Sim,
    journal: Option<Journal<Map, SimIo>>,
    edits: Vec<Edit>,
    states: Vec<Map>,
    older: BTreeMap<String, BTreeSet<Bytes>>,
}

impl Builder {
    fn new() -> Builder {
        let mut builder = Builder {
            sim: Sim::new(SimOptions::default()),
            journal: None,
            edits: Vec::new(),
            states: vec![Map::default()],
            older: BTreeMap::new(),
        };
        builder.open();
        builder
    }

    fn open(&mut self) {
        let opening = Journal::open(self.sim.io(), DIR, small_options());
        self.journal = Some(self.sim.run(opening).unwrap().unwrap());
        self.remember();
    }

    fn append(&mut self, edit: Edit) {
        self.batch([edit]);
    }

    fn batch<const N: usize>(&mut self, edits: [Edit; N]) {
        for edit in &edits {
            let mut next = self.states.last().unwrap().clone();
            let _ = quipu_journal::Replayable::apply(&mut next, edit.clone());
            self.states.push(next);
        }
        self.edits.extend(edits.iter().cloned());
        let append = self.journal.as_ref().unwrap().append_batch(edits);
        self.sim.run(append).unwrap().unwrap();
        self.remember();
    }

    fn snapshot(&mut self) {
        let snapshot = self.journal.as_ref().unwrap().snapshot();
        self.sim.run(snapshot).unwrap().unwrap();
        self.remember();
    }

    fn close(&mut self) {
        let close = self.journal.take().unwrap().close();
        self.sim.run(close).unwrap().unwrap();
        self.remember();
    }

    /// Ends it without a close.
    fn stop(&mut self) {
        self.journal = None;
        self.sim.run_until_idle().unwrap();
    }

    fn files(&self) -> Files {
        Files::of_image(&mut self.sim.image(), DIR)
    }

    fn remember(&mut self) {
        for (name, content) in self.files().0 {
            self.older.entry(name).or_default().insert(content);
        }
    }

    fn finish(mut self, name: &'static str) -> Scene {
        self.stop();
        let files = self.files();
        for (name, versions) in &mut self.older {
            if let Some(now) = files.0.get(name) {
                versions.remove(now);
            }
        }
        Scene {
            name,
            edits: std::mem::take(&mut self.edits),
            states: std::mem::take(&mut self.states),
            image: files.to_image(DIR),
            files,
            older: std::mem::take(&mut self.older),
        }
    }
}

/// Several segments and two snapshots; a segment that recovery made, and a batch.
fn long() -> Builder {
    let mut builder = Builder::new();
    for key in 0..5 {
        builder.append(set(key, 150));
    }
    builder.snapshot();
    builder.batch([Edit::Add(1), Edit::Refuse, set(7, 20), Edit::Add(2)]);
    builder.append(set(8, 200));
    builder.stop();
    builder.open();
    builder.append(Edit::Add(3));
    builder.append(set(9, 300));
    builder.append(set(10, 300));
    builder.snapshot();
    builder.append(Edit::Add(4));
    builder.batch([Edit::Add(5), set(11, 40)]);
    builder
}

fn clean() -> Scene {
    let mut builder = long();
    builder.close();
    builder.finish("clean")
}

fn unclean() -> Scene {
    long().finish("unclean")
}

/// The last segment holds what recovery copied, and an old seal stands before it.
fn recovered() -> Scene {
    let mut builder = long();
    builder.close();
    builder.open();
    builder.append(Edit::Add(6));
    builder.append(Edit::Add(7));
    builder.stop();
    builder.open();
    builder.append(Edit::Add(8));
    builder.finish("recovered")
}

/// No snapshot, and an old seal in the last segment, which has gone on.
fn reopened() -> Scene {
    let mut builder = Builder::new();
    for key in 0..3 {
        builder.append(set(key, 200));
    }
    builder.close();
    builder.open();
    builder.append(Edit::Add(1));
    builder.append(set(3, 30));
    builder.finish("reopened")
}

/// Nothing was appended to the last segment.
fn untouched() -> Scene {
    let mut builder = Builder::new();
    for key in 0..2 {
        builder.append(set(key, 200));
    }
    builder.stop();
    builder.open();
    builder.snapshot();
    builder.stop();
    builder.open();
    builder.finish("untouched")
}

/// Nothing but a few frames: each is proven by the next one only, and the last one by nothing.
fn young() -> Scene {
    let mut builder = Builder::new();
    builder.append(set(1, 100));
    builder.append(Edit::Add(1));
    builder.append(set(2, 20));
    builder.finish("young")
}

fn new() -> Scene {
    Builder::new().finish("new")
}

/// The positions in a file at which damage may make a difference.
fn positions(content: &[u8]) -> impl Iterator<Item = usize> {
    let set = |at: usize| content.get(at).is_some_and(|byte| *byte != 0);
    (0..content.len()).filter(move |&at| {
        set(at) || set(at + 1) || at > 0 && set(at - 1) || at % 251 == 0 || at + 1 == content.len()
    })
}

/// Every damage to one scene: what was done, and the files then.
fn damages(scene: &Scene) -> impl Iterator<Item = (String, Files)> {
    let names: Vec<_> = scene.files.0.keys().cloned().collect();
    let one = names.into_iter().flat_map(move |name| {
        let content = scene.files.0[&name].clone();
        damages_of(&scene.older[&name], &content)
            .into_iter()
            .map(move |(label, content)| {
                let mut files = scene.files.clone();
                match content {
                    Some(content) => files.0.insert(name.clone(), content),
                    None => files.0.remove(&name),
                };
                (format!("{}: {name} {label}", scene.name), files)
            })
    });
    let kinds = [".log", ".snap"].map(|ending| scene.files.ending(ending));
    let pairs = kinds.into_iter().flat_map(move |names| {
        let mut cases = Vec::new();
        for (index, a) in names.iter().enumerate() {
            for b in &names[index + 1..] {
                let mut files = scene.files.clone();
                files.0.insert(a.clone(), scene.files.0[b].clone());
                cases.push((format!("{}: {b} over {a}", scene.name), files.clone()));
                files.0.insert(b.clone(), scene.files.0[a].clone());
                cases.push((format!("{}: {a} and {b} swapped", scene.name), files));
            }
        }
        cases
    });
    // Files that had been removed come back.
    let gone = scene.older.iter().flat_map(move |(name, versions)| {
        let versions = versions
            .iter()
            .filter(move |_| !scene.files.0.contains_key(name));
        versions.map(move |content| {
            let mut files = scene.files.clone();
            files.0.insert(name.clone(), content.clone());
            (format!("{}: {name} comes back", scene.name), files)
        })
    });
    one.chain(pairs).chain(gone)
}

/// Damage to two files at once, a sample.
fn double_damages(scene: &Scene) -> impl Iterator<Item = (String, Files)> {
    let names: Vec<_> = scene.files.0.keys().collect();
    let mut pairs = Vec::new();
    for (index, a) in names.iter().copied().enumerate() {
        pairs.extend(names[index + 1..].iter().map(|b| (a, *b)));
    }
    pairs.into_iter().flat_map(move |(a, b)| {
        let [of_a, of_b] = [a, b].map(|name| {
            let cases = damages_of(&scene.older[name], &scene.files.0[name]);
            // The first and the last are the coarse ones, and always among them.
            let last = cases.len() - 1;
            let some: Vec<_> = (0..20).map(|n| cases[last * n / 19].clone()).collect();
            some
        });
        of_a.into_iter().flat_map(move |(label_a, content_a)| {
            of_b.clone().into_iter().map(move |(label_b, content_b)| {
                let mut files = scene.files.clone();
                for (name, content) in [(a, content_a.clone()), (b, content_b)] {
                    match content {
                        Some(content) => files.0.insert(name.clone(), content),
                        None => files.0.remove(name),
                    };
                }
                let label = format!("{}: {a} {label_a}, {b} {label_b}", scene.name);
                (label, files)
            })
        })
    })
}

fn damages_of(older: &BTreeSet<Bytes>, content: &Bytes) -> Vec<(String, Option<Bytes>)> {
    let mut cases = vec![("is removed".into(), None)];
    let mut put = |label: String, damaged: Vec<u8>| cases.push((label, Some(damaged.into())));
    for at in positions(content) {
        put(format!("ends at {at}"), content[..at].to_vec());
        let mut damaged = content.to_vec();
        damaged[at] ^= 1 << (at % 8);
        put(format!("has a bit turned at {at}"), damaged);
        if at % 5 == 0 {
            let mut damaged = content.to_vec();
            damaged[at] = !damaged[at];
            put(format!("has a byte turned at {at}"), damaged);
        }
    }
    for at in (0..content.len()).step_by(512) {
        let sector = at..content.len().min(at + 512);
        for fill in [0, 0xFF] {
            let mut damaged = content.to_vec();
            damaged[sector.clone()].fill(fill);
            if damaged != *content {
                put(format!("has {fill:#x} in the sector at {at}"), damaged);
            }
        }
    }
    for (index, content) in older.iter().enumerate() {
        put(format!("is an older copy, {index}"), content.to_vec());
    }
    cases
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Right,
    Prefix,
    Refused,
}

/// Opens the damaged directory and compares with what is allowed.
async fn examine<I: Io>(
    io: I,
    dir: PathBuf,
    scene: &Scene,
    (index, damaged): (usize, &Files),
    now: impl Fn() -> Files,
) -> Outcome {
    let all = scene.states.len() - 1;
    if let Err(error) = read(io.clone(), &dir, scene).await {
        check_error(&error, &dir);
    }
    assert!(now() == *damaged, "the reader has changed bytes");
    let journal = match Journal::<Map, I>::open(io.clone(), &dir, small_options()).await {
        Ok(journal) => journal,
        Err(error) => {
            check_error(&error, &dir);
            let mut after = now();
            if !damaged.0.contains_key("map.lock") {
                after.0.remove("map.lock");
            }
            assert!(after == *damaged, "{error}, and bytes have changed");
            return Outcome::Refused;
        }
    };
    let last = last_seq(&journal).get() as usize;
    assert!(last <= all, "{last} edits of {all}");
    assert_eq!(state(&journal), scene.states[last], "at {last} of {all}");
    let mut outcome = Outcome::Right;
    if last < all {
        outcome = Outcome::Prefix;
        let recovered = journal.recovered();
        let prefix = judge::prefix(damaged);
        let prefix = prefix.unwrap_or_else(|| panic!("{last} of {all} edits: {recovered}"));
        assert_eq!(prefix.last as usize, last, "of {all}: {recovered}");
        let discarded = recovered.discarded.as_ref().map(|discarded| {
            let name = discarded.path.strip_prefix(&dir).unwrap();
            let name = name.to_str().unwrap().to_owned();
            (name, discarded.offset as usize, discarded.bytes as usize)
        });
        assert_eq!(discarded, prefix.discarded, "{recovered}");
    }
    let mut expected = scene.states[last].clone();
    let _ = quipu_journal::Replayable::apply(&mut expected, Edit::Add(77));
    if index.is_multiple_of(2) {
        // It may replace a damaged one, and it removes what it makes superfluous.
        assert_eq!(journal.snapshot().await.unwrap(), last_seq(&journal));
    }
    journal.append(Edit::Add(77)).await.unwrap().unwrap();
    journal.close().await.unwrap();
    let journal = Journal::<Map, I>::open(io, &dir, small_options()).await;
    let journal = journal.unwrap_or_else(|error| panic!("after one more: {error}"));
    assert_eq!(state(&journal), expected);
    assert_eq!(journal.recovered().left, Left::Clean);
    outcome
}

/// Reads without a lock: what comes is right, up to the end or an error.
async fn read<I: Io>(io: I, dir: &Path, scene: &Scene) -> Result<(), Error> {
    let mut reader = Reader::<Map, I>::open(io, dir).await?;
    let proven = reader.proven();
    let mut before = None;
    let mut ended = Ok(());
    loop {
        match reader.next().await {
            Ok(Some((seq, edit))) => {
                assert_eq!(edit, scene.edits[seq.get() as usize - 1], "edit {seq}");
                assert!(before.is_none_or(|before| before + 1 == seq.get()), "{seq}");
                before = Some(seq.get());
            }
            Ok(None) => break,
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    match reader.replay_to(proven).await {
        Ok(map) => assert_eq!(map, scene.states[proven.get() as usize], "at {proven}"),
        Err(Error::NotRetained { .. }) => {}
        Err(error) => check_error(&error, dir),
    }
    ended
}

/// The error is one of those for damage, and names a file in the directory.
fn check_error(error: &Error, dir: &Path) {
    let path = match error {
        Error::Corrupt { path, offset, .. } => {
            assert!(*offset < 1 << 20, "{error}");
            path
        }
        Error::NotAJournal { path } | Error::UnsupportedVersion { path, .. } => path,
        _ => panic!("{error:?}"),
    };
    assert!(path.starts_with(dir), "{error}");
}

fn check_in_memory(scene: &Scene, (index, damaged): (usize, &Files)) -> Outcome {
    let mut image = scene.image.clone();
    for name in scene.files.0.keys() {
        if !damaged.0.contains_key(name) {
            image.remove(Path::new(DIR).join(name)).unwrap();
        }
    }
    for (name, content) in &damaged.0 {
        if scene.files.0.get(name) != Some(content) {
            image
                .write(Path::new(DIR).join(name), content.clone())
                .unwrap();
        }
    }
    let sim = Sim::boot(image, SimOptions::default());
    let now = || Files::of_image(&mut sim.image(), DIR);
    sim.run(examine(sim.io(), DIR.into(), scene, (index, damaged), now))
        .unwrap()
}

/// Runs the cases and says of all that fail what they are. Gives how many ended in which way.
fn run(
    cases: impl Iterator<Item = (String, Files)>,
    check: impl Fn((usize, &Files)) -> Outcome,
) -> BTreeMap<Outcome, u64> {
    let mut outcomes = BTreeMap::new();
    let mut failures = Vec::new();
    for (index, (label, damaged)) in cases.enumerate() {
        match catch_unwind(AssertUnwindSafe(|| check((index, &damaged)))) {
            Ok(outcome) => *outcomes.entry(outcome).or_insert(0) += 1,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                failures.push(format!("{label}: {}", text.unwrap_or_default()));
            }
        }
    }
    failures.truncate(40);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    outcomes
}

/// All damage to a scene, in memory. `least` is how often each outcome must be seen at the least: a
/// journal that refused everything would not do.
fn check_scene(scene: &Scene, least: [u64; 3]) {
    assert_eq!(check_in_memory(scene, (0, &scene.files)), Outcome::Right);
    let outcomes = run(damages(scene), |damaged| check_in_memory(scene, damaged));
    let seen = [Outcome::Right, Outcome::Prefix, Outcome::Refused]
        .map(|outcome| outcomes.get(&outcome).copied().unwrap_or(0));
    assert!(
        seen.iter().zip(least).all(|(seen, least)| *seen >= least),
        "{}: {seen:?} of {least:?}",
        scene.name
    );
}

#[test]
fn damage_to_a_closed_journal() {
    check_scene(&clean(), [4000, 2, 1000]);
}

#[test]
fn damage_to_a_journal_that_was_not_closed() {
    check_scene(&unclean(), [4000, 100, 1000]);
}

#[test]
fn damage_to_a_journal_that_was_recovered() {
    check_scene(&recovered(), [4000, 30, 1000]);
}

#[test]
fn damage_to_a_journal_that_was_reopened() {
    check_scene(&reopened(), [100, 80, 1000]);
}

#[test]
fn damage_to_a_young_journal() {
    check_scene(&young(), [80, 150, 200]);
}

#[test]
fn damage_to_a_journal_whose_last_segment_is_empty() {
    check_scene(&untouched(), [1500, 0, 300]);
}

#[test]
fn damage_to_a_new_journal() {
    check_scene(&new(), [80, 0, 80]);
}

#[test]
fn damage_to_two_files_at_once() {
    for scene in [clean(), unclean(), recovered(), untouched()] {
        let outcomes = run(double_damages(&scene), |case| check_in_memory(&scene, case));
        assert!(outcomes.len() >= 2, "{outcomes:?}");
    }
}

/// A sample of the same on the real backend.
#[test]
fn damage_on_a_real_disk() {
    let io = DiskIo::new().unwrap();
    for scene in [clean(), unclean(), recovered()] {
        let outcomes = run(damages(&scene).step_by(173), |(index, damaged)| {
            let dir = memory_backed_directory();
            damaged.to_directory(dir.path());
            let now = || Files::of_directory(dir.path());
            let path = dir.path().to_owned();
            smol::block_on(examine(io.clone(), path, &scene, (index, damaged), now))
        });
        assert!(outcomes.len() >= 2, "{outcomes:?}");
    }
}

/// The damage is the same on any disk, and syncs cost nothing here.
fn memory_backed_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// One more frame behind the last one of the unclean scene, with checksums that are right.
fn with_frame(scene: &Scene, lengths: [u32; 2], first: u64, payload: &[u8]) -> Files {
    let mut files = scene.files.clone();
    let name = files.ending(".log").pop().unwrap();
    let mut content = files.0[&name].to_vec();
    let generation = judge::generation(&content);
    let end = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let at = end.next_multiple_of(8);
    let mut frame = vec![0; 40];
    frame.extend_from_slice(payload);
    frame.resize(frame.len().next_multiple_of(8), 0);
    let payload_sum = judge::sum(generation, &frame[40..]);
    frame[4..8].copy_from_slice(&payload_sum.to_le_bytes());
    frame[8..12].copy_from_slice(&lengths[0].to_le_bytes());
    frame[12..16].copy_from_slice(&lengths[1].to_le_bytes());
    frame[16..24].copy_from_slice(&first.to_le_bytes());
    frame[32..40].copy_from_slice(&(at as u64).to_le_bytes());
    let own = judge::sum(generation, &frame[4..40]);
    frame[..4].copy_from_slice(&own.to_le_bytes());
    content[at..at + frame.len()].copy_from_slice(&frame);
    files.0.insert(name, content.into());
    files
}

/// Opens, and gives the error or the last edit.
fn open_files(files: &Files) -> Result<u64, Error> {
    let sim = Sim::boot(files.to_image(DIR), SimOptions::default());
    let opened = sim.run(Journal::<Map, SimIo>::open(sim.io(), DIR, small_options()));
    let result = opened.unwrap().map(|journal| last_seq(&journal).get());
    if result.is_err() {
        assert!(Files::of_image(&mut sim.image(), DIR) == *files);
    }
    result
}

/// Lengths that lie although their checksums are right: an error or a torn tail, without the
/// allocation that they ask for.
#[test]
fn lengths_in_frames_are_not_believed() {
    let scene = reopened();
    let next = scene.states.len() as u64;
    let add = |len: u32| [&len.to_le_bytes()[..], &[0, 5]].concat();
    let good = with_frame(&scene, [6, 1], next, &add(2));
    assert_eq!(open_files(&good).unwrap(), next);
    for payload_bytes in [u32::MAX, u32::MAX - 7, 1 << 30, 60_000] {
        let files = with_frame(&scene, [payload_bytes, 1], next, &add(2));
        assert_eq!(open_files(&files).unwrap(), next - 1, "{payload_bytes}");
    }
    let set_of_2_pow_60 = [&[1, 0, 253][..], &(1u64 << 60).to_le_bytes()].concat();
    let set_of_2_pow_60 = [&11u32.to_le_bytes()[..], &set_of_2_pow_60].concat();
    for (lengths, first, payload) in [
        ([6, u32::MAX], next, add(2)),
        ([6, 2], next, add(2)),
        ([6, 1], next, add(u32::MAX)),
        ([6, 1], next, add(1)),
        ([6, 1], next + 1, add(2)),
        ([6, 1], u64::MAX - 1, add(2)),
        ([15, 1], next, set_of_2_pow_60),
    ] {
        let error = open_files(&with_frame(&scene, lengths, first, &payload)).unwrap_err();
        let is_typed = matches!(error, Error::Corrupt { .. } | Error::Decode { .. });
        assert!(is_typed, "{lengths:?} {first}: {error}");
    }
}

/// A snapshot of one part with these lengths, and checksums that are right.
fn snapshot_file(seq: u64, payload_bytes: u64, payload: &[u8]) -> Bytes {
    let generation = 99;
    let mut file = vec![0; 128];
    file[..8].copy_from_slice(b"QUIPUSNP");
    file[8..12].copy_from_slice(&1u32.to_le_bytes());
    file[12..14].copy_from_slice(&1u16.to_le_bytes());
    file[16..24].copy_from_slice(&99u64.to_le_bytes());
    file[24..32].copy_from_slice(&seq.to_le_bytes());
    file[32..36].copy_from_slice(b"\x03map");
    let own = judge::sum(generation, &file[..124]);
    file[124..].copy_from_slice(&own.to_le_bytes());
    let mut stored = payload.to_vec();
    stored.resize(stored.len().next_multiple_of(8), 0);
    let payload_sum = judge::sum(generation, &stored);
    file.extend(record(generation, payload_sum, payload_bytes, 0, 128));
    file.extend_from_slice(&stored);
    let rolling = crc32c::crc32c_append(0, &payload_sum.to_le_bytes());
    let at = file.len() as u64;
    file.extend(record(generation, rolling, 1, u64::MAX, at));
    file.into()
}

fn record(generation: u64, sum: u32, length: u64, index: u64, at: u64) -> Vec<u8> {
    let mut record = vec![0; 4];
    record.extend_from_slice(&sum.to_le_bytes());
    for number in [length, index, at] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    let own = judge::sum(generation, &record[4..]);
    record[..4].copy_from_slice(&own.to_le_bytes());
    record
}

#[test]
fn lengths_and_numbers_in_snapshots_are_not_believed() {
    let scene = reopened();
    let all = scene.states.len() as u64 - 1;
    let totals = [5, 1, 2, 3];
    let with = |seq: u64, file: Bytes| {
        let mut files = scene.files.clone();
        files.0.insert(format!("map-{seq:020}.snap"), file);
        open_files(&files)
    };
    for payload_bytes in [u64::MAX, u64::MAX - 1000, 1 << 60, 1 << 40, 5, 3] {
        // The log goes back to the first edit, so that a damaged snapshot is passed over.
        let opened = with(2, snapshot_file(2, payload_bytes, &totals));
        match payload_bytes {
            // Of the same size on disk, so that the checksum fits: the edit does not.
            3 | 5 => assert!(matches!(opened, Err(Error::Decode { .. })), "{opened:?}"),
            _ => assert_eq!(opened.unwrap(), all, "{payload_bytes}"),
        }
    }
    assert_eq!(with(2, snapshot_file(2, 4, &totals)).unwrap(), all);
    for seq in [all + 1, 1 << 63, u64::MAX - 1] {
        let error = with(seq, snapshot_file(seq, 4, &totals)).unwrap_err();
        assert!(error.is_corrupt(), "{seq}: {error}");
    }
    // No edit can follow this one, so no snapshot is named so.
    let opened = with(u64::MAX, snapshot_file(u64::MAX, 4, &totals));
    assert_eq!(opened.unwrap(), all);
}
