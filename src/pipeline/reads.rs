//! Reads with write times, for the walks that look at what a run has left: pages and lists of accounts are as
//! large as the size of a table's rows allows.

use std::mem;

use bytes::Bytes;

use crate::model::{AccountId, Scope, TableIndex, TimedRow};
use crate::storage::{Cursor, Reader, StorageError, TimedPage, Width};

use super::Context;

/// What a page of a row with its times takes, at least, in units of what its values take in the estimates that
/// bound pages: a cell and its time are several words each, however short the value.
const TIMES_WEIGH: usize = 4;

/// Accounts whose partitions one look asks for: enough to save most round trips.
const PARTITIONS_PER_LOOK: usize = 32;
/// Accounts that one look asks for in one partition.
const ACCOUNTS_PER_LOOK: usize = 100;

/// Where the pages of an account's rows go on.
#[derive(Clone, Debug)]
pub enum NextPage {
    /// At its first row.
    First,
    /// At a later one.
    After(Cursor),
    /// Nowhere.
    None,
}

impl<S: Reader> Context<S> {
    /// The next page of an account's rows in a scope, with write times; `streams` accounts are read side by
    /// side. `next` is moved on.
    ///
    /// # Errors
    /// The read failed for good.
    pub async fn timed_page(
        &self,
        table: TableIndex,
        rows_of: (&Scope, &AccountId),
        streams: usize,
        next: &mut NextPage,
    ) -> Result<Vec<TimedRow>, StorageError> {
        let sizes = &self.row_sizes;
        let (rows, after) = match mem::replace(next, NextPage::None) {
            NextPage::First => (sizes.first_page(table, Width::Full, streams), None),
            NextPage::After(cursor) => {
                (sizes.further_page(table, Width::Full, streams), Some(cursor))
            }
            NextPage::None => return Ok(Vec::new()),
        };
        let rows = (rows / TIMES_WEIGH).max(2);
        let lane = self.lanes.read(table, Width::Full);
        let read = || self.storage.timed_page(table, rows_of, rows, after.clone());
        let page: TimedPage = self.carry_out(lane, read).await?;
        sizes.learn(table, Width::Full, page.rows.iter().map(|timed| &timed.row));
        *next = page.next.map_or(NextPage::None, NextPage::After);
        Ok(page.rows)
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

    /// The rows that accounts own in a scope of a table in which each owns one, with write times, each with the
    /// position of its owner among the accounts.
    ///
    /// # Errors
    /// A read failed for good.
    pub async fn timed_rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<(usize, TimedRow)>, StorageError> {
        let column = self.spec.tables[table].account;
        let lane = self.lanes.read(table, Width::Full);
        let per_read = (self.row_sizes.accounts_per_read(table) / TIMES_WEIGH).max(2);
        let mut owned = Vec::new();
        for (part, chunk) in accounts.chunks(per_read).enumerate() {
            let read = || self.storage.timed_rows_of(table, scope, chunk);
            let rows = self.carry_out(lane, read).await?;
            self.row_sizes.learn(table, Width::Full, rows.iter().map(|timed| &timed.row));
            owned.extend(rows.into_iter().filter_map(|row| {
                let owner = row.row.cells[column].as_ref();
                let at = chunk.iter().position(|account| Some(account.cell()) == owner)?;
                Some((part * per_read + at, row))
            }));
        }
        owned.sort_by_key(|(owner, _)| *owner);
        Ok(owned)
    }

    /// Which of the accounts own rows in a scope.
    ///
    /// # Errors
    /// A read failed for good.
    pub async fn owners(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<AccountId>, StorageError> {
        let lane = self.lanes.look(table);
        let mut owners = Vec::new();
        for chunk in accounts.chunks(self.accounts_per_look(table)) {
            let read = || self.storage.owners(table, scope, chunk);
            owners.extend(self.carry_out(lane, read).await?);
        }
        Ok(owners)
    }

    /// Accounts that one look asks for: in partitions of their own, few enough for one coordinator.
    pub(super) fn accounts_per_look(&self, table: TableIndex) -> usize {
        match self.spec.tables[table].owns_partitions() {
            true => PARTITIONS_PER_LOOK,
            false => ACCOUNTS_PER_LOOK,
        }
    }
}
