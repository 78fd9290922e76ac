//! How what the groups of a window ask for is put into requests: by node, by partition and by size.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::model::{AccountId, Batch, Row, Scope};
use crate::storage::{Among, Node, Reader, StorageError, Width, Writer};

use super::super::request_limits::RequestKind;
use super::begin::Look;
use super::coalesce::{Asked, Sort, To};
use super::gather::{Waiting, Whole, by_node, cut};
use super::{Context, Requests, Window};

/// Accounts that wait for what one request says of each.
type Accounts<A> = Vec<Waiting<AccountId, A>>;

/// What one request asks for.
struct Part<S> {
    window: Arc<Window<S>>,
    sort: Sort,
    scope: Scope,
    accounts: Vec<AccountId>,
    node: Option<Node>,
    /// Of each account.
    rows: usize,
}

impl<S> Part<S> {
    fn among(&self) -> Among<'_> {
        Among { scope: &self.scope, accounts: &self.accounts, node: self.node }
    }

    /// Gives each account its rows, and learns what they weigh.
    fn apart<R>(&self, rows: Vec<R>, row: impl Fn(&R) -> &Row) -> Vec<Vec<R>> {
        let Sort { kind, table, .. } = self.sort;
        let column = self.window.spec.tables[table].account;
        let answers = by_owner(rows, &self.accounts, |own| row(own).cells[column].as_ref());
        let weigh = |own: &Vec<R>| (own.len(), own.iter().map(|own| row(own).size_bytes()).sum());
        let weights: Vec<(usize, usize)> = answers.iter().map(weigh).collect();
        self.window.count(weights.iter().map(|(_, bytes)| bytes).sum());
        self.window.request_limits.sizes.learn(table, kind, weights.into_iter());
        answers
    }

    /// Of each account all its rows, or the bytes of one of them if there may be more than were asked for.
    fn whole<R>(&self, rows: Vec<R>, row: impl Fn(&R) -> &Row) -> Vec<Whole<R>> {
        let bytes = |rows: &[R]| rows.iter().map(|own| row(own).size_bytes()).sum::<usize>();
        let is_whole = |rows: &[R]| rows.len() < self.rows;
        let answers = self.apart(rows, &row).into_iter();
        let answers = answers.map(|rows| match is_whole(&rows) {
            true => Ok(rows),
            false => Err(bytes(&rows) / rows.len().max(1)),
        });
        answers.collect()
    }
}

