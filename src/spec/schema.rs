//! What the live schema says, as `system_schema` says it: names, kinds and types. Plain data,
//! filled in by the storage and read by the check of the specification.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::CqlType;

/// The tables of one keyspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    pub keyspace: String,
    /// Its tables by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// As `system_schema` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSchema {
    /// What the cluster calls this very table: one that is created anew under the same name has another id. Empty if that
    /// is not known.
    pub id: String,
    pub columns: Vec<ColumnSchema>,
    /// `default_time_to_live` in seconds; 0 means that rows do not expire.
    pub default_time_to_live_s: i32,
    /// `gc_grace_seconds`: how long tombstones are kept.
    pub gc_grace_s: u64,
    /// Columns of which whoever reads sees a mask in the place of the value.
    pub masked: BTreeSet<String>,
}

/// As `system_schema.columns` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSchema {
    /// Its name, as stored (case-sensitive).
    pub name: String,
    /// Its part in the table.
    pub kind: ColumnKind,
    pub cql_type: CqlType,
}

/// The part that a column plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// A column of the partition key, at this position.
    PartitionKey(usize),
    /// A clustering column, at this position, in this order.
    Clustering(usize, Direction),
    /// Shared by all rows of a partition.
    Static,
    /// Any other column.
    Regular,
}

/// The order of a clustering column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl TableSchema {
    /// A table of columns with these names and types: the first is the partition key, the others up to `key_len` are
    /// clustering columns, smallest first. For whoever has no cluster to ask.
    pub fn keyed(key_len: usize, columns: &[(&str, &str)]) -> Self {
        let columns = columns.iter().enumerate().map(|(at, (name, cql_type))| ColumnSchema {
            name: (*name).into(),
            kind: match at {
                0 => ColumnKind::PartitionKey(0),
                _ if at < key_len => ColumnKind::Clustering(at - 1, Direction::Ascending),
                _ => ColumnKind::Regular,
            },
            cql_type: CqlType::parse(cql_type),
        });
        Self { columns: columns.collect(), ..Self::default() }
    }

    /// Case-sensitively.
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns of the partition key, in order.
    pub fn partition_key(&self) -> Vec<&ColumnSchema> {
        let mut key: Vec<_> = self
            .columns
            .iter()
            .filter_map(|column| match column.kind {
                ColumnKind::PartitionKey(position) => Some((position, column)),
                _ => None,
            })
            .collect();
        key.sort_by_key(|(position, _)| *position);
        key.into_iter().map(|(_, column)| column).collect()
    }

    /// The clustering columns with their directions, in order.
    pub(crate) fn clustering_key(&self) -> Vec<(&ColumnSchema, Direction)> {
        let mut key: Vec<_> = self
            .columns
            .iter()
            .filter_map(|column| match column.kind {
                ColumnKind::Clustering(position, direction) => Some((position, column, direction)),
                _ => None,
            })
            .collect();
        key.sort_by_key(|(position, ..)| *position);
        key.into_iter().map(|(_, column, direction)| (column, direction)).collect()
    }
}
