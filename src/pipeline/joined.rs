//! Natural batching: requests for the same partition that arrive while an earlier one is in flight are
//! joined into the next one.
//!
//! There is no timer and nothing to tune. A partition that few groups touch is never waited for; in a
//! hot one (the enrolments of a popular batch) every round trip carries what has gathered during the
//! one before. Reads become one `IN`, writes one unlogged batch, each mutation with its own T.
//!
//! The first request of a partition leads: it goes out alone. When its answer is there, the first of
//! those that wait leads the next, with as many of the others as fit. A joined request that is refused
//! is carried out again one by one, so that only the group that it concerns fails.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::oneshot;

use crate::account::{AccountId, Batch, Row, TableIndex};
use crate::merge::BATCH_BYTES;
use crate::spec::{Find, Spec};
use crate::storage::{Cursor, Fault, Page, Reader, StorageError, Width, Writer};

/// The accounts that one read asks for at most.
pub(super) const ACCOUNTS_PER_READ: usize = 100;
/// Partitions are spread over so many locks.
const SHARDS: usize = 16;

/// A database whose requests for one partition are joined.
#[derive(Debug)]
pub struct Joined<S> {
    storage: S,
    spec: Arc<Spec>,
    reads: Queues<Vec<AccountId>, Vec<Row>>,
    writes: Queues<Batch, ()>,
}

impl<S> Joined<S> {
    /// Joins the requests to `storage`.
    pub fn new(storage: S, spec: Arc<Spec>) -> Self {
        Self {
            storage,
            spec,
            reads: Queues::new(ACCOUNTS_PER_READ),
            writes: Queues::new(BATCH_BYTES),
        }
    }

    /// The database itself.
    pub fn inner(&self) -> &S {
        &self.storage
    }

    pub(super) fn into_inner(self) -> S {
        self.storage
    }
}

impl<S: Reader> Reader for Joined<S> {
    async fn page(
        &self,
        table: TableIndex,
        account: &AccountId,
        width: Width,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<Page, StorageError> {
        self.storage.page(table, account, width, rows, after).await
    }

    async fn rows_of(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        let key = (table, partition.clone());
        let turn = self.reads.enter(key, accounts.to_vec(), accounts.len()).await?;
        let lead = match turn {
            Turn::Answered(answer) => return answer,
            Turn::Lead(lead) => lead,
        };
        let all: Vec<AccountId> = lead.requests().flatten().cloned().collect();
        let joined = self.storage.rows_of(table, partition, &all).await;
        let answers = match joined {
            Ok(rows) => lead.split(rows, self.spec.tables[table].account),
            Err(error) if error.kind == Fault::Permanent && lead.is_joined() => {
                let alone = lead.requests().map(|own| self.storage.rows_of(table, partition, own));
                join_all(alone.collect::<Vec<_>>()).await
            }
            Err(error) => lead.requests().map(|_| Err(error.clone())).collect(),
        };
        lead.answer(answers)
    }
}

impl<S: Writer> Writer for Joined<S> {
    async fn write(&self, batch: &Batch) -> Result<(), StorageError> {
        let shared = match (self.spec.tables[batch.table].find, batch.partition_key()) {
            (Find::Clustering { .. }, Some(key)) => (batch.table, key.clone()),
            // The partition belongs to one group, which writes to it in its own order.
            _ => return self.storage.write(batch).await,
        };
        let size_bytes = batch.mutations.iter().map(|mutation| mutation.size_bytes()).sum();
        let turn = self.writes.enter(shared, batch.clone(), size_bytes).await?;
        let lead = match turn {
            Turn::Answered(answer) => return answer,
            Turn::Lead(lead) => lead,
        };
        let mutations = lead.requests().flat_map(|own| &own.mutations).cloned().collect();
        let joined = self.storage.write(&Batch { table: batch.table, mutations }).await;
        let answers = match joined {
            Err(error) if error.kind == Fault::Permanent && lead.is_joined() => {
                let alone = lead.requests().map(|own| self.storage.write(own));
                join_all(alone.collect::<Vec<_>>()).await
            }
            answer => lead.requests().map(|_| answer.clone()).collect(),
        };
        lead.answer(answers)
    }
}

type Key = (TableIndex, Bytes);
type Shard<R, A> = HashMap<Key, Vec<Waiting<R, A>>>;
type Answer<A> = Result<A, StorageError>;

/// Per partition with a request in flight: the requests that wait for it.
#[derive(Debug)]
struct Queues<R, A> {
    /// What the requests of one round trip may weigh together.
    capacity: usize,
    hasher: RandomState,
    shards: [Mutex<Shard<R, A>>; SHARDS],
}

#[derive(Debug)]
struct Waiting<R, A> {
    request: R,
    weight: usize,
    turn: oneshot::Sender<Woken<R, A>>,
}

/// What a waiting request is woken with.
#[derive(Debug)]
enum Woken<R, A> {
    Answered(Answer<A>),
    /// It goes out now, and takes the others along.
    Lead {
        own: R,
        others: Vec<Waiting<R, A>>,
    },
}

/// What became of a request that entered the queue.
enum Turn<'a, R, A> {
    Answered(Answer<A>),
    Lead(Lead<'a, R, A>),
}

/// The right and the duty to carry out requests of a partition. Dropping it, for whatever reason, hands
/// the partition over to those that wait.
struct Lead<'a, R, A> {
    queues: &'a Queues<R, A>,
    key: Key,
    own: R,
    others: Vec<Waiting<R, A>>,
}

