//! What a table says of itself.
//!
//! ```text
//! | number: u32 | tag: u32, length: u32, value: for each |
//! ```
//!
//! A reader passes over tags that it does not know, so later releases may add to them: what *must* be
//! understood takes a new version of the format.

use super::layout::{Malformed, u32_at, u32_of, usize_of};

/// What a table says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    /// Versions of keys, deletions among them.
    pub(crate) entries: u64,
    /// Deletions of single keys.
    pub(crate) tombstones: u64,
    pub(crate) range_tombstones: u64,
    /// The smallest and the largest seq, range tombstones included.
    pub(crate) min_seq: u64,
    pub(crate) max_seq: u64,
    /// Bytes of all keys and of all values, before anything was left out or compressed.
    pub(crate) key_bytes: u64,
    pub(crate) value_bytes: u64,
    pub(crate) data_blocks: u64,
    pub(crate) partitions: u64,
    /// Bytes of the data blocks in the file.
    pub(crate) data_bytes: u64,
    /// When the table was made, in the caller's unit.
    pub(crate) created: u64,
    /// The smallest and the largest key that the table may say anything of.
    pub(crate) smallest: Vec<u8>,
    pub(crate) largest: Vec<u8>,
}

const NUMBERS: u32 = 11;
const SMALLEST: u32 = 12;
const LARGEST: u32 = 13;

impl Properties {
    /// The numbers, whose tags are their places in this list, from 1 on.
    fn numbers(&mut self) -> [&mut u64; NUMBERS as usize] {
        [
            &mut self.entries,
            &mut self.tombstones,
            &mut self.range_tombstones,
            &mut self.min_seq,
            &mut self.max_seq,
            &mut self.key_bytes,
            &mut self.value_bytes,
            &mut self.data_blocks,
            &mut self.partitions,
            &mut self.data_bytes,
            &mut self.created,
        ]
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = (NUMBERS + 2).to_le_bytes().to_vec();
        let mut put = |tag: u32, value: &[u8]| {
            out.extend_from_slice(&tag.to_le_bytes());
            out.extend_from_slice(&u32_of(value.len()).to_le_bytes());
            out.extend_from_slice(value);
        };
        for (tag, number) in (1..).zip(self.clone().numbers()) {
            put(tag, &number.to_le_bytes());
        }
        put(SMALLEST, &self.smallest);
        put(LARGEST, &self.largest);
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Properties, Malformed> {
        let mut properties = Properties::default();
        properties
            .fill(payload)
            .ok_or(Malformed("the properties are malformed"))?;
        Ok(properties)
    }

    fn fill(&mut self, payload: &[u8]) -> Option<()> {
        let mut at = 4;
        for _ in 0..u32_at(payload, 0)? {
            let tag = u32_at(payload, at)?;
            let len = usize_of(u64::from(u32_at(payload, at + 4)?));
            let end = (at + 8).checked_add(len)?;
            let value = payload.get(at + 8..end)?;
            match tag {
                1..=NUMBERS => {
                    let place = usize_of(u64::from(tag - 1));
                    *self.numbers()[place] = u64::from_le_bytes(value.try_into().ok()?);
                }
                SMALLEST => self.smallest = value.to_vec(),
                LARGEST => self.largest = value.to_vec(),
                _ => {}
            }
            at = end;
        }
        (at == payload.len()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> Properties {
        let mut properties = Properties {
            smallest: b"a".to_vec(),
            largest: b"zz".to_vec(),
            ..Properties::default()
        };
        for (number, value) in (100..).zip(properties.numbers()) {
            *value = number;
        }
        properties
    }

    #[test]
    fn properties_come_back_and_only_whole() {
        let payload = properties().encode();
        assert_eq!(Properties::decode(&payload), Ok(properties()));
        for len in 0..payload.len() {
            assert!(Properties::decode(&payload[..len]).is_err());
        }
    }

    #[test]
    fn unknown_ones_are_passed_over() {
        let mut payload = properties().encode();
        payload[0] += 1;
        payload.extend(999u32.to_le_bytes());
        payload.extend(3u32.to_le_bytes());
        payload.extend(b"new");
        assert_eq!(Properties::decode(&payload), Ok(properties()));
    }
}
