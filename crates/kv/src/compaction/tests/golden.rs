//! What is picked for the shapes in `testdata` is what stands there.
//!
//! `QUIPU_WRITE_GOLDEN=1 cargo test -p quipu-kv golden_picks` writes the answers anew; read the
//! difference.
#![expect(
    clippy::disallowed_methods,
    reason = "the test writes files of the repository"
)]

use std::ops::Bound;
use std::path::Path;

use crate::compaction::{Manual, Situation, backpressure, compact_range, pick};

use super::sound::assert_sound;
use super::text::{Scene, show};

#[test]
fn golden_picks() {
    let files = [
        ("leveled.txt", include_str!("../testdata/leveled.txt")),
        ("simple.txt", include_str!("../testdata/simple.txt")),
        ("tiered.txt", include_str!("../testdata/tiered.txt")),
        ("windows.txt", include_str!("../testdata/windows.txt")),
        ("manual.txt", include_str!("../testdata/manual.txt")),
        ("pressure.txt", include_str!("../testdata/pressure.txt")),
    ];
    let mut wrong = Vec::new();
    for (name, text) in files {
        let answered = answered(text);
        if answered == text {
            continue;
        }
        if std::env::var("QUIPU_WRITE_GOLDEN").is_ok() {
            let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/compaction/testdata");
            std::fs::write(Path::new(directory).join(name), &answered).unwrap();
        }
        let differing = answered.split("\n\n").zip(text.split("\n\n"));
        let differing = differing.filter(|(answered, text)| answered != text);
        wrong.extend(differing.map(|(answered, text)| format!("{name}: {text}\nnow:\n{answered}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The text with the answers that are given now.
fn answered(text: &str) -> String {
    let blocks = text.split("\n\n").map(|block| {
        let asked = block.lines().filter(|line| !line.starts_with('>'));
        let asked: String = asked.flat_map(|line| [line, "\n"]).collect();
        if asked.lines().all(|line| line.starts_with('#')) {
            return asked;
        }
        let answer = answer(&Scene::parse(&asked));
        asked + &answer
    });
    let blocks: Vec<_> = blocks.collect();
    blocks.join("\n")
}

fn answer(scene: &Scene) -> String {
    let version = scene.state.version();
    let keyspace = version.keyspace_named("keyspace").unwrap();
    let at = Situation {
        keyspace,
        running: &scene.running,
        options: &scene.options,
        now: scene.now,
        oldest_snapshot: scene.oldest_snapshot,
    };
    if scene.asks_pressure {
        return format!("> {}\n", backpressure(keyspace, &scene.options));
    }
    let picked = match &scene.range {
        None => pick(&at),
        Some((from, to)) => match compact_range(&at, (bound(from), bound(to))) {
            Manual::Next(picked) => Some(picked),
            Manual::Busy => return "> busy\n".to_owned(),
            Manual::Done => return "> done\n".to_owned(),
        },
    };
    if let Some(picked) = &picked {
        assert_sound(&at, picked);
    }
    show(picked.as_ref())
}

fn bound(key: &str) -> Bound<&[u8]> {
    if key.is_empty() {
        return Bound::Unbounded;
    }
    Bound::Included(key.as_bytes())
}
