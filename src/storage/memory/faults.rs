//! Faults on demand.

use bytes::Bytes;

use crate::model::{AccountId, Batch, Scope, TableIndex, TokenRange};

/// A request, as the fault hook sees it.
#[derive(Debug)]
pub enum Request<'a> {
    /// A page of an account's rows, of so many.
    Page(TableIndex, &'a AccountId, usize),
    /// The first rows of several accounts' partitions, so many of each.
    FirstRows(TableIndex, &'a [AccountId], usize),
    RowsOf(TableIndex, &'a Scope, &'a [AccountId]),
    /// Which accounts own rows in a scope.
    Owners(TableIndex, &'a Scope, &'a [AccountId]),
    /// A page of an account's rows, of so many, with write times.
    TimedPage(TableIndex, &'a AccountId, usize),
    /// Rows of accounts in a scope, with write times.
    TimedRowsOf(TableIndex, &'a Scope, &'a [AccountId]),
    /// The first rows of several accounts' partitions, so many of each, with write times.
    TimedFirstRows(TableIndex, &'a [AccountId], usize),
    /// Which rows of accounts were written to since.
    WrittenSince(TableIndex, &'a [AccountId]),
    /// The row of a primary key, with write times.
    TimedRow(TableIndex, &'a [Bytes]),
    /// Whether a table has been altered.
    Unaltered,
    /// What the clocks of all nodes say.
    Clocks,
    /// The tokens of the nodes.
    Ring,
    /// A page of the keys in a token range, of so many.
    Scan(TableIndex, TokenRange, usize),
    Write(&'a Batch),
    /// The deletes of several accounts' partitions.
    DeletePartitions(TableIndex, &'a [AccountId]),
}

/// Decides whether a request fails. A failed write may still have been applied, as in real life.
pub(crate) type FaultHook = dyn Fn(&Request<'_>) -> Option<FaultKind> + Send + Sync;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It was not carried out and may be tried again.
    Lost,
    /// It was carried out, but the answer was lost.
    AnswerLost,
    /// It was refused for good.
    Refused,
    /// It was not answered in time, and not carried out.
    TimedOut,
    /// Its replicas did not answer in time, and it was not carried out.
    Late,
    /// A replica failed at it.
    Failed,
    /// It was carried out, but whoever asked was stopped before the answer.
    AnswerLostForGood,
}
