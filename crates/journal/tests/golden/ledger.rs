//! The machine whose journals are kept, and the edit of each number. Never changed: the files hold its
//! encoding, and its states.

use std::collections::BTreeMap;

use quipu_journal::Replayable;
use serde::{Deserialize, Serialize};

/// The machine of the journals: accounts in cents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) balances: BTreeMap<String, i64>,
    pub(crate) entries: u64,
}

/// One of each shape that an edit may have. Never changed, for the files hold its encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    Audit,
    Open(String),
    Transfer {
        from: Option<String>,
        to: String,
        cents: u64,
        memo: Vec<u8>,
    },
    Restore(u64),
    RestoreAccount {
        name: String,
        balance: i64,
    },
}

impl Replayable for Ledger {
    type Edit = Entry;
    type Output = ();

    fn filename_prefix() -> &'static str {
        "ledger"
    }

    fn initial() -> Self {
        Ledger::default()
    }

    fn apply(&mut self, entry: Entry) {
        self.entries += 1;
        match entry {
            Entry::Audit => {}
            Entry::Open(name) => {
                self.balances.entry(name).or_default();
            }
            Entry::Transfer {
                from, to, cents, ..
            } => {
                let cents = i64::try_from(cents).unwrap_or(i64::MAX);
                if let Some(from) = from {
                    let balance = self.balances.entry(from).or_default();
                    *balance = balance.wrapping_sub(cents);
                }
                let balance = self.balances.entry(to).or_default();
                *balance = balance.wrapping_add(cents);
            }
            Entry::Restore(entries) => self.entries = entries,
            Entry::RestoreAccount { name, balance } => {
                self.balances.insert(name, balance);
                self.entries -= 1;
            }
        }
    }

    fn snapshot(&self) -> Entry {
        unreachable!("it has parts")
    }

    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = Entry> + Send> {
        let balances = self.balances.clone().into_iter();
        let balances = balances.map(|(name, balance)| Entry::RestoreAccount { name, balance });
        Box::new(std::iter::once(Entry::Restore(self.entries)).chain(balances))
    }
}

/// The edit of this number, in every scene.
pub(crate) fn entry(seq: u64) -> Entry {
    let account = |number: u64| ["ada", "bob", "cy"][usize::try_from(number % 3).unwrap()].into();
    match seq % 4 {
        1 => Entry::Open(account(seq)),
        2 | 3 => Entry::Transfer {
            from: (seq % 4 == 3).then(|| account(seq + 1)),
            to: account(seq),
            cents: 300 * seq,
            memo: vec![0xA5; usize::try_from(seq * 7 % 40).unwrap()],
        },
        _ => Entry::Audit,
    }
}

pub(crate) fn ledger(edits: u64) -> Ledger {
    let mut ledger = Ledger::initial();
    (1..=edits).for_each(|seq| ledger.apply(entry(seq)));
    ledger
}
