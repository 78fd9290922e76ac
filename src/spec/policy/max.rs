//! `max`: the higher value; null counts as lowest.

use bytes::Bytes;

use super::{ORDERED, Policy};
use crate::model::{Cell, CqlType};

/// The higher value.
#[derive(Debug)]
pub(super) struct Max;

impl Policy for Max {
    fn name(&self) -> &str {
        "max"
    }

    fn outcome(&self, column: &str) -> String {
        format!("the higher {column}")
    }

    fn wants(&self, of: &CqlType) -> Option<&'static str> {
        of.value_order().is_none().then_some(ORDERED)
    }

    fn combine(&self, of: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        let offered = offered.as_ref()?;
        let is_higher = |kept: &Bytes| {
            of.value_order().is_some_and(|order| order.compare(offered, kept).is_gt())
        };
        kept.as_ref().is_none_or(is_higher).then(|| offered.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Standing;
    use super::super::tests::{check, int};
    use super::*;

    #[test]
    fn the_higher_value_stays() {
        check(&Max, &int(1), &[int(3), int(2), None], &int(3));
        check(&Max, &int(-1), &[int(-2)], &int(-1));
        check(&Max, &None, &[None, int(-2)], &int(-2));
        check(&Max, &None, &[None], &None);
    }

    #[test]
    fn a_lower_value_is_worse_than_what_was_left() {
        let stands = |left: &Cell, found: &Cell| Max.check(&CqlType::Int, left, found);
        assert_eq!(stands(&int(2), &int(1)), Standing::Worse);
        assert_eq!(stands(&int(2), &None), Standing::Worse);
        assert_eq!(stands(&int(2), &int(3)), Standing::Better);
        assert_eq!(stands(&None, &int(3)), Standing::Better);
    }

    #[test]
    fn it_needs_an_order() {
        assert_eq!(Max.wants(&CqlType::Timestamp), None);
        for of in [CqlType::Uuid, CqlType::Duration, CqlType::parse("map<text, int>")] {
            assert_eq!(Max.wants(&of), Some(ORDERED), "{of}");
        }
    }
}
