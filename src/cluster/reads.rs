//! The reads of a table: their text and their preparation.

use std::sync::Arc;

use scylla::statement::prepared::PreparedStatement;

use crate::spec::{Spec, Table};
use crate::storage::Width;

use super::ClusterError;
use super::statements::{Preparer, Reach, equals, names, quoted};

/// The reads of one table that a merge needs.
pub(super) struct Reads {
    /// All columns of an account's partition, or of accounts' rows in a partition.
    full: PreparedStatement,
    /// The key, and what policies and events look at.
    slim: PreparedStatement,
    /// The first rows of several accounts' partitions, of all columns and of the slim ones; absent where
    /// an account has no partition of its own.
    first: Option<[PreparedStatement; 2]>,
    /// Which of some accounts own a partition, or a row in a partition.
    pub(super) owners: PreparedStatement,
    /// The partitions and accounts of all rows of a token range, where the account is a clustering column.
    pub(super) keys: Option<PreparedStatement>,
}

/// The reads of one table with write times.
pub(super) struct TimedReads {
    /// As [`Reads::full`].
    pub(super) full: PreparedStatement,
    /// The row of a primary key.
    pub(super) row: PreparedStatement,
}

impl Reads {
    pub(super) async fn prepare(with: &Preparer, spec: &Spec) -> Result<Arc<[Self]>, ClusterError> {
        let mut all = Vec::with_capacity(spec.tables.len());
        for table in &spec.tables {
            let columns = |count| names(table, 0..count).join(", ");
            let found = found(table);
            all.push(Self {
                full: with
                    .prepare(&select(with, table, &columns(table.columns.len()), &found))
                    .await?,
                slim: with.prepare(&select(with, table, &columns(table.slim_len), &found)).await?,
                first: prepare_first(with, table).await?,
                owners: prepare_owners(with, table).await?,
                keys: prepare_keys(with, table).await?,
            });
        }
        Ok(all.into())
    }

    pub(super) fn of_width(&self, width: Width) -> &PreparedStatement {
        match width {
            Width::Full => &self.full,
            Width::Slim => &self.slim,
        }
    }

    pub(super) fn first_of_width(&self, width: Width) -> Option<&PreparedStatement> {
        let [full, slim] = self.first.as_ref()?;
        Some(match width {
            Width::Full => full,
            Width::Slim => slim,
        })
    }
}

impl TimedReads {
    pub(super) async fn prepare(with: &Preparer, spec: &Spec) -> Result<Vec<Self>, ClusterError> {
        let mut all = Vec::with_capacity(spec.tables.len());
        for table in &spec.tables {
            let mut columns = names(table, 0..table.columns.len());
            let times = names(table, table.key_len..table.columns.len());
            columns.extend(times.iter().map(|name| format!("WRITETIME({name})")));
            let columns = columns.join(", ");
            let key = equals(table, table.key_len);
            all.push(Self {
                full: with.prepare(&select(with, table, &columns, &found(table))).await?,
                row: with.prepare(&select(with, table, &columns, &key)).await?,
            });
        }
        Ok(all)
    }
}

/// The condition by which an account's rows are found: its partition, or its rows in a partition.
fn found(table: &Table) -> String {
    if table.is_clustering() {
        format!("{} AND {}", equals(table, 1), among_accounts(table))
    } else {
        equals(table, 1)
    }
}

async fn prepare_first(
    with: &Preparer,
    table: &Table,
) -> Result<Option<[PreparedStatement; 2]>, ClusterError> {
    if table.is_clustering() {
        return Ok(None);
    }
    let condition = format!("{} PER PARTITION LIMIT ?", among_accounts(table));
    let text = |columns| select(with, table, &names(table, 0..columns).join(", "), &condition);
    let full = with.prepare_for(&text(table.columns.len()), Reach::Partitions).await?;
    let slim = with.prepare_for(&text(table.slim_len), Reach::Partitions).await?;
    Ok(Some([full, slim]))
}

/// Columns of values are either all named or none: of a row whose own liveness has expired, Cassandra
/// passes over older cells of columns that are not named, and so may miss the row, unless none is.
async fn prepare_owners(with: &Preparer, table: &Table) -> Result<PreparedStatement, ClusterError> {
    let account = quoted(&table.columns[table.account].name);
    if table.is_clustering() {
        return with.prepare(&select(with, table, &account, &found(table))).await;
    }
    // One row says enough of a partition: a million others need not be counted.
    let condition = format!("{} PER PARTITION LIMIT 1", among_accounts(table));
    with.prepare_for(&select(with, table, &account, &condition), Reach::Partitions).await
}

/// The driver does not see that a token range is on few nodes: that is said with each read.
async fn prepare_keys(
    with: &Preparer,
    table: &Table,
) -> Result<Option<PreparedStatement>, ClusterError> {
    if !table.is_clustering() {
        return Ok(None);
    }
    let [partition, account] = [0, table.account].map(|key| quoted(&table.columns[key].name));
    let range = format!("token({partition}) > ? AND token({partition}) <= ?");
    let statement = select(with, table, &format!("{partition}, {account}"), &range);
    with.prepare_for(&statement, Reach::Partitions).await.map(Some)
}

fn among_accounts(table: &Table) -> String {
    format!("{} IN ?", quoted(&table.columns[table.account].name))
}

fn select(with: &Preparer, table: &Table, columns: &str, condition: &str) -> String {
    format!("SELECT {columns} FROM {} WHERE {condition}", with.table(table))
}
