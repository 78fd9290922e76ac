//! The enrolments to announce when rows of a survivor change long after its merge was sealed: by a sweep, by a
//! repair.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::account::{AccountId, Cell, Row, TableIndex, TimedRow};
use crate::merge::Announced;
use crate::storage::{Reader, StorageError, Width};

use super::Context;

/// Rows that are read at once to find a smallest value.
const PAGE_ROWS: usize = 500;

impl<S: Reader> Context<S> {
    /// The partition of the announced table that a row belongs or leads to, if there is one; `cells` are the row's,
    /// its key at least.
    pub fn led_to(&self, table: TableIndex, cells: &[Cell]) -> Option<Bytes> {
        let announced = self.spec.event.as_ref()?.table;
        let led_by = self.spec.clustering_tables().find(|(index, ..)| *index == announced);
        let (_, _, through, column) = led_by?;
        let column = match table {
            _ if table == announced => 0,
            _ if table == through => column,
            _ => return None,
        };
        cells.get(column)?.clone().filter(|partition| !partition.is_empty())
    }

    /// The enrolments of an account among these partitions of the announced table. `known` gives the account's row
    /// in a partition where it is not what a read would see.
    ///
    /// # Errors
    /// A read failed for good.
    pub async fn announced(
        &self,
        account: &AccountId,
        partitions: BTreeSet<Bytes>,
        known: impl Fn(&Bytes) -> Option<Option<TimedRow>>,
    ) -> Result<Vec<Announced>, StorageError> {
        let Some(event) = &self.spec.event else { return Ok(Vec::new()) };
        let shape = &self.spec.tables[event.table];
        let mut announced = Vec::new();
        for partition in partitions {
            let row = match known(&partition) {
                Some(row) => row,
                None => {
                    let mut key = vec![Bytes::new(); shape.key_len];
                    key[0].clone_from(&partition);
                    key[shape.account].clone_from(account.cell());
                    self.timed_row(event.table, &key).await?
                }
            };
            let Some(row) = row else { continue };
            let mut quoted = Vec::new();
            for column in &event.columns {
                quoted.push(match (&row.row.cells[column.column], column.else_min) {
                    (Some(value), _) => Some(value.clone()),
                    (None, None) => None,
                    (None, Some(minimum)) => self.minimum(account, &partition, minimum).await?,
                });
            }
            announced.push(Announced { partition, quoted });
        }
        Ok(announced)
    }

    /// The smallest value of a column among the account's rows that lead to a partition of the announced table.
    async fn minimum(
        &self,
        account: &AccountId,
        partition: &Bytes,
        column: usize,
    ) -> Result<Cell, StorageError> {
        let announced = self.spec.event.as_ref().map(|event| event.table);
        let led_by = self.spec.clustering_tables().find(|(index, ..)| Some(*index) == announced);
        let Some((_, _, table, by)) = led_by else { return Ok(None) };
        let lane = self.lanes.read(table, Width::Slim);
        let mut minimum: Cell = None;
        let mut next = None;
        loop {
            let read = || self.storage.page(table, account, Width::Slim, PAGE_ROWS, next.clone());
            let page = self.carry_out(lane, read).await?;
            let rows =
                page.rows.iter().filter(|row: &&Row| row.cells[by].as_ref() == Some(partition));
            for value in rows.filter_map(|row| row.cells[column].as_ref()) {
                if minimum.as_ref().is_none_or(|known| value < known) {
                    minimum = Some(Bytes::copy_from_slice(value));
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(minimum);
            }
        }
    }
}
