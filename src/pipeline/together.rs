//! The requests that groups in flight share: reads and writes of one partition, and the first pages of
//! partitions that are stored in one place.
//!
//! A joined request that fails is carried out again by each group for itself, so that only the group that it
//! concerns fails, and none waits for the patience that another one needs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::latency::Lane;
use crate::merge::BATCH_BYTES;
use crate::model::{AccountId, Batch, Row, Scope, TableIndex};
use crate::storage::{Reader, StorageError, Width, Writer};

use super::Context;
use super::attempt::{Attempts, Retry};
use super::joined::Rounds;

/// Accounts whose first pages one read asks for: with more, one coordinator has too much to do for one
/// answer.
const ACCOUNTS_PER_READ: usize = 16;
/// Rounds of first pages that may be in flight per replica set, table, scope and width.
const ROUNDS: u64 = 2;
/// How long a joined request is tried before each group asks for itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Accounts whose first pages are read together: table, width, scope and replica set.
type FirstPages = (TableIndex, Width, Scope, u64);

/// The rounds of all groups in flight.
#[derive(Debug, Default)]
pub(super) struct Together {
    first_pages: Rounds<FirstPages, AccountId, Option<Vec<Row>>>,
    /// By table and scope.
    rows: Rounds<(TableIndex, Scope), Vec<AccountId>, Vec<Row>>,
    /// By table and partition.
    writes: Rounds<(TableIndex, Vec<Bytes>), Arc<Batch>, ()>,
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
        scope: &Scope,
        account: &AccountId,
        width: Width,
    ) -> Result<Option<Vec<Row>>, StorageError> {
        // One row more than is used tells whether there are more. The limit is that of the round, whoever asks:
        // what is known of the size of rows changes from request to request.
        let most = self.row_sizes.first_page(table, width, ACCOUNTS_PER_READ).max(2);
        let whole = move |rows: Vec<Row>| Some(rows).filter(|rows| rows.len() < most);
        let replicas = self.storage.replica_set(table, scope, account);
        let slot = replicas.wrapping_mul(ROUNDS).wrapping_add(fastrand::u64(..ROUNDS));
        let of = scope.clone();
        let way = self.way(self.lanes.read(table, width));
        let column = self.spec.tables[table].account;
        let joined = self.together.first_pages.join(
            (table, width, scope.clone(), slot),
            (account.clone(), 1),
            ACCOUNTS_PER_READ,
            move |accounts| async move {
                let read = || way.storage.first_rows(table, &of, &accounts, width, most);
                let rows = way.joined(accounts.len(), read).await?;
                let requests = accounts.iter().map(std::slice::from_ref);
                Some(split(rows, column, requests).into_iter().map(whole).collect())
            },
        );
        if let Some(rows) = joined.await {
            return Ok(rows);
        }
        let (way, own) = (self.way(self.lanes.read(table, width)), std::slice::from_ref(account));
        way.alone(|| way.storage.first_rows(table, scope, own, width, most)).await.map(whole)
    }

    /// The rows that accounts own in a scope of a table in which each owns one, in no promised order.
    ///
    /// # Errors
    /// The read failed for good.
    pub(super) async fn rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        let lane = self.lanes.read(table, Width::Full);
        let column = self.spec.tables[table].account;
        let capacity = self.row_sizes.accounts_per_read(table);
        let (way, of) = (self.way(lane), scope.clone());
        let joined = self.together.rows.join(
            (table, scope.clone()),
            (accounts.to_vec(), accounts.len()),
            capacity,
            move |requests| async move {
                let requests = requests.iter().map(Vec::as_slice);
                let all: Vec<AccountId> = requests.clone().flatten().cloned().collect();
                let read = || way.storage.rows_of(table, &of, &all);
                let rows = way.joined(requests.len(), read).await?;
                Some(split(rows, column, requests))
            },
        );
        if let Some(rows) = joined.await {
            return Ok(rows);
        }
        let way = self.way(lane);
        way.alone(|| way.storage.rows_of(table, scope, accounts)).await
    }
}

impl<S: Writer> Context<S> {
    /// Writes one batch. Those of one partition in which the rows of several groups stand are joined; each
    /// mutation has the write time of its own group.
    ///
    /// # Errors
    /// The write failed for good; it may have been carried out.
    pub(super) async fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let table = batch.table;
        let lane = match batch.is_partition_delete() {
            true => self.lanes.delete(table),
            false => self.lanes.write(table),
        };
        let batch = Arc::new(batch);
        let shape = &self.spec.tables[table];
        if !shape.owns_partitions()
            && let Some(key) = batch.partition_key(shape.partition_len)
        {
            let size_bytes = batch.mutations.iter().map(|mutation| mutation.size_bytes()).sum();
            let way = self.way(lane);
            let joined = self.together.writes.join(
                (table, key),
                (Arc::clone(&batch), size_bytes),
                BATCH_BYTES,
                move |batches| async move {
                    let whole = match batches.as_slice() {
                        [batch] => Arc::clone(batch),
                        batches => {
                            let mutations = batches.iter().flat_map(|batch| &batch.mutations);
                            Arc::new(Batch { table, mutations: mutations.cloned().collect() })
                        }
                    };
                    way.joined(batches.len(), || way.storage.write(&whole)).await?;
                    Some(vec![(); batches.len()])
                },
            );
            if joined.await.is_some() {
                return Ok(());
            }
        }
        // The partition belongs to one group, or each of several writes for itself.
        let way = self.way(lane);
        way.alone(|| way.storage.write(&batch)).await
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

    /// Carries out a request of a round; `None` if it failed, for a while or for good.
    async fn joined<T, F>(&self, groups: usize, request: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let budget = self.attempts.retry.budget.min(PATIENCE);
        let retry = Retry { budget, replica_tries: 1, ..self.attempts.retry };
        let joined = Attempts { retry, ..self.attempts.clone() };
        match joined.carry_out(self.lane, request).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::debug!("a request of {groups} groups is taken apart: {error}");
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
) -> Vec<Vec<Row>> {
    if requests.len() == 1 {
        return vec![rows];
    }
    let asked: std::collections::HashMap<&Bytes, usize> = requests
        .clone()
        .enumerate()
        .flat_map(|(at, accounts)| accounts.iter().map(move |account| (account.cell(), at)))
        .collect();
    let mut answers: Vec<Vec<Row>> = requests.map(|_| Vec::new()).collect();
    for row in rows {
        let by = row.cells[column].as_ref().and_then(|owner| asked.get(owner));
        if let Some(at) = by {
            answers[*at].push(row);
        }
    }
    answers
}
