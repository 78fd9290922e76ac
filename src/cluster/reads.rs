//! The reads of a table: their text and their preparation.

use std::sync::Arc;

use scylla::statement::prepared::PreparedStatement;

use crate::model::{ColumnIndex, quoted};
use crate::spec::{Column, Spec, Table};
use crate::storage::Width;

use super::ClusterError;
use super::capabilities::Capability;
use super::clocks::CLOCK;
use super::statements::{Preparer, Reach, conditions, equals, names};

/// The reads of one table that a merge needs.
pub(super) struct Reads {
    /// All columns of an account's rows in a scope, or of those of several accounts, but for `collections`.
    full: PreparedStatement,
    /// The key, and what policies and events look at.
    slim: PreparedStatement,
    /// The first rows of several accounts' partitions, of all columns and of the slim ones; absent where
    /// an account has no partition of its own.
    first: Option<[PreparedStatement; 2]>,
    /// The maps and sets of a row by its primary key, where they cannot be read with the rest.
    pub(super) collections: Option<PreparedStatement>,
    /// Which of some accounts own rows in a scope.
    pub(super) owners: PreparedStatement,
    /// When the cells of several accounts were written that a policy looks at, then the keys of their rows; absent
    /// where none looks.
    pub(super) written: Option<PreparedStatement>,
    /// Whether `owners` and `written` are about one account each.
    pub(super) looks_singly: bool,
    /// The scopes and accounts of all rows of a token range, where another table leads to this one; of mentions the
    /// keys of their rows and the accounts.
    pub(super) keys: Option<PreparedStatement>,
    /// Of mentions: the account of a row by its primary key, when that was written, and for how long.
    pub(super) mention: Option<PreparedStatement>,
}

/// The reads of one table with write times.
pub(super) struct TimedReads {
    /// As [`Reads::full`].
    pub(super) full: PreparedStatement,
    /// As [`Reads::first`], of all columns.
    pub(super) first: Option<PreparedStatement>,
    /// The row of a primary key.
    pub(super) row: PreparedStatement,
}

