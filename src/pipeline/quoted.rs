//! What an event quotes of a row.

use bytes::Bytes;

use crate::account::{AccountId, Cell, ColumnIndex, Row, TableIndex};
use crate::storage::{Reader, StorageError, Width};

use super::Context;

/// Rows that are read at once.
const PAGE_ROWS: usize = 500;

impl<S: Reader> Context<S> {
    /// The columns that the event quotes of a row of the announced table; where it holds null and the
    /// specification says so, the smallest value among the account's rows that lead to its partition.
    ///
    /// # Errors
    /// Those rows cannot be read.
    pub async fn quoted(&self, account: &AccountId, row: &Row) -> Result<Vec<Cell>, StorageError> {
        let mut quoted = Vec::new();
        let Some(event) = &self.spec.event else { return Ok(quoted) };
        let led_by = self.spec.clustering_tables().find(|(index, ..)| *index == event.table);
        for column in &event.columns {
            let cell = &row.cells[column.column];
            quoted.push(match (cell, column.else_min, led_by, &row.cells[0]) {
                (None, Some(minimum), Some((_, _, through, by)), Some(partition)) => {
                    self.smallest(through, account, (by, partition), minimum).await?
                }
                _ => cell.clone(),
            });
        }
        Ok(quoted)
    }

    /// The smallest value of a column among an account's rows that lead to a partition.
    async fn smallest(
        &self,
        table: TableIndex,
        account: &AccountId,
        (by, partition): (ColumnIndex, &Bytes),
        column: ColumnIndex,
    ) -> Result<Cell, StorageError> {
        let lane = self.lanes.read(table, Width::Slim);
        let mut smallest: Cell = None;
        let mut next = None;
        loop {
            let read = || self.storage.page(table, account, Width::Slim, PAGE_ROWS, next.clone());
            let page = self.carry_out(lane, read).await?;
            let leading = page.rows.iter().filter(|row| row.cells[by].as_ref() == Some(partition));
            for value in leading.filter_map(|row| row.cells[column].as_ref()) {
                if smallest.as_ref().is_none_or(|known| value < known) {
                    smallest = Some(Bytes::copy_from_slice(value));
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(smallest);
            }
        }
    }
}
