//! Pays the rows of a CSV file, each at most once, however often this program is killed.
//!
//! ```text
//! cargo run --release -p quipu-examples --example ledger [CSV] [DIR]
//! ```
//!
//! Every row is handed to the journal at every run. The machine knows which of them it has decided
//! before, so a run that is killed at any moment is simply started again.
#![expect(clippy::print_stderr, reason = "it says there what went wrong")]

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

use futures::{StreamExt, stream};
use quipu_examples::ledger::{Ledger, Payment, Refusal};
use quipu_io::DiskIo;
use quipu_journal::{Journal, Options};

const PAYMENTS: &str = "examples/data/payments.csv";
const DIRECTORY: &str = "target/ledger";

/// How many payments wait for the disk at once. They share its syncs, so that a larger number is
/// faster, and what is in memory stays bounded.
const IN_FLIGHT: usize = 256;

/// How many answers are counted between two lines of progress.
const PROGRESS: u64 = 1000;

/// An error is only ever shown, so its type carries nothing but its text.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match smol::block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let (csv, dir) = arguments()?;
    // All of the file is read first: nothing is paid from one that has a mistake in it.
    let payments = read_payments(&csv)?;
    let journal = Journal::<Ledger>::open(DiskIo::new()?, &dir, Options::default()).await?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {}", dir.display(), journal.recovered())?;
    let tally = pay(&journal, payments, &mut out).await?;
    journal.close().await?;
    let Tally {
        paid,
        refused,
        known,
    } = tally;
    writeln!(out, "{paid} paid, {refused} refused, {known} already known")?;
    journal.read(|ledger| print_balances(ledger, &mut out))?;
    Ok(())
}

/// What became of the rows of this run.
#[derive(Default)]
struct Tally {
    paid: u64,
    refused: u64,
    known: u64,
}

/// Hands all payments to the journal, in order, and counts its answers.
async fn pay(
    journal: &Journal<Ledger>,
    payments: Vec<Payment>,
    out: &mut impl Write,
) -> Result<Tally> {
    let mut tally = Tally::default();
    // `append` queues when it is called, so the order of the rows is the order of the edits.
    let appends = stream::iter(payments).map(|payment| journal.append(payment.into()));
    let mut answers = pin!(appends.buffered(IN_FLIGHT));
    while let Some(answer) = answers.next().await {
        match answer? {
            Ok(_) => tally.paid += 1,
            Err(Refusal::AlreadyKnown) => tally.known += 1,
            Err(_) => tally.refused += 1,
        }
        let durable = tally.paid + tally.refused + tally.known;
        if durable % PROGRESS == 0 {
            writeln!(out, "{durable} payments durable")?;
            out.flush()?;
        }
    }
    Ok(tally)
}

fn print_balances(ledger: &Ledger, out: &mut impl Write) -> io::Result<()> {
    let mut accounts: Vec<_> = ledger.accounts().collect();
    let count = accounts.len();
    // The sort is stable, and the accounts come by name.
    accounts.sort_by_key(|&(_, cents)| std::cmp::Reverse(cents));
    writeln!(out, "the largest balances:")?;
    for (account, cents) in accounts.into_iter().take(10) {
        writeln!(out, "{:>16} {account}", money(cents.into()))?;
    }
    let (paid_out, held) = (money(ledger.paid_out()), money(ledger.held()));
    writeln!(out, "{paid_out} paid out by the bank")?;
    writeln!(out, "{held} held by {count} accounts")
}

/// Cents as a decimal fraction. Neither an account nor the bank's outlay is below zero here.
fn money(cents: i128) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The file of payments and the journal's directory.
fn arguments() -> Result<(PathBuf, PathBuf)> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let csv = arguments.next().unwrap_or_else(default_payments);
    let dir = arguments.next().unwrap_or_else(|| DIRECTORY.into());
    match arguments.next() {
        None => Ok((csv, dir)),
        Some(_) => Err("too many arguments; usage: ledger [CSV] [DIR]".into()),
    }
}

/// The file that comes with this program, from wherever in the repository it is started.
fn default_payments() -> PathBuf {
    let here = Path::new(PAYMENTS);
    match csv::Reader::from_path(here) {
        Ok(_) => here.into(),
        Err(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join("data/payments.csv"),
    }
}

/// Reads the payments, and checks what the ledger relies on: that their ids ascend.
fn read_payments(csv: &Path) -> Result<Vec<Payment>> {
    let fail = |error: &dyn Error| format!("{}: {error}", csv.display());
    let mut reader = csv::Reader::from_path(csv).map_err(|error| fail(&error))?;
    // `deserialize` takes a header that cannot be read for the end of the file.
    reader.headers().map_err(|error| fail(&error))?;
    let mut payments = Vec::new();
    let mut last = 0;
    for row in reader.deserialize() {
        let payment: Payment = row.map_err(|error| fail(&error))?;
        if payment.id <= last {
            let (csv, id) = (csv.display(), payment.id);
            return Err(format!("{csv}: id {id} comes after id {last}; ids must ascend").into());
        }
        last = payment.id;
        payments.push(payment);
    }
    Ok(payments)
}
