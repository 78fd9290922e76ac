//! Account ids by number: each is held once, a UUID in its usual form in 16 bytes.

use std::borrow::Cow;
use std::hash::BuildHasher;

use fixedbitset::FixedBitSet;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::chunked::Chunked;
use crate::model::{format_uuid, parse_uuid};

/// Ids, numbered from 0 in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    ids: Ids,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

#[derive(Clone, Debug, Default)]
struct Ids {
    /// A UUID each; or where an id begins in `text` (8 bytes) and its length (8 bytes).
    slots: Chunked<[u8; 16]>,
    is_text: FixedBitSet,
    /// All that are no UUIDs, one behind the other.
    text: String,
}

/// An id as it is held.
#[derive(Hash, PartialEq, Eq)]
enum Id<'i> {
    Uuid([u8; 16]),
    Text(&'i str),
}

impl<'i> Id<'i> {
    fn of(id: &'i str) -> Self {
        parse_uuid(id.as_bytes()).map_or(Self::Text(id), Self::Uuid)
    }
}

impl Ids {
    fn push(&mut self, id: &Id<'_>) {
        let number = self.slots.len();
        let slot = match id {
            Id::Uuid(uuid) => *uuid,
            Id::Text(text) => {
                self.is_text.grow_and_insert(number);
                let (start, len) = (self.text.len() as u64, text.len() as u64);
                self.text.push_str(text);
                (u128::from(start) << 64 | u128::from(len)).to_be_bytes()
            }
        };
        self.slots.push(slot);
    }

    fn get(&self, number: u32) -> Id<'_> {
        let slot = self.slots[number as usize];
        if !self.is_text.contains(number as usize) {
            return Id::Uuid(slot);
        }
        let both = u128::from_be_bytes(slot);
        let (start, len) = ((both >> 64) as usize, both as u64 as usize);
        Id::Text(&self.text[start..start + len])
    }
}

impl Names {
    /// The number of an id, which is taken in if it is new. There are fewer than 2³² accounts.
    pub(super) fn number(&mut self, id: &str) -> u32 {
        let Self { ids, numbers, hasher } = self;
        let id = Id::of(id);
        let hash = hasher.hash_one(&id);
        if let Some(known) = numbers.find(hash, |number| ids.get(*number) == id) {
            return *known;
        }
        let number = ids.slots.len() as u32;
        ids.push(&id);
        numbers.insert_unique(hash, number, |number| hasher.hash_one(ids.get(*number)));
        number
    }

    /// The number of an id, if it has one.
    pub(super) fn find(&self, id: &str) -> Option<u32> {
        let id = Id::of(id);
        let is_it = |number: &u32| self.ids.get(*number) == id;
        self.numbers.find(self.hasher.hash_one(&id), is_it).copied()
    }

    /// The id of a number.
    pub(super) fn name(&self, number: u32) -> Cow<'_, str> {
        match self.ids.get(number) {
            Id::Text(text) => Cow::Borrowed(text),
            // It has letters and digits of ASCII only.
            Id::Uuid(uuid) => {
                Cow::Owned(format_uuid(&uuid).iter().map(|byte| char::from(*byte)).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_number_and_a_number_its_id() {
        let mut names = Names::default();
        let id = |n: u32| "é".repeat(n as usize % 7) + &n.to_string();
        for round in 0..2 {
            for n in 0..5_000 {
                assert_eq!(names.find(&id(n)), (round == 1).then_some(n));
                assert_eq!(names.number(&id(n)), n);
            }
        }
        assert!((0..5_000).all(|n| names.name(n) == id(n)));
        assert_eq!((names.find(""), names.number("")), (None, 5_000));
        assert_eq!(names.name(5_000), "");
    }
}