impl<S: Reader> Window<S> {
    /// All reads that wait.
    pub(super) fn reads(self: &Arc<Self>) -> Requests {
        let mut requests = Requests::new();
        let sort = |kind, table, width| Sort {
            kind,
            table,
            operation: self.operations.read(table, width),
        };
        for ((table, scope), waiting) in self.asked.first_rows.take() {
            let send = move |part: Part<S>| async move {
                let storage = &part.window.storage;
                let rows = storage.first_rows(table, part.among(), Width::Full, part.rows).await?;
                let rows = part.apart(rows, |row| row).into_iter();
                Ok(rows.map(|own| own.first().map(Row::size_bytes)).collect())
            };
            let sort = sort(RequestKind::One, table, Width::Full);
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, width, scope), waiting) in self.asked.first_pages.take() {
            let send = move |part: Part<S>| async move {
                let storage = &part.window.storage;
                let rows = storage.first_rows(table, part.among(), width, part.rows).await?;
                Ok(part.whole(rows, |row| row))
            };
            let sort = sort(RequestKind::First(width), table, width);
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, scope), waiting) in self.asked.timed_first_pages.take() {
            let send = move |part: Part<S>| async move {
                let storage = &part.window.storage;
                let rows = storage.timed_first_rows(table, part.among(), part.rows).await?;
                Ok(part.whole(rows, |timed| &timed.row))
            };
            let sort = sort(RequestKind::TimedFirst, table, Width::Full);
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, scope), waiting) in self.asked.owners.take() {
            let send = move |part: Part<S>| async move {
                let owners = part.window.storage.owners(table, part.among()).await?;
                let owners: HashSet<AccountId> = owners.into_iter().collect();
                Ok(part.accounts.iter().map(|account| owners.contains(account)).collect())
            };
            let sort =
                Sort { kind: RequestKind::Owners, table, operation: self.operations.look(table) };
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, scope, t), waiting) in self.asked.written_since.take() {
            let column = self.spec.tables[table].account;
            let send = move |part: Part<S>| async move {
                let keys = part.window.storage.written_since(table, part.among(), t).await?;
                Ok(by_owner(keys, &part.accounts, |key| key.get(column)))
            };
            let sort =
                Sort { kind: RequestKind::Owners, table, operation: self.operations.look(table) };
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, scope), waiting) in self.asked.rows.take() {
            let send = move |part: Part<S>| async move {
                let storage = &part.window.storage;
                let rows = storage.rows_of(table, &part.scope, &part.accounts).await?;
                Ok(part.apart(rows, |row| row))
            };
            let sort = sort(RequestKind::Rows, table, Width::Full);
            requests.extend(self.by_account(sort, &scope, waiting, send));
        }
        for ((table, scope), waiting) in self.asked.timed_rows.take() {
            let send = move |part: Part<S>| async move {
                let storage = &part.window.storage;
                let rows = storage.timed_rows_of(table, &part.scope, &part.accounts).await?;
                Ok(part.apart(rows, |timed| &timed.row))
            };
            let sort = sort(RequestKind::TimedRows, table, Width::Full);
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
        send: impl Fn(Part<S>) -> F + Clone + Send + Sync + 'static,
    ) -> Requests
    where
        F: Future<Output = Result<Vec<A>, StorageError>> + Send + 'static,
    {
        let parts = self.share_out(sort, scope, waiting).into_iter();
        let requests = parts.map(|(node, waiting)| {
            let (window, scope, send) = (Arc::clone(self), scope.clone(), send.clone());
            let send = move |accounts, To { node, rows }| {
                let (window, scope) = (Arc::clone(&window), scope.clone());
                send(Part { window, sort, scope, accounts, node, rows })
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
        let (wanted, most) = self.request_limits.accounts(kind, table);
        let mut parts = if self.spec.tables[table].owns_partitions() {
            let routed = waiting.into_iter();
            let routed = routed.map(|one| (self.storage.replicas(table, scope, &one.request), one));
            by_node(routed, wanted, most)
        } else {
            let parts = cut(waiting, [wanted], |_| [1]);
            parts.into_iter().map(|part| (None, part)).collect()
        };
        parts.sort_by_key(|(_, part)| Reverse(part.len()));
        parts
    }
}

impl<S: Writer> Window<S> {
    /// Sees that the tables are what they were, and that the clock tells the nodes' time.
    async fn look_around(&self) -> Result<(), StorageError> {
        let Context { storage, as_of, operations, .. } = &**self;
        let see = || async {
            let asked = as_of.now();
            Ok((asked, storage.see_unaltered().await?))
        };
        let (asked, clock) = self.carry_out(operations.schema(), see).await?;
        if as_of.agrees(asked, clock) || self.is_outdated() {
            return Ok(());
        }
        let clocks = self.carry_out(operations.schema(), || storage.clocks()).await?;
        tracing::warn!(
            "this machine's clock had stood still, or one was set: groups that are not begun are read and dated again"
        );
        as_of.set(clocks);
        Ok(())
    }

    /// All intents and writes that wait, and what is asked before them. No group waits for two of these at once.
    pub(super) fn writes(self: &Arc<Self>) -> Requests {
        let mut requests = Requests::new();
        for ((), waiting) in self.asked.unaltered.take() {
            let window = Arc::clone(self);
            let look = async move {
                let mut unaltered = window.look_around().await;
                if unaltered.is_ok() {
                    unaltered = window.see_lease_first().await;
                }
                waiting.into_iter().for_each(|waiting| waiting.answer(unaltered.clone()));
            };
            requests.push(look.boxed());
        }
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
        requests.extend(self.begins());
        for ((table, _), waiting) in self.asked.writes.take() {
            let sort =
                Sort { kind: RequestKind::Write, table, operation: self.operations.write(table) };
            let weight = |one: &Waiting<Arc<Batch>, ()>| [one.request.count(), one.request.bytes()];
            for part in cut(waiting, self.request_limits.batch(table), weight) {
                let window = Arc::clone(self);
                let send = move |batches: Vec<Arc<Batch>>, _| {
                    let window = Arc::clone(&window);
                    async move {
                        window.see_lease().await?;
                        let batches = window.as_attempts(batches)?;
                        window.storage.write(&batches, window.as_of.now()).await?;
                        Ok(vec![(); batches.len()])
                    }
                };
                requests.push(Arc::clone(self).together(sort, part, None, send).boxed());
            }
        }
        let deletes = self.asked.deletes.take();
        let look = if deletes.is_empty() { None } else { self.look() };
        for ((table, scope, t), waiting) in deletes {
            let (look, looked) = (look.clone(), look.clone());
            let send = move |part: Part<S>| {
                let look = look.clone();
                async move {
                    if let Some(look) = look {
                        look.await?;
                    }
                    part.window.storage.delete_partitions(table, part.among(), t).await?;
                    Ok(vec![(); part.accounts.len()])
                }
            };
            let sort = Sort {
                kind: RequestKind::Deletes,
                table,
                operation: self.operations.delete(table),
            };
            let deletes = self.by_account(sort, &scope, waiting, send);
            requests.extend(deletes.into_iter().map(|delete| behind(looked.clone(), delete)));
        }
        requests
    }
}

/// A delete that asks for its turn only when the lease has been looked at: all that wait for the look would else hold the
/// turns that the look itself needs.
fn behind(look: Option<Look>, delete: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    async move {
        if let Some(look) = look {
            // The delete itself hears what came of it.
            drop(look.await);
        }
        delete.await;
    }
    .boxed()
}

/// Gives each account its rows, in the order in which they came. No account is in two groups, and a group asks for an
/// account once, so each row has one owner.
fn by_owner<R>(
    rows: Vec<R>,
    asked: &[AccountId],
    owner: impl Fn(&R) -> Option<&Bytes>,
) -> Vec<Vec<R>> {
    if asked.len() == 1 {
        return vec![rows];
    }
    let positions = asked.iter().enumerate().map(|(at, account)| (account.cell(), at));
    let positions: HashMap<&Bytes, usize> = positions.collect();
    let mut answers: Vec<Vec<R>> = asked.iter().map(|_| Vec::new()).collect();
    for row in rows {
        if let Some(at) = owner(&row).and_then(|owner| positions.get(owner)) {
            answers[*at].push(row);
        }
    }
    answers
}
