//! The writes of a table: their text, their preparation, and which of them carries out a change.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use scylla::statement::batch::{Batch as CqlBatch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;

use crate::model::{
    Batch, Cell, Change, Collection, ColumnIndex, Mutation, TableIndex, TimestampUs, quoted,
};
use crate::spec::{Spec, Table};
use crate::storage::{Among, Fault, StorageError, Writer};

use super::elements::Elements;
use super::fault::Attempted;
use super::reads::among_accounts;
use super::statements::{Preparer, Reach, equals, names};
use super::store::Store;
use super::values::{self, Value, Values};
use super::{ClusterError, about};

/// The writes of one table.
pub(super) struct Writes {
    insert: PreparedStatement,
    /// What an insert leaves out.
    lists: Vec<ColumnIndex>,
    /// Sets columns that policies look at, which is what a merge does; absent where there is none.
    update: Option<Update>,
    /// Sets any columns; absent where all of them are part of the key.
    update_any: Option<Update>,
    /// Of the maps, sets and user-defined types that are not frozen.
    elements: BTreeMap<ColumnIndex, Elements>,
    /// Whether what is inserted and set says how long it lasts.
    has_ttls: bool,
    expire_row: PreparedStatement,
    delete_row: PreparedStatement,
    /// Of one account, and of several; absent where a partition holds rows of several accounts.
    delete_partition: Option<[PreparedStatement; 2]>,
}

struct Update {
    statement: PreparedStatement,
    /// The columns, in the order of the statement.
    columns: Vec<ColumnIndex>,
}

impl Writes {
    pub(super) async fn prepare(with: &Preparer, spec: &Spec) -> Result<Arc<[Self]>, ClusterError> {
        let mut all = Vec::with_capacity(spec.tables.len());
        for table in &spec.tables {
            all.push(Self::of_table(with, table).await?);
        }
        Ok(all.into())
    }

    async fn of_table(with: &Preparer, table: &Table) -> Result<Self, ClusterError> {
        let policy_columns = table.survivorship.iter().map(|rule| rule.column).collect();
        let regular = table.key_len..table.columns.len();
        let mut elements = BTreeMap::new();
        let has_elements = |column: &usize| table.columns[*column].cql_type.collection().is_some();
        for column in regular.clone().filter(has_elements) {
            elements.insert(column, Elements::prepare(with, table, column).await?);
        }
        let delete_partition = match table.owns_partitions() {
            true => {
                let several = delete_where(with, table, &among_accounts(table));
                Some([
                    with.prepare(&delete(with, table, table.partition_len)).await?,
                    with.prepare_for(&several, Reach::Partitions).await?,
                ])
            }
            false => None,
        };
        Ok(Self {
            insert: with.prepare(&insert(with, table)).await?,
            lists: table.lists().collect(),
            has_ttls: table.carries_ttls,
            update: Update::prepare(with, table, policy_columns).await?,
            update_any: Update::prepare(with, table, regular.collect()).await?,
            elements,
            expire_row: with.prepare(&expire(with, table)).await?,
            delete_row: with.prepare(&delete(with, table, table.key_len)).await?,
            delete_partition,
        })
    }

