//! How what the groups of a window ask for is sent: cut into requests by node, by partition and by size. One that
//! fails is taken apart until the group that it concerns is alone, so that only that one fails.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;

use crate::latency::Lane;
use crate::merge::BATCH_BYTES;
use crate::model::{AccountId, Batch, Mutation, Row, Scope, TableIndex, TimedRow};
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

/// Accounts that wait for what is in their own partitions.
type Accounts<A> = Vec<Waiting<AccountId, A>>;

impl<S: Reader> Window<S> {
    /// All reads that wait.
    pub(super) fn reads(self: &Arc<Self>) -> Requests {
        let mut requests = Requests::new();
        for ((table, width, scope), waiting) in self.asked.first_pages.take() {
            // One row more than is used tells whether there are more.
            let most = self.row_sizes.first_page(table, width, ACCOUNTS_PER_REQUEST).max(2);
            let lane = self.lanes.read(table, width);
            let column = self.spec.tables[table].account;
            let owner = move |row: &Row| row.cells[column].clone();
            for (node, part) in self.shares(table, &scope, waiting, ACCOUNTS_PER_REQUEST) {
                let (window, scope) = (Arc::clone(self), scope.clone());
                let send = async move |accounts: Vec<AccountId>, node| {
                    let among = Among { scope: &scope, accounts: &accounts, node };
                    let rows = window.storage.first_rows(table, among, width, most).await?;
                    window.row_sizes.learn(table, width, &rows);
                    Ok(whole(split(rows, accounts.iter().map(std::slice::from_ref), owner), most))
                };
                requests.push(Arc::clone(self).together(lane, part, node, send).boxed());
            }
        }
        for ((table, scope), waiting) in self.asked.timed_first_pages.take() {
            let most = self.row_sizes.first_page(table, Width::Full, ACCOUNTS_PER_REQUEST);
            let most = (most / TIMES_WEIGH).max(2);
            let lane = self.lanes.read(table, Width::Full);
            let column = self.spec.tables[table].account;
            let owner = move |row: &TimedRow| row.row.cells[column].clone();
            for (node, part) in self.shares(table, &scope, waiting, ACCOUNTS_PER_REQUEST) {
                let (window, scope) = (Arc::clone(self), scope.clone());
                let send = async move |accounts: Vec<AccountId>, node| {
                    let among = Among { scope: &scope, accounts: &accounts, node };
                    let rows = window.storage.timed_first_rows(table, among, most).await?;
                    Ok(whole(split(rows, accounts.iter().map(std::slice::from_ref), owner), most))
                };
                requests.push(Arc::clone(self).together(lane, part, node, send).boxed());
            }
        }
        for ((table, scope), waiting) in self.asked.owners.take() {
            let lane = self.lanes.look(table);
            for (node, part) in self.shares(table, &scope, waiting, ACCOUNTS_PER_LOOK) {
                let (window, scope) = (Arc::clone(self), scope.clone());
                let send = async move |accounts: Vec<AccountId>, node| {
                    let among = Among { scope: &scope, accounts: &accounts, node };
                    let owners = window.storage.owners(table, among).await?;
                    let owners: HashSet<AccountId> = owners.into_iter().collect();
                    Ok(accounts.iter().map(|account| owners.contains(account)).collect())
                };
                requests.push(Arc::clone(self).together(lane, part, node, send).boxed());
            }
        }
        for ((table, scope), waiting) in self.asked.rows.take() {
            let lane = self.lanes.read(table, Width::Full);
            let column = self.spec.tables[table].account;
            let owner = move |row: &Row| row.cells[column].clone();
            let most = self.row_sizes.accounts_per_read(table);
            for part in cut(waiting, most, |waiting| waiting.request.len()) {
                let (window, scope) = (Arc::clone(self), scope.clone());
                let send = async move |asked: Vec<Vec<AccountId>>, _| {
                    let rows = window.storage.rows_of(table, &scope, &asked.concat()).await?;
                    Ok(split(rows, asked.iter().map(Vec::as_slice), owner))
                };
                requests.push(Arc::clone(self).together(lane, part, None, send).boxed());
            }
        }
        for ((table, scope), waiting) in self.asked.timed_rows.take() {
            let lane = self.lanes.read(table, Width::Full);
            let column = self.spec.tables[table].account;
            let owner = move |row: &TimedRow| row.row.cells[column].clone();
            let most = (self.row_sizes.accounts_per_read(table) / TIMES_WEIGH).max(2);
            for part in cut(waiting, most, |waiting| waiting.request.len()) {
                let (window, scope) = (Arc::clone(self), scope.clone());
                let send = async move |asked: Vec<Vec<AccountId>>, _| {
                    let rows = window.storage.timed_rows_of(table, &scope, &asked.concat()).await?;
                    window.row_sizes.learn(table, Width::Full, rows.iter().map(|timed| &timed.row));
                    Ok(split(rows, asked.iter().map(Vec::as_slice), owner))
                };
                requests.push(Arc::clone(self).together(lane, part, None, send).boxed());
            }
        }
        requests
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
                let send = async move |batches: Vec<Arc<Batch>>, _| {
                    window.storage.write(&batches).await?;
                    Ok(vec![(); batches.len()])
                };
                requests.push(Arc::clone(self).together(lane, part, None, send).boxed());
            }
        }
        for ((table, scope, t), waiting) in self.asked.deletes.take() {
            let lane = self.lanes.delete(table);
            for (node, part) in self.shares(table, &scope, waiting, ACCOUNTS_PER_REQUEST) {
                let (window, scope) = (Arc::clone(self), scope.clone());
                let send = async move |accounts: Vec<AccountId>, node| {
                    let among = Among { scope: &scope, accounts: &accounts, node };
                    window.storage.delete_partitions(table, among, t).await?;
                    Ok(vec![(); accounts.len()])
                };
                requests.push(Arc::clone(self).together(lane, part, node, send).boxed());
            }
        }
        requests
    }
}

impl<S: Reader> Window<S> {
    /// Sends one request for several groups and gives each its answer.
    async fn together<R: Clone, A>(
        self: Arc<Self>,
        lane: Lane,
        whole: Vec<Waiting<R, A>>,
        node: Option<Node>,
        send: impl AsyncFn(Vec<R>, Option<Node>) -> Result<Vec<A>, StorageError>,
    ) {
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
    owner: impl Fn(&R) -> Option<Bytes>,
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
        if let Some(at) = owner(&row).and_then(|owner| places.get(&owner)) {
            answers[*at].push(row);
        }
    }
    answers
}

/// Of each account all rows, or nothing if there may be more.
fn whole<R>(answers: Vec<Vec<R>>, most: usize) -> Vec<Option<Vec<R>>> {
    answers.into_iter().map(|rows| Some(rows).filter(|rows| rows.len() < most)).collect()
}
