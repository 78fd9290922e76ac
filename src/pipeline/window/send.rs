//! How what the groups of a window ask for is put into requests: by node, by partition and by size.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;

use crate::model::{AccountId, Batch, Cell, Scope};
use crate::storage::{Among, Node, Reader, StorageError, Width, Writer};

use super::super::fits::Kind;
use super::gather::{Waiting, by_node, cut};
use super::together::{Asked, Sort, To};
use super::{Requests, Window};

/// Accounts that wait for what one request says of each.
type Accounts<A> = Vec<Waiting<AccountId, A>>;

/// What one request asks for.
struct Part {
    scope: Scope,
    accounts: Vec<AccountId>,
    node: Option<Node>,
    /// Of each account.
    rows: usize,
}

impl Part {
    fn among(&self) -> Among<'_> {
        Among { scope: &self.scope, accounts: &self.accounts, node: self.node }
    }

    /// Of each account all its rows, or nothing if there may be more than were asked for.
    fn whole<R>(&self, rows: Vec<R>, owner: impl Fn(&R) -> &Cell) -> Vec<Option<Vec<R>>> {
        let answers = split(rows, &self.accounts, owner);
        answers.into_iter().map(|rows| Some(rows).filter(|rows| rows.len() < self.rows)).collect()
    }
}

impl<S: Reader> Window<S> {
    /// All reads that wait.
    pub(super) fn reads(self: &Arc<Self>) -> Requests {
        let mut requests = Requests::new();
        for ((table, width, scope), waiting) in self.asked.first_pages.take() {
            let column = self.spec.tables[table].account;
            let send = move |window: Arc<Self>, part: Part| async move {
                let rows = window.storage.first_rows(table, part.among(), width, part.rows).await?;
                Ok(part.whole(rows, |row| &row.cells[column]))
            };
            let sort =
                Sort { kind: Kind::First(width), table, lane: self.lanes.read(table, width) };
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, scope), waiting) in self.asked.timed_first_pages.take() {
            let column = self.spec.tables[table].account;
            let send = move |window: Arc<Self>, part: Part| async move {
                let rows = window.storage.timed_first_rows(table, part.among(), part.rows).await?;
                Ok(part.whole(rows, |timed| &timed.row.cells[column]))
            };
            let lane = self.lanes.read(table, Width::Full);
            let sort = Sort { kind: Kind::TimedFirst, table, lane };
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, scope), waiting) in self.asked.owners.take() {
            let send = move |window: Arc<Self>, part: Part| async move {
                let owners = window.storage.owners(table, part.among()).await?;
                let owners: HashSet<AccountId> = owners.into_iter().collect();
                Ok(part.accounts.iter().map(|account| owners.contains(account)).collect())
            };
            let sort = Sort { kind: Kind::Owners, table, lane: self.lanes.look(table) };
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, scope), waiting) in self.asked.rows.take() {
            let column = self.spec.tables[table].account;
            let send = move |window: Arc<Self>, part: Part| async move {
                let rows = window.storage.rows_of(table, &part.scope, &part.accounts).await?;
                Ok(split(rows, &part.accounts, |row| &row.cells[column]))
            };
            let lane = self.lanes.read(table, Width::Full);
            let sort = Sort { kind: Kind::Rows, table, lane };
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, scope), waiting) in self.asked.timed_rows.take() {
            let column = self.spec.tables[table].account;
            let send = move |window: Arc<Self>, part: Part| async move {
                let rows = window.storage.timed_rows_of(table, &part.scope, &part.accounts).await?;
                Ok(split(rows, &part.accounts, |timed| &timed.row.cells[column]))
            };
            let lane = self.lanes.read(table, Width::Full);
            let sort = Sort { kind: Kind::TimedRows, table, lane };
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        requests
    }

    /// One request for each part, to its node.
    fn by_account<A: Send + 'static, F>(
        self: &Arc<Self>,
        sort: Sort,
        scope: &Scope,
        waiting: Accounts<A>,
        send: impl Fn(Arc<Self>, Part) -> F + Clone + Send + Sync + 'static,
    ) -> Requests
    where
        F: Future<Output = Result<Vec<A>, StorageError>> + Send + 'static,
    {
        let parts = self.share_out(sort, scope, waiting).into_iter();
        let requests = parts.map(|(node, waiting)| {
            let (window, scope, send) = (Arc::clone(self), scope.clone(), send.clone());
            let send = move |accounts, To { node, rows }| {
                send(Arc::clone(&window), Part { scope: scope.clone(), accounts, node, rows })
            };
            Arc::clone(self).together(sort, waiting, node, send).boxed()
        });
        requests.collect()
    }

    /// Accounts that are asked for together, with the node that is asked: where they share a partition, the driver
    /// knows it. The most come first, so that it is known early whether so many are taken.
    fn share_out<A>(
        &self,
        Sort { kind, table, .. }: Sort,
        scope: &Scope,
        waiting: Accounts<A>,
    ) -> Vec<(Option<Node>, Accounts<A>)> {
        let (wanted, most) = self.fits.accounts(kind, table);
        let mut parts = if self.spec.tables[table].owns_partitions() {
            let placed = waiting.into_iter();
            let placed = placed.map(|one| (self.storage.replicas(table, scope, &one.request), one));
            by_node(placed, wanted, most)
        } else {
            let parts = cut(waiting, [wanted], |_| [1]);
            parts.into_iter().map(|part| (None, part)).collect()
        };
        parts.sort_by_key(|(_, part)| Reverse(part.len()));
        parts
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
            let sort = Sort { kind: Kind::Write, table, lane: self.lanes.write(table) };
            let weight = |one: &Waiting<Arc<Batch>, ()>| [one.request.count(), one.request.bytes()];
            for part in cut(waiting, self.fits.batch(table), weight) {
                let window = Arc::clone(self);
                let send = move |batches: Vec<Arc<Batch>>, _| {
                    let window = Arc::clone(&window);
                    async move {
                        window.storage.write(&batches).await?;
                        Ok(vec![(); batches.len()])
                    }
                };
                requests.push(Arc::clone(self).together(sort, part, None, send).boxed());
            }
        }
        for ((table, scope, t), waiting) in self.asked.deletes.take() {
            let send = move |window: Arc<Self>, part: Part| async move {
                window.storage.delete_partitions(table, part.among(), t).await?;
                Ok(vec![(); part.accounts.len()])
            };
            let sort = Sort { kind: Kind::Deletes, table, lane: self.lanes.delete(table) };
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        requests
    }
}

/// Gives each account its rows, in the order in which they came. No account is in two groups, and a group asks for an
/// account once, so each row has one place.
fn split<R>(rows: Vec<R>, asked: &[AccountId], owner: impl Fn(&R) -> &Cell) -> Vec<Vec<R>> {
    if asked.len() == 1 {
        return vec![rows];
    }
    let places = asked.iter().enumerate().map(|(at, account)| (account.cell(), at));
    let places: HashMap<&Bytes, usize> = places.collect();
    let mut answers: Vec<Vec<R>> = asked.iter().map(|_| Vec::new()).collect();
    for row in rows {
        if let Some(at) = owner(&row).as_ref().and_then(|owner| places.get(owner)) {
            answers[*at].push(row);
        }
    }
    answers
}
