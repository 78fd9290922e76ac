//! A column that somebody adds while others read: values that no read sees and every delete takes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{Change, TableIndex, TimestampUs};

/// The values of columns that the specification does not know, with their write times, by primary key.
#[derive(Debug, Default)]
pub struct Added {
    is_any: bool,
    set: usize,
    values: BTreeMap<(TableIndex, Vec<Bytes>), TimestampUs>,
}

impl Added {
    /// Adds a column.
    pub fn add(&mut self) {
        self.is_any = true;
    }

    /// Whether the application began to write it.
    pub fn is_any(&self) -> bool {
        self.is_any
    }

    /// Sets it in a row.
    pub fn set(&mut self, table: TableIndex, key: Vec<Bytes>, t: TimestampUs) {
        self.set += usize::from(self.values.insert((table, key), t).is_none());
    }

    /// In how many of them a delete has taken it.
    pub fn deleted(&self) -> usize {
        self.set - self.values.len()
    }

    /// A delete takes every value beneath that is not newer.
    pub(super) fn apply(&mut self, table: TableIndex, t: TimestampUs, change: &Change) {
        let (Change::DeleteRow { key } | Change::DeletePartition { key }) = change else { return };
        self.values
            .retain(|(of, row), written| *of != table || !row.starts_with(key) || *written > t);
    }
}
