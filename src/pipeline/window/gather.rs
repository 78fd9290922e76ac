//! What the groups of a window ask for, gathered until all of them wait: then requests that concern one partition, or
//! partitions of which one node holds a replica, are sent as one.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::channel::oneshot;

use crate::journal::{Intent, JournalError};
use crate::model::{AccountId, Batch, Row, Scope, TableIndex, TimedRow, TimestampUs};
use crate::register::Claim;
use crate::storage::{Node, StorageError, Width};

/// All rows of an account, or the bytes of one of them if there may be more than were asked for.
pub(super) type Whole<R> = Result<Vec<R>, usize>;

/// What the groups of a window ask for, by kind.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What the first row of an account weighs, if it owns any.
    pub(super) first_rows: Shelf<(TableIndex, Scope), AccountId, Option<usize>>,
    pub(super) first_pages: Shelf<(TableIndex, Width, Scope), AccountId, Whole<Row>>,
    pub(super) rows: Shelf<(TableIndex, Scope), AccountId, Vec<Row>>,
    pub(super) owners: Shelf<(TableIndex, Scope), AccountId, bool>,
    pub(super) written_since: Shelf<(TableIndex, Scope, TimestampUs), AccountId, Vec<Vec<Bytes>>>,
    pub(super) timed_first_pages: Shelf<(TableIndex, Scope), AccountId, Whole<TimedRow>>,
    pub(super) timed_rows: Shelf<(TableIndex, Scope), AccountId, Vec<TimedRow>>,
    /// Whether the tables are still what they were.
    pub(super) unaltered: Shelf<(), (), ()>,
    pub(super) intents: Shelf<(), Intent, (), JournalError>,
    pub(super) begins: Shelf<(), Vec<Claim>, ()>,
    /// By table and partition.
    pub(super) writes: Shelf<(TableIndex, Vec<Bytes>), Arc<Batch>, ()>,
    pub(super) deletes: Shelf<(TableIndex, Scope, TimestampUs), AccountId, ()>,
}

/// One group's part of a request.
#[derive(Debug)]
pub(super) struct Waiting<R, A, E = StorageError> {
    pub(super) request: R,
    answer: oneshot::Sender<Result<A, E>>,
}

impl<R, A, E> Waiting<R, A, E> {
    /// The request, and who waits for its answer.
    pub(super) fn apart(self) -> (R, Waiting<(), A, E>) {
        (self.request, Waiting { request: (), answer: self.answer })
    }

    /// Wakes the group.
    pub(super) fn answer(self, answer: Result<A, E>) {
        // It may have failed meanwhile by another of its requests, and gone away.
        drop(self.answer.send(answer));
    }
}

/// Requests of one kind that wait to be sent, by what they have in common.
#[derive(Debug)]
pub(super) struct Shelf<K, R, A, E = StorageError>(Mutex<ByCommon<K, R, A, E>>);

/// Those that wait, by what their requests have in common.
pub(super) type ByCommon<K, R, A, E = StorageError> = HashMap<K, Vec<Waiting<R, A, E>>>;

impl<K, R, A, E> Default for Shelf<K, R, A, E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, R, A, E> Shelf<K, R, A, E> {
    /// Puts a request with those that have the same in common; its answer comes after the next
    /// [`take`](Self::take).
    pub(super) fn ask(
        &self,
        common: K,
        request: R,
    ) -> impl Future<Output = Result<A, E>> + use<K, R, A, E> {
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(common).or_default().push(Waiting { request, answer });
        drop(waiting);
        async move {
            match answered.await {
                Ok(answer) => answer,
                // The window is gone, and this group with it.
                Err(_) => pending().await,
            }
        }
    }

    /// All that wait. Requests whose group went away are not sent.
    pub(super) fn take(&self) -> ByCommon<K, R, A, E> {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for waiting in all.values_mut() {
            waiting.retain(|waiting| !waiting.answer.is_canceled());
        }
        all.retain(|_, waiting| !waiting.is_empty());
        all
    }
}

/// Cuts a list into parts of at most `most` by each weight, unless one is heavier by itself.
pub(super) fn cut<T, const N: usize>(
    all: impl IntoIterator<Item = T>,
    most: [usize; N],
    weight: impl Fn(&T) -> [usize; N],
) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut held = [0; N];
    for one in all {
        let own = weight(&one);
        let sum: [usize; N] = std::array::from_fn(|at| held[at] + own[at]);
        match parts.last_mut() {
            Some(part) if sum.iter().zip(&most).all(|(sum, most)| sum <= most) => {
                held = sum;
                part.push(one);
            }
            _ => {
                held = own;
                parts.push(vec![one]);
            }
        }
    }
    parts
}