    /// The statement that carries out a change at a time, with its values; `None` if the table has none. What is written lasts
    /// for so many seconds, or without end (0): only statements of a table whose TTLs are carried say so.
    pub(super) fn bind<'a>(
        &'a self,
        t: TimestampUs,
        (ttl, change): (i32, &'a Change),
    ) -> Option<(&'a PreparedStatement, Values<'a>)> {
        let t = Value::BigInt(t);
        let lasts = self.has_ttls.then_some(Value::Int(ttl));
        let dated = [t.clone()].into_iter().chain(lasts);
        let (statement, values) = match change {
            Change::Insert { row } => {
                let value = |(column, cell)| match self.lists.contains(&column) {
                    true => Value::Unset,
                    false => Value::or_unset(cell),
                };
                let values = row.cells.iter().enumerate().map(value);
                (&self.insert, values.chain(dated).collect())
            }
            Change::Update { key, set, .. } => {
                let update = self.update.iter().find(|update| update.writes_values_of(set));
                let update = update.or(self.update_any.as_ref())?;
                (&update.statement, with_key(dated.chain(update.values(set)), key))
            }
            Change::SetList { key, column, value, .. } => {
                let update = self.update_any.as_ref()?;
                let values = update.columns.iter().map(|of| match of == column {
                    true => Value::raw(value),
                    false => Value::Unset,
                });
                (&update.statement, with_key(dated.chain(values), key))
            }
            Change::AddElements { key, column, elements } => {
                let (statement, values) = self.elements.get(column)?.add(elements)?;
                (statement, with_key([t].into_iter().chain(values), key))
            }
            Change::RemoveElements { key, column, keys } => {
                let (statement, values) = self.elements.get(column)?.remove(keys)?;
                (statement, with_key([t].into_iter().chain(values), key))
            }
            Change::ExpireRow { key } => {
                (&self.expire_row, key.iter().map(Value::raw).chain([t]).collect())
            }
            Change::DeleteRow { key } => (&self.delete_row, with_key([t], key)),
            Change::DeletePartition { key } => {
                (&self.delete_partition.as_ref()?[0], with_key([t], key))
            }
        };
        Some((statement, Values(values)))
    }
}

impl Update {
    async fn prepare(
        with: &Preparer,
        table: &Table,
        columns: Vec<ColumnIndex>,
    ) -> Result<Option<Self>, ClusterError> {
        if columns.is_empty() {
            return Ok(None);
        }
        let name = |column: &ColumnIndex| quoted(&table.columns[*column].name);
        let set: Vec<String> =
            columns.iter().map(|column| format!("{} = ?", name(column))).collect();
        let statement = with.prepare(&update(with, table, &set.join(", "))).await?;
        Ok(Some(Self { statement, columns }))
    }

    /// Whether it can set these columns, and none of them to null.
    fn writes_values_of(&self, set: &[(ColumnIndex, Cell)]) -> bool {
        set.iter().all(|(column, value)| value.is_some() && self.columns.contains(column))
    }

    /// A value per column: what is set, null included, and unset for the rest.
    fn values<'a>(
        &'a self,
        set: &'a [(ColumnIndex, Cell)],
    ) -> impl Iterator<Item = Value<'a>> + 'a {
        self.columns.iter().map(|column| {
            let new = set.iter().find(|(changed, _)| changed == column);
            new.map_or(Value::Unset, |(_, value)| Value::or_null(value))
        })
    }
}

impl Writer for Store {
    async fn write(&self, batches: &[Arc<Batch>], now: TimestampUs) -> Result<(), StorageError> {
        let Some(first) = batches.first() else { return Ok(()) };
        let table = &self.read.spec.tables[first.table];
        let mutations = || batches.iter().flat_map(|batch| &batch.mutations);
        let what = || {
            let mut all = mutations();
            let about = match (all.next(), all.count()) {
                (Some(only), 0) => about::of_change(table, &only.change),
                (_, others) => {
                    let partition = first.partition_key(table.partition_len).unwrap_or_default();
                    let partition = about::shown_key(table, 0.., &partition);
                    format!("{} statements in {partition}", others + 1)
                }
            };
            Attempted { what: "writing", table: &table.name, about }
        };
        let mut parts = Vec::new();
        for Mutation { table, t, change } in mutations() {
            let shape = &self.read.spec.tables[*table];
            match shape.carries_ttls {
                true => {
                    let lasting = change.with_ttls(shape.key_len, now).into_iter();
                    parts.extend(lasting.map(|part| (*table, *t, part)));
                }
                false => parts.push((*table, *t, (0, Cow::Borrowed(change)))),
            }
        }
        let mut statements = Vec::new();
        let mut values = Vec::new();
        for (table, t, (ttl, change)) in &parts {
            // Nothing of a batch is written if any of it cannot be.
            let bound = self.writes[*table].bind(*t, (*ttl, &**change)).ok_or_else(|| {
                let (why, kind) = not_bound(&self.read.spec.tables[*table], change);
                what().error(why, kind)
            })?;
            statements.push(bound.0);
            values.push(bound.1);
        }
        let preparer = &self.read.preparer;
        let Preparer { session, levels, .. } = preparer;
        let result = match (statements.as_slice(), values.as_slice()) {
            ([], _) => return Ok(()),
            ([statement], [values]) => {
                session.execute_unpaged(&preparer.current(statement), values).await
            }
            _ => {
                // A batch takes its consistency from itself, not from the statements in it.
                let mut cql = CqlBatch::new(BatchType::Unlogged);
                cql.set_consistency(levels.writes.into());
                cql.set_is_idempotent(true);
                cql.statements = statements
                    .into_iter()
                    .map(|statement| BatchStatement::from(preparer.current(statement).into_owned()))
                    .collect();
                session.batch(&cql, &values).await
            }
        };
        let result = preparer.renew(result).await;
        result.map(drop).map_err(|error| what().failed(&error))
    }

