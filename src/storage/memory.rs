//! A database in memory with the semantics that a merge relies on, and faults on demand. It exists for
//! tests and benches; nothing in a run uses it. Every request gives way to other tasks once, so that
//! requests of concurrent groups interleave.
//!
//! That it does as Cassandra does is tested against a real one (`tests/live/seam.rs`). Deliberately
//! absent: time (what expires has expired), and keys or elements that are different bytes but equal to their type
//! (1.0 and 1.00).

mod added;
mod answers;
mod faults;
mod keys;
mod partition;
mod writes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::model::{
    AccountId, Clocks, ExpiryS, Row, Scope, TableIndex, TimestampUs, TokenRange, now_us,
};
use crate::spec::Spec;

use super::{
    Among, Cursor, Fault, KeyPage, Mention, Node, Page, Reader, StorageError, TimedPage, TimedRow,
    Width, ring,
};
pub(crate) use added::Added;
pub(crate) use answers::Answers;
pub(crate) use faults::FaultHook;
pub use faults::{FaultKind, Request};
use partition::Partition;

/// How often others have their turn before an answer comes.
const TURNS: usize = 8;

/// The tables of a specification, held in memory.
pub struct MemoryStorage {
    spec: Arc<Spec>,
    tables: Mutex<Vec<Partitions>>,
    faults: Box<FaultHook>,
    added: Mutex<Added>,
    /// What answers weigh.
    pub answers: Answers,
    /// What the nodes' clocks say, where a test tells it.
    pub clock: Option<fn() -> TimestampUs>,
}

/// What a clock says of which nothing is known.
const ANY_TIME: [TimestampUs; 2] = [TimestampUs::MIN, TimestampUs::MAX];

