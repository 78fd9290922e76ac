//! `latest`: the value that the application wrote later; of two of one time the survivor's, or that of the source that comes
//! first. A delete has no time that could be read, so null gives way to any value.
//!
//! Nothing is computed: the value is one account's. So what the application writes to the survivor after T is the later write
//! and stands, and nothing is looked at once more. What it writes to a source then goes by the same rule, in the sweep.
//!
//! The time of a cell that a run has written is not the application's. What this run wrote counts by the times of its
//! before-images; what another one did is older than whatever the application wrote ([`by_run`](crate::model::by_run)).

use bytes::Bytes;

use super::{Dated, Policy};
use crate::model::{Cell, CqlType, TimestampUs};

/// The value that was written later.
#[derive(Debug)]
pub(super) struct Latest;

impl Policy for Latest {
    fn name(&self) -> &str {
        "latest"
    }

    fn outcome(&self, column: &str) -> String {
        format!("the {column} that was written later")
    }

    fn is_computed(&self) -> bool {
        false
    }

    fn goes_by_time(&self) -> bool {
        true
    }

    fn wants(&self, of: &CqlType) -> Option<&'static str> {
        of.has_elements().then_some("a type that is written as one value")
    }

    /// Of values alone nobody can tell: another one may be the later.
    fn combine(&self, _: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        offered.clone().filter(|_| kept != offered)
    }

    fn late(&self, _: &CqlType, own: Dated<'_>, late: Dated<'_>) -> Option<TimestampUs> {
        late.value.as_ref()?;
        late.t.filter(|t| own.value.is_none() || own.t.is_none_or(|own| own < *t))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::int;
    use super::super::{Standing, Undone, each, parse};
    use super::*;
    use crate::model::by_run;

    /// What stays of the survivor's value and those of sources, in this order.
    fn latest(values: &[(Cell, TimestampUs)]) -> Cell {
        let dated =
            |(value, t): &'_ (Cell, TimestampUs)| (value.clone(), value.as_ref().map(|_| *t));
        let (first, rest) = values.split_first().unwrap();
        let last = rest.iter().map(dated).fold(dated(first), |own, offered| {
            let of = |(value, t)| Dated { value, t };
            let (kept, other) = (of((&own.0, own.1)), of((&offered.0, offered.1)));
            if Latest.late(&CqlType::Int, kept, other).is_some() { offered } else { own }
        });
        last.0
    }

    #[test]
    fn the_later_write_stays_in_whatever_order_they_come() {
        let all = [(int(1), 20), (int(2), 10), (int(3), 30)];
        for order in [[0, 1, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0]] {
            assert_eq!(latest(&order.map(|at| all[at].clone())), int(3), "{order:?}");
        }
        assert_eq!(latest(&[(int(1), 5), (int(2), 7), (int(2), 7)]), int(2), "once more");
    }

    #[test]
    fn of_two_of_one_time_the_first_stays_and_null_gives_way() {
        assert_eq!(latest(&[(int(1), 7), (int(2), 7), (int(3), 7)]), int(1));
        assert_eq!(latest(&[(None, 0), (int(2), -9), (None, 0)]), int(2));
        assert_eq!(latest(&[(int(2), 3), (None, 0)]), int(2));
        assert_eq!(latest(&[(None, 0), (None, 0)]), None);
    }

    #[test]
    fn what_a_run_wrote_is_older_than_what_the_application_did_and_gives_way_to_a_later_run() {
        assert_eq!(latest(&[(int(1), by_run(900)), (int(2), 7)]), int(2));
        assert_eq!(latest(&[(int(1), 7), (int(2), by_run(900))]), int(1));
        assert_eq!(latest(&[(int(1), by_run(900)), (int(2), by_run(901))]), int(2));
        assert_eq!(latest(&[(None, 0), (int(2), by_run(900))]), int(2));
        assert!(by_run(i64::MIN) <= by_run(0) && by_run(0) < by_run(1) && by_run(1 << 60) < 0);
    }

    #[test]
    fn any_other_value_than_was_left_is_told_by_its_time() {
        assert_eq!(Latest.check(&CqlType::Int, &int(2), &int(2)), Standing::AsLeft);
        assert_eq!(Latest.check(&CqlType::Int, &int(2), &int(3)), Standing::Worse);
        assert!(!Latest.is_computed() && Latest.looks());
    }

    #[test]
    fn it_is_undone_unless_somebody_wrote_it_since() {
        let may = |found| {
            let (before, left, found) = (&int(4), &int(6), &found);
            Latest.may_undo(&Undone { before, left, found }, &|a, b| a == b)
        };
        assert!(may(int(6)) && may(int(4)) && !may(int(5)) && !may(None));
    }

    #[test]
    fn it_is_about_values_that_are_written_whole() {
        for of in ["int", "blob", "uuid", "duration", "frozen<map<text, int>>"] {
            assert_eq!(Latest.wants(&CqlType::parse(of)), None, "{of}");
        }
        for of in ["map<text, int>", "set<int>", "list<int>"] {
            assert!(Latest.wants(&CqlType::parse(of)).is_some(), "{of}");
        }
        assert!(each(parse("latest").unwrap()).is_err());
    }
}
