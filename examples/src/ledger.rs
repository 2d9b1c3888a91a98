//! [`Ledger`]: accounts and the payments between them, as a machine that a journal makes durable.
//!
//! Invariants, after any payments whatever:
//! - All balances add up to zero: what people hold, the [`BANK`] has paid out.
//! - No balance but the bank's is below zero.
//! - A payment is decided once. Ids ascend, so the highest one stands for all that are known.

use std::collections::BTreeMap;

use quipu_journal::Replayable;
use serde::{Deserialize, Serialize};

/// The account that money comes from, and the only one that may owe.
pub const BANK: &str = "bank";

/// How many accounts one part of a snapshot holds.
const ACCOUNTS_IN_PART: usize = 1000;

/// The accounts, and how far the payments have been decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    decided_through: u64,
    balances: BTreeMap<String, i64>,
}

/// One row of the file of payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its number. Each is above the one before.
    pub id: u64,
    /// The day, as its sender writes it.
    pub date: String,
    /// Who pays.
    pub from: String,
    /// Who is paid.
    pub to: String,
    /// How much.
    pub amount_cents: u64,
}

/// A change of the ledger: made from a [`Payment`], or by a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit(Change);

/// New kinds go to the end: bincode knows the old ones by their place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Change {
    Pay(Payment),
    Restore {
        decided_through: u64,
        balances: Vec<(String, i64)>,
    },
}

/// What both have after a payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The payer's balance.
    pub from_cents: i64,
    /// The payee's balance.
    pub to_cents: i64,
}

/// Why no money has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, derive_more::Display, derive_more::Error)]
pub enum Refusal {
    /// This id, or a higher one, was decided before: paid or refused.
    #[display("already known")]
    AlreadyKnown,
    /// The payer has less than that.
    #[display("only {available_cents} cents are there")]
    Overdraft {
        /// What the payer has.
        available_cents: i64,
    },
    /// The payer is the payee.
    #[display("nobody pays themselves")]
    ToItself,
    /// The balances would leave the range of an `i64`.
    #[display("no account can hold that much")]
    TooLarge,
}

impl Replayable for Ledger {
    type Edit = Edit;
    type Output = Result<Receipt, Refusal>;

    fn filename_prefix() -> &'static str {
        "ledger"
    }

    fn initial() -> Self {
        Ledger::default()
    }

    fn apply(&mut self, edit: Edit) -> Result<Receipt, Refusal> {
        match edit.0 {
            Change::Pay(payment) => self.pay(payment),
            Change::Restore {
                decided_through,
                balances,
            } => {
                self.decided_through = decided_through;
                self.balances.extend(balances);
                // Nobody waits for the answer to a part of a snapshot.
                Ok(Receipt::default())
            }
        }
    }

    fn snapshot(&self) -> Edit {
        let balances = self.balances.clone().into_iter().collect();
        Edit::restore(self.decided_through, balances)
    }

    fn snapshot_parts(&self) -> Box<dyn Iterator<Item = Edit> + Send> {
        let decided_through = self.decided_through;
        // Appends wait for this copy, and not for the parts that are made of it.
        let mut accounts = self.balances.clone().into_iter();
        let parts = std::iter::from_fn(move || {
            let part: Vec<_> = accounts.by_ref().take(ACCOUNTS_IN_PART).collect();
            (!part.is_empty()).then(|| Edit::restore(decided_through, part))
        });
        // A ledger without accounts may still know payments: those that it refused.
        Box::new(std::iter::once(Edit::restore(decided_through, Vec::new())).chain(parts))
    }
}

impl Ledger {
    /// What the account has. One that was never named has nothing.
    pub fn balance(&self, account: &str) -> i64 {
        self.balances.get(account).copied().unwrap_or(0)
    }

    /// The accounts and their balances, by name, without the [`BANK`].
    pub fn accounts(&self) -> impl Iterator<Item = (&str, i64)> {
        let all = self.balances.iter();
        all.map(|(account, cents)| (account.as_str(), *cents))
            .filter(|(account, _)| *account != BANK)
    }

    /// What the bank has paid out, less what was paid in to it.
    pub fn paid_out(&self) -> i128 {
        -i128::from(self.balance(BANK))
    }

    /// What all accounts have together: as much as [`paid_out`](Ledger::paid_out), always.
    pub fn held(&self) -> i128 {
        self.accounts().map(|(_, cents)| i128::from(cents)).sum()
    }

    /// Decides a payment. A refusal moves no money, but is remembered as a decision.
    fn pay(&mut self, payment: Payment) -> Result<Receipt, Refusal> {
        let (from, to, amount) = (payment.from, payment.to, payment.amount_cents);
        if payment.id <= self.decided_through {
            return Err(Refusal::AlreadyKnown);
        }
        self.decided_through = payment.id;
        if from == to {
            return Err(Refusal::ToItself);
        }
        let available_cents = self.balance(&from);
        let from_cents = available_cents.checked_sub_unsigned(amount);
        let to_cents = self.balance(&to).checked_add_unsigned(amount);
        let (Some(from_cents), Some(to_cents)) = (from_cents, to_cents) else {
            return Err(Refusal::TooLarge);
        };
        if from_cents < 0 && from != BANK {
            return Err(Refusal::Overdraft { available_cents });
        }
        self.balances.insert(from, from_cents);
        self.balances.insert(to, to_cents);
        Ok(Receipt {
            from_cents,
            to_cents,
        })
    }
}

impl From<Payment> for Edit {
    fn from(payment: Payment) -> Edit {
        Edit(Change::Pay(payment))
    }
}

impl Edit {
    fn restore(decided_through: u64, balances: Vec<(String, i64)>) -> Edit {
        Edit(Change::Restore {
            decided_through,
            balances,
        })
    }
}