impl<R, A> Queues<R, A> {
    fn new(capacity: usize) -> Self {
        Self { capacity, hasher: RandomState::new(), shards: Default::default() }
    }

    /// Leads at once if the partition is free, else waits for an answer or for the lead.
    async fn enter(&self, key: Key, own: R, weight: usize) -> Result<Turn<'_, R, A>, StorageError> {
        let woken = match self.shard(&key).entry(key.clone()) {
            Entry::Vacant(free) => {
                free.insert(Vec::new());
                return Ok(Turn::Lead(Lead { queues: self, key, own, others: Vec::new() }));
            }
            Entry::Occupied(mut waiting) => {
                let (turn, woken) = oneshot::channel();
                waiting.get_mut().push(Waiting { request: own, weight, turn });
                woken
            }
        };
        match woken.await {
            Ok(Woken::Answered(answer)) => Ok(Turn::Answered(answer)),
            Ok(Woken::Lead { own, others }) => {
                Ok(Turn::Lead(Lead { queues: self, key, own, others }))
            }
            Err(_) => Err(StorageError {
                message: "the request that this one was joined to was given up".into(),
                kind: Fault::Transient,
            }),
        }
    }

    /// Gives the lead to the first of those that wait, with as many others as fit; frees the partition
    /// if nobody waits.
    fn hand_over(&self, key: &Key) {
        let mut shard = self.shard(key);
        let Some(waiting) = shard.get_mut(key) else { return };
        while !waiting.is_empty() {
            let first = waiting.remove(0);
            let mut weight = first.weight;
            let fitting = waiting
                .iter()
                .take_while(|next| {
                    weight += next.weight;
                    weight <= self.capacity
                })
                .count();
            let others = waiting.drain(..fitting).collect();
            match first.turn.send(Woken::Lead { own: first.request, others }) {
                Ok(()) => return,
                // Its group is gone; the others are not.
                Err(Woken::Lead { others, .. }) => drop(waiting.splice(0..0, others)),
                Err(Woken::Answered(_)) => {}
            }
        }
        shard.remove(key);
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard<R, A>> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R, A> Lead<'_, R, A> {
    /// All requests of this round trip, our own first.
    fn requests(&self) -> impl Iterator<Item = &R> {
        std::iter::once(&self.own).chain(self.others.iter().map(|other| &other.request))
    }

    fn is_joined(&self) -> bool {
        !self.others.is_empty()
    }

    /// Hands the answers out, in the order of the requests, and returns our own.
    fn answer(mut self, answers: Vec<Answer<A>>) -> Answer<A> {
        let mut answers = answers.into_iter();
        let own = answers.next();
        for (other, answer) in std::mem::take(&mut self.others).into_iter().zip(answers) {
            // A group that is gone needs no answer.
            let _ = other.turn.send(Woken::Answered(answer));
        }
        own.unwrap_or_else(|| {
            Err(StorageError { message: "no answer".into(), kind: Fault::Transient })
        })
    }
}

impl Lead<'_, Vec<AccountId>, Vec<Row>> {
    /// Gives each request the rows of its accounts. No account is in two groups, and a group asks for
    /// an account once, so each row has one place.
    fn split(&self, rows: Vec<Row>, account: usize) -> Vec<Answer<Vec<Row>>> {
        if !self.is_joined() {
            return vec![Ok(rows)];
        }
        let places: HashMap<&Bytes, usize> = self
            .requests()
            .enumerate()
            .flat_map(|(place, accounts)| accounts.iter().map(move |id| (id.cell(), place)))
            .collect();
        let mut answers: Vec<Vec<Row>> = self.requests().map(|_| Vec::new()).collect();
        for row in rows {
            let place = row.cells[account].as_ref().and_then(|id| places.get(id));
            if let Some(place) = place {
                answers[*place].push(row);
            }
        }
        answers.into_iter().map(Ok).collect()
    }
}

impl<R, A> Drop for Lead<'_, R, A> {
    fn drop(&mut self) {
        self.queues.hand_over(&self.key);
    }
}