type Partitions = BTreeMap<Vec<Bytes>, Partition>;

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
        let (faults, answers) = (Box::new(faults), Answers::default());
        Self { spec, tables, faults, added: Mutex::default(), answers, clock: None }
    }

    /// The same database, seen by another specification of the same tables and columns.
    ///
    /// # Panics
    /// They are others.
    #[must_use]
    pub fn seen_by(self, spec: Arc<Spec>) -> Self {
        let shapes = |spec: &Spec| -> Vec<_> {
            spec.tables.iter().map(|table| (table.name.clone(), table.columns.clone())).collect()
        };
        assert_eq!(shapes(&self.spec), shapes(&spec), "they are other tables, or columns");
        Self { spec, ..self }
    }

    /// The columns that the specification does not know.
    pub fn added(&self) -> MutexGuard<'_, Added> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All live rows of a table, in key order.
    pub fn dump(&self, table: TableIndex) -> Vec<Row> {
        self.dump_timed(table).into_iter().map(|timed| timed.row).collect()
    }

    /// All live rows of a table with their write times, in key order.
    pub fn dump_timed(&self, table: TableIndex) -> Vec<TimedRow> {
        let shape = &self.spec.tables[table];
        let now_s = self.now_s();
        let live = |partition: &Partition| partition.live(shape, shape.columns.len(), now_s);
        self.tables()[table].values().flat_map(live).collect()
    }

    /// What the nodes' clocks say, by which cells expire.
    fn now_s(&self) -> ExpiryS {
        self.clock.map_or_else(now_us, |clock| clock()).div_euclid(1_000_000)
    }

    fn tables(&self) -> MutexGuard<'_, Vec<Partitions>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of an account that a read of this width sees, in clustering order; all their cells.
    fn rows(
        &self,
        table: TableIndex,
        (scope, account): (&Scope, &AccountId),
        width: Width,
    ) -> Result<Vec<TimedRow>, StorageError> {
        let shape = &self.spec.tables[table];
        let key = shape.partition_key(scope, account);
        check_key(&key)?;
        let tables = self.tables();
        let stored = tables[table].get(&key);
        let mut rows =
            stored.map_or_else(Vec::new, |s| s.live(shape, shape.len_of(width), self.now_s()));
        rows.retain(|timed| timed.row.cells[shape.account].as_ref() == Some(account.cell()));
        Ok(rows)
    }

    /// The live rows of accounts in a scope.
    fn rows_in(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<TimedRow>, StorageError> {
        let mut rows = Vec::new();
        for account in accounts {
            rows.extend(self.rows(table, (scope, account), Width::Full)?);
        }
        let shape = &self.spec.tables[table];
        rows.sort_by(|a, b| shape.compare_in_partition(&a.row, &b.row));
        Ok(rows)
    }

    /// A row as a merge reads it.
    fn merged(&self, table: TableIndex, width: Width, timed: TimedRow) -> Row {
        let shape = &self.spec.tables[table];
        let mut row = timed.dated(shape.by_time());
        row.truncate(shape.len_of(width));
        row
    }

    /// The fault that the hook asks for, if any.
    fn fault(&self, request: &Request<'_>) -> (bool, Result<(), StorageError>) {
        match (self.faults)(request) {
            None => (true, Ok(())),
            Some(FaultKind::Lost) => (false, error(Fault::Transient, "the request was lost")),
            Some(FaultKind::AnswerLost) => (true, error(Fault::Transient, "the answer was lost")),
            Some(FaultKind::Refused) => (false, error(Fault::Permanent, "the request was refused")),
            Some(FaultKind::TimedOut) => (false, error(Fault::TimedOut, "the request timed out")),
            Some(FaultKind::Late) => (false, error(Fault::Late, "replicas did not answer in time")),
            Some(FaultKind::Failed) => (false, error(Fault::Replica, "a replica failed")),
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

fn error(kind: Fault, message: &str) -> Result<(), StorageError> {
    Err(StorageError { message: message.into(), class: message.into(), kind })
}

fn check_key(partition: &[Bytes]) -> Result<(), StorageError> {
    let is_empty = matches!(partition, [only] if only.is_empty());
    if is_empty { error(Fault::Permanent, "Key may not be empty") } else { Ok(()) }
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
        rows_of: (&Scope, &AccountId),
        width: Width,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<Page, StorageError> {
        self.ask(Request::Page(table, rows_of.1, rows)).await?;
        let mut live = self.rows(table, rows_of, width)?;
        let (start, end, next) = cut(after, rows, live.len());
        let rows: Vec<Row> =
            live.drain(start..end).map(|timed| self.merged(table, width, timed)).collect();
        self.answers.deliver(rows.iter()).await;
        Ok(Page { rows, next })
    }

    async fn first_rows(
        &self,
        table: TableIndex,
        among: Among<'_>,
        width: Width,
        rows: usize,
    ) -> Result<Vec<Row>, StorageError> {
        self.ask(Request::FirstRows(table, among.accounts, rows)).await?;
        let mut first = Vec::new();
        for account in among.accounts {
            let live = self.rows(table, (among.scope, account), width)?.into_iter();
            first.extend(live.take(rows).map(|timed| self.merged(table, width, timed)));
        }
        self.answers.deliver(first.iter()).await;
        Ok(first)
    }

    async fn timed_first_rows(
        &self,
        table: TableIndex,
        among: Among<'_>,
        rows: usize,
    ) -> Result<Vec<TimedRow>, StorageError> {
        self.ask(Request::TimedFirstRows(table, among.accounts, rows)).await?;
        let mut first = Vec::new();
        for account in among.accounts {
            let live = self.rows(table, (among.scope, account), Width::Full)?;
            first.extend(live.into_iter().take(rows));
        }
        self.answers.deliver(first.iter().map(|timed| &timed.row)).await;
        Ok(first)
    }

    async fn see_unaltered(&self) -> Result<[TimestampUs; 2], StorageError> {
        self.ask(Request::Unaltered).await?;
        if self.added().is_any() {
            error(Fault::Fatal, "a table has got a column")?;
        }
        Ok(self.clock.map_or(ANY_TIME, |clock| [clock(); 2]))
    }

    async fn clocks(&self) -> Result<Clocks, StorageError> {
        self.ask(Request::Clocks).await?;
        let ours = self.clock.map_or_else(now_us, |clock| clock());
        Ok(Clocks { ours, latest: ours, behind: Duration::ZERO })
    }

    /// Two nodes, each with half of the accounts, so that some are read together and others are not.
    fn replicas(&self, _: TableIndex, _: &Scope, account: &AccountId) -> Vec<Node> {
        vec![Node(account.cell().last().map_or(0, |byte| u128::from(byte % 2)))]
    }

    async fn largest_partition(&self, table: TableIndex) -> Option<u64> {
        let shape = &self.spec.tables[table];
        let now_s = self.now_s();
        let bytes = |partition: &Partition| {
            let rows = partition.live(shape, shape.columns.len(), now_s);
            rows.iter().map(|timed| timed.row.size_bytes() as u64).sum()
        };
        Some(self.tables()[table].values().map(bytes).max().unwrap_or_default())
    }

    async fn rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        self.ask(Request::RowsOf(table, scope, accounts)).await?;
        debug_assert!(self.spec.tables[table].has_point_rows());
        let rows = self.rows_in(table, scope, accounts)?;
        self.answers.deliver(rows.iter().map(|timed| &timed.row)).await;
        Ok(rows.into_iter().map(|timed| self.merged(table, Width::Full, timed)).collect())
    }

    async fn owners(
        &self,
        table: TableIndex,
        Among { scope, accounts, .. }: Among<'_>,
    ) -> Result<Vec<AccountId>, StorageError> {
        self.ask(Request::Owners(table, scope, accounts)).await?;
        let rows = self.rows_in(table, scope, accounts)?;
        let column = self.spec.tables[table].account;
        let owns = |account: &&AccountId| {
            rows.iter().any(|timed| timed.row.cells[column].as_ref() == Some(account.cell()))
        };
        Ok(accounts.iter().filter(owns).cloned().collect())
    }

    async fn timed_page(
        &self,
        table: TableIndex,
        rows_of: (&Scope, &AccountId),
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<TimedPage, StorageError> {
        self.ask(Request::TimedPage(table, rows_of.1, rows)).await?;
        let mut live = self.rows(table, rows_of, Width::Full)?;
        let (start, end, next) = cut(after, rows, live.len());
        let rows: Vec<TimedRow> = live.drain(start..end).collect();
        self.answers.deliver(rows.iter().map(|timed| &timed.row)).await;
        Ok(TimedPage { rows, next })
    }

    async fn timed_rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<TimedRow>, StorageError> {
        self.ask(Request::TimedRowsOf(table, scope, accounts)).await?;
        debug_assert!(self.spec.tables[table].has_point_rows());
        let rows = self.rows_in(table, scope, accounts)?;
        self.answers.deliver(rows.iter().map(|timed| &timed.row)).await;
        Ok(rows)
    }

    async fn written_since(
        &self,
        table: TableIndex,
        Among { scope, accounts, .. }: Among<'_>,
        t: TimestampUs,
    ) -> Result<Vec<Vec<Bytes>>, StorageError> {
        self.ask(Request::WrittenSince(table, accounts)).await?;
        let shape = &self.spec.tables[table];
        let mut rows = self.rows_in(table, scope, accounts)?;
        rows.retain(|timed| {
            shape.computed().any(|rule| timed.times[rule.column].latest() > Some(t))
        });
        Ok(rows.iter().map(|timed| shape.key_of(&timed.row)).collect())
    }

    async fn timed_row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<TimedRow>, StorageError> {
        self.ask(Request::TimedRow(table, key)).await?;
        let found = self.row(table, key)?;
        self.answers.deliver(found.iter().map(|timed| &timed.row)).await;
        Ok(found)
    }

    async fn mention(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<Mention>, StorageError> {
        self.ask(Request::TimedRow(table, key)).await?;
        Ok(self.row(table, key)?.and_then(keys::mentioned))
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
        self.ask(Request::Scan(table, range, rows)).await?;
        let mut keys = self.keys_in(table, range);
        let mut rest = match after {
            Some(after) => keys.split_off(&after.0[..]),
            None => keys,
        };
        if let Some((next, _)) = rest.iter().nth(rows) {
            let next = next.clone();
            drop(rest.split_off(&next));
            return Ok(KeyPage {
                keys: rest.into_values().collect(),
                next: Some(Cursor(next.into())),
            });
        }
        Ok(KeyPage { keys: rest.into_values().collect(), next: None })
    }
}
