//! [`Lanes`]: the decisions of a run by purpose, to keep and to make smaller.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::choice::{Digit, Purpose};

/// The decisions of a run, those of each purpose in their order. Zeros at the end of a lane are left
/// out: they go without saying.
///
/// As text: a letter for each purpose, then its digits; `0*5` is five zeros.
///
/// ```
/// use quipu_io::sim::Lanes;
///
/// let lanes: Lanes = "w1.0*3.2,c0.1".parse()?;
/// assert_eq!(lanes.to_string(), "w1.0*3.2,c0.1");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lanes {
    lanes: BTreeMap<Purpose, Vec<u32>>,
}

impl Lanes {
    pub(super) fn of(digits: &[Digit]) -> Lanes {
        let mut lanes = Lanes::default();
        for digit in digits {
            lanes
                .lanes
                .entry(digit.purpose)
                .or_default()
                .push(digit.value);
        }
        lanes.trim();
        lanes
    }

    /// The purposes of which there are decisions that are not 0.
    pub fn purposes(&self) -> Vec<Purpose> {
        self.lanes.keys().copied().collect()
    }

    /// The decisions of one purpose.
    pub fn lane(&self, purpose: Purpose) -> &[u32] {
        self.lanes.get(&purpose).map_or(&[], Vec::as_slice)
    }

    /// The same with other decisions of this purpose.
    #[must_use]
    pub fn with(&self, purpose: Purpose, lane: Vec<u32>) -> Lanes {
        let mut changed = self.clone();
        changed.lanes.insert(purpose, lane);
        changed.trim();
        changed
    }

    /// How many decisions there are.
    pub fn len(&self) -> usize {
        self.lanes.values().map(Vec::len).sum()
    }

    /// Whether all decisions are 0.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    fn trim(&mut self) {
        self.lanes.retain(|_, lane| {
            let last = lane.iter().rposition(|value| *value != 0);
            lane.truncate(last.map_or(0, |last| last + 1));
            !lane.is_empty()
        });
    }
}

fn letter(purpose: Purpose) -> String {
    match purpose {
        Purpose::Schedule => "s".to_owned(),
        Purpose::Fault => "f".to_owned(),
        Purpose::Latency => "t".to_owned(),
        Purpose::Survival => "v".to_owned(),
        Purpose::Listing => "l".to_owned(),
        Purpose::Workload => "w".to_owned(),
        Purpose::Crash => "c".to_owned(),
        Purpose::Strike(fault) => format!("x{fault}:"),
    }
}

fn purpose(text: &str) -> Option<(Purpose, &str)> {
    let rest = text.get(1..)?;
    let purpose = match text.get(..1)? {
        "s" => Purpose::Schedule,
        "f" => Purpose::Fault,
        "t" => Purpose::Latency,
        "v" => Purpose::Survival,
        "l" => Purpose::Listing,
        "w" => Purpose::Workload,
        "c" => Purpose::Crash,
        "x" => {
            let (fault, rest) = rest.split_once(':')?;
            return Some((Purpose::Strike(fault.parse().ok()?), rest));
        }
        _ => return None,
    };
    Some((purpose, rest))
}

impl fmt::Display for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, (purpose, lane)) in self.lanes.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(&letter(*purpose))?;
            let runs = lane.chunk_by(|left, right| *left == 0 && *right == 0);
            for (index, run) in runs.enumerate() {
                f.write_str(if index == 0 { "" } else { "." })?;
                match run {
                    [value] => write!(f, "{value}")?,
                    zeros => write!(f, "0*{}", zeros.len())?,
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Lanes {
    type Err = String;

    fn from_str(text: &str) -> Result<Lanes, String> {
        /// A lane is never longer than this: a slip of the pen must not fill the memory.
        const MOST: usize = 1 << 20;
        let mut lanes = Lanes::default();
        if text == "-" {
            return Ok(lanes);
        }
        for part in text.split(',') {
            let wrong = || format!("{part:?} is no lane of digits, as \"w1.0*3.2\" is one");
            let (purpose, digits) = purpose(part).ok_or_else(wrong)?;
            let lane = lanes.lanes.entry(purpose).or_default();
            for digit in digits.split('.') {
                let (value, times) = digit.split_once('*').unwrap_or((digit, "1"));
                let value: u32 = value.parse().map_err(|_| wrong())?;
                let times: usize = times.parse().map_err(|_| wrong())?;
                if times.saturating_add(lane.len()) > MOST {
                    return Err(wrong());
                }
                lane.extend(std::iter::repeat_n(value, times));
            }
        }
        lanes.trim();
        Ok(lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_come_back_from_their_text() {
        for text in ["-", "w1", "w0*2.7.0.1,c1", "f3,v0.1,x17:0*9.1"] {
            let lanes: Lanes = text.parse().unwrap();
            assert_eq!(lanes.to_string().parse::<Lanes>().unwrap(), lanes, "{text}");
        }
        assert_eq!("w1.0.0".parse::<Lanes>().unwrap().to_string(), "w1");
        for text in ["", "w", "q1", "w1.x", "x:1", "w1,,c1", "w0*99999999999"] {
            text.parse::<Lanes>().unwrap_err();
        }
    }
}
