//! A database in memory with the semantics that a merge relies on, and faults on demand. It exists for
//! tests and benches; nothing in a run uses it. Every request gives way to other tasks once, so that
//! requests of concurrent groups interleave.
//!
//! That it does as Cassandra does is tested against a real one (`tests/live/seam.rs`). Deliberately
//! absent: a clock (what expires has expired), and keys or elements that are different bytes but equal to their type
//! (1.0 and 1.00).

mod partition;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::account::{AccountId, Batch, Change, Row, TableIndex, TimestampUs, TokenRange};
use crate::spec::{Find, Spec, Table};

use super::{
    Cursor, Fault, KeyPage, Page, Reader, StorageError, TimedPage, TimedRow, Width, Writer, ring,
};
use partition::Partition;

/// A request, as the fault hook sees it.
#[derive(Debug)]
pub enum Request<'a> {
    /// A page of an account's partition.
    Page(TableIndex, &'a AccountId),
    /// The first rows of several accounts' partitions.
    FirstRows(TableIndex, &'a [AccountId]),
    /// Rows of accounts in a partition.
    RowsOf(TableIndex, &'a Bytes),
    /// Which accounts own a partition.
    Occupied(TableIndex, &'a [AccountId]),
    /// Which accounts own a row in a partition.
    PresentIn(TableIndex, &'a Bytes),
    /// A page of an account's partition, with write times.
    TimedPage(TableIndex, &'a AccountId),
    /// Rows of accounts in a partition, with write times.
    TimedRowsOf(TableIndex, &'a Bytes),
    /// The row of a primary key, with write times.
    TimedRow(TableIndex, &'a [Bytes]),
    /// The tokens of the nodes.
    Ring,
    /// A page of the keys in a token range.
    Scan(TableIndex, TokenRange),
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

/// How often others have their turn before an answer comes.
const TURNS: usize = 8;

/// The tables of a specification, held in memory.
pub struct MemoryStorage {
    spec: Arc<Spec>,
    tables: Mutex<Vec<Partitions>>,
    faults: Box<FaultHook>,
}

type Partitions = BTreeMap<Bytes, Partition>;

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

    /// Makes any change with a write time, as an application would: a change without a partition key
    /// makes none.
    pub fn apply(&self, table: TableIndex, t: TimestampUs, change: &Change) {
        let key = match change {
            Change::Insert { row } => row.cells.first().and_then(Option::as_ref),
            Change::Update { key, .. }
            | Change::AddElements { key, .. }
            | Change::RemoveElements { key, .. }
            | Change::ExpireRow { key }
            | Change::DeleteRow { key } => key.first(),
            Change::DeletePartition { key } => Some(key),
        };
        if let Some(key) = key.cloned() {
            let mut tables = self.tables();
            tables[table].entry(key).or_default().apply(&self.spec.tables[table], t, change);
        }
    }

    /// All live rows of a table, in key order.
    pub fn dump(&self, table: TableIndex) -> Vec<Row> {
        self.dump_timed(table).into_iter().map(|timed| timed.row).collect()
    }

    /// All live rows of a table with their write times, in key order.
    pub fn dump_timed(&self, table: TableIndex) -> Vec<TimedRow> {
        let shape = &self.spec.tables[table];
        let live = |partition: &Partition| partition.live(shape, shape.columns.len());
        self.tables()[table].values().flat_map(live).collect()
    }

    fn tables(&self) -> MutexGuard<'_, Vec<Partitions>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of a partition that a read of this width sees, in clustering order; all their cells.
    fn rows(&self, table: TableIndex, partition: &Bytes, width: Width) -> Vec<TimedRow> {
        let shape = &self.spec.tables[table];
        let tables = self.tables();
        let stored = tables[table].get(partition);
        stored.map_or_else(Vec::new, |stored| stored.live(shape, columns(shape, width)))
    }

    /// The live rows of accounts in a partition.
    fn rows_in(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<TimedRow>, StorageError> {
        let shape = &self.spec.tables[table];
        debug_assert!(matches!(shape.find, Find::Clustering { .. }));
        check_key(partition)?;
        let mut rows = self.rows(table, partition, Width::Full);
        rows.retain(|timed| {
            let owner = timed.row.cells[shape.account].as_ref();
            accounts.iter().any(|account| owner == Some(account.cell()))
        });
        Ok(rows)
    }

    /// The fault that the hook asks for, if any.
    fn fault(&self, request: &Request<'_>) -> (bool, Result<(), StorageError>) {
        match (self.faults)(request) {
            None => (true, Ok(())),
            Some(FaultKind::Lost) => (false, error(Fault::Transient, "the request was lost")),
            Some(FaultKind::AnswerLost) => (true, error(Fault::Transient, "the answer was lost")),
            Some(FaultKind::Refused) => (false, error(Fault::Permanent, "the request was refused")),
            Some(FaultKind::AnswerLostForGood) => (true, error(Fault::Permanent, "stopped")),
        }
    }

    /// Gives way to other tasks, then fails as the hook says.
    async fn ask(&self, request: Request<'_>) -> Result<(), StorageError> {
        // Long enough for others to ask meanwhile.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        self.fault(&request).1
    }
}

/// Where the partition is on the ring: anywhere, but always there.
fn token(partition: &[u8]) -> i64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(partition);
    // No partition has the lowest token.
    hasher.finish().cast_signed().max(i64::MIN + 1)
}

/// The place of a key in a scan, in the order in which keys are read.
fn place(partition: &[u8], account: &[u8]) -> Vec<u8> {
    let token = token(partition).abs_diff(i64::MIN);
    [&token.to_be_bytes()[..], partition, &[0], account].concat()
}

fn error(kind: Fault, message: &str) -> Result<(), StorageError> {
    Err(StorageError { message: message.into(), class: message.into(), kind })
}

fn check_key(partition: &Bytes) -> Result<(), StorageError> {
    if partition.is_empty() { error(Fault::Permanent, "Key may not be empty") } else { Ok(()) }
}

fn columns(table: &Table, width: Width) -> usize {
    match width {
        Width::Full => table.columns.len(),
        Width::Slim => table.slim_len,
    }
}

/// One page of a partition's rows: where it starts, where it ends, and where the next one starts.
fn cut(after: Option<Cursor>, rows: usize, all: usize) -> (usize, usize, Option<Cursor>) {
    let start = after
        .map_or(0, |cursor| usize::from_be_bytes(cursor.0[..].try_into().unwrap_or_default()))
        .min(all);
    let end = start.saturating_add(rows).min(all);
    (start, end, (end < all).then(|| Cursor(Arc::from(end.to_be_bytes()))))
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
        self.ask(Request::Page(table, account)).await?;
        let columns = columns(&self.spec.tables[table], width);
        let mut live = self.rows(table, account.cell(), width);
        let (start, end, next) = cut(after, rows, live.len());
        let rows = live.drain(start..end).map(|TimedRow { mut row, .. }| {
            row.cells.truncate(columns);
            row
        });
        Ok(Page { rows: rows.collect(), next })
    }

    async fn first_rows(
        &self,
        table: TableIndex,
        accounts: &[AccountId],
        width: Width,
        rows: usize,
    ) -> Result<Vec<Row>, StorageError> {
        self.ask(Request::FirstRows(table, accounts)).await?;
        let columns = columns(&self.spec.tables[table], width);
        let mut first = Vec::new();
        for account in accounts {
            let live = self.rows(table, account.cell(), width).into_iter();
            first.extend(live.take(rows).map(|TimedRow { mut row, .. }| {
                row.cells.truncate(columns);
                row
            }));
        }
        Ok(first)
    }

    /// Two places, so that some accounts are read together and others are not.
    fn place(&self, _: TableIndex, account: &AccountId) -> u64 {
        account.cell().last().map_or(0, |byte| u64::from(byte % 2))
    }

    async fn rows_of(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        self.ask(Request::RowsOf(table, partition)).await?;
        let rows = self.rows_in(table, partition, accounts)?;
        Ok(rows.into_iter().map(|timed| timed.row).collect())
    }

    async fn occupied(
        &self,
        table: TableIndex,
        accounts: &[AccountId],
    ) -> Result<Vec<AccountId>, StorageError> {
        self.ask(Request::Occupied(table, accounts)).await?;
        debug_assert_eq!(self.spec.tables[table].find, Find::Partition);
        let owns = |account: &&AccountId| !self.rows(table, account.cell(), Width::Full).is_empty();
        Ok(accounts.iter().filter(owns).cloned().collect())
    }

    async fn present_in(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<AccountId>, StorageError> {
        self.ask(Request::PresentIn(table, partition)).await?;
        let rows = self.rows_in(table, partition, accounts)?;
        let column = self.spec.tables[table].account;
        let owns = |account: &&AccountId| {
            rows.iter().any(|timed| timed.row.cells[column].as_ref() == Some(account.cell()))
        };
        Ok(accounts.iter().filter(owns).cloned().collect())
    }

    async fn timed_page(
        &self,
        table: TableIndex,
        account: &AccountId,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<TimedPage, StorageError> {
        self.ask(Request::TimedPage(table, account)).await?;
        let mut live = self.rows(table, account.cell(), Width::Full);
        let (start, end, next) = cut(after, rows, live.len());
        Ok(TimedPage { rows: live.drain(start..end).collect(), next })
    }

    async fn timed_rows_of(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<TimedRow>, StorageError> {
        self.ask(Request::TimedRowsOf(table, partition)).await?;
        self.rows_in(table, partition, accounts)
    }

    async fn timed_row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<TimedRow>, StorageError> {
        self.ask(Request::TimedRow(table, key)).await?;
        let Some(partition) = key.first() else { return Ok(None) };
        check_key(partition)?;
        let mut rows = self.rows(table, partition, Width::Full).into_iter();
        Ok(rows.find(|timed| timed.row.cells.iter().flatten().take(key.len()).eq(key)))
    }

    /// A ring of three nodes.
    async fn token_ranges(&self, at_least: usize) -> Result<Vec<TokenRange>, StorageError> {
        self.ask(Request::Ring).await?;
        Ok(ring::cut([-6_000_000_000_000_000_000, 42, 3_000_000_000_000_000_000], at_least))
    }

    async fn scan(
        &self,
        table: TableIndex,
        range: TokenRange,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<KeyPage, StorageError> {
        self.ask(Request::Scan(table, range)).await?;
        let shape = &self.spec.tables[table];
        debug_assert!(shape.is_clustering());
        let mut keys = BTreeMap::new();
        for (partition, stored) in &self.tables()[table] {
            if range.contains(token(partition)) {
                let live = stored.live(shape, shape.key_len).into_iter();
                let accounts = live.filter_map(|mut row| row.row.cells[shape.account].take());
                keys.extend(
                    accounts
                        .map(|account| (place(partition, &account), (partition.clone(), account))),
                );
            }
        }
        let mut rest = match after {
            Some(after) => keys.split_off(&after.0[..]),
            None => keys,
        };
        if let Some((place, _)) = rest.iter().nth(rows) {
            let place = place.clone();
            drop(rest.split_off(&place));
            return Ok(KeyPage {
                keys: rest.into_values().collect(),
                next: Some(Cursor(place.into())),
            });
        }
        Ok(KeyPage { keys: rest.into_values().collect(), next: None })
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
