//! What becomes of whole rows with one key. `"keep-source"`: the source's takes the place of the survivor's, and the last
//! source's that of all others; columns that it lacks are deleted.
//!
//! `{ keep = "higher", by = […] }`: the one that ranks higher survives, with all of its columns. Rows are ranked by one column after the other; null is lowest. Of two that rank alike the survivor's stays, or that
//! of the first source.

use std::cmp::Ordering;

use crate::model::{ColumnIndex, Order, Row};

/// What becomes of whole rows where both accounts hold a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RowRule {
    /// The one that is there stays, and its columns go by their policies.
    #[default]
    Stays,
    /// The one that ranks higher survives, whole.
    Higher(Ranking),
    /// The source's takes the place of the one that is there.
    Source,
}

impl RowRule {
    /// Whether a row may take the place of another one as a whole.
    pub(crate) fn is_whole(&self) -> bool {
        *self != Self::Stays
    }

    /// Whether which row survives goes by what they hold.
    pub(crate) fn is_ranked(&self) -> bool {
        matches!(self, Self::Higher(_))
    }
}

/// By what rows rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranking(Vec<(ColumnIndex, Order)>);

impl Ranking {
    /// By these columns, in this order.
    pub(crate) fn by(columns: Vec<(ColumnIndex, Order)>) -> Self {
        Self(columns)
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
    }
}
