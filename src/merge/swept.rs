//! What survived on a source (it was written after T, or is dated in the future), and where it goes.
//!
//! It is a later write to the row's new place. Where the survivor's row is a copy of ours, or there is none,
//! every surviving cell is written there with its own write time; where the survivor had a row of its own,
//! the policies apply. Then the cells are deleted from the source, each just above its own write time, so that
//! nothing else on the source is touched.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::account::{
    AccountId, Change, ColumnIndex, Mutation, Row, TableIndex, TimedRow, TimestampUs,
};
use crate::spec::Table;

/// One row of a source that outlived the merge's delete, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// The table.
    pub table: TableIndex,
    /// The source's place in the group.
    pub source: usize,
    /// The primary key of the source's row, in column order.
    pub key: Vec<Bytes>,
    /// The cells that are taken from the source's row.
    pub cells: Vec<SweptCell>,
    /// The survivor's row before, with the write times of its cells; `None` if there was none.
    pub target: Option<TimedRow>,
    /// Cells up to this time are old enough for the whole row to be deleted as of it; `None` if all are
    /// dated in the future.
    pub settled: Option<TimestampUs>,
}

/// One cell, or one element of a map or set that is not frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweptCell {
    /// The column.
    pub column: ColumnIndex,
    /// Of a map or set that is not frozen: the entry's key, or the element.
    pub element: Option<Bytes>,
    /// The value; none for an element of a set.
    pub value: Option<Bytes>,
    /// Its write time on the source.
    pub t: TimestampUs,
    /// The write time with which it is written to the survivor's row; `None` where that keeps what it has.
    pub placed_at: Option<TimestampUs>,
}

/// A slice of a sweep: rows of a group's sources, and the enrolments to announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepSlice {
    /// The rows.
    pub rows: Vec<Swept>,
    /// The enrolments to announce; their ids follow from the slice's own time.
    pub events: Vec<super::Announced>,
}
