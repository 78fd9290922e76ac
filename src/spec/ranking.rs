//! `{ keep = "higher", by = […] }`: of two rows with one key the one that ranks higher survives, with all of its columns.
//!
//! Rows are ranked by one column after the other; null is lowest. Of two that rank alike the survivor's stays, or that
//! of the first source.

use std::cmp::Ordering;

use crate::model::{ColumnIndex, Order, Row};

/// By what rows rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking(Vec<(ColumnIndex, Order)>);

impl Ranking {
    /// By these columns, in this order; by none, rows do not rank at all.
    pub(crate) fn by(columns: Vec<(ColumnIndex, Order)>) -> Self {
        Self(columns)
    }

    /// Whether rows rank.
    pub(crate) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = ColumnIndex> {
        self.0.iter().map(|(column, _)| *column)
    }

    /// How a row ranks beside another one.
    pub(crate) fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let by_column =
            self.0.iter().map(|(column, order)| match (&a.cells[*column], &b.cells[*column]) {
                (Some(a), Some(b)) => order.compare(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            });
        by_column.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn row(status: Option<i32>, percent: Option<i32>) -> Row {
        let int = |value: Option<i32>| value.map(|v| Bytes::copy_from_slice(&v.to_be_bytes()));
        Row::new(vec![int(status), int(percent)])
    }

    #[test]
    fn rows_rank_by_one_column_after_the_other() {
        let ranking = Ranking::by(vec![(0, Order::Signed), (1, Order::Signed)]);
        let check = |a: (Option<i32>, Option<i32>), b: (Option<i32>, Option<i32>), expected| {
            assert_eq!(ranking.compare(&row(a.0, a.1), &row(b.0, b.1)), expected);
            assert_eq!(ranking.compare(&row(b.0, b.1), &row(a.0, a.1)), expected.reverse());
        };
        check((Some(2), None), (Some(1), Some(100)), Ordering::Greater);
        check((Some(1), Some(40)), (Some(1), Some(50)), Ordering::Less);
        check((None, Some(100)), (Some(-1), None), Ordering::Less);
        check((Some(1), None), (Some(1), Some(-5)), Ordering::Less);
        check((Some(1), None), (Some(1), None), Ordering::Equal);
        assert!(!Ranking::default().is_any());
    }
}
