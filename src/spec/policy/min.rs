//! `min`: the lower value; null counts as no value, so that any value beats it.

use bytes::Bytes;

use super::{ORDERED, Policy};
use crate::model::{Cell, CqlType};

/// The lower value.
#[derive(Debug)]
pub(super) struct Min;

impl Policy for Min {
    fn name(&self) -> &str {
        "min"
    }

    fn outcome(&self, column: &str) -> String {
        format!("the lower {column}")
    }

    fn wants(&self, of: &CqlType) -> Option<&'static str> {
        of.value_order().is_none().then_some(ORDERED)
    }

    fn combine(&self, of: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        let offered = offered.as_ref()?;
        let is_lower = |kept: &Bytes| {
            of.value_order().is_some_and(|order| order.compare(offered, kept).is_lt())
        };
        kept.as_ref().is_none_or(is_lower).then(|| offered.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Standing;
    use super::super::tests::{check, int};
    use super::*;

    #[test]
    fn the_lower_value_stays() {
        check(&Min, &int(2), &[int(3), int(1), None], &int(1));
        check(&Min, &int(-2), &[int(-1)], &int(-2));
        check(&Min, &None, &[None, int(5)], &int(5));
        check(&Min, &None, &[None], &None);
    }

    #[test]
    fn a_higher_value_is_worse_than_what_was_left() {
        let stands = |left: &Cell, found: &Cell| Min.check(&CqlType::Int, left, found);
        assert_eq!(stands(&int(1), &int(2)), Standing::Worse);
        assert_eq!(stands(&int(1), &None), Standing::Worse);
        assert_eq!(stands(&int(1), &int(0)), Standing::Better);
    }
}
