//! The parts in which a plan may be merged, by so many processes.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::AccountId;

/// The most parts of a plan: each reads the whole list of pairs.
const MOST: u32 = 1_000;

/// A part of a plan, as in `2/3`: the groups whose survivor falls to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// Which of them, from 1.
    pub(crate) index: u32,
    pub(crate) of: u32,
}

impl Part {
    /// Whether a group belongs to it: the CRC-32 (as in gzip) of its survivor, as that is written out, modulo the number
    /// of parts says to which, counted from 0. It depends on nothing else, so that every process says the same.
    pub(crate) fn holds(self, survivor: &AccountId) -> bool {
        let mut crc = flate2::Crc::new();
        crc.update(survivor.text().as_bytes());
        crc.sum() % self.of == self.index - 1
    }

    /// Whether it is the first, which tells what is told once.
    pub(crate) fn is_first(self) -> bool {
        self.index == 1
    }

    /// All parts of the same plan.
    pub(crate) fn all(self) -> impl Iterator<Item = Self> {
        (1..=self.of).map(move |index| Self { index, ..self })
    }

    /// What stands behind the id of a run that is one.
    pub(crate) fn suffix(self) -> String {
        format!(".{}of{}", self.index, self.of)
    }

    /// Read from an id that ends as in `.2of3`; none if the run is no part.
    pub(crate) fn of_run(id: &str) -> Option<Self> {
        let (index, of) = id.rsplit_once('.')?.1.split_once("of")?;
        format!("{index}/{of}").parse().ok()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Part {
    type Err = String;

    /// The error continues "'abc' …".
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?
        };
        let part = text.split_once('/').and_then(|(index, of)| Some((number(index)?, number(of)?)));
        match part {
            Some((index, of)) if (1..=of).contains(&index) && of <= MOST => Ok(Self { index, of }),
            _ => Err(format!("is not a part: use I/N, as in 2/3, with N up to {MOST}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_written_as_it_is_read() {
        let part: Part = "2/3".parse().unwrap();
        assert_eq!((part.index, part.of, part.to_string()), (2, 3, "2/3".to_owned()));
        assert!("1/1".parse::<Part>().is_ok() && "1000/1000".parse::<Part>().is_ok());
        for wrong in ["", "2", "0/3", "4/3", "1/0", "1/1001", "+1/3", "1/3/5", "a/b", "1/ 3", "/"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong:?}");
        }
        let id = format!("20261123T041455Z-3f9a{}", part.suffix());
        assert_eq!((id.as_str(), Part::of_run(&id)), ("20261123T041455Z-3f9a.2of3", Some(part)));
        for whole in ["20261123T041455Z-3f9a", "prune-20261123T041455Z-3f9a", "x.4of3", ""] {
            assert_eq!(Part::of_run(whole), None, "{whole:?}");
        }
    }

    /// The rule is public: whoever changes it, changes which machine merges what is half merged.
    #[test]
    fn every_survivor_falls_to_one_part_for_good() {
        let of = |id: &str, of: u32| {
            let part = Part { index: 1, of };
            let holding: Vec<_> =
                part.all().filter(|part| part.holds(&AccountId::new(id))).collect();
            assert_eq!(holding.len(), 1, "{id}");
            holding[0].index
        };
        // python3 -c 'import zlib; print(zlib.crc32(b"ann") % 3 + 1)'
        assert_eq!(["ann", "bob", "é", "user-1000"].map(|id| of(id, 3)), [1, 3, 3, 1]);
        let mut parts = [0; 4];
        (0..40_000).for_each(|n| parts[of(&format!("user-{n}"), 4) as usize - 1] += 1);
        assert!(parts.iter().all(|n| (9_500..10_500).contains(n)), "{parts:?}");
    }
}
