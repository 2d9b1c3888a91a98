//! What can be done to the files of a scene, one damage at a time or two.

use std::collections::BTreeSet;

use quipu_io::Bytes;

use crate::common::Files;
use crate::scenes::Scene;

/// The positions in a file at which damage may make a difference.
fn positions(content: &[u8]) -> impl Iterator<Item = usize> {
    let set = |at: usize| content.get(at).is_some_and(|byte| *byte != 0);
    (0..content.len()).filter(move |&at| {
        set(at) || set(at + 1) || at > 0 && set(at - 1) || at % 251 == 0 || at + 1 == content.len()
    })
}

/// Every damage to one scene: what was done, and the files then.
pub(crate) fn damages(scene: &Scene) -> impl Iterator<Item = (String, Files)> {
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
pub(crate) fn double_damages(scene: &Scene) -> impl Iterator<Item = (String, Files)> {
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
