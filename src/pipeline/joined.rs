//! Natural batching: requests of one kind that come while an earlier one is in flight are joined into the
//! next one.
//!
//! There is no timer and nothing to tune. Where nothing is in flight, a request goes out at once and
//! alone; where much is asked for, every round trip carries what has gathered during the one before.
//!
//! The request that goes out at once stays with its group, at no cost. The rounds behind it are a task of their own,
//! so that nobody depends on a group that has stopped or failed, and whoever takes part is woken once: by its
//! answer. A group has to see its requests through while others may wait behind them.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Execute<R, A> = Box<dyn FnOnce(Vec<R>) -> BoxFuture<'static, Option<Vec<A>>> + Send>;

/// The rounds that gather, by key; a key is there while a request of it is in flight.
type Gathering<K, R, A> = Mutex<HashMap<K, VecDeque<Round<R, A>>>>;

/// Requests that go out together.
struct Round<R, A> {
    parts: Vec<(R, oneshot::Sender<A>)>,
    weight: usize,
    execute: Execute<R, A>,
}

/// What gathers behind the requests in flight.
pub(super) struct Rounds<K, R, A> {
    gathering: Arc<Gathering<K, R, A>>,
}

impl<K, R, A> Default for Rounds<K, R, A> {
    fn default() -> Self {
        Self { gathering: Arc::default() }
    }
}

impl<K, R, A> std::fmt::Debug for Rounds<K, R, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rounds")
    }
}

/// What a key must be.
pub(super) trait Key: Eq + Hash + Clone + Send + 'static {}
impl<K: Eq + Hash + Clone + Send + 'static> Key for K {}

/// What requests and answers must be.
pub(super) trait Part: Send + 'static {}
impl<P: Send + 'static> Part for P {}

impl<K: Key, R: Part, A: Part> Rounds<K, R, A> {
    /// Takes part in the next round of a key, of a weight of `capacity` at most unless it is one request.
    /// `execute` answers the requests of a round in their order; that of the first request is called. If it has no
    /// answers, nobody gets one, and the next round begins: who needs more patience shows it outside.
    pub(super) async fn join<E, F>(
        &self,
        key: K,
        (request, weight): (R, usize),
        capacity: usize,
        execute: E,
    ) -> Option<A>
    where
        E: FnOnce(Vec<R>) -> F + Send + 'static,
        F: Future<Output = Option<Vec<A>>> + Send + 'static,
    {
        match self.enter(key, (request, weight), capacity, execute) {
            // Without an answer, the sender is dropped.
            Entered::Behind(answer) => answer.await.ok(),
            Entered::First(turn, request, execute) => {
                let answers = execute(vec![request]).await;
                drop(turn);
                answers?.pop()
            }
        }
    }

    fn enter<E, F>(
        &self,
        key: K,
        (request, weight): (R, usize),
        capacity: usize,
        execute: E,
    ) -> Entered<K, R, A, E>
    where
        E: FnOnce(Vec<R>) -> F + Send + 'static,
        F: Future<Output = Option<Vec<A>>> + Send + 'static,
    {
        let mut gathering = locked(&self.gathering);
        let Some(rounds) = gathering.get_mut(&key) else {
            gathering.insert(key.clone(), VecDeque::new());
            let gathering = Arc::clone(&self.gathering);
            return Entered::First(Turn { gathering, key, is_over: false }, request, execute);
        };
        let (sender, answer) = oneshot::channel();
        let part = (request, sender);
        match rounds.back_mut().filter(|round| round.weight + weight <= capacity) {
            Some(round) => {
                round.parts.push(part);
                round.weight += weight;
            }
            None => rounds.push_back(Round {
                parts: vec![part],
                weight,
                execute: Box::new(move |requests| execute(requests).boxed()),
            }),
        }
        Entered::Behind(answer)
    }
}

/// Where a request stands.
enum Entered<K: Key, R: Part, A: Part, E> {
    /// It goes out now, and is to be carried out by whoever has it.
    First(Turn<K, R, A>, R, E),
    /// It waits behind another one.
    Behind(oneshot::Receiver<A>),
}

/// The right to have a request of a key in flight. Whoever gives it up, also by being dropped half way, passes it on
/// to the requests that have gathered.
struct Turn<K: Key, R: Part, A: Part> {
    gathering: Arc<Gathering<K, R, A>>,
    key: K,
    /// Another one may have the turn by now.
    is_over: bool,
}

impl<K: Key, R: Part, A: Part> Turn<K, R, A> {
    /// Carries out this round, and those that gather until there is none.
    async fn carry_out(mut self, round: Round<R, A>) {
        let mut next = Some(round);
        while let Some(Round { mut parts, execute, .. }) = next {
            // What nobody waits for any more is not asked for.
            parts.retain(|(_, sender)| !sender.is_closed());
            if !parts.is_empty() {
                let (requests, senders): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                let answers = execute(requests).await;
                for (sender, answer) in senders.into_iter().zip(answers.into_iter().flatten()) {
                    // Whoever has left meanwhile needs no answer.
                    drop(sender.send(answer));
                }
            }
            next = self.next_round();
        }
    }

    /// The round that is due; without one, the next request of the key goes out at once.
    fn next_round(&mut self) -> Option<Round<R, A>> {
        let mut gathering = locked(&self.gathering);
        let next = gathering.get_mut(&self.key).and_then(VecDeque::pop_front);
        if next.is_none() {
            gathering.remove(&self.key);
            self.is_over = true;
        }
        next
    }
}

