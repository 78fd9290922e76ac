//! The requests that groups in flight share: reads and writes of one partition, and the first pages of
//! partitions that are stored in one place.
//!
//! A joined request that fails is carried out again one by one, so that only the group that it concerns
//! fails, and none waits for the patience that another one needs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;

use crate::account::{AccountId, Batch, Row, TableIndex};
use crate::latency::Lane;
use crate::merge::BATCH_BYTES;
use crate::storage::{Reader, StorageError, Width, Writer};

use super::Context;
use super::attempt::{Attempts, Retry};
use super::joined::Rounds;

/// Accounts whose first pages one read asks for: with more, one coordinator has too much to do for one
/// answer.
const ACCOUNTS_PER_READ: usize = 16;
/// Rounds of first pages that may be in flight per place, table and width.
const PLACES: u64 = 8;
/// How long a joined request is tried before it is taken apart.
const PATIENCE: Duration = Duration::from_secs(1);

/// The rounds of all groups in flight.
#[derive(Debug, Default)]
pub(super) struct Together {
    /// By table, width and place.
    first_pages: Rounds<(TableIndex, Width, u64), AccountId, Option<Vec<Row>>>,
    /// By table and partition.
    rows: Rounds<(TableIndex, Bytes), Vec<AccountId>, Vec<Row>>,
    /// By table and partition.
    writes: Rounds<(TableIndex, Bytes), Batch, ()>,
}

/// One round's way to the database.
struct Way<S> {
    storage: Arc<S>,
    attempts: Attempts,
    lane: Lane,
}

impl<S: Reader> Context<S> {
    /// The rows of an account's partition, if they are no more than a first page that several accounts
    /// share; `None` if there are more.
    ///
    /// # Errors
    /// The read failed for good.
    pub(super) async fn first_page(
        &self,
        table: TableIndex,
        account: &AccountId,
        width: Width,
    ) -> Result<Option<Vec<Row>>, StorageError> {
        // One row more than is used tells whether there are more. The limit is that of the round, whoever asks:
        // what is known of the size of rows changes from request to request.
        let most = self.row_sizes.first_page(table, width, ACCOUNTS_PER_READ).max(2);
        let place = self.storage.place(table, account);
        let slot = place.wrapping_mul(PLACES).wrapping_add(fastrand::u64(..PLACES));
        let way = self.way(self.lanes.read(table, width));
        let column = self.spec.tables[table].account;
        let answer = self.together.first_pages.join(
            (table, width, slot),
            (account.clone(), 1),
            ACCOUNTS_PER_READ,
            move |accounts| async move {
                let way = &way;
                let requests = || accounts.iter().map(std::slice::from_ref);
                let read = |own| way.alone(move || way.storage.first_rows(table, own, width, most));
                let together = || way.storage.first_rows(table, &accounts, width, most);
                let answers = match way.joined(accounts.len(), together).await {
                    Some(rows) => split(rows, column, requests()),
                    None => join_all(requests().map(read)).await,
                };
                let whole = |rows: Vec<Row>| Some(rows).filter(|rows| rows.len() < most);
                answers.into_iter().map(|answer| answer.map(whole)).collect()
            },
        );
        answer.await
    }

    /// The rows that accounts own in one partition of a table in which the account is a clustering
    /// column, in no promised order.
    ///
    /// # Errors
    /// The read failed for good.
    pub(super) async fn rows_of(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        let way = self.way(self.lanes.read(table, Width::Full));
        let column = self.spec.tables[table].account;
        let capacity = self.row_sizes.accounts_per_read(table);
        let key = (table, partition.clone());
        let request = (accounts.to_vec(), accounts.len());
        let of_partition = partition.clone();
        let answer = self.together.rows.join(key, request, capacity, move |requests| async move {
            let (way, partition) = (&way, &of_partition);
            let requests = || requests.iter().map(Vec::as_slice);
            let all: Vec<AccountId> = requests().flatten().cloned().collect();
            let read = |own| way.alone(move || way.storage.rows_of(table, partition, own));
            let together = || way.storage.rows_of(table, partition, &all);
            match way.joined(requests().len(), together).await {
                Some(rows) => split(rows, column, requests()),
                None => join_all(requests().map(read)).await,
            }
        });
        answer.await
    }
}

impl<S: Writer> Context<S> {
    /// Writes one batch. Those of one partition in which the rows of several groups stand are joined; each
    /// mutation has the write time of its own group.
    ///
    /// # Errors
    /// The write failed for good; it may have been carried out.
    pub(super) async fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let way = self.way(match batch.is_partition_delete() {
            true => self.lanes.delete(batch.table),
            false => self.lanes.write(batch.table),
        });
        let table = batch.table;
        let shared = match batch.partition_key() {
            Some(key) if self.spec.tables[table].is_clustering() => (table, key.clone()),
            // The partition belongs to one group.
            _ => return way.alone(|| self.storage.write(&batch)).await,
        };
        let size_bytes = batch.mutations.iter().map(|mutation| mutation.size_bytes()).sum();
        let writes = &self.together.writes;
        let answer =
            writes.join(shared, (batch, size_bytes), BATCH_BYTES, move |batches| async move {
                let way = &way;
                let write = |batch| way.alone(move || way.storage.write(batch));
                let mutations =
                    batches.iter().flat_map(|batch| &batch.mutations).cloned().collect();
                let whole = Batch { table, mutations };
                match way.joined(batches.len(), || way.storage.write(&whole)).await {
                    Some(()) => batches.iter().map(|_| Ok(())).collect(),
                    None => join_all(batches.iter().map(write)).await,
                }
            });
        answer.await
    }
}

impl<S> Context<S> {
    fn way(&self, lane: Lane) -> Way<S> {
        Way { storage: Arc::clone(&self.storage), attempts: self.attempts(), lane }
    }
}

impl<S> Way<S> {
    /// Carries out a request of one group.
    async fn alone<T, F>(&self, request: impl FnMut() -> F) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        self.attempts.carry_out(self.lane, request).await
    }

    /// Carries out a request of several groups; `None` if it has to be taken apart, or is of one only.
    async fn joined<T, F>(&self, requests: usize, request: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        if requests < 2 {
            return None;
        }
        let budget = self.attempts.retry.budget.min(PATIENCE);
        let retry = Retry { budget, replica_tries: 1, ..self.attempts.retry };
        let joined = Attempts { retry, ..self.attempts.clone() };
        match joined.carry_out(self.lane, request).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::debug!("a request of {requests} groups is taken apart: {error}");
                None
            }
        }
    }
}

/// Gives each request the rows of its accounts, in the order in which they came. No account is in two
/// groups, and a group asks for an account once, so each row has one place.
fn split<'a>(
    rows: Vec<Row>,
    column: usize,
    requests: impl ExactSizeIterator<Item = &'a [AccountId]> + Clone,
) -> Vec<Result<Vec<Row>, StorageError>> {
    if requests.len() == 1 {
        return vec![Ok(rows)];
    }
    let places: std::collections::HashMap<&Bytes, usize> = requests
        .clone()
        .enumerate()
        .flat_map(|(place, accounts)| accounts.iter().map(move |account| (account.cell(), place)))
        .collect();
    let mut answers: Vec<Vec<Row>> = requests.map(|_| Vec::new()).collect();
    for row in rows {
        let place = row.cells[column].as_ref().and_then(|owner| places.get(owner));
        if let Some(place) = place {
            answers[*place].push(row);
        }
    }
    answers.into_iter().map(Ok).collect()
}