impl Reads {
    pub(super) async fn prepare(with: &Preparer, spec: &Spec) -> Result<Arc<[Self]>, ClusterError> {
        let mut all = Vec::with_capacity(spec.tables.len());
        for table in &spec.tables {
            let apart = reads_apart(with, table);
            let columns = |count| {
                names(table, (0..count).filter(|column| !apart || is_simple(table, *column)))
            };
            let text = |count| {
                let columns = columns(count).into_iter().chain(dated(table));
                let columns = columns.chain(left(table, count));
                select(with, table, &listed(columns), &found(table))
            };
            all.push(Self {
                full: with.prepare(&text(table.columns.len())).await?,
                slim: with.prepare(&text(table.slim_len)).await?,
                first: prepare_first(with, table).await?,
                collections: match apart {
                    true => Some(with.prepare(&collections_of(with, table)).await?),
                    false => None,
                },
                owners: prepare_owners(with, table).await?,
                written: prepare_written(with, table).await?,
                looks_singly: looks_singly(with, table),
                keys: prepare_keys(with, table).await?,
                mention: match table.is_mention() {
                    true => Some(with.prepare(&mention(with, table)).await?),
                    false => None,
                },
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
            let apart = reads_apart(with, table);
            let elements = with.capabilities.has(Capability::CollectionTimes);
            let timed = table.key_len..table.columns.len();
            let timed = timed.filter(|column| elements || is_simple(table, *column));
            let columns = |apart: bool| {
                let together = 0..table.columns.len();
                let together = together.filter(|column| !apart || is_simple(table, *column));
                let times = names(table, timed.clone()).into_iter();
                let times = times.map(|name| format!("WRITETIME({name})"));
                let left = left(table, table.columns.len());
                listed(names(table, together).into_iter().chain(times).chain(left))
            };
            let key = equals(table, table.key_len);
            let full = select(with, table, &columns(apart), &found(table));
            let columns = columns(false);
            all.push(Self {
                full: with.prepare(&full).await?,
                first: match table.owns_partitions() {
                    true => {
                        let first = select(with, table, &columns, &first_of(table));
                        Some(with.prepare_for(&first, Reach::Partitions).await?)
                    }
                    false => None,
                },
                row: with.prepare(&select(with, table, &columns, &key)).await?,
            });
        }
        Ok(all)
    }
}

/// When those cells were written of which the later stays.
fn dated(table: &Table) -> impl Iterator<Item = String> {
    let names = names(table, table.by_time()).into_iter();
    names.map(|name| format!("WRITETIME({name})"))
}

/// The columns of so many whose cells are asked for how long they last.
pub(super) fn expiring(table: &Table, columns: usize) -> impl Iterator<Item = ColumnIndex> + Clone {
    let columns = if table.reads_ttls { table.key_len..columns } else { 0..0 };
    columns.filter(|column| is_simple(table, *column))
}

/// How long those last, and what the clock says that this is counted by.
fn left(table: &Table, columns: usize) -> impl Iterator<Item = String> {
    let left = names(table, expiring(table, columns)).into_iter();
    let left = left.map(|name| format!("TTL({name})"));
    left.chain(table.reads_ttls.then(|| CLOCK.to_owned()))
}

fn listed(columns: impl Iterator<Item = String>) -> String {
    columns.collect::<Vec<_>>().join(", ")
}

/// Whether the maps and sets of rows that are found by `IN` are read apart from the rest.
fn reads_apart(with: &Preparer, table: &Table) -> bool {
    let has_collections = table.columns.iter().any(Column::is_multi_cell);
    table.has_point_rows()
        && has_collections
        && !with.capabilities.has(Capability::InBesideCollections)
}

/// Whether several accounts cannot be looked at at once.
fn looks_singly(with: &Preparer, table: &Table) -> bool {
    let is_filtered = !filtering(table).is_empty() && !table.is_mention();
    is_filtered && !with.capabilities.has(Capability::InBehindOthers)
}

/// The condition by which accounts are looked at.
fn looked_at(with: &Preparer, table: &Table) -> String {
    match looks_singly(with, table) {
        true => in_scope(table, "= ?"),
        false => among_accounts(table),
    }
}

fn is_simple(table: &Table, column: ColumnIndex) -> bool {
    !table.columns[column].is_multi_cell()
}

/// All maps and sets of the row of a primary key.
fn collections_of(with: &Preparer, table: &Table) -> String {
    let apart = (0..table.columns.len()).filter(|column| !is_simple(table, *column));
    select(with, table, &names(table, apart).join(", "), &equals(table, table.key_len))
}

/// The condition by which an account's rows are found, or those of several accounts that own one each: the scope first,
/// then the accounts.
fn found(table: &Table) -> String {
    match table.has_point_rows() {
        true => among_accounts(table),
        false if table.is_mention() => equals(table, table.key_len),
        false => in_scope(table, "= ?"),
    }
}

/// The condition on a scope and several accounts; rows of mentions are nobody's, and found by their keys.
pub(super) fn among_accounts(table: &Table) -> String {
    match table.is_mention() {
        true => equals(table, table.key_len),
        false => in_scope(table, "IN ?"),
    }
}

/// The condition for the first rows of each account's partition.
fn first_of(table: &Table) -> String {
    format!("{} PER PARTITION LIMIT ?", among_accounts(table))
}

fn in_scope(table: &Table, accounts: &str) -> String {
    let mut terms = conditions(table, table.scope_columns());
    terms.push(format!("{} {accounts}", quoted(&table.columns[table.account].name)));
    terms.join(" AND ") + filtering(table)
}

/// Behind a clustering column that is not asked for, the server has to look through the partition.
fn filtering(table: &Table) -> &'static str {
    if table.account > table.partition_len { " ALLOW FILTERING" } else { "" }
}

async fn prepare_first(
    with: &Preparer,
    table: &Table,
) -> Result<Option<[PreparedStatement; 2]>, ClusterError> {
    if !table.owns_partitions() {
        return Ok(None);
    }
    let condition = first_of(table);
    let text = |columns| {
        let names = names(table, 0..columns).into_iter().chain(dated(table));
        select(with, table, &listed(names.chain(left(table, columns))), &condition)
    };
    with.require(Capability::PartitionLimit, &text(table.columns.len())).await?;
    let full = with.prepare_for(&text(table.columns.len()), Reach::Partitions).await?;
    let slim = with.prepare_for(&text(table.slim_len), Reach::Partitions).await?;
    Ok(Some([full, slim]))
}

/// Columns of values are either all named or none: of a row whose own liveness has expired, Cassandra
/// passes over older cells of columns that are not named, and so may miss the row, unless none is.
async fn prepare_owners(with: &Preparer, table: &Table) -> Result<PreparedStatement, ClusterError> {
    let account = quoted(&table.columns[table.account].name);
    if !table.owns_partitions() {
        return with.prepare(&select(with, table, &account, &looked_at(with, table))).await;
    }
    // One row says enough of a partition: a million others need not be counted.
    let condition = format!("{} PER PARTITION LIMIT 1", among_accounts(table));
    with.prepare_for(&select(with, table, &account, &condition), Reach::Partitions).await
}

async fn prepare_written(
    with: &Preparer,
    table: &Table,
) -> Result<Option<PreparedStatement>, ClusterError> {
    let mut columns: Vec<_> = table
        .computed()
        .map(|rule| format!("WRITETIME({})", quoted(&table.columns[rule.column].name)))
        .collect();
    if columns.is_empty() {
        return Ok(None);
    }
    columns.extend(names(table, 0..table.key_len));
    let text = select(with, table, &columns.join(", "), &looked_at(with, table));
    if let Some(rule) = table.computed().find(|rule| rule.unites_lists())
        && !with.capabilities.has(Capability::CollectionTimes)
    {
        let list = format!("{}.{}", table.name, table.columns[rule.column].name);
        return Err(ClusterError::UndatedList { list });
    }
    let reach = match table.owns_partitions() {
        true => Reach::Partitions,
        false => Reach::OnePartition,
    };
    with.prepare_for(&text, reach).await.map(Some)
}

/// The driver does not see that a token range is on few nodes: that is said with each read.
async fn prepare_keys(
    with: &Preparer,
    table: &Table,
) -> Result<Option<PreparedStatement>, ClusterError> {
    if !table.locator.is_discovered() && !table.is_mention() {
        return Ok(None);
    }
    let partition = names(table, 0..table.partition_len).join(", ");
    let range = format!("token({partition}) > ? AND token({partition}) <= ?");
    let columns = match table.is_mention() {
        true => names(table, 0..=table.account),
        false => names(table, table.scope_columns().chain([table.account])),
    };
    let columns = columns.join(", ");
    // Where a partition is one account's, its key says enough of all its rows.
    let columns = if table.owns_partitions() { format!("DISTINCT {columns}") } else { columns };
    with.prepare_for(&select(with, table, &columns, &range), Reach::Partitions).await.map(Some)
}

/// What there is to know of one mention.
fn mention(with: &Preparer, table: &Table) -> String {
    let name = quoted(&table.columns[table.account].name);
    let columns = format!("{name}, WRITETIME({name}), TTL({name})");
    select(with, table, &columns, &equals(table, table.key_len))
}

fn select(with: &Preparer, table: &Table, columns: &str, condition: &str) -> String {
    format!("SELECT {columns} FROM {} WHERE {condition}", with.table(table))
}
