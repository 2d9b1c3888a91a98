//! What can be done to the files of a store, one damage at a time.

use std::ops::Range;

use quipu_io::Bytes;
use quipu_io::sim::Random;

use super::scenes::{Files, Scene};

const SECTOR: usize = 512;

/// One damage: what was done, to which files, and the files then.
pub(crate) struct Damage {
    pub(crate) label: String,
    pub(crate) paths: Vec<String>,
    /// Whether a file is an older copy of itself.
    pub(crate) is_older: bool,
    pub(crate) files: Files,
}

/// Files of one kind have content that may be taken for each other's.
fn kind(path: &str) -> (&str, &str) {
    let part = path.rsplit_once('/').map_or("", |(part, _)| part);
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    (part, ending)
}

/// Every damage to a scene. With `bytes`, also one to every byte.
pub(crate) fn damages(scene: &Scene, bytes: bool) -> impl Iterator<Item = Damage> {
    let paths: Vec<&String> = scene.files.0.keys().collect();
    let one = paths.clone().into_iter().flat_map(move |path| {
        let contents = contents(scene, path, bytes).into_iter();
        contents.map(move |(label, content)| damage(scene, label, &[(path, content)]))
    });
    let pairs = paths.clone().into_iter().flat_map(move |a| {
        let others = paths.clone().into_iter();
        let others = others.filter(move |b| a < *b && kind(a) == kind(b));
        others.flat_map(move |b| {
            let [of_a, of_b] = [a, b].map(|path| Some(scene.files.0[path].clone()));
            let over = damage(scene, format!("{b} over {a}"), &[(a, of_b.clone())]);
            let back = damage(scene, format!("{a} over {b}"), &[(b, of_a.clone())]);
            let label = format!("{a} and {b} swapped");
            [over, back, damage(scene, label, &[(a, of_b), (b, of_a)])]
        })
    });
    one.chain(pairs)
}

fn damage(scene: &Scene, label: String, changes: &[(&String, Option<Bytes>)]) -> Damage {
    let mut files = scene.files.clone();
    for (path, content) in changes {
        match content {
            Some(content) => files.0.insert((*path).clone(), content.clone()),
            None => files.0.remove(*path),
        };
    }
    let paths: Vec<String> = changes.iter().map(|(path, _)| (*path).clone()).collect();
    Damage {
        label: format!("{}: {} {label}", scene.name, paths[0]),
        is_older: label.starts_with("is an older copy"),
        paths,
        files,
    }
}

/// What may become of one file.
fn contents(scene: &Scene, path: &str, bytes: bool) -> Vec<(String, Option<Bytes>)> {
    let content = &scene.files.0[path];
    let mut cases = vec![
        ("is removed".to_owned(), None),
        ("is empty".to_owned(), Some(Bytes::new())),
    ];
    let mut put = |label: String, damaged: Vec<u8>| {
        if damaged != *content {
            cases.push((label, Some(damaged.into())));
        }
    };
    for at in (0..content.len()).step_by(SECTOR) {
        let sector = at..content.len().min(at + SECTOR);
        if !is_near_content(content, &sector) {
            continue;
        }
        put(format!("ends at {at}"), content[..at].to_vec());
        let middle = at + sector.len() / 2;
        put(format!("ends at {middle}"), content[..middle].to_vec());
        let step = if bytes { 1 } else { SECTOR / 4 + 5 };
        for place in sector.clone().step_by(step).chain([sector.end - 1]) {
            let mut damaged = content.to_vec();
            damaged[place] ^= 1 << (place % 8);
            put(format!("has a bit turned at {place}"), damaged);
        }
        put(format!("has zeros at {at}"), with(content, &sector, &[]));
        let mut random = Random::new(at as u64, 7);
        let noise: Vec<u8> = sector.clone().map(|_| random.next() as u8).collect();
        put(format!("has noise at {at}"), with(content, &sector, &noise));
        let next = (at + SECTOR) % content.len().next_multiple_of(SECTOR);
        let neighbour = next..content.len().min(next + SECTOR);
        let mut swapped = with(content, &sector, &content[neighbour.clone()]);
        if neighbour.len() == sector.len() {
            swapped = with(&swapped, &neighbour, &content[sector.clone()]);
        }
        put(
            format!("has the sectors at {at} and {next} swapped"),
            swapped,
        );
        for other in scene.files.0.keys().filter(|other| *other != path) {
            let theirs = scene.files.0[other].get(sector.clone());
            if let Some(theirs) = theirs.filter(|_| kind(other) == kind(path)) {
                let label = format!("has the sector at {at} of {other}");
                put(label, with(content, &sector, theirs));
            }
        }
    }
    for (index, older) in scene.older[path].iter().enumerate() {
        put(format!("is an older copy, {index}"), older.to_vec());
    }
    cases
}

/// Whether something is in the sector or just before it: in the midst of zeros all is the same.
fn is_near_content(content: &[u8], sector: &Range<usize>) -> bool {
    let near = sector.start.saturating_sub(SECTOR)..sector.end;
    sector.start.is_multiple_of(4096) || content[near].iter().any(|byte| *byte != 0)
}

/// The content with other bytes in a range, and zeros where they are too few.
fn with(content: &[u8], range: &Range<usize>, bytes: &[u8]) -> Vec<u8> {
    let mut damaged = content.to_vec();
    let place = &mut damaged[range.clone()];
    place.fill(0);
    let len = place.len().min(bytes.len());
    place[..len].copy_from_slice(&bytes[..len]);
    damaged
}