/// Gives each account to the least busy of the nodes that hold it, and cuts what each node gets into parts of about
/// `wanted`, and of no more than `most`. The accounts of one replica set alone would be too few in a large cluster: of a
/// thousand, three.
pub(super) fn by_node<T>(
    all: impl IntoIterator<Item = (Vec<Node>, T)>,
    wanted: usize,
    most: usize,
) -> Vec<(Option<Node>, Vec<T>)> {
    let mut of_node: HashMap<Option<Node>, Vec<T>> = HashMap::new();
    for (replicas, one) in all {
        let busy = |node: &Node| of_node.get(&Some(*node)).map_or(0, Vec::len);
        let node = replicas.iter().copied().min_by_key(busy);
        of_node.entry(node).or_default().push(one);
    }
    let mut parts = Vec::new();
    for (node, accounts) in of_node {
        // Parts of like size, as near to what is wanted as can be.
        let near = (accounts.len() + wanted / 2) / wanted.max(1);
        let needed = near.max(accounts.len().div_ceil(most.max(1)));
        let mut accounts = accounts.into_iter();
        for left in (1..=needed).rev() {
            let size = accounts.len().div_ceil(left);
            parts.push((node, accounts.by_ref().take(size).collect()));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn what_is_asked_is_taken_once_and_answered_with_its_own() {
        let shelf = Shelf::<u8, u32, u32>::default();
        let mut asked: Vec<_> = (0..6).map(|n| Box::pin(shelf.ask((n % 2) as u8, n))).collect();
        let gone = asked.remove(3);
        drop(gone);
        let mut taken = shelf.take();
        assert!(shelf.take().is_empty());
        let of = |taken: &ByCommon<u8, u32, u32>, common: u8| -> Vec<u32> {
            taken[&common].iter().map(|waiting| waiting.request).collect()
        };
        assert_eq!(of(&taken, 0), [0, 2, 4]);
        assert_eq!(of(&taken, 1), [1, 5], "nobody waits for 3 any more");
        assert!(asked[0].as_mut().now_or_never().is_none());
        for waiting in taken.drain().flat_map(|(_, waiting)| waiting) {
            let answer = waiting.request * 10;
            waiting.answer(Ok(answer));
        }
        let answers = asked.into_iter().map(|asked| asked.now_or_never().unwrap().unwrap());
        assert_eq!(answers.collect::<Vec<_>>(), [0, 10, 20, 40, 50]);
    }

    #[test]
    fn parts_are_cut_by_weight() {
        let parts = |weights: &[usize]| -> Vec<usize> {
            cut(weights.to_vec(), [10], |weight| [*weight]).iter().map(Vec::len).collect()
        };
        assert_eq!(parts(&[]), [0; 0]);
        assert_eq!(parts(&[4, 4, 4]), [2, 1]);
        assert_eq!(parts(&[30, 1, 9, 1]), [1, 2, 1]);
    }

    /// Nodes with random tokens, in racks by turns; replicas are the next nodes on the ring, each of another rack
    /// while there is one (`NetworkTopologyStrategy`).
    fn replicas_on(
        random: &mut fastrand::Rng,
        ring: &[(i64, usize)],
        (racks, copies): (usize, usize),
    ) -> Vec<Node> {
        let at = random.usize(..ring.len());
        let mut replicas: Vec<usize> = Vec::new();
        for (_, node) in ring[at..].iter().chain(&ring[..at]) {
            let is_new = replicas.iter().all(|known| known != node);
            let is_taken = |known: &usize| known % racks == node % racks;
            if is_new && (replicas.len() >= racks || !replicas.iter().any(is_taken)) {
                replicas.push(*node);
            }
            if replicas.len() == copies {
                break;
            }
        }
        replicas.into_iter().map(|node| Node(node as u128)).collect()
    }

    #[test]
    fn a_large_ring_leaves_enough_accounts_for_each_node() {
        let mut random = fastrand::Rng::with_seed(3);
        for (nodes, tokens, racks, copies) in
            [(30, 16, 1, 3), (30, 16, 3, 3), (30, 256, 1, 3), (30, 256, 3, 3), (3, 16, 1, 1)]
        {
            let mut ring: Vec<(i64, usize)> =
                (0..nodes * tokens).map(|at| (random.i64(..), at % nodes)).collect();
            ring.sort_unstable();
            let accounts: Vec<(Vec<Node>, usize)> = (0..1_000)
                .map(|account| (replicas_on(&mut random, &ring, (racks, copies)), account))
                .collect();
            let parts = by_node(accounts.clone(), 16, 24);
            let mut seen: Vec<usize> = parts.iter().flat_map(|(_, part)| part.clone()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..1_000).collect::<Vec<_>>(), "each once");
            for (node, part) in &parts {
                let holds = |account: &usize| accounts[*account].0.contains(&node.unwrap());
                assert!(part.iter().all(holds), "a node is asked for what it does not hold");
            }
            let mean = 1_000.0 / parts.len() as f64;
            assert!(mean >= 15.0, "{mean} of {nodes} nodes with {tokens} tokens in {racks} racks");
            assert!(parts.iter().all(|(_, part)| part.len() <= 24));
        }
    }
}
