//! What holds of every compaction, whoever picks it: the invariants of the module, checked against
//! all tables by plain loops.

use std::collections::BTreeSet;

use crate::compaction::{Compaction, Kind, Situation};
use crate::manifest::SstMetadata;

pub(super) fn assert_sound(at: &Situation<'_>, picked: &Compaction) {
    let inputs: BTreeSet<_> = picked.inputs.iter().map(|table| table.filenum).collect();
    assert_eq!(
        inputs.len(),
        picked.inputs.len(),
        "an input twice: {picked:?}"
    );
    assert!(!inputs.is_empty(), "no input: {picked:?}");
    assert!(
        inputs.is_disjoint(at.running),
        "a running input: {picked:?}"
    );
    let live: BTreeSet<_> = at.keyspace.tables().map(|table| table.filenum).collect();
    assert!(
        inputs.is_subset(&live),
        "an input that is not there: {picked:?}"
    );

    let staying = at.keyspace.tables();
    let staying = staying.filter(|table| !inputs.contains(&table.filenum));
    let staying: Vec<&SstMetadata> = staying.map(|table| &**table).collect();
    let to = picked.output_level;
    for input in &picked.inputs {
        for table in staying.iter().filter(|table| table.overlaps(input)) {
            let older = is_older(table, input);
            let is_hidden = older && table.min_seq <= input.max_seq;
            match picked.kind {
                Kind::Drop => assert!(!is_hidden, "{table:?} comes back without {input:?}"),
                Kind::Move | Kind::Merge if older => {
                    assert!(
                        to < table.level || (to == 0 && table.level == 0),
                        "{table:?} gets above {input:?}"
                    );
                }
                Kind::Move | Kind::Merge => {
                    assert!(
                        to > table.level || (to == 0 && table.level == 0),
                        "{table:?} gets below {input:?}"
                    );
                }
            }
            assert!(
                picked.kind != Kind::Merge || !picked.drop_tombstones || !is_hidden,
                "{table:?} comes back when tombstones of {input:?} go"
            );
        }
    }
    if to == 0 && picked.kind != Kind::Drop {
        assert_within_level0(picked, &staying);
    } else if picked.kind != Kind::Drop {
        let smallest = picked
            .inputs
            .iter()
            .map(|table| &table.smallest)
            .min()
            .unwrap();
        let largest = picked
            .inputs
            .iter()
            .map(|table| &table.largest)
            .max()
            .unwrap();
        let mut beside = staying.iter().filter(|table| table.level == to);
        let between = beside.find(|table| table.smallest <= *largest && *smallest <= table.largest);
        let moved_apart = picked.kind == Kind::Move;
        assert!(
            moved_apart || between.is_none(),
            "{between:?} is amid the outputs of {picked:?}"
        );
    }
    if picked.kind == Kind::Move {
        for (place, table) in picked.inputs.iter().enumerate() {
            assert_ne!(table.level, to, "moved to where it is");
            let rest = &picked.inputs[place + 1..];
            let overlapping = rest.iter().find(|other| other.overlaps(table));
            assert!(
                overlapping.is_none(),
                "{overlapping:?} is moved to {table:?}"
            );
        }
    }
}

/// What is merged within level 0 stands in one order with what stays there.
fn assert_within_level0(picked: &Compaction, staying: &[&SstMetadata]) {
    let seqs = picked.inputs.iter().map(|table| table.max_seq);
    let (first, last) = (seqs.clone().min().unwrap(), seqs.max().unwrap());
    let mut level0 = staying.iter().filter(|table| table.level == 0);
    assert!(level0.all(|table| table.max_seq < first || last < table.max_seq));
    assert_eq!(picked.max_output_bytes, u64::MAX);
    assert!(picked.cut_at.is_empty());
}

/// By place alone, and written down independently of the pickers.
fn is_older(table: &SstMetadata, other: &SstMetadata) -> bool {
    table.level > other.level
        || (table.level == other.level
            && (table.max_seq, table.filenum) < (other.max_seq, other.filenum))
}
