//! How what the groups of a window ask for is sent: cut into requests by node, by partition and by size. One that
//! fails is taken apart until the group that it concerns is alone, so that only that one fails.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;

use crate::latency::Lane;
use crate::merge::BATCH_BYTES;
use crate::model::{AccountId, Batch, Mutation, Scope, TableIndex};
use crate::storage::{Among, Fault, Node, Reader, StorageError, Width, Writer};

use super::super::Context;
use super::super::attempt::Retry;
use super::gather::{Waiting, by_node, cut};
use super::{Requests, Window};

/// Accounts whose partitions one request asks for or deletes: enough to save most round trips, few enough for one
/// coordinator.
const ACCOUNTS_PER_REQUEST: usize = 16;
/// Accounts that one look asks for: no values come back.
const ACCOUNTS_PER_LOOK: usize = 32;
/// Accounts that one look asks for in one partition.
const ACCOUNTS_PER_PARTITION: usize = 100;
/// What a page of a row with its times takes, at least, in units of what its values take in the estimates that
/// bound pages: a cell and its time are several words each, however short the value.
pub(super) const TIMES_WEIGH: usize = 4;
/// How long a request of several groups is tried before it is taken apart.
const PATIENCE: Duration = Duration::from_secs(1);

/// Accounts that wait for what one request says of each.
type Accounts<A> = Vec<Waiting<AccountId, A>>;

/// What one request asks for.
struct Part {
    scope: Scope,
    accounts: Vec<AccountId>,
    node: Option<Node>,
}

impl Part {
    fn among(&self) -> Among<'_> {
        Among { scope: &self.scope, accounts: &self.accounts, node: self.node }
    }

    /// Of each account all its rows, or nothing if there may be more than the `most` that were asked for.
    fn whole<R>(
        &self,
        rows: Vec<R>,
        owner: impl Fn(&R) -> Option<&Bytes>,
        most: usize,
    ) -> Vec<Option<Vec<R>>> {
        let answers = split(rows, self.accounts.iter().map(std::slice::from_ref), owner);
        answers.into_iter().map(|rows| Some(rows).filter(|rows| rows.len() < most)).collect()
    }
}

impl<S: Reader> Window<S> {
    /// All reads that wait.
    pub(super) fn reads(self: &Arc<Self>) -> Requests {
        let mut requests = Requests::new();
        for ((table, width, scope), waiting) in self.asked.first_pages.take() {
            // One row more than is used tells whether there are more.
            let most = self.row_sizes.first_page(table, width, ACCOUNTS_PER_REQUEST).max(2);
            let (lane, column) = (self.lanes.read(table, width), self.spec.tables[table].account);
            let send = move |window: Arc<Self>, part: Part| async move {
                let rows = window.storage.first_rows(table, part.among(), width, most).await?;
                Ok(part.whole(rows, |row| row.cells[column].as_ref(), most))
            };
            let parts = self.shares(table, &scope, waiting, ACCOUNTS_PER_REQUEST);
            requests.extend(self.by_account(lane, &scope, parts, send));
        }
        for ((table, scope), waiting) in self.asked.timed_first_pages.take() {
            let most = self.row_sizes.first_page(table, Width::Full, ACCOUNTS_PER_REQUEST);
            let most = (most / TIMES_WEIGH).max(2);
            let column = self.spec.tables[table].account;
            let send = move |window: Arc<Self>, part: Part| async move {
                let rows = window.storage.timed_first_rows(table, part.among(), most).await?;
                Ok(part.whole(rows, |timed| timed.row.cells[column].as_ref(), most))
            };
            let parts = self.shares(table, &scope, waiting, ACCOUNTS_PER_REQUEST);
            requests.extend(self.by_account(
                self.lanes.read(table, Width::Full),
                &scope,
                parts,
                send,
            ));
        }
        for ((table, scope), waiting) in self.asked.owners.take() {
            let send = move |window: Arc<Self>, part: Part| async move {
                let owners = window.storage.owners(table, part.among()).await?;
                let owners: HashSet<AccountId> = owners.into_iter().collect();
                Ok(part.accounts.iter().map(|account| owners.contains(account)).collect())
            };
            let parts = self.shares(table, &scope, waiting, ACCOUNTS_PER_LOOK);
            requests.extend(self.by_account(self.lanes.look(table), &scope, parts, send));
        }
        for ((table, scope, t), waiting) in self.asked.written_since.take() {
            let column = self.spec.tables[table].account;
            let send = move |window: Arc<Self>, part: Part| async move {
                let keys = window.storage.written_since(table, part.among(), t).await?;
                let asked = part.accounts.iter().map(std::slice::from_ref);
                Ok(split(keys, asked, |key| key.get(column)))
            };
            let parts = self.shares(table, &scope, waiting, ACCOUNTS_PER_LOOK);
            requests.extend(self.by_account(self.lanes.look(table), &scope, parts, send));
        }
        for ((table, scope), waiting) in self.asked.rows.take() {
            let column = self.spec.tables[table].account;
            let most = self.row_sizes.accounts_per_read(table);
            let send = move |window: Arc<Self>, scope: Scope, asked: Vec<Vec<AccountId>>| async move {
                let rows = window.storage.rows_of(table, &scope, &asked.concat()).await?;
                Ok(split(rows, asked.iter().map(Vec::as_slice), |row| row.cells[column].as_ref()))
            };
            requests.extend(self.by_partition((table, &scope), waiting, most, send));
        }
        for ((table, scope), waiting) in self.asked.timed_rows.take() {
            let column = self.spec.tables[table].account;
            let most = (self.row_sizes.accounts_per_read(table) / TIMES_WEIGH).max(2);
            let send = move |window: Arc<Self>, scope: Scope, asked: Vec<Vec<AccountId>>| async move {
                let rows = window.storage.timed_rows_of(table, &scope, &asked.concat()).await?;
                Ok(split(rows, asked.iter().map(Vec::as_slice), |timed| {
                    timed.row.cells[column].as_ref()
                }))
            };
            requests.extend(self.by_partition((table, &scope), waiting, most, send));
        }
        requests
    }

