//! `first`: the survivor's value, or that of the first source that has one where the survivor's is null.

use bytes::Bytes;

use super::Policy;
use crate::model::{Cell, CqlType};

/// The first value that is not null.
#[derive(Debug)]
pub(super) struct First;

impl Policy for First {
    fn name(&self) -> &str {
        "first"
    }

    fn outcome(&self, column: &str) -> String {
        format!("a source's {column} where it has none")
    }

    fn wants(&self, _: &CqlType) -> Option<&'static str> {
        None
    }

    fn combine(&self, _: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        if kept.is_none() { offered.clone() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, int};
    use super::super::{Dated, Standing, Undone};
    use super::*;

    #[test]
    fn a_value_stays_and_nothing_gives_way() {
        check(&First, &int(1), &[int(3), None], &int(1));
        check(&First, &None, &[None, int(3), int(2)], &int(3));
        check(&First, &None, &[None], &None);
    }

    #[test]
    fn only_nothing_is_worse_than_what_was_left() {
        assert_eq!(First.check(&CqlType::Int, &int(2), &None), Standing::Worse);
        assert_eq!(First.check(&CqlType::Int, &int(2), &int(1)), Standing::AsLeft);
        assert_eq!(First.check(&CqlType::Int, &None, &int(1)), Standing::Better);
    }

    #[test]
    fn a_late_value_is_taken_where_there_is_none() {
        let late = |own: &Cell, own_t| {
            let own = Dated { value: own, t: own_t };
            First.late(&CqlType::Int, own, Dated { value: &int(2), t: Some(7) })
        };
        assert_eq!(late(&None, None), Some(7));
        assert_eq!(late(&int(1), Some(5)), None);
    }

    #[test]
    fn what_was_filled_in_may_be_emptied_again_unless_it_was_changed() {
        let may = |found| {
            let (before, left, found) = (&None, &int(2), &found);
            First.may_undo(&Undone { before, left, found }, &|a, b| a == b)
        };
        assert!(may(int(2)) && may(None) && !may(int(3)));
    }

    #[test]
    fn it_takes_values_of_any_type_as_a_whole() {
        for of in ["blob", "frozen<list<int>>", "map<text, int>", "list<int>", "address"] {
            assert_eq!(First.wants(&CqlType::parse(of)), None, "{of}");
        }
        assert_eq!(First.late_element(&None, None, 7), Some(7));
        assert_eq!(First.late_element(&int(1), None, 7), None, "the survivor has elements");
    }
}
