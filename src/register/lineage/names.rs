//! Account ids by number: each is held once, in little more than its letters.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Ids, numbered from 0 in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// All of them, one behind the other.
    text: String,
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Names {
    /// The number of an id, which is taken in if it is new. There are fewer than 2³² accounts.
    pub(super) fn number(&mut self, id: &str) -> u32 {
        if let Some(known) = self.find(id) {
            return known;
        }
        let number = self.ends.len() as u32;
        self.text.push_str(id);
        self.ends.push(self.text.len());
        let Self { text, ends, numbers, hasher } = self;
        let hash = |number: u32| hasher.hash_one(name(text, ends, number));
        numbers.insert_unique(hash(number), number, |number| hash(*number));
        number
    }

    /// The number of an id, if it has one.
    pub(super) fn find(&self, id: &str) -> Option<u32> {
        let is_it = |number: &u32| self.name(*number) == id;
        self.numbers.find(self.hasher.hash_one(id), is_it).copied()
    }

    /// The id of a number.
    pub(super) fn name(&self, number: u32) -> &str {
        name(&self.text, &self.ends, number)
    }
}

fn name<'t>(text: &'t str, ends: &[usize], number: u32) -> &'t str {
    let at = number as usize;
    let start = at.checked_sub(1).map_or(0, |before| ends[before]);
    &text[start..ends[at]]
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
