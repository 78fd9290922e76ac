//! `{ each = … }`: the entries of a map one by one, each by a policy of its own; entries of one account alone are all kept.

use std::sync::Arc;

use bytes::Bytes;

use super::Policy;
use crate::model::{Cell, CqlType, Elements};

/// A policy for the values of a map.
#[derive(Debug)]
pub(super) struct Each {
    of_entries: Arc<dyn Policy>,
    name: String,
}

impl Each {
    pub(super) fn new(of_entries: Arc<dyn Policy>) -> Self {
        let name = format!("each {}", of_entries.name());
        Self { of_entries, name }
    }
}

impl Policy for Each {
    fn name(&self) -> &str {
        &self.name
    }

    fn outcome(&self, column: &str) -> String {
        format!("of each entry of {column} {}", self.of_entries.outcome("value"))
    }

    fn joins_elements(&self) -> bool {
        true
    }

    fn wants(&self, of: &CqlType) -> Option<&'static str> {
        match of.entry_value() {
            None => Some("a map that is not frozen"),
            Some(value) => self.of_entries.wants(value),
        }
    }

    fn of_entries(&self) -> Option<&dyn Policy> {
        Some(&*self.of_entries)
    }

    fn combine(&self, of: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        let (collection, value_type) = (of.collection()?, of.entry_value()?);
        let split = |cell: &Cell| collection.split(cell.as_ref()?);
        let mut all: Elements = split(kept).unwrap_or_default();
        let mut is_changed = false;
        for (key, value) in split(offered)? {
            match all.iter_mut().find(|(known, _)| *known == key) {
                Some((_, own)) => {
                    let Some(better) = self.of_entries.combine(value_type, own, &value) else {
                        continue;
                    };
                    *own = Some(better);
                }
                None => all.push((key, value)),
            }
            is_changed = true;
        }
        is_changed.then(|| collection.join(all.iter().map(|(key, value)| (key, value.as_ref()))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Standing, parse};
    use super::*;
    use crate::model::Collection;

    fn of() -> CqlType {
        CqlType::parse("map<text, int>")
    }

    fn each(policy: &str) -> Each {
        Each::new(parse(policy).unwrap())
    }

    fn map(entries: &[(&'static str, i32)]) -> Cell {
        let entry = |(key, value): &(&'static str, i32)| {
            let value = Bytes::copy_from_slice(&value.to_be_bytes());
            (Bytes::from_static(key.as_bytes()), value)
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        Some(Collection::Map.join(entries.iter().map(|(key, value)| (key, Some(value)))))
    }

    #[test]
    fn each_entry_goes_by_itself_however_often_it_is_offered() {
        let (own, other) = (map(&[("a", 1), ("b", 5)]), map(&[("b", 3), ("a", 2), ("c", 0)]));
        let all = each("max").combine(&of(), &own, &other);
        assert_eq!(all, map(&[("a", 2), ("b", 5), ("c", 0)]));
        assert_eq!(each("max").combine(&of(), &all, &other), None, "once more");
        let least = each("min").combine(&of(), &own, &other);
        assert_eq!(least, map(&[("a", 1), ("b", 3), ("c", 0)]));
        assert_eq!(
            each("first").combine(&of(), &own, &other),
            map(&[("a", 1), ("b", 5), ("c", 0)])
        );
        assert_eq!(each("max").combine(&of(), &None, &other), other);
        for nothing in [None, map(&[])] {
            assert_eq!(each("max").combine(&of(), &own, &nothing), None);
        }
    }

    #[test]
    fn the_order_of_sources_does_not_matter_to_the_highest() {
        let sources = [map(&[("a", 1)]), map(&[("a", 3), ("b", 1)]), map(&[("a", 2)])];
        let fold = |order: [usize; 3]| {
            order.iter().fold(None, |kept: Cell, at| {
                each("max").combine(&of(), &kept, &sources[*at]).map_or(kept, Some)
            })
        };
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            assert_eq!(each("max").combine(&of(), &fold(order), &map(&[("a", 3), ("b", 1)])), None);
            let all = Collection::Map.split(&fold(order).unwrap()).unwrap();
            assert_eq!(all.len(), 2);
        }
    }

    #[test]
    fn an_entry_that_is_lower_or_gone_is_worse_than_what_was_left() {
        let left = map(&[("a", 2), ("b", 5)]);
        let stands = |found: &Cell| each("max").check(&of(), &left, found);
        assert_eq!(stands(&map(&[("b", 5), ("a", 2)])), Standing::AsLeft);
        assert_eq!(stands(&map(&[("a", 1), ("b", 5)])), Standing::Worse);
        assert_eq!(stands(&map(&[("b", 5)])), Standing::Worse);
        assert_eq!(stands(&map(&[("a", 3), ("b", 5)])), Standing::Better);
    }

    #[test]
    fn it_needs_a_map_whose_values_suit_its_policy() {
        assert_eq!(each("max").wants(&of()), None);
        for other in ["frozen<map<text, int>>", "set<int>", "int"] {
            assert!(each("max").wants(&CqlType::parse(other)).is_some(), "{other}");
        }
        assert!(each("max").wants(&CqlType::parse("map<text, uuid>")).is_some());
    }
}
