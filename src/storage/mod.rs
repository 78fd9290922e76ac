//! The one seam: what a merge needs of a database.
//!
//! [`Reader`] reads, [`Writer`] also writes; code that only plans or inspects is given a `Reader` and
//! cannot write. The real implementation is [`cluster`](crate::cluster); [`memory`] is a fake of
//! the same contract, with faults on demand, for tests and benches.
//!
//! The contract is that of Cassandra: rows of a partition come in clustering order, a write with a
//! lower write time than what is there has no effect (cell by cell), a delete wins over a write of the
//! same time, and a batch of one partition is atomic.
//!
//! May use `model` and `spec`; may be used by `register`, `cluster`, `pipeline`, `verify`, `undo` and `cli`.

pub mod memory;
pub mod ring;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

pub use crate::model::TimedRow;
pub(crate) use crate::model::WriteTimes;
use crate::model::{AccountId, Batch, Clocks, Row, Scope, TableIndex, TimestampUs, TokenRange};
use crate::spec::Table;

/// How much of a row is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// All columns: a source's row, which may be copied.
    Full,
    /// The key and what policies and events look at: a survivor's row, which stays where it is.
    Slim,
}

impl Table {
    /// How many columns are read so.
    pub(crate) fn len_of(&self, width: Width) -> usize {
        match width {
            Width::Full => self.columns.len(),
            Width::Slim => self.slim_len,
        }
    }
}

/// Where the next page of a partition starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub(crate) Arc<[u8]>);

/// How many tombstones a read may meet: from `warn` on the server logs it, from `fail` on it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TombstoneLimits {
    /// `tombstone_warn_threshold`.
    pub(crate) warn: u64,
    /// `tombstone_failure_threshold`.
    pub(crate) fail: u64,
}

impl Default for TombstoneLimits {
    /// Cassandra's own.
    fn default() -> Self {
        Self { warn: 1_000, fail: 100_000 }
    }
}

/// One page of a partition, in clustering order.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub rows: Vec<Row>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// One page of a partition with write times, in clustering order.
#[derive(Clone, Debug, Default)]
pub struct TimedPage {
    pub rows: Vec<TimedRow>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// One page of a scan: keys alone.
#[derive(Clone, Debug, Default)]
pub struct KeyPage {
    /// The scope and the account of each row, or of each partition where that is one account's. Of mentions, the primary
    /// key is in the place of the scope.
    pub keys: Vec<(Scope, Bytes)>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// The account that a row mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Whom it names, as a cell.
    pub account: Bytes,
    /// When that was written.
    pub t: TimestampUs,
    /// Whether the cell will expire.
    pub expires: bool,
}

/// A node of the cluster, by its host id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(crate) u128);

/// Accounts of one scope that one request concerns.
#[derive(Clone, Copy, Debug)]
pub struct Among<'a> {
    pub scope: &'a Scope,
    pub accounts: &'a [AccountId],
    /// Who is asked first; without, a node that holds the first account.
    pub node: Option<Node>,
}

