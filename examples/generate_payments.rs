//! Prints the payments of `data/payments.csv`, or with `pairs` those of `data/payments.tsv`: the same
//! bytes at every run.
//!
//! ```text
//! cargo run -p quipu-examples --example generate_payments > examples/data/payments.csv
//! cargo run -p quipu-examples --example generate_payments pairs > examples/data/payments.tsv
//! ```

use std::io::{self, BufWriter, Write};

const ROWS: u64 = 12_000;
const FIRST: &str = "ada ali ana ben bo carl clara dana eli emma eva finn gus hana hugo ida ines \
                     ivo jan kai lea leo lena luis maja max mia nils nora olga otto pia rosa sara \
                     timo uma";
const LAST: &str = "abel berg costa diaz engel faber gomez huber ibsen jansen klein lopez meyer \
                    nagy olsen pinto quinn rossi silva toth unger vega weber xu yilmaz zeman \
                    moreau novak petit roth";

fn main() -> io::Result<()> {
    let names: Vec<String> = FIRST
        .split_whitespace()
        .flat_map(|first| {
            LAST.split_whitespace()
                .map(move |last| format!("{first}.{last}"))
        })
        .collect();
    let people = names.len() as u64;
    let mut dice = Dice(2025);
    let mut out = BufWriter::new(io::stdout().lock());
    let as_pairs = std::env::args().nth(1).is_some_and(|form| form == "pairs");
    if !as_pairs {
        writeln!(out, "id,date,from,to,amount_cents")?;
    }
    for id in 1..=ROWS {
        let name = |number: u64| names[usize::try_from(number % people).unwrap_or(0)].as_str();
        let payer = dice.roll(0, people - 1);
        let payee = payer + dice.roll(1, people - 1); // somebody else, modulo the number of people
        let (from, to, cents) = match dice.roll(1, 12) {
            _ if id <= people => ("bank", name(id), dice.roll(10_000, 90_000)), // all begin so
            1 => ("bank", name(payee), dice.roll(80_000, 240_000)),             // a salary
            2..=4 => (name(payer), name(payee), dice.roll(30_000, 120_000)),    // a rent
            _ => (name(payer), name(payee), dice.roll(150, 20_000)),            // a dinner
        };
        let months = (id - 1) * 12; // in units of 1 / ROWS; each has 28 days here
        let (month, day) = (1 + months / ROWS, 1 + months % ROWS * 28 / ROWS);
        if as_pairs {
            let (euros, cents) = (cents / 100, cents % 100);
            writeln!(
                out,
                "2025-{month:02}-{day:02}/{id:05}\t{from} pays {to} {euros}.{cents:02}"
            )?;
        } else {
            writeln!(out, "{id},2025-{month:02}-{day:02},{from},{to},{cents}")?;
        }
    }
    out.flush()
}

/// A linear congruential generator: enough to look mixed, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        least + (self.0 >> 33) % (most - least + 1)
    }
}
