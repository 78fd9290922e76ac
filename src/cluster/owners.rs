//! Looks at several accounts at once that read no values: who owns rows, and which rows were written to since.

use std::collections::HashSet;

use bytes::Bytes;
use scylla::deserialize::row::ColumnIterator;
use scylla::statement::prepared::PreparedStatement;

use crate::model::{AccountId, Cell, TableIndex, TimestampUs};
use crate::spec::Survivorship;
use crate::storage::{Among, StorageError};

use super::store::ReadStore;
use super::values::{self, Values};

/// Rows of a page of owners, per account: several may be one account's. A look at fewer accounts asks for less in
/// every way.
const ROWS_PER_OWNER: usize = 10;
/// Rows of a page where every row is looked at.
const TIMES_PAGE_ROWS: usize = 5_000;

impl ReadStore {
    /// Which of the accounts own rows, in the order given.
    pub(super) async fn owners_among(
        &self,
        table: TableIndex,
        among: Among<'_>,
    ) -> Result<Vec<AccountId>, StorageError> {
        // Room for all of them and one more, so that a full page is not taken for the first of two.
        let rows = among.accounts.len() * ROWS_PER_OWNER + 1;
        let mut owners: HashSet<Bytes> = HashSet::new();
        self.look(table, among, &self.reads[table].owners, rows, |columns| {
            owners.extend(columns.next().flatten());
        })
        .await?;
        let own = |account: &&AccountId| owners.contains(account.cell());
        Ok(among.accounts.iter().filter(own).cloned().collect())
    }

    /// The keys of those rows in which a cell that a policy looks at was written after `t`.
    pub(super) async fn keys_written_since(
        &self,
        table: TableIndex,
        among: Among<'_>,
        t: TimestampUs,
    ) -> Result<Vec<Vec<Bytes>>, StorageError> {
        let mut keys = Vec::new();
        let Some(statement) = &self.reads[table].written else { return Ok(keys) };
        let rules = self.spec.tables[table].computed();
        let times: Vec<bool> = rules.map(Survivorship::unites_lists).collect();
        let is_later = |time: &Cell, is_list| {
            values::write_times(time, is_list).and_then(|times| times.latest()) > Some(t)
        };
        // Of most rows nothing but the times is looked at.
        self.look(table, among, statement, TIMES_PAGE_ROWS, |columns| {
            let mut is_newer = false;
            for is_list in &times {
                is_newer |= columns.next().is_some_and(|time| is_later(&time, *is_list));
            }
            if is_newer {
                keys.push(columns.flatten().collect());
            }
        })
        .await?;
        Ok(keys)
    }

    /// Reads the answers about several accounts to their ends; `see` is given the columns of each row.
    async fn look(
        &self,
        table: TableIndex,
        among: Among<'_>,
        statement: &PreparedStatement,
        page_rows: usize,
        mut see: impl FnMut(&mut dyn Iterator<Item = Option<Bytes>>) + Send,
    ) -> Result<(), StorageError> {
        let statement = match self.spec.tables[table].owns_partitions() {
            true => &self.at(table, among, statement),
            false => statement,
        };
        if !self.reads[table].looks_singly {
            let values = Values(values::of_accounts(among.scope, among.accounts));
            return self.read_out(table, among, (statement, &values), page_rows, &mut see).await;
        }
        for account in among.accounts {
            let values = Values(values::of_account(among.scope, account));
            let of_one = Among { accounts: std::slice::from_ref(account), ..among };
            self.read_out(table, of_one, (statement, &values), page_rows, &mut see).await?;
        }
        Ok(())
    }

    async fn read_out(
        &self,
        table: TableIndex,
        among: Among<'_>,
        (statement, values): (&PreparedStatement, &Values<'_>),
        page_rows: usize,
        see: &mut (impl FnMut(&mut dyn Iterator<Item = Option<Bytes>>) + Send),
    ) -> Result<(), StorageError> {
        let what = || self.about(table, among);
        let mut after = None;
        loop {
            let (answer, next) =
                self.one_answer(statement, values, page_rows, after, &what).await?;
            let rows = answer.into_rows_result().map_err(|error| what().unreadable(&error))?;
            let rows = rows.rows::<ColumnIterator<'_, '_>>();
            for columns in rows.map_err(|error| what().unreadable(&error))? {
                let columns = columns.map_err(|error| what().unreadable(&error))?;
                let mut unreadable = None;
                see(&mut columns.map_while(|column| match column {
                    Ok(column) => Some(column.slice.map(|slice| slice.to_bytes())),
                    Err(error) => {
                        unreadable = Some(error);
                        None
                    }
                }));
                if let Some(error) = unreadable {
                    return Err(what().unreadable(&error));
                }
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
