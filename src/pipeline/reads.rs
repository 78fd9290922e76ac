//! Reads with write times, for the walks that look at what a run has left: pages and lists of accounts are as
//! large as the size of a table's rows allows.

use std::mem;

use bytes::Bytes;

use crate::account::{AccountId, TableIndex, TimedRow};
use crate::storage::{Cursor, Reader, StorageError, TimedPage, Width};

use super::Context;

/// What a page of a row with its times takes, at least, in units of what its values take in the estimates that
/// bound pages: a cell and its time are several words each, however short the value.
const TIMES_WEIGH: usize = 4;

/// Accounts whose partitions one read asks for.
const ACCOUNTS_PER_LOOK: usize = 32;

/// Where a partition's pages go on.
#[derive(Clone, Debug)]
pub enum Place {
    /// At its first row.
    Start,
    /// At a later one.
    After(Cursor),
    /// Nowhere.
    End,
}

impl<S: Reader> Context<S> {
    /// The next page of an account's partition, with write times; `streams` partitions are read side by
    /// side. `place` is moved on.
    ///
    /// # Errors
    /// The read failed for good.
    pub async fn timed_page(
        &self,
        table: TableIndex,
        account: &AccountId,
        streams: usize,
        place: &mut Place,
    ) -> Result<Vec<TimedRow>, StorageError> {
        let sizes = &self.row_sizes;
        let (rows, after) = match mem::replace(place, Place::End) {
            Place::Start => (sizes.first_page(table, Width::Full, streams), None),
            Place::After(cursor) => (sizes.further_page(table, Width::Full, streams), Some(cursor)),
            Place::End => return Ok(Vec::new()),
        };
        let rows = (rows / TIMES_WEIGH).max(2);
        let lane = self.lanes.read(table, Width::Full);
        let read = || self.storage.timed_page(table, account, rows, after.clone());
        let TimedPage { rows, next } = self.carry_out(lane, read).await?;
        sizes.learn(table, Width::Full, rows.iter().map(|timed| &timed.row));
        *place = next.map_or(Place::End, Place::After);
        Ok(rows)
    }

    /// The row of a primary key, with write times.
    ///
    /// # Errors
    /// The read failed for good.
    pub async fn timed_row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<TimedRow>, StorageError> {
        let lane = self.lanes.read(table, Width::Slim);
        self.carry_out(lane, || self.storage.timed_row(table, key)).await
    }

    /// The rows that accounts own in a partition of a table found by clustering, with write times, each with the
    /// place of its owner among the accounts.
    ///
    /// # Errors
    /// A read failed for good.
    pub async fn timed_rows_of(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<(usize, TimedRow)>, StorageError> {
        let column = self.spec.tables[table].account;
        let lane = self.lanes.read(table, Width::Full);
        let per_read = (self.row_sizes.accounts_per_read(table) / TIMES_WEIGH).max(2);
        let mut owned = Vec::new();
        for (part, chunk) in accounts.chunks(per_read).enumerate() {
            let read = || self.storage.timed_rows_of(table, partition, chunk);
            let rows = self.carry_out(lane, read).await?;
            self.row_sizes.learn(table, Width::Full, rows.iter().map(|timed| &timed.row));
            owned.extend(rows.into_iter().filter_map(|row| {
                let owner = row.row.cells[column].as_ref();
                let place = chunk.iter().position(|account| Some(account.cell()) == owner)?;
                Some((part * per_read + place, row))
            }));
        }
        owned.sort_by_key(|(place, _)| *place);
        Ok(owned)
    }

    /// Which of the accounts own rows in a table found by partition.
    ///
    /// # Errors
    /// A read failed for good.
    pub async fn occupied(
        &self,
        table: TableIndex,
        accounts: &[AccountId],
    ) -> Result<Vec<AccountId>, StorageError> {
        let lane = self.lanes.look(table);
        let mut occupied = Vec::new();
        for chunk in accounts.chunks(ACCOUNTS_PER_LOOK) {
            let read = || self.storage.occupied(table, chunk);
            occupied.extend(self.carry_out(lane, read).await?);
        }
        Ok(occupied)
    }
}
