//! A database in memory with the semantics that a merge relies on, and faults on demand. It exists for
//! tests and benches; nothing in a run uses it. Every request gives way to other tasks once, so that
//! requests of concurrent groups interleave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::account::{AccountId, Batch, Cell, Change, Row, TableIndex, TimestampUs};
use crate::spec::{Find, Spec, Table};

use super::{Cursor, Fault, Page, Reader, StorageError, Width, Writer};

/// A request, as the fault hook sees it.
#[derive(Debug)]
pub enum Request<'a> {
    /// A page of an account's partition.
    Page(TableIndex, &'a AccountId),
    /// Rows of accounts in a partition.
    RowsOf(TableIndex, &'a Bytes),
    /// A batch.
    Write(&'a Batch),
}

/// Decides whether a request fails. A failed write may still have been applied, as in real life.
pub type FaultHook = dyn Fn(&Request<'_>) -> Option<FaultKind> + Send + Sync;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It was not carried out and may be tried again.
    Lost,
    /// It was carried out, but the answer was lost.
    AnswerLost,
    /// It was refused for good.
    Refused,
    /// It was carried out, but whoever asked was stopped before the answer.
    AnswerLostForGood,
}

/// The tables of a specification, held in memory.
pub struct MemoryStorage {
    spec: Arc<Spec>,
    tables: Mutex<Vec<Partitions>>,
    faults: Box<FaultHook>,
}

type Partitions = BTreeMap<Bytes, Partition>;

/// One partition: its rows with their tombstones, in no particular order.
#[derive(Clone, Debug, Default)]
struct Partition {
    deleted_at: Option<TimestampUs>,
    rows: Vec<StoredRow>,
}

#[derive(Clone, Debug)]
struct StoredRow {
    key: Row,
    deleted_at: Option<TimestampUs>,
    marker: Option<TimestampUs>,
    cells: Vec<Option<(TimestampUs, Bytes)>>,
}

impl MemoryStorage {
    /// An empty database in which nothing fails.
    pub fn new(spec: Arc<Spec>) -> Self {
        Self::with_faults(spec, |_| None)
    }

    /// An empty database whose requests fail as the hook says.
    pub fn with_faults(
        spec: Arc<Spec>,
        faults: impl Fn(&Request<'_>) -> Option<FaultKind> + Send + Sync + 'static,
    ) -> Self {
        let tables = Mutex::new(vec![Partitions::new(); spec.tables.len()]);
        Self { spec, tables, faults: Box::new(faults) }
    }

    /// Writes a full row with a write time, as an application would.
    pub fn put(&self, table: TableIndex, row: Row, t: TimestampUs) {
        self.apply(table, t, &Change::Insert { row });
    }

    /// All live rows of a table, in key order.
    pub fn dump(&self, table: TableIndex) -> Vec<Row> {
        let shape = &self.spec.tables[table];
        let mut rows = Vec::new();
        for partition in self.tables()[table].values() {
            rows.extend(partition.live(shape, shape.columns.len()));
        }
        rows
    }

    fn tables(&self) -> MutexGuard<'_, Vec<Partitions>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, table: TableIndex, t: TimestampUs, change: &Change) {
        let shape = &self.spec.tables[table];
        let mut tables = self.tables();
        match change {
            Change::Insert { row } => {
                let key = row.cells[0].clone().unwrap_or_default();
                let stored = tables[table].entry(key).or_default().row(shape, row);
                stored.marker = stored.marker.max(Some(t));
                for (column, cell) in row.cells.iter().enumerate().skip(shape.key_len) {
                    if let Some(value) = cell {
                        stored.set(column, value, t);
                    }
                }
            }
            Change::Update { key, set } => {
                let row = Row { cells: key.iter().cloned().map(Some).collect() };
                let stored = tables[table].entry(key[0].clone()).or_default().row(shape, &row);
                for (column, value) in set {
                    stored.set(*column, value, t);
                }
            }
            Change::DeleteRow { key } => {
                let row = Row { cells: key.iter().cloned().map(Some).collect() };
                let stored = tables[table].entry(key[0].clone()).or_default().row(shape, &row);
                stored.deleted_at = stored.deleted_at.max(Some(t));
            }
            Change::DeletePartition { key } => {
                let stored = tables[table].entry(key.clone()).or_default();
                stored.deleted_at = stored.deleted_at.max(Some(t));
            }
        }
    }

    /// The fault that the hook asks for, if any.
    fn fault(&self, request: &Request<'_>) -> (bool, Result<(), StorageError>) {
        let error = |kind, message: &str| {
            Err(StorageError { message: message.into(), class: message.into(), kind })
        };
        match (self.faults)(request) {
            None => (true, Ok(())),
            Some(FaultKind::Lost) => (false, error(Fault::Transient, "the request was lost")),
            Some(FaultKind::AnswerLost) => (true, error(Fault::Transient, "the answer was lost")),
            Some(FaultKind::Refused) => (false, error(Fault::Permanent, "the request was refused")),
            Some(FaultKind::AnswerLostForGood) => (true, error(Fault::Permanent, "stopped")),
        }
    }
}

impl Partition {
    fn row(&mut self, table: &Table, row: &Row) -> &mut StoredRow {
        let key = Row { cells: row.cells[..table.key_len].to_vec() };
        let position = match self.rows.iter().position(|stored| stored.key == key) {
            Some(position) => position,
            None => {
                let cells = vec![None; table.columns.len()];
                self.rows.push(StoredRow { key, deleted_at: None, marker: None, cells });
                self.rows.len() - 1
            }
        };
        &mut self.rows[position]
    }

    /// The rows that a read sees, in clustering order, cut to the first `width` columns.
    fn live(&self, table: &Table, width: usize) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.rows.iter().filter_map(|row| row.live(table, self.deleted_at)).collect();
        rows.sort_by(|a, b| table.compare(a, b));
        for row in &mut rows {
            row.cells.truncate(width);
        }
        rows
    }
}

impl StoredRow {
    fn set(&mut self, column: usize, value: &Bytes, t: TimestampUs) {
        let cell = &mut self.cells[column];
        // Of two values with the same write time, the greater one stays, as in Cassandra.
        if cell.as_ref().is_none_or(|(at, known)| (*at, known) < (t, value)) {
            *cell = Some((t, value.clone()));
        }
    }

    /// The row as a read sees it: what is not older than, or as old as, a delete.
    fn live(&self, table: &Table, partition_deleted_at: Option<TimestampUs>) -> Option<Row> {
        let deleted_at = self.deleted_at.max(partition_deleted_at);
        let mut cells = self.key.cells.clone();
        cells.extend(self.cells[table.key_len..].iter().map(|cell| -> Cell {
            cell.as_ref().filter(|(t, _)| Some(*t) > deleted_at).map(|(_, value)| value.clone())
        }));
        let alive = self.marker.is_some_and(|t| Some(t) > deleted_at)
            || cells[table.key_len..].iter().any(Option::is_some);
        alive.then_some(Row { cells })
    }
}

impl Reader for MemoryStorage {
    async fn page(
        &self,
        table: TableIndex,
        account: &AccountId,
        width: Width,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<Page, StorageError> {
        tokio::task::yield_now().await;
        self.fault(&Request::Page(table, account)).1?;
        let shape = &self.spec.tables[table];
        let columns = match width {
            Width::Full => shape.columns.len(),
            Width::Slim => shape.slim_len,
        };
        let skip = match after {
            None => 0,
            Some(cursor) => usize::from_be_bytes(cursor.0[..].try_into().unwrap_or_default()),
        };
        let tables = self.tables();
        let Some(partition) = tables[table].get(account.cell()) else { return Ok(Page::default()) };
        let live = partition.live(shape, columns);
        let more = live.len() > skip + rows;
        let next = more.then(|| Cursor(Arc::from((skip + rows).to_be_bytes())));
        Ok(Page { rows: live.into_iter().skip(skip).take(rows).collect(), next })
    }

    async fn rows_of(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        tokio::task::yield_now().await;
        self.fault(&Request::RowsOf(table, partition)).1?;
        if partition.is_empty() {
            let message = "Key may not be empty".to_owned();
            return Err(StorageError { class: message.clone(), message, kind: Fault::Permanent });
        }
        let shape = &self.spec.tables[table];
        let tables = self.tables();
        let Some(stored) = tables[table].get(partition) else { return Ok(Vec::new()) };
        let mut rows = stored.live(shape, shape.columns.len());
        rows.retain(|row| {
            debug_assert!(matches!(shape.find, Find::Clustering { .. }));
            accounts.iter().any(|account| row.cells[shape.account].as_ref() == Some(account.cell()))
        });
        Ok(rows)
    }
}

impl Writer for MemoryStorage {
    async fn write(&self, batch: &Batch) -> Result<(), StorageError> {
        tokio::task::yield_now().await;
        let (carried_out, result) = self.fault(&Request::Write(batch));
        if carried_out {
            for mutation in &batch.mutations {
                self.apply(mutation.table, mutation.t, &mutation.change);
            }
        }
        result
    }
}
