//! Checks a machine against every crash, and shows how a bug in it is found, made small and replayed.
//!
//! ```text
//! cargo run --release -p quipu-examples --example crash_check
//! ```
//!
//! The check itself is the four lines of [`check_everything`]. It belongs into a test of the program
//! that has the machine; here it prints what it does.
#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::collections::BTreeSet;
use std::error::Error;

use quipu_journal::Replayable;
use quipu_journal::check::{self, Check, Failure, JournalProgram, Story, Tally};
use serde::{Deserialize, Serialize};

/// An account that people pay into, perhaps more than once: they send a payment again, under the same
/// key, when they have not heard of it. A payment counts once.
///
/// Where `FORGETS` is set it has a bug that is easily made: the keys were added later, and nobody
/// thought of the snapshot.
struct Account<const FORGETS: bool> {
    cents: u64,
    keys: BTreeSet<u8>,
}

#[derive(Serialize, Deserialize)]
enum Edit {
    Pay { key: u8, cents: u16 },
    Restore { cents: u64, keys: BTreeSet<u8> },
}

impl<const FORGETS: bool> Replayable for Account<FORGETS> {
    type Edit = Edit;
    /// Whether the payment is a new one.
    type Output = bool;

    fn filename_prefix() -> &'static str {
        "account"
    }

    fn initial() -> Self {
        Account {
            cents: 0,
            keys: BTreeSet::new(),
        }
    }

    fn apply(&mut self, edit: Edit) -> bool {
        match edit {
            Edit::Pay { key, cents } => {
                let is_new = self.keys.insert(key);
                if is_new {
                    self.cents += u64::from(cents);
                }
                is_new
            }
            Edit::Restore { cents, keys } => {
                *self = Account { cents, keys };
                true
            }
        }
    }

    fn snapshot(&self) -> Edit {
        Edit::Restore {
            cents: self.cents,
            keys: match FORGETS {
                false => self.keys.clone(),
                true => BTreeSet::new(),
            },
        }
    }
}

type AccountCheck<const FORGETS: bool> = Check<JournalProgram<Account<FORGETS>>>;

/// How a payment is made from arbitrary bytes: there are two keys, so that they come again.
fn account<const FORGETS: bool>() -> AccountCheck<FORGETS> {
    check::journal(|bytes| {
        Ok(Edit::Pay {
            key: bytes.int_in_range(0..=1)?,
            cents: bytes.int_in_range(1..=1000)?,
        })
    })
}

fn check_everything<const FORGETS: bool>() -> Result<[Tally; 2], Box<Failure>> {
    let check = account::<FORGETS>();
    // All sequences of up to three operations, and all that a crash can leave of each.
    let exhaustive = check.exhaustive(3)?;
    // Longer ones, with three crashes in a row and other faults, each drawn from a seed.
    let sampled = check.sampled(0..1000)?;
    Ok([exhaustive, sampled])
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("1. An account whose snapshot holds all there is to know:\n");
    let [exhaustive, sampled] = check_everything::<false>()?;
    println!(
        "   {} sequences of operations, {} crashes, {} executions: no rule is broken",
        exhaustive.traces, exhaustive.crashes, exhaustive.executions
    );
    println!(
        "   {} long runs, drawn from seeds: no rule is broken",
        sampled.executions
    );

    println!("\n2. The same, but its snapshot forgets which payments it knows:\n");
    let Err(failure) = check_everything::<true>() else {
        return Err("the bug was not found".into());
    };
    println!("   {}", failure.violation);
    println!(
        "\n   Made as small as possible in {} runs: {} operations instead of {}.\n",
        failure.executions,
        failure.story.operations(),
        failure.original.operations()
    );
    print_lives(&failure.story);

    let line = failure.line.as_ref().ok_or("a failure has a line")?;
    println!("\n3. One line is enough to see it again, for instance in a debugger:\n");
    println!("   {line}");
    match account::<true>().replay(line)? {
        Err(again) => println!("   breaks oracle {} again", again.violation.oracle.id),
        Ok(_) => return Err("the line replays another run".into()),
    }

    println!("\n4. Without the bug, the same run passes. Keep the line in a test:\n");
    account::<false>().replay(line)??;
    println!("   no rule is broken");
    Ok(())
}

/// What happened, life after life.
fn print_lives(story: &Story) {
    for life in &story.lives {
        if let Some(profile) = life.profile {
            println!("   crash ({profile:?})");
        }
        let steps = [&["open".to_owned()], life.ops.as_slice()].concat();
        println!("   {}", steps.join(", "));
    }
}
