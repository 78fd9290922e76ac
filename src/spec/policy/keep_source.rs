//! `keep-source`: the source's value takes the place of the survivor's, the last source's that of all others. Null is a value
//! like any other: where the source has none, the survivor's cell is deleted.
//!
//! Nothing is computed: the value is one account's, whatever the other one's was. So what the application writes to the
//! survivor after T stands, and of late values the later write does.

use bytes::Bytes;

use super::{Dated, Policy};
use crate::model::{Cell, CqlType, TimestampUs};

/// The source's value takes the place of the survivor's.
#[derive(Debug)]
pub(super) struct KeepSource;

impl Policy for KeepSource {
    fn name(&self) -> &str {
        "keep-source"
    }

    fn outcome(&self, column: &str) -> String {
        format!("the source's {column}, also where that is null")
    }

    fn is_computed(&self) -> bool {
        false
    }

    fn wants(&self, _: &CqlType) -> Option<&'static str> {
        None
    }

    /// Of values alone: that a cell gives way to null is for whoever has a source's whole row.
    fn combine(&self, _: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        offered.clone().filter(|_| kept != offered)
    }

    fn late(&self, _: &CqlType, own: Dated<'_>, late: Dated<'_>) -> Option<TimestampUs> {
        late.t.filter(|t| own.t.is_none_or(|own| own < *t))
    }

    fn late_element(
        &self,
        _: &Cell,
        known: Option<TimestampUs>,
        t: TimestampUs,
    ) -> Option<TimestampUs> {
        known.is_none_or(|known| known < t).then_some(t)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, int};
    use super::super::{Undone, each, parse};
    use super::*;

    #[test]
    fn the_last_value_that_is_offered_stays() {
        check(&KeepSource, &int(1), &[int(3)], &int(3));
        check(&KeepSource, &None, &[int(3), int(2)], &int(2));
        assert_eq!(KeepSource.combine(&CqlType::Int, &int(2), &int(2)), None, "nothing to write");
        assert!(!KeepSource.is_computed());
    }

    #[test]
    fn of_a_late_value_and_the_survivors_the_later_write_stays() {
        let late = |own: &Cell, own_t| {
            let own = Dated { value: own, t: own_t };
            KeepSource.late(&CqlType::Int, own, Dated { value: &int(2), t: Some(7) })
        };
        assert_eq!(late(&int(1), Some(6)), Some(7));
        assert_eq!(late(&int(1), Some(7)), None);
        assert_eq!(late(&int(9), Some(8)), None);
        assert_eq!(late(&None, None), Some(7));
    }

    #[test]
    fn what_was_deleted_comes_back_unless_somebody_wrote_it_since() {
        let may = |found| {
            let (before, left, found) = (&int(4), &None, &found);
            KeepSource.may_undo(&Undone { before, left, found }, &|a, b| a == b)
        };
        assert!(may(None) && may(int(4)) && !may(int(5)));
    }

    #[test]
    fn it_takes_values_of_any_type_as_a_whole() {
        for of in ["int", "frozen<list<int>>", "map<text, int>", "list<int>", "address"] {
            assert_eq!(KeepSource.wants(&CqlType::parse(of)), None, "{of}");
        }
        let late = |known| KeepSource.late_element(&int(1), known, 7);
        assert_eq!([late(None), late(Some(6)), late(Some(7))], [Some(7), Some(7), None]);
        assert!(each(parse("keep-source").unwrap()).is_err());
    }
}