    /// One request for each part, to its node.
    fn by_account<A: Send + 'static, F>(
        self: &Arc<Self>,
        lane: Lane,
        scope: &Scope,
        parts: Vec<(Option<Node>, Accounts<A>)>,
        send: impl Fn(Arc<Self>, Part) -> F + Clone + Send + Sync + 'static,
    ) -> Requests
    where
        F: Future<Output = Result<Vec<A>, StorageError>> + Send + 'static,
    {
        let requests = parts.into_iter().map(|(node, waiting)| {
            let (window, scope, send) = (Arc::clone(self), scope.clone(), send.clone());
            let send = move |accounts, node| {
                send(Arc::clone(&window), Part { scope: scope.clone(), accounts, node })
            };
            Arc::clone(self).together(lane, waiting, node, send).boxed()
        });
        requests.collect()
    }

    /// Requests for rows of one partition, of so many accounts each.
    fn by_partition<R: Send + 'static, F>(
        self: &Arc<Self>,
        (table, scope): (TableIndex, &Scope),
        waiting: Vec<Waiting<Vec<AccountId>, Vec<R>>>,
        most: usize,
        send: impl Fn(Arc<Self>, Scope, Vec<Vec<AccountId>>) -> F + Clone + Send + Sync + 'static,
    ) -> Requests
    where
        F: Future<Output = Result<Vec<Vec<R>>, StorageError>> + Send + 'static,
    {
        let lane = self.lanes.read(table, Width::Full);
        let parts = cut(waiting, most, |waiting| waiting.request.len());
        let requests = parts.into_iter().map(|part| {
            let (window, scope, send) = (Arc::clone(self), scope.clone(), send.clone());
            let send = move |asked, _| send(Arc::clone(&window), scope.clone(), asked);
            Arc::clone(self).together(lane, part, None, send).boxed()
        });
        requests.collect()
    }

    /// Accounts that are asked for together, with the node that is asked: where they share a partition, the driver
    /// knows it.
    fn shares<A>(
        &self,
        table: TableIndex,
        scope: &Scope,
        waiting: Accounts<A>,
        most: usize,
    ) -> Vec<(Option<Node>, Accounts<A>)> {
        let account = |waiting: &Waiting<AccountId, A>| waiting.request.clone();
        self.share_out(table, scope, waiting, most, account)
    }
}

impl<S: Reader> Context<S> {
    /// Accounts that one look asks for, with the node that is asked.
    pub(in super::super) fn shares_of_look(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: impl IntoIterator<Item = AccountId>,
    ) -> Vec<(Option<Node>, Vec<AccountId>)> {
        self.share_out(table, scope, accounts, ACCOUNTS_PER_LOOK, AccountId::clone)
    }

    fn share_out<T>(
        &self,
        table: TableIndex,
        scope: &Scope,
        all: impl IntoIterator<Item = T>,
        most: usize,
        account: impl Fn(&T) -> AccountId,
    ) -> Vec<(Option<Node>, Vec<T>)> {
        if !self.spec.tables[table].owns_partitions() {
            let parts = cut(all, ACCOUNTS_PER_PARTITION, |_| 1);
            return parts.into_iter().map(|part| (None, part)).collect();
        }
        let placed = all.into_iter();
        let placed = placed.map(|one| (self.storage.replicas(table, scope, &account(&one)), one));
        by_node(placed, most)
    }
}

