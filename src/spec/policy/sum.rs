//! `sum`: what all accounts have counted; null is 0.
//!
//! What is offered twice counts twice, unlike with any other policy. So a source's value is offered once, and what comes of
//! it is journaled and written as it is: a total, never a difference. What became of that total is told by its exact value
//! and time alone, and a value that a source gets later is no part of it: it is left there and listed.

use std::ops::RangeInclusive;

use bytes::Bytes;
use num_bigint::BigInt;

use super::{Dated, Policy, Standing};
use crate::model::{Cell, CqlType, TimestampUs};

/// The total.
#[derive(Debug)]
pub(super) struct Sum;

/// How many bytes a number of this type takes; `None` for as many as it needs.
fn width(of: &CqlType) -> Option<usize> {
    match of {
        CqlType::TinyInt => Some(1),
        CqlType::SmallInt => Some(2),
        CqlType::Int => Some(4),
        CqlType::BigInt => Some(8),
        _ => None,
    }
}

/// The value of a number; null and nothing at all are 0.
fn number(cell: &Cell) -> BigInt {
    BigInt::from_signed_bytes_be(cell.as_deref().unwrap_or_default())
}

/// What fits into so many bytes.
fn range(width: usize) -> RangeInclusive<BigInt> {
    let highest = (BigInt::from(1) << (8 * width - 1)) - 1_u8;
    -&highest - 1_u8..=highest
}

/// A number as a value of the type; what would not fit is the highest or the lowest that does.
fn value(of: &CqlType, number: &BigInt) -> Bytes {
    let Some(width) = width(of) else { return number.to_signed_bytes_be().into() };
    let range = range(width);
    let bytes = number.clamp(range.start(), range.end()).to_signed_bytes_be();
    let sign = if number.sign() == num_bigint::Sign::Minus { 0xff } else { 0 };
    let mut value = vec![sign; width - bytes.len()];
    value.extend(bytes);
    value.into()
}

impl Policy for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn outcome(&self, column: &str) -> String {
        format!("the {column} of both, added up")
    }

    fn adds(&self) -> bool {
        true
    }

    fn wants(&self, of: &CqlType) -> Option<&'static str> {
        let is_whole = width(of).is_some() || *of == CqlType::Varint;
        (!is_whole).then_some("a whole number: tinyint, smallint, int, bigint or varint")
    }

    fn combine(&self, of: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        let offered = offered.as_ref().filter(|value| !value.is_empty())?;
        let Some(own) = kept else { return Some(offered.clone()) };
        let total = value(of, &(number(kept) + number(&Some(offered.clone()))));
        (total != *own).then_some(total)
    }

    fn is_capped(&self, of: &CqlType, kept: &Cell, offered: &Cell) -> bool {
        width(of).is_some_and(|width| !range(width).contains(&(number(kept) + number(offered))))
    }

    fn late(&self, _: &CqlType, _: Dated<'_>, _: Dated<'_>) -> Option<TimestampUs> {
        None
    }

    fn check(&self, _: &CqlType, left: &Cell, found: &Cell) -> Standing {
        if found == left { Standing::AsLeft } else { Standing::Worse }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::int;
    use super::super::{Undone, parse};
    use super::*;

    fn total(of: &CqlType, values: &[Cell]) -> Cell {
        let (first, rest) = values.split_first().unwrap();
        rest.iter().fold(first.clone(), |kept, one| Sum.combine(of, &kept, one).map_or(kept, Some))
    }

    #[test]
    fn all_values_are_added_up_in_any_order_and_null_is_nothing() {
        let of = CqlType::Int;
        assert_eq!(total(&of, &[int(1), int(3), None, int(-2)]), int(2));
        assert_eq!(total(&of, &[int(-2), None, int(3), int(1)]), int(2));
        assert_eq!(total(&of, &[None, int(3), int(4)]), int(7));
        assert_eq!(total(&of, &[None, int(0)]), int(0));
        assert_eq!(total(&of, &[None, None]), None);
        assert_eq!(Sum.combine(&of, &int(3), &int(0)), None, "nothing to write");
        assert_eq!(Sum.combine(&of, &int(3), &Some(Bytes::new())), None);
    }

    #[test]
    fn it_knows_every_width_and_stays_at_what_the_type_can_hold() {
        let bytes = |bytes: &[u8]| Some(Bytes::copy_from_slice(bytes));
        let tiny = CqlType::TinyInt;
        assert_eq!(total(&tiny, &[bytes(&[100]), bytes(&[100])]), bytes(&[127]));
        assert_eq!(total(&tiny, &[bytes(&[0x80]), bytes(&[0xff])]), bytes(&[0x80]));
        let is_capped =
            |kept: &[u8], offered: &[u8]| Sum.is_capped(&tiny, &bytes(kept), &bytes(offered));
        assert!(
            is_capped(&[100], &[100]) && is_capped(&[127], &[1]) && is_capped(&[0x80], &[0xff])
        );
        assert!(
            !is_capped(&[100], &[27]) && !is_capped(&[127], &[]) && !is_capped(&[0xff], &[0x81])
        );
        assert!(!Sum.is_capped(&CqlType::Varint, &bytes(&[127]), &bytes(&[127])));
        assert_eq!(total(&CqlType::Int, &[int(i32::MAX), int(1)]), int(i32::MAX));
        assert_eq!(total(&CqlType::Int, &[int(-5), int(4)]), int(-1));
        let big = |n: i64| bytes(&n.to_be_bytes());
        assert_eq!(total(&CqlType::BigInt, &[big(1 << 40), big(3)]), big((1 << 40) + 3));
        assert_eq!(total(&CqlType::Varint, &[bytes(&[100]), bytes(&[100])]), bytes(&[0, 200]));
    }

    #[test]
    fn only_the_exact_total_is_as_it_was_left() {
        assert_eq!(Sum.check(&CqlType::Int, &int(7), &int(7)), Standing::AsLeft);
        for found in [int(6), int(8), None] {
            assert_eq!(Sum.check(&CqlType::Int, &int(7), &found), Standing::Worse);
        }
    }

    #[test]
    fn a_late_value_is_never_added() {
        let late = Dated { value: &int(3), t: Some(9) };
        assert_eq!(Sum.late(&CqlType::Int, Dated { value: &int(1), t: Some(5) }, late), None);
    }

    #[test]
    fn it_is_undone_unless_somebody_has_counted_on() {
        let may = |found| {
            let (before, left, found) = (&int(4), &int(7), &found);
            Sum.may_undo(&Undone { before, left, found }, &|a, b| a == b)
        };
        assert!(may(int(7)) && may(int(4)) && !may(int(8)) && !may(None));
    }

    #[test]
    fn it_needs_whole_numbers() {
        for of in ["tinyint", "smallint", "int", "bigint", "varint"] {
            assert_eq!(Sum.wants(&CqlType::parse(of)), None, "{of}");
        }
        for of in ["text", "double", "decimal", "counter", "timestamp", "map<text, int>"] {
            assert!(Sum.wants(&CqlType::parse(of)).is_some(), "{of}");
        }
        assert!(super::super::each(parse("sum").unwrap()).is_err());
    }
}