impl<K: Key, R: Part, A: Part> Drop for Turn<K, R, A> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let Some(round) = self.next_round() else { return };
        let (gathering, key) = (Arc::clone(&self.gathering), self.key.clone());
        match Handle::try_current() {
            Ok(runtime) => {
                drop(runtime.spawn(Self { gathering, key, is_over: false }.carry_out(round)));
            }
            // Nothing runs any more: who waits is told by the end of the senders.
            Err(_) => drop(locked(&gathering).remove(&key)),
        }
    }
}

fn locked<K, R, A>(
    gathering: &Gathering<K, R, A>,
) -> MutexGuard<'_, HashMap<K, VecDeque<Round<R, A>>>> {
    gathering.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// A round with this request has no answers.
    const NEVER: u32 = u32::MAX;

    /// Lets the tasks of rounds go on as far as they can.
    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    /// Rounds whose requests are numbers, answered by themselves when a permit is there.
    #[derive(Default)]
    struct Server {
        rounds: Rounds<u8, u32, u32>,
        sent: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Server {
        async fn ask(&self, key: u8, request: u32, permits: &Arc<Semaphore>) -> Option<u32> {
            let (sent, permits) = (Arc::clone(&self.sent), Arc::clone(permits));
            let execute = move |requests: Vec<u32>| async move {
                sent.lock().unwrap().push(requests.clone());
                permits.acquire().await.unwrap().forget();
                (!requests.contains(&NEVER)).then_some(requests)
            };
            self.rounds.join(key, (request, 1), 3, execute).await
        }

        fn sent(&self) -> Vec<Vec<u32>> {
            self.sent.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_joined_up_to_the_capacity() {
        let (server, permits) = (Server::default(), Arc::new(Semaphore::new(0)));
        let first = server.ask(1, 0, &permits);
        tokio::pin!(first);
        assert!(futures::poll!(&mut first).is_pending());
        assert_eq!(server.sent(), [[0]], "it goes out at once");
        let others = join_all((1..6).map(|n| server.ask(1, n, &permits)));
        let elsewhere = server.ask(2, 9, &permits);
        tokio::pin!(others, elsewhere);
        assert!(futures::poll!(&mut others).is_pending());
        assert!(futures::poll!(&mut elsewhere).is_pending());
        assert_eq!(server.sent(), [[0], [9]], "one key does not wait for another");
        permits.add_permits(4);
        let (first, others, elsewhere) = futures::join!(first, others, elsewhere);
        assert_eq!((first.unwrap(), elsewhere.unwrap()), (0, 9));
        let answers: Vec<u32> = others.into_iter().map(Option::unwrap).collect();
        assert_eq!(answers, [1, 2, 3, 4, 5]);
        assert_eq!(server.sent()[2..], [vec![1, 2, 3], vec![4, 5]]);
        settle().await;
        assert!(locked(&server.rounds.gathering).is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn who_goes_away_or_stops_does_not_hold_up_the_others() {
        let (server, permits) = (Server::default(), Arc::new(Semaphore::new(0)));
        let mut first = Box::pin(server.ask(1, 0, &permits));
        let mut second = Box::pin(server.ask(1, 1, &permits));
        let mut third = Box::pin(server.ask(1, 2, &permits));
        let fourth = Box::pin(server.ask(1, 3, &permits));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        assert!(futures::poll!(&mut third).is_pending());
        drop(first); // with its request in flight
        drop(second); // before its round
        permits.add_permits(2);
        // The third is never polled again.
        assert_eq!(fourth.await, Some(3));
        assert_eq!(server.sent(), [[0], [2], [3]], "what nobody waits for is not asked for");
        assert_eq!(third.await, Some(2));
    }

    #[tokio::test]
    async fn a_round_that_panics_leaves_its_key_free() {
        let rounds = Rounds::<u8, u32, u32>::default();
        let answer = |requests: Vec<u32>| async move {
            tokio::task::yield_now().await;
            assert!(!requests.contains(&NEVER), "as it must");
            Some(requests)
        };
        let first = rounds.join(1, (0, 1), 1, answer);
        let broken = rounds.join(1, (NEVER, 1), 1, answer);
        let behind = rounds.join(1, (1, 1), 1, answer);
        assert_eq!(futures::join!(first, broken, behind), (Some(0), None, Some(1)));
        assert_eq!(rounds.join(1, (2, 1), 1, answer).await, Some(2));
        settle().await;
        assert!(locked(&rounds.gathering).is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn a_round_without_answers_holds_up_nobody() {
        let (server, permits) = (Server::default(), Arc::new(Semaphore::new(0)));
        let asked = join_all([0, NEVER, 2, 3, 4].map(|n| server.ask(1, n, &permits)));
        tokio::pin!(asked);
        assert!(futures::poll!(&mut asked).is_pending());
        permits.add_permits(3);
        assert_eq!(asked.await, [Some(0), None, None, None, Some(4)]);
        assert_eq!(server.sent(), [vec![0], vec![NEVER, 2, 3], vec![4]]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_request_is_sent_once_and_answered_with_its_own() {
        let server = Arc::new(Server::default());
        let permits = Arc::new(Semaphore::new(1_000_000));
        let tasks: Vec<_> = (0..2_000_u32)
            .map(|n| {
                let (server, permits) = (Arc::clone(&server), Arc::clone(&permits));
                tokio::spawn(async move {
                    let answer = server.ask((n % 3) as u8, n, &permits).await;
                    assert_eq!(answer.unwrap(), n);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut times = BTreeMap::new();
        for request in server.sent().into_iter().flatten() {
            *times.entry(request).or_insert(0) += 1;
        }
        assert_eq!(times.len(), 2_000);
        assert!(times.values().all(|times| *times == 1));
        assert!(server.sent().iter().all(|round| round.len() <= 3));
    }
}