    async fn delete_partitions(
        &self,
        table: TableIndex,
        among: Among<'_>,
        t: TimestampUs,
    ) -> Result<(), StorageError> {
        let shape = &self.read.spec.tables[table];
        let what = || {
            let about = about::of_accounts(shape, among.scope, among.accounts);
            Attempted { what: "deleting from", table: &shape.name, about }
        };
        let Some([_, several]) = &self.writes[table].delete_partition else {
            let why = "its accounts have no partitions of their own";
            return Err(what().error(why, Fault::Permanent));
        };
        let mut bound = vec![Value::BigInt(t)];
        bound.extend(values::of_accounts(among.scope, among.accounts));
        let statement = self.read.at(table, among, several);
        let preparer = &self.read.preparer;
        let statement = preparer.current(&statement);
        let result = preparer.session.execute_unpaged(&statement, &Values(bound)).await;
        let result = preparer.renew(result).await;
        result.map(drop).map_err(|error| what().failed(&error))
    }
}

/// Why there is no statement for a change.
fn not_bound(table: &Table, change: &Change) -> (&'static str, Fault) {
    let has_fields = |column: &ColumnIndex| {
        table.columns[*column].cql_type.collection() == Some(Collection::Fields)
    };
    match change {
        Change::AddElements { column, .. } | Change::RemoveElements { column, .. }
            if has_fields(column) =>
        {
            let why = "a user-defined type has got a field since this command began, so nothing more is written by what \
                       it knows of the table";
            (why, Fault::Fatal)
        }
        _ => ("the table's definition does not allow a change like this", Fault::Permanent),
    }
}

fn with_key<'a>(values: impl IntoIterator<Item = Value<'a>>, key: &'a [Bytes]) -> Vec<Value<'a>> {
    values.into_iter().chain(key.iter().map(Value::raw)).collect()
}

fn insert(with: &Preparer, table: &Table) -> String {
    format!("{} {}", insert_values(with, table, table.columns.len()), dated(table))
}

/// Writes the key alone, for the shortest time there is.
fn expire(with: &Preparer, table: &Table) -> String {
    format!("{} USING TIMESTAMP ? AND TTL 1", insert_values(with, table, table.key_len))
}

fn insert_values(with: &Preparer, table: &Table, columns: usize) -> String {
    let (names, marks) = (names(table, 0..columns), vec!["?"; columns]);
    let (names, marks) = (names.join(", "), marks.join(", "));
    format!("INSERT INTO {} ({names}) VALUES ({marks})", with.table(table))
}

/// When it is written, and how long it lasts: where that is not said, as long as the table says.
fn dated(table: &Table) -> &'static str {
    if table.carries_ttls { "USING TIMESTAMP ? AND TTL ?" } else { "USING TIMESTAMP ?" }
}

pub(super) fn update(with: &Preparer, table: &Table, set: &str) -> String {
    format!(
        "UPDATE {} {} SET {set} WHERE {}",
        with.table(table),
        dated(table),
        equals(table, table.key_len)
    )
}

/// Deletes what the first columns of the key name.
fn delete(with: &Preparer, table: &Table, key_len: usize) -> String {
    delete_where(with, table, &equals(table, key_len))
}

fn delete_where(with: &Preparer, table: &Table, condition: &str) -> String {
    format!("DELETE FROM {} USING TIMESTAMP ? WHERE {condition}", with.table(table))
}