/// Reads the tables of a specification. An account's rows are read within a [`Scope`].
pub trait Reader: Send + Sync + 'static {
    /// Reads a page of an account's rows, of at most `rows` rows.
    fn page(
        &self,
        table: TableIndex,
        rows_of: (&Scope, &AccountId),
        width: Width,
        rows: usize,
        after: Option<Cursor>,
    ) -> impl Future<Output = Result<Page, StorageError>> + Send;

    /// Reads the first rows of several accounts' partitions at once, at most `rows` of each, in
    /// clustering order within an account. Accounts that own none are fine.
    fn first_rows(
        &self,
        table: TableIndex,
        among: Among<'_>,
        width: Width,
        rows: usize,
    ) -> impl Future<Output = Result<Vec<Row>, StorageError>> + Send;

    /// As [`first_rows`](Self::first_rows), of all columns, with write times.
    fn timed_first_rows(
        &self,
        table: TableIndex,
        among: Among<'_>,
        rows: usize,
    ) -> impl Future<Output = Result<Vec<TimedRow>, StorageError>> + Send;

    /// The nodes that hold an account's partition: accounts with one in common are worth asking for together.
    fn replicas(&self, table: TableIndex, scope: &Scope, account: &AccountId) -> Vec<Node>;

    /// The bytes that no partition of a table exceeds, as far as the nodes have counted them: what they hold in memory alone
    /// they have not. `None` if they do not say.
    fn largest_partition(&self, table: TableIndex) -> impl Future<Output = Option<u64>> + Send;

    /// Reads the rows that the accounts own in a scope, of a table in which each
    /// [owns one](crate::spec::Table::has_point_rows), in no promised order.
    fn rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> impl Future<Output = Result<Vec<Row>, StorageError>> + Send;

    /// Which of the accounts own any row in a scope. No values are read.
    fn owners(
        &self,
        table: TableIndex,
        among: Among<'_>,
    ) -> impl Future<Output = Result<Vec<AccountId>, StorageError>> + Send;

    /// As [`page`](Self::page), of all columns, with write times.
    fn timed_page(
        &self,
        table: TableIndex,
        rows_of: (&Scope, &AccountId),
        rows: usize,
        after: Option<Cursor>,
    ) -> impl Future<Output = Result<TimedPage, StorageError>> + Send;

    /// As [`rows_of`](Self::rows_of), with write times.
    fn timed_rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> impl Future<Output = Result<Vec<TimedRow>, StorageError>> + Send;

    /// The primary keys, in column order, of those rows of the accounts in which a cell that a policy looks at was
    /// written after `t`, in no promised order. Only write times are read, no values.
    fn written_since(
        &self,
        table: TableIndex,
        among: Among<'_>,
        t: TimestampUs,
    ) -> impl Future<Output = Result<Vec<Vec<Bytes>>, StorageError>> + Send;

    /// One row by its primary key, of any table, with write times.
    fn timed_row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> impl Future<Output = Result<Option<TimedRow>, StorageError>> + Send;

    /// Sees that the tables are still what they were when whoever reads them was made ready: the same ones, with the same
    /// columns, and none of these masked. The error is [`Fault::Fatal`] if they are not. Returns what the clock of the node
    /// says that was asked: the earliest and the latest moment that it may mean.
    fn see_unaltered(&self) -> impl Future<Output = Result<[TimestampUs; 2], StorageError>> + Send;

    /// Compares the clocks of all nodes with this machine's. An error that may pass says that one is too far away.
    fn clocks(&self) -> impl Future<Output = Result<Clocks, StorageError>> + Send;

    /// The whole ring in ranges, `at_least` so many, each of which has one set of replicas ([`ring::cut`]).
    fn token_ranges(
        &self,
        at_least: usize,
    ) -> impl Future<Output = Result<Vec<TokenRange>, StorageError>> + Send;

    /// The account that the row of a primary key mentions, of a table of [mentions](crate::spec::Table::is_mention);
    /// `None` if there is no such row, or it names nobody.
    fn mention(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> impl Future<Output = Result<Option<Mention>, StorageError>> + Send;

    /// Reads a page, of at most `rows` rows, of the keys in a token range of a table to which another one leads. No
    /// values are read. Of mentions the primary keys are read, each with the account that it names.
    fn scan(
        &self,
        table: TableIndex,
        range: TokenRange,
        rows: usize,
        after: Option<Cursor>,
    ) -> impl Future<Output = Result<KeyPage, StorageError>> + Send;
}

/// Also writes them.
pub trait Writer: Reader {
    /// Writes batches of one partition as one; when it returns, that is acknowledged at the run's consistency level. `now` is
    /// what the nodes' clocks say, from which it follows how long what expires has left.
    fn write(
        &self,
        batches: &[Arc<Batch>],
        now: TimestampUs,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Deletes the partitions of several accounts at one write time; acknowledged when it returns.
    fn delete_partitions(
        &self,
        table: TableIndex,
        among: Among<'_>,
        t: TimestampUs,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;
}

/// A read or write that failed.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct StorageError {
    /// What failed and why, in one line, with the account or key that it was about.
    pub message: String,
    /// The same without what differs from account to account, for counting.
    pub class: String,
    /// Whether trying again may help.
    pub kind: Fault,
}

/// What a failure calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The cluster is overloaded, or a node is slow or gone: whoever asks meets it. Try again later, and ask for less at a
    /// time.
    Transient,
    /// No answer in time: the same, and perhaps the request asks for too much.
    TimedOut,
    /// The server answers that its replicas have not, in time: the same, but whoever coordinates is there.
    Late,
    /// A replica failed at this request: it may be restarting, or the request may be more than it can do
    /// (too many tombstones to read). A few more tries tell, at no lower pace.
    Replica,
    /// The server does not know the statement any more; it is prepared again when it is tried again.
    Forgotten,
    /// The request itself is refused; it would be refused again.
    Permanent,
    /// Every request of its kind would be refused: a missing privilege, a table that was dropped, a cluster that is gone.
    Fatal,
}
