//! The lists of a table that are not frozen, which are written by statements of their own.

use bytes::Bytes;

use super::Table;
use crate::model::{Cell, Change, ColumnIndex, ExpiryS, Row};

impl Table {
    /// The columns that are lists and not frozen.
    pub(crate) fn lists(&self) -> impl Iterator<Item = ColumnIndex> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, column)| column.cql_type.is_list()).map(|(index, _)| index)
    }

    /// The lists of a row that are not frozen: what an insert leaves out.
    pub(crate) fn lists_of(&self, row: &Row) -> impl Iterator<Item = (ColumnIndex, Bytes)> {
        self.lists().filter_map(|column| Some((column, row.cells.get(column)?.clone()?)))
    }

    /// What writes the lists of a row, to the row of this key.
    pub(crate) fn set_lists(&self, key: &[Bytes], row: &Row) -> impl Iterator<Item = Change> {
        self.lists_of(row).map(|(column, value)| Change::set_list(key.to_vec(), column, value))
    }

    /// What sets columns of a row: one statement, and one for each list.
    pub(crate) fn updates(
        &self,
        key: &[Bytes],
        set: impl Iterator<Item = (ColumnIndex, Cell)>,
        expires: impl Fn(ColumnIndex) -> Option<ExpiryS>,
    ) -> Vec<Change> {
        let is_list = |(column, value): &(ColumnIndex, Cell)| {
            value.is_some() && self.columns[*column].cql_type.is_list()
        };
        let (lists, set): (Vec<_>, Vec<_>) = set.partition(is_list);
        let update = (!set.is_empty()).then(|| Change::update_until(key.to_vec(), set, expires));
        let lists = lists.into_iter();
        let lists = lists
            .filter_map(|(column, value)| Some(Change::set_list(key.to_vec(), column, value?)));
        update.into_iter().chain(lists).collect()
    }
}
