//! The merge specification: which tables hold accounts, and which value survives a conflict.
//!
//! Three steps, each a type: [`RawSpec`] is the TOML as written (the preset `course-batch` is such a
//! file), [`Schema`](schema::Schema) is what the cluster says it has, and [`Spec`] is the
//! specification checked against it, which everything downstream works from. Tables are described by
//! data, not by code; columns that the specification does not name are copied whole.
//!
//! Deliberately absent: any access to a cluster, and any decoding of values beyond [`order`].

mod check;
pub mod elements;
mod event;
pub mod order;
mod raw;
pub mod schema;

use std::cmp::Ordering;

use thiserror::Error;

pub use event::{Bindings, EventColumn, EventSpec};
pub use raw::{ColumnPath, Policy, RawFind, RawSpec};

use crate::account::{Cell, ColumnIndex, Row, TableIndex};
use elements::Collection;
use order::Order;

/// A specification, checked against the live schema.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// The tables, in the order in which they are merged.
    pub tables: Vec<Table>,
    /// The event that a changed row produces, if any.
    pub event: Option<EventSpec>,
}

/// A table to merge.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// All columns: the primary key in its order, the policy columns, the event's columns, the rest.
    pub columns: Vec<Column>,
    /// How many of them are the primary key.
    pub key_len: usize,
    /// How many of them are read of a survivor's row: the key and what a policy or an event looks at.
    pub slim_len: usize,
    /// The column that holds the account.
    pub account: ColumnIndex,
    /// How the rows of an account are found.
    pub find: Find,
    /// The order of each clustering column.
    pub clustering: Vec<KeyColumn>,
    /// The policies; columns without one keep the survivor's value.
    pub survivorship: Vec<Survivorship>,
    /// Whether the source's rows are deleted once they are safe.
    pub delete_source: bool,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its CQL type.
    pub cql_type: String,
}

/// How the rows of an account are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// The account is the whole partition key.
    Partition,
    /// The account is the clustering column; the partitions are the values that a key column of another
    /// table holds in the sources' rows.
    Clustering {
        /// That other table, which is found by partition.
        through: TableIndex,
        /// Its column.
        column: ColumnIndex,
    },
}

/// A clustering column's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// The order of its type.
    pub order: Order,
    /// Whether the table is clustered in the opposite direction.
    pub descending: bool,
}

/// Which of two values of a column survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survivorship {
    /// The column.
    pub column: ColumnIndex,
    /// The rule.
    pub policy: Policy,
    /// The order of the column's type.
    pub order: Order,
}

impl Spec {
    /// Tables found by the account itself.
    pub fn partition_tables(&self) -> impl Iterator<Item = (TableIndex, &Table)> {
        self.tables.iter().enumerate().filter(|(_, table)| table.find == Find::Partition)
    }

    /// Tables found through another, with that table's column.
    pub fn clustering_tables(
        &self,
    ) -> impl Iterator<Item = (TableIndex, &Table, TableIndex, ColumnIndex)> {
        self.tables.iter().enumerate().filter_map(|(index, table)| match table.find {
            Find::Partition => None,
            Find::Clustering { through, column } => Some((index, table, through, column)),
        })
    }
}

impl Column {
    /// Whether it is a map or set that is not frozen: its elements are written one by one, each with a
    /// write time of its own.
    pub fn is_multi_cell(&self) -> bool {
        Collection::of(&self.cql_type).is_some()
    }
}

impl Table {
    /// Whether the account is a clustering column, not the partition key.
    pub fn is_clustering(&self) -> bool {
        matches!(self.find, Find::Clustering { .. })
    }

    /// The position of a column.
    pub fn position(&self, name: &str) -> Option<ColumnIndex> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Compares two rows of this table by clustering key, in the table's clustering order.
    pub fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let first = self.key_len - self.clustering.len();
        self.clustering
            .iter()
            .zip(a.cells[first..self.key_len].iter().zip(&b.cells[first..self.key_len]))
            .map(|(key, (a, b))| {
                let order = key.order.compare(bytes(a), bytes(b));
                if key.descending { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// A key cell is never null.
fn bytes(cell: &Cell) -> &[u8] {
    cell.as_deref().unwrap_or_default()
}

impl Survivorship {
    /// Whether `source` takes the place of `target`.
    pub fn prefers(&self, source: &Cell, target: &Cell) -> bool {
        match (source, target) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(source), Some(target)) => {
                let order = self.order.compare(source, target);
                match self.policy {
                    Policy::Max => order.is_gt(),
                    Policy::Min => order.is_lt(),
                }
            }
        }
    }
}

/// What is wrong with a specification.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// It is not a specification.
    #[error("the merge specification {origin} cannot be read: {message}")]
    Syntax {
        /// Which file.
        origin: String,
        /// What the parser says.
        message: String,
    },
    /// A table does not fit.
    #[error("table {table}: {problem}")]
    Table {
        /// The table.
        table: String,
        /// What is wrong.
        problem: String,
    },
    /// The event does not fit.
    #[error("[event]: {problem}")]
    Event {
        /// What is wrong.
        problem: String,
    },
    /// A table is not there.
    #[error(
        "keyspace {keyspace} has no table {table}, which the merge specification names; it has: {}",
        list(known)
    )]
    MissingTable {
        /// The table.
        table: String,
        /// The keyspace.
        keyspace: String,
        /// The tables that are there.
        known: Vec<String>,
    },
    /// A column is not there.
    #[error(
        "table {table} has no column {column}, which the merge specification names; it has: {}",
        list(known)
    )]
    MissingColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The columns that are there.
        known: Vec<String>,
    },
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    if names.is_empty() {
        return "nothing".into();
    }
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
