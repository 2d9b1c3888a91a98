//! [`Chart`]: a history as lines of text, one column for each level.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use quipu_journal::Seq;

use super::step::{LevelSize, Step};

/// The bar of the greatest total is so long.
const BAR: usize = 32;

/// Texts that are longer push their line to the right, and no other.
const TEXT: usize = 60;

/// One line of a [`Chart`]: a step, or several that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    seq: Seq,
    text: String,
    levels: Vec<LevelSize>,
}

impl Row {
    /// One line for all of these: what the one step did, or how many of each kind there were; and
    /// the levels after the last. `None` without steps.
    pub fn sum(steps: &[Step]) -> Option<Row> {
        let last = steps.last()?;
        Some(Row {
            seq: last.seq,
            text: match steps {
                [step] => step.to_string(),
                _ => count(steps),
            },
            levels: last.levels.clone(),
        })
    }

    /// The number of its last edit.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// What happened.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The levels after it.
    pub fn levels(&self) -> &[LevelSize] {
        &self.levels
    }

    fn level(&self, level: u32) -> Option<&LevelSize> {
        self.levels.iter().find(|size| size.level == level)
    }

    fn bytes(&self) -> u64 {
        let sizes = self.levels.iter().map(|size| size.bytes);
        sizes.fold(0, u64::saturating_add)
    }
}

/// How many steps there are of each kind; refused ones are a kind of their own.
fn count(steps: &[Step]) -> String {
    let mut kinds = BTreeMap::new();
    let accepted = steps.iter().filter(|step| step.refusal.is_none());
    for step in accepted {
        *kinds.entry(step.kind).or_insert(0) += 1;
    }
    let refused = steps.iter().filter(|step| step.refusal.is_some()).count();
    let kinds = kinds.into_iter();
    let counts = kinds.map(|(kind, count)| format!("{count} x {kind}"));
    let refused = (refused > 0).then(|| format!("{refused} x refused"));
    counts.chain(refused).collect::<Vec<_>>().join(", ")
}

/// Rows under each other: the edit's number, what happened, tables and bytes of each level that
/// occurs in any row, the sum, and a bar of it in which each digit is a share of that level.
///
/// ```text
/// edit  what happened                               L0         L1    total
///   10  flush k0 -> L0 1                     3 600 KiB  4 1.2 MiB  1.7 MiB  |00000000000111111111111111111111
///   11  compaction k0 L0 3 + L1 4 -> L1 6            -  6 1.7 MiB  1.7 MiB  |1111111111111111111111111111111
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a>(pub &'a [Row]);

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = Layout::of(self.0);
        layout.write_heading(f)?;
        for row in self.0 {
            f.write_char('\n')?;
            layout.write_row(f, row)?;
        }
        Ok(())
    }
}

/// How wide the columns are.
struct Layout {
    seq: usize,
    text: usize,
    /// The levels that occur, each with the widths of tables and bytes.
    levels: Vec<(u32, usize, usize)>,
    total: usize,
    /// The greatest total.
    most: u64,
}

impl Layout {
    fn of(rows: &[Row]) -> Layout {
        let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or(0);
        let levels = rows.iter().flat_map(|row| &row.levels);
        let levels: BTreeSet<u32> = levels.map(|size| size.level).collect();
        let level = |level| {
            let sizes = || rows.iter().filter_map(move |row| row.level(level));
            let tables = widest(&mut sizes().map(|size| size.tables.to_string().len()));
            let bytes = widest(&mut sizes().map(|size| Size(size.bytes).to_string().len()));
            (level, tables, bytes)
        };
        let text = widest(&mut rows.iter().map(|row| row.text.chars().count()));
        let total = widest(&mut rows.iter().map(|row| Size(row.bytes()).to_string().len()));
        Layout {
            seq: widest(&mut rows.iter().map(|row| row.seq.to_string().len())).max("edit".len()),
            text: text.clamp("what happened".len(), TEXT),
            levels: levels.into_iter().map(level).collect(),
            total: total.max("total".len()),
            most: rows.iter().map(Row::bytes).max().unwrap_or(0),
        }
    }

    fn write_heading(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>1$}  ", "edit", self.seq)?;
        write!(f, "{:<1$}", "what happened", self.text)?;
        for (level, tables, bytes) in &self.levels {
            write!(f, "  {:>1$}", format!("L{level}"), tables + 1 + bytes)?;
        }
        write!(f, "  {:>1$}", "total", self.total)
    }

    fn write_row(&self, f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
        write!(f, "{:>1$}  ", row.seq.get(), self.seq)?;
        write!(f, "{:<1$}", row.text, self.text)?;
        for (level, tables, bytes) in &self.levels {
            match row.level(*level) {
                Some(size) => {
                    write!(f, "  {:>1$} ", size.tables, tables)?;
                    write!(f, "{:>1$}", Size(size.bytes).to_string(), bytes)?;
                }
                None => write!(f, "  {:>1$}", "-", tables + 1 + bytes)?,
            }
        }
        let total = Size(row.bytes()).to_string();
        write!(f, "  {total:>0$}  |{1}", self.total, self.bar(row))
    }

    /// A digit for each share of the greatest total, and one at the least for each level; levels from
    /// 10 on are a plus.
    fn bar(&self, row: &Row) -> String {
        let most = u128::from(self.most.max(1));
        let mut bar = String::new();
        let mut reached = 0;
        for size in &row.levels {
            reached += u128::from(size.bytes);
            let end = (reached * BAR as u128).div_ceil(most);
            let digit = char::from_digit(size.level, 10).unwrap_or('+');
            bar.push(digit);
            while (bar.len() as u128) < end.min(BAR as u128) {
                bar.push(digit);
            }
        }
        bar
    }
}

/// Bytes in few letters: `640 B`, `9.8 KiB`, `203 KiB`.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        // In tenths of a unit, rounded down.
        let mut tenths = u128::from(self.0) * 10 / 1024;
        let mut unit = 0;
        while tenths >= 10240 {
            tenths /= 1024;
            unit += 1;
        }
        match tenths {
            0..100 => write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
            _ => write!(f, "{} {}", tenths / 10, UNITS[unit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_letters_at_any_magnitude() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 * 1024 - 1, "9.9 KiB"),
            (208_007, "203 KiB"),
            ((1 << 20) - 1, "1023 KiB"),
            (1 << 20, "1.0 MiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
