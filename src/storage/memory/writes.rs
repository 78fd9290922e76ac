//! Writes to the database in memory, and what becomes of tombstones.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Batch, Change, Row, TableIndex, TimestampUs};
use crate::storage::{Among, StorageError, Writer};

use super::partition::Partition;
use super::{MemoryStorage, Request};

impl MemoryStorage {
    /// Writes a full row with a write time, as an application would.
    pub fn put(&self, table: TableIndex, row: Row, t: TimestampUs) {
        let shape = &self.spec.tables[table];
        let lists: Vec<Change> = shape.set_lists(&shape.key_of(&row), &row).collect();
        self.apply(table, t, &Change::Insert { row });
        lists.iter().for_each(|list| self.apply(table, t, list));
    }

    /// Makes any change with a write time, as an application would: a change without a partition key
    /// makes none.
    pub fn apply(&self, table: TableIndex, t: TimestampUs, change: &Change) {
        self.apply_at(table, t, change, 0);
    }

    /// The same by a statement that is sent at such a moment, and says how long what it writes has left.
    fn apply_at(&self, table: TableIndex, t: TimestampUs, change: &Change, now: TimestampUs) {
        let (table, change) = self.at_home(table, change);
        let shape = &self.spec.tables[table];
        if let Some(key) = change.partition_key(shape.partition_len) {
            self.added().apply(table, t, &change);
            self.tables()[table].entry(key).or_default().apply_at(shape, t, &change, now);
        }
    }

    /// Forgets all tombstones with what they have deleted, as a compaction does that comes after `gc_grace_seconds`.
    pub fn compact(&self) {
        let partitions = &mut *self.tables();
        partitions.iter_mut().flat_map(BTreeMap::values_mut).for_each(Partition::compact);
    }
}

impl Writer for MemoryStorage {
    async fn write(&self, batches: &[Arc<Batch>], now: TimestampUs) -> Result<(), StorageError> {
        tokio::task::yield_now().await;
        let Some(first) = batches.first() else { return Ok(()) };
        let mutations = batches.iter().flat_map(|batch| &batch.mutations).cloned().collect();
        let batch = Batch { table: first.table, mutations };
        let (carried_out, result) = self.fault(&Request::Write(&batch));
        if carried_out {
            for mutation in &batch.mutations {
                self.apply_at(mutation.table, mutation.t, &mutation.change, now);
            }
        }
        result
    }

    async fn delete_partitions(
        &self,
        table: TableIndex,
        Among { scope, accounts, .. }: Among<'_>,
        t: TimestampUs,
    ) -> Result<(), StorageError> {
        tokio::task::yield_now().await;
        let (carried_out, result) = self.fault(&Request::DeletePartitions(table, accounts));
        if carried_out {
            for account in accounts {
                let key = self.spec.tables[table].partition_key(scope, account);
                self.apply(table, t, &Change::DeletePartition { key });
            }
        }
        result
    }
}
