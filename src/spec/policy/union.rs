//! `union`: the elements of both; where both have an entry of a map, or a field of a user-defined type, the survivor's stays.
//! Of lists the survivor's elements come first, then those of the source that it lacks, counted one by one.

use bytes::Bytes;

use super::Policy;
use crate::model::{Cell, CqlType, Elements, list};

/// The elements of both.
#[derive(Debug)]
pub(super) struct Union;

impl Policy for Union {
    fn name(&self) -> &str {
        "union"
    }

    fn outcome(&self, column: &str) -> String {
        format!("the {column} of both")
    }

    fn joins_elements(&self) -> bool {
        true
    }

    fn wants(&self, of: &CqlType) -> Option<&'static str> {
        (!of.has_elements()).then_some("a collection or user-defined type that is not frozen")
    }

    fn combine(&self, of: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        if of.is_list() {
            let (own, more) = (kept.as_ref(), offered.as_ref()?);
            let all = own.map_or_else(|| more.clone(), |own| list::united(own, Some(more)));
            return (own != Some(&all)).then_some(all);
        }
        let split = |cell: &Cell| of.collection()?.split(cell.as_ref()?);
        let mut all: Elements = split(kept).unwrap_or_default();
        let before = all.len();
        for (key, value) in split(offered)? {
            if !all.iter().any(|(known, _)| *known == key) {
                all.push((key, value));
            }
        }
        let elements = all.iter().map(|(key, value)| (key, value.as_ref()));
        (all.len() > before).then(|| of.collection().map(|of| of.join(elements)))?
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Standing, Undone};
    use super::*;
    use crate::model::Collection;

    fn set(elements: &[&'static str]) -> Cell {
        let elements: Vec<Bytes> =
            elements.iter().map(|one| Bytes::from_static(one.as_bytes())).collect();
        Some(Collection::keys(elements.iter()))
    }

    fn map(entries: &[(&'static str, &'static str)]) -> Cell {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let entries: Vec<_> = entries.iter().map(|(k, v)| (bytes(k), bytes(v))).collect();
        Some(Collection::Map.join(entries.iter().map(|(key, value)| (key, Some(value)))))
    }

    fn sets() -> CqlType {
        CqlType::parse("set<text>")
    }

    #[test]
    fn elements_of_both_stay_however_often_they_are_offered() {
        let (ab, bc) = (set(&["a", "b"]), set(&["b", "c"]));
        let all = Union.combine(&sets(), &ab, &bc);
        assert_eq!(all, set(&["a", "b", "c"]));
        assert_eq!(Union.combine(&sets(), &all, &bc), None, "once more");
        assert_eq!(Union.combine(&sets(), &None, &bc), bc);
        for nothing in [None, set(&[])] {
            assert_eq!(Union.combine(&sets(), &ab, &nothing), None);
            assert_eq!(Union.combine(&sets(), &None, &nothing), None);
        }
    }

    #[test]
    fn of_two_entries_the_survivors_stays() {
        let of = CqlType::parse("map<text, text>");
        let both = Union.combine(&of, &map(&[("k", "own")]), &map(&[("k", "other"), ("l", "x")]));
        assert_eq!(both, map(&[("k", "own"), ("l", "x")]));
    }

    #[test]
    fn of_lists_the_survivors_elements_come_first() {
        let list = CqlType::parse("list<text>");
        let all = Union.combine(&list, &set(&["b", "a", "b"]), &set(&["c", "a", "a"]));
        assert_eq!(all, set(&["b", "a", "b", "c", "a"]));
        assert_eq!(Union.combine(&list, &all, &set(&["c", "a", "a"])), None, "once more");
        assert_eq!(Union.combine(&list, &None, &set(&["a", "a"])), set(&["a", "a"]));
        assert_eq!(Union.combine(&list, &all, &None), None);
    }

    #[test]
    fn of_fields_those_that_the_survivor_lacks_are_the_source_s() {
        let address = CqlType::parse("address");
        let cell = |value: &'static [u8]| Some(Bytes::from_static(value));
        let own = cell(b"\xff\xff\xff\xff\0\0\0\x01t");
        let other = cell(b"\0\0\0\x01s\0\0\0\x01u\xff\xff\xff\xff");
        let both = Union.combine(&address, &own, &other);
        assert_eq!(both, cell(b"\0\0\0\x01s\0\0\0\x01t"));
        assert_eq!(Union.combine(&address, &both, &other), None, "once more");
    }

    #[test]
    fn what_was_added_and_is_gone_is_worse_and_more_is_better() {
        let (left, less) = (set(&["a", "b"]), set(&["a"]));
        assert_eq!(Union.check(&sets(), &left, &less), Standing::Worse);
        assert_eq!(Union.check(&sets(), &less, &left), Standing::Better);
    }

    #[test]
    fn it_is_undone_unless_somebody_added_more() {
        let (before, left, more) = (set(&["a"]), set(&["a", "b"]), set(&["a", "b", "c"]));
        let may = |found| {
            let values = Undone { before: &before, left: &left, found };
            Union.may_undo(&values, &|a, b| a == b)
        };
        assert!(may(&left) && may(&before) && !may(&more));
    }

    #[test]
    fn it_needs_elements() {
        for of in ["set<int>", "map<text, frozen<list<int>>>", "address", "list<int>"] {
            assert_eq!(Union.wants(&CqlType::parse(of)), None, "{of}");
        }
        for of in ["text", "frozen<set<int>>", "frozen<list<int>>", "frozen<address>"] {
            assert!(Union.wants(&CqlType::parse(of)).is_some(), "{of}");
        }
    }
}