impl<S: Writer> Window<S> {
    /// All intents and writes that wait. No group waits for both at once.
    pub(super) fn writes(self: &Arc<Self>) -> Requests {
        let mut requests = Requests::new();
        for ((), waiting) in self.asked.intents.take() {
            let window = Arc::clone(self);
            let commit = async move {
                let (intents, waiting): (Vec<_>, Vec<_>) =
                    waiting.into_iter().map(Waiting::apart).unzip();
                let committed = window.journal.intend(intents).await;
                waiting.into_iter().for_each(|waiting| waiting.answer(committed.clone()));
            };
            requests.push(commit.boxed());
        }
        for ((table, _), waiting) in self.asked.writes.take() {
            let lane = self.lanes.write(table);
            let size_bytes = |waiting: &Waiting<Arc<Batch>, ()>| {
                waiting.request.mutations.iter().map(Mutation::size_bytes).sum()
            };
            for part in cut(waiting, BATCH_BYTES, size_bytes) {
                let window = Arc::clone(self);
                let send = move |batches: Vec<Arc<Batch>>, _| {
                    let window = Arc::clone(&window);
                    async move {
                        window.storage.write(&batches).await?;
                        Ok(vec![(); batches.len()])
                    }
                };
                requests.push(Arc::clone(self).together(lane, part, None, send).boxed());
            }
        }
        for ((table, scope, t), waiting) in self.asked.deletes.take() {
            let send = move |window: Arc<Self>, part: Part| async move {
                window.storage.delete_partitions(table, part.among(), t).await?;
                Ok(vec![(); part.accounts.len()])
            };
            let parts = self.shares(table, &scope, waiting, ACCOUNTS_PER_REQUEST);
            requests.extend(self.by_account(self.lanes.delete(table), &scope, parts, send));
        }
        requests
    }
}

impl<S: Reader> Window<S> {
    /// Sends one request for several groups and gives each its answer.
    async fn together<R: Clone, A, F>(
        self: Arc<Self>,
        lane: Lane,
        whole: Vec<Waiting<R, A>>,
        node: Option<Node>,
        send: impl Fn(Vec<R>, Option<Node>) -> F,
    ) where
        F: Future<Output = Result<Vec<A>, StorageError>>,
    {
        let mut parts = vec![(whole, node)];
        while let Some((mut part, node)) = parts.pop() {
            let retry = match part.len() {
                1 => self.retry,
                _ => Retry {
                    budget: self.retry.budget.min(PATIENCE),
                    replica_tries: 1,
                    ..self.retry
                },
            };
            let asked: Vec<R> = part.iter().map(|waiting| waiting.request.clone()).collect();
            let request = || send(asked.clone(), node);
            match self.attempts(part.len(), retry).carry_out(lane, request).await {
                Ok(answers) => {
                    part.into_iter()
                        .zip(answers)
                        .for_each(|(waiting, own)| waiting.answer(Ok(own)));
                }
                Err(error) if part.len() == 1 || error.kind == Fault::Fatal => {
                    part.into_iter().for_each(|waiting| waiting.answer(Err(error.clone())));
                }
                Err(error) => {
                    tracing::debug!("a request of {} groups is taken apart: {error}", part.len());
                    let half = part.split_off(part.len() / 2);
                    // Another replica may be able to do what this one was not.
                    parts.extend([(half, None), (part, None)]);
                }
            }
        }
    }
}

/// Gives each request the rows of its accounts, in the order in which they came. No account is in two
/// groups, and a group asks for an account once, so each row has one place.
fn split<'a, R>(
    rows: Vec<R>,
    asked: impl ExactSizeIterator<Item = &'a [AccountId]> + Clone,
    owner: impl Fn(&R) -> Option<&Bytes>,
) -> Vec<Vec<R>> {
    if asked.len() == 1 {
        return vec![rows];
    }
    let places = asked.clone().enumerate();
    let places: HashMap<&Bytes, usize> = places
        .flat_map(|(at, accounts)| accounts.iter().map(move |account| (account.cell(), at)))
        .collect();
    let mut answers: Vec<Vec<R>> = asked.map(|_| Vec::new()).collect();
    for row in rows {
        if let Some(at) = owner(&row).and_then(|owner| places.get(owner)) {
            answers[*at].push(row);
        }
    }
    answers
}
