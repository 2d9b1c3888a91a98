//! Invariant: `docs/tuning.md` names every public field of every option of a store.

use std::collections::BTreeSet;

use quipu_kv::manifest::KeyspaceOptions;
use quipu_kv::{Options, Stats, Strategy};

const TUNING: &str = include_str!("../../../../docs/tuning.md");

/// The names of fields in what `Debug` prints: words before a colon.
fn fields(debug: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let before_colons = debug.match_indices(':').map(|(at, _)| &debug[..at]);
    before_colons
        .filter_map(|text| text.rsplit(|letter| !is_part(letter)).next())
        .map(str::to_owned)
        .collect()
}

fn all_fields() -> BTreeSet<String> {
    let mut all = fields(&format!("{:?}", KeyspaceOptions::default()));
    for strategy in [
        Strategy::Leveled(Default::default()),
        Strategy::SimpleLeveled(Default::default()),
        Strategy::Tiered(Default::default()),
        Strategy::TimeWindow(Default::default()),
    ] {
        let mut options = Options::default();
        options.compaction.strategy = strategy;
        all.extend(fields(&format!("{options:?}")));
    }
    all
}

fn unnamed(fields: &BTreeSet<String>) -> Vec<&String> {
    let is_unnamed = |field: &&String| !TUNING.contains(&format!("`{field}`"));
    fields.iter().filter(is_unnamed).collect()
}

#[test]
fn the_guide_names_every_option() {
    let fields = all_fields();
    for known in [
        "wal",
        "block_bytes",
        "ttl",
        "zero_ahead_bytes",
        "sorted_from",
    ] {
        assert!(fields.contains(known), "{known} is not among {fields:?}");
    }
    assert_eq!(
        unnamed(&fields),
        Vec::<&String>::new(),
        "write what they do"
    );
}

#[test]
fn the_guide_names_every_figure() {
    let dir = tempfile::tempdir().unwrap();
    let stats: Stats = smol::block_on(async {
        let io = quipu_io::DiskIo::new()?;
        let db = quipu_kv::Db::open(io, dir.path(), Options::default()).await?;
        Ok::<_, quipu_kv::Error>(db.stats())
    })
    .unwrap();
    let fields = fields(&format!("{stats:?}"));
    assert!(fields.contains("table_bytes"));
    assert_eq!(
        unnamed(&fields),
        Vec::<&String>::new(),
        "write what they tell"
    );
}
