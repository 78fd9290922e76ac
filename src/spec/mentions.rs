//! Mentions: columns beside the key that name an account, in rows of anybody's, or of nobody's.
//!
//! For each such column there is a [`Table`] of its own beside that of the rows: the same one in the cluster, with the
//! primary key and that column alone. Its account is no part of the key, so nothing of it moves; a merge writes the one
//! cell. Such tables are not [merged in order](Spec::in_order) with the others, but behind all of them.

use std::borrow::Cow;

use bytes::Bytes;

use super::fault::{At, Faults};
use super::fits::OneType;
use super::raw::RawTable;
use super::schema::{ColumnKind, ColumnSchema, Schema, TableSchema};
use super::{Column, Locator, RowRule, Spec, Table};
use crate::model::{AccountId, AccountType, TableIndex};

impl Table {
    /// Whether it is about a column that mentions accounts: its rows are found by their keys, and stay where they are.
    pub fn is_mention(&self) -> bool {
        self.account >= self.key_len
    }

    /// What it is called where several tables of a specification are one in the cluster: `user.managedby`.
    pub fn label(&self) -> Cow<'_, str> {
        match self.is_mention() {
            true => format!("{}.{}", self.name, self.columns[self.account].name).into(),
            false => Cow::Borrowed(&self.name),
        }
    }

    /// Makes a primary key that of another account's row; one of a mention names none.
    pub(crate) fn set_account(&self, key: &mut [Bytes], account: &AccountId) {
        if let Some(own) = key.get_mut(self.account) {
            own.clone_from(account.cell());
        }
    }
}

impl Spec {
    /// The columns that mention accounts, each as a table.
    pub(crate) fn mentions(&self) -> impl Iterator<Item = (TableIndex, &Table)> {
        self.tables.iter().enumerate().filter(|(_, table)| table.is_mention())
    }
}

/// The tables of the columns that mention accounts, if they fit; `rows` is the table of the rows themselves, where they
/// are somebody's.
pub(super) fn of<'a>(
    raw: &'a RawTable,
    schema: &Schema,
    rows: Option<&Table>,
    accounts: &mut OneType<'a>,
    faults: &mut Faults,
) -> Vec<Option<Table>> {
    let Some(live) = schema.tables.get(&*raw.name) else { return Vec::new() };
    let tables = raw.mentions.iter().map(|name| {
        let fitting = fit(raw, live, name);
        let fitting = fitting.and_then(|(column, of)| {
            accounts.add(of, &raw.name)?;
            Ok(column)
        });
        match fitting {
            Ok(column) => Some(table(raw, live, column, rows)),
            Err(problem) => {
                faults.add(name.line, raw.problem(problem));
                None
            }
        }
    });
    tables.collect()
}

/// The column, and the type of its accounts.
fn fit<'l>(
    raw: &RawTable,
    live: &'l TableSchema,
    name: &At<String>,
) -> Result<(&'l ColumnSchema, AccountType), String> {
    let Some(column) = live.column(name) else {
        return Err(format!("mentions names {}, but there is no such column", **name));
    };
    let is_written = |why: &str| format!("mentions names {}, which {why}", **name);
    match column.kind {
        ColumnKind::Regular => {}
        ColumnKind::Static => {
            return Err(is_written("is static: it belongs to the whole partition, not to a row"));
        }
        ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..) => {
            let why = match raw.account {
                None => {
                    "is part of the primary key: such rows move with the account, so name it as account"
                }
                Some(_) => {
                    "is part of the primary key: such rows move with the account, so name it as account in a \
                     specification of its own, and merge by that one in a further run"
                }
            };
            return Err(is_written(why));
        }
    }
    match AccountType::of(&column.cql_type) {
        Some(of) => Ok((column, of)),
        None => Err(is_written(&format!(
            "is of type {}: a mention is the id of one account, and neither in a collection nor in a user-defined type",
            column.cql_type
        ))),
    }
}

fn table(
    raw: &RawTable,
    live: &TableSchema,
    mention: &ColumnSchema,
    rows: Option<&Table>,
) -> Table {
    let partition = live.partition_key();
    let partition_len = partition.len();
    let clustering = live.clustering_key().into_iter().map(|(column, _)| column);
    let columns = partition.into_iter().chain(clustering).chain([mention]);
    let columns: Vec<Column> = columns
        .map(|column| Column { name: column.name.clone(), cql_type: column.cql_type.clone() })
        .collect();
    let key_len = columns.len() - 1;
    Table {
        name: (*raw.name).clone(),
        id: live.id.clone(),
        slim_len: columns.len(),
        columns,
        partition_len,
        key_len,
        account: key_len,
        locator: Locator::default(),
        clustering: Vec::new(),
        survivorship: Vec::new(),
        rows: RowRule::default(),
        delete_source: false,
        mentions: Vec::new(),
        drop_oneself: None,
        carries_ttls: raw.carries_ttls.is_some(),
        reads_ttls: raw.carries_ttls.is_some(),
        moves_with: rows.filter(|rows| rows.delete_source).map(|rows| rows.account),
    }
}
