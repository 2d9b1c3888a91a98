//! Each law that `quipu_journal::laws` checks is broken by one machine here, and told.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use quipu_journal::Replayable;
use quipu_journal::laws::{self, Violation};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a machine breaks a law.
trait Fault: Send + Sync + 'static {
    fn apply(sum: u64, edit: u64) -> u64 {
        sum.wrapping_add(edit)
    }

    fn answer(sum: u64) -> u64 {
        sum
    }

    fn snapshot(sum: u64) -> u64 {
        sum
    }

    fn parts(sum: u64) -> Vec<u64> {
        vec![sum / 2, sum - sum / 2]
    }
}

struct Machine<F>(u64, PhantomData<F>);

impl<F: Fault> Replayable for Machine<F> {
    type Edit = Edit;
    type Output = u64;

    fn filename_prefix() -> &'static str {
        "laws"
    }

    fn initial() -> Self {
        Machine(0, PhantomData)
    }

    fn apply(&mut self, edit: Edit) -> u64 {
        self.0 = F::apply(self.0, edit.0);
        F::answer(self.0)
    }

    fn snapshot(&self) -> Edit {
        Edit(F::snapshot(self.0))
    }

    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = Edit> + Send> {
        Box::new(F::parts(self.0).into_iter().map(Edit))
    }
}

/// Does not encode if it is 404, and comes back as another if it is 7.
struct Edit(u64);

impl Serialize for Edit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == 404 {
            return Err(serde::ser::Error::custom("not this one"));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Edit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Ok(Edit(if value == 7 { 8 } else { value }))
    }
}

fn check<F: Fault>(edits: &[u64]) -> Result<(), Violation> {
    laws::check::<Machine<F>>(edits.iter().copied().map(Edit))
}

struct Lawful;
impl Fault for Lawful {}

#[test]
fn a_lawful_machine_passes() {
    check::<Lawful>(&[]).unwrap();
    check::<Lawful>(&[1, 2, 3, 100_000]).unwrap();
    let many: Vec<u64> = (100..400).collect();
    check::<Lawful>(&many).unwrap();
}

#[test]
fn an_edit_that_does_not_encode_or_come_back_is_told() {
    let error = check::<Lawful>(&[1, 404]).unwrap_err();
    assert!(
        matches!(error, Violation::Encode { index: 1, .. }),
        "{error}"
    );
    let error = check::<Lawful>(&[1, 2, 7]).unwrap_err();
    assert!(
        matches!(error, Violation::RoundTrip { index: 2, .. }),
        "{error}"
    );
}

/// What a clock or a random number would do.
static CALLS: AtomicU64 = AtomicU64::new(0);

#[test]
fn an_answer_from_elsewhere_is_told() {
    struct Moody;
    impl Fault for Moody {
        fn answer(sum: u64) -> u64 {
            sum + CALLS.fetch_add(1, Ordering::Relaxed)
        }
    }
    assert_eq!(
        check::<Moody>(&[1]).unwrap_err(),
        Violation::Answer { index: 0 }
    );
}

#[test]
fn a_state_from_elsewhere_is_told() {
    struct Moody;
    impl Fault for Moody {
        fn apply(sum: u64, edit: u64) -> u64 {
            sum + edit + CALLS.fetch_add(1, Ordering::Relaxed)
        }

        fn answer(_: u64) -> u64 {
            0
        }
    }
    assert_eq!(
        check::<Moody>(&[1]).unwrap_err(),
        Violation::State { edits: 1 }
    );
}

#[test]
fn a_snapshot_that_forgets_is_told() {
    struct Forgetful;
    impl Fault for Forgetful {
        fn snapshot(sum: u64) -> u64 {
            sum.min(5)
        }
    }
    let error = check::<Forgetful>(&[1, 2, 3]).unwrap_err();
    assert_eq!(error, Violation::Snapshot { edits: 3 });

    struct ForgetfulParts;
    impl Fault for ForgetfulParts {
        fn parts(sum: u64) -> Vec<u64> {
            vec![sum / 2]
        }
    }
    let error = check::<ForgetfulParts>(&[2]).unwrap_err();
    assert_eq!(error, Violation::Snapshot { edits: 1 });
}

#[test]
fn a_panic_is_told() {
    struct Panics;
    impl Fault for Panics {
        fn apply(sum: u64, edit: u64) -> u64 {
            assert_ne!(edit, 3, "on purpose");
            sum + edit
        }
    }
    let error = check::<Panics>(&[1, 3]).unwrap_err();
    assert_eq!(
        error,
        Violation::Panic {
            edits: 1,
            what: "apply"
        }
    );
}

#[test]
fn golden_bytes_decode_or_are_told() {
    let bytes = laws::encode::<Machine<Lawful>>(&Edit(300)).unwrap();
    assert_eq!(bytes, [251, 44, 1]);
    assert_eq!(laws::golden::<Machine<Lawful>>(&bytes).unwrap().0, 300);
    let error = laws::golden::<Machine<Lawful>>(&[251, 44]).err().unwrap();
    assert!(matches!(error, Violation::Golden { .. }), "{error}");
}
