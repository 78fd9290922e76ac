//! Natural batching: requests of one kind that come while an earlier one is in flight are joined into the
//! next one.
//!
//! There is no timer and nothing to tune. Where nothing is in flight, a request goes out at once and
//! alone; where much is asked for, every round trip carries what has gathered during the one before.
//!
//! A round is a shared future: whoever waits for it drives it, so that no group depends on another one
//! that has stopped, failed or is busy elsewhere.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

type Round<A> = Shared<BoxFuture<'static, Answers<A>>>;
/// Requests that gather until their round begins; nothing is added after that.
type Gathering<R> = Arc<Mutex<Option<Vec<R>>>>;

/// The answers of a round, by the place of the request.
struct Answers<A>(Arc<Mutex<Vec<Option<A>>>>);

/// The newest round of each key.
pub(super) struct Rounds<K, R, A> {
    newest: Mutex<HashMap<K, Newest<R, A>>>,
}

struct Newest<R, A> {
    gathering: Gathering<R>,
    weight: usize,
    /// How many take part.
    parts: usize,
    round: Round<A>,
}

impl<A> Clone for Answers<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, R, A> Default for Rounds<K, R, A> {
    fn default() -> Self {
        Self { newest: Mutex::default() }
    }
}

impl<K, R, A> std::fmt::Debug for Rounds<K, R, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rounds")
    }
}

impl<K, R, A> Rounds<K, R, A> {
    fn newest(&self) -> MutexGuard<'_, HashMap<K, Newest<R, A>>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, R, A> Rounds<K, R, A>
where
    K: Eq + Hash + Clone,
    R: Send + 'static,
    A: Send + 'static,
{
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
        let (place, gathering, round) = self.enter(key.clone(), request, weight, capacity, execute);
        let part = Part { rounds: self, key, gathering };
        let answers = round.await;
        drop(part);
        let mut answers = answers.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get_mut(place).and_then(Option::take)
    }

    fn enter<E, F>(
        &self,
        key: K,
        request: R,
        weight: usize,
        capacity: usize,
        execute: E,
    ) -> (usize, Gathering<R>, Round<A>)
    where
        E: FnOnce(Vec<R>) -> F + Send + 'static,
        F: Future<Output = Option<Vec<A>>> + Send + 'static,
    {
        let mut rounds = self.newest();
        let newest = rounds.get_mut(&key);
        if let Some(newest) = newest.filter(|newest| newest.weight + weight <= capacity)
            && let Some(gathered) = gathered(&newest.gathering).as_mut()
        {
            gathered.push(request);
            newest.weight += weight;
            newest.parts += 1;
            return (gathered.len() - 1, Arc::clone(&newest.gathering), newest.round.clone());
        }
        let earlier = rounds.get(&key).map(|newest| newest.round.clone());
        let gathering: Gathering<R> = Arc::new(Mutex::new(Some(vec![request])));
        let own = Arc::clone(&gathering);
        let round = async move {
            if let Some(earlier) = earlier {
                earlier.await;
            }
            let requests = gathered(&own).take().unwrap_or_default();
            let answers = execute(requests).await.unwrap_or_default();
            Answers(Arc::new(Mutex::new(answers.into_iter().map(Some).collect())))
        };
        let round = round.boxed().shared();
        let newest =
            Newest { gathering: Arc::clone(&gathering), weight, parts: 1, round: round.clone() };
        rounds.insert(key, newest);
        (0, gathering, round)
    }
}

/// A part in a round, which is forgotten when it is over or when the last one has left.
struct Part<'a, K: Eq + Hash, R, A> {
    rounds: &'a Rounds<K, R, A>,
    key: K,
    gathering: Gathering<R>,
}

impl<K: Eq + Hash, R, A> Drop for Part<'_, K, R, A> {
    fn drop(&mut self) {
        let mut rounds = self.rounds.newest();
        let newest = rounds.get_mut(&self.key);
        let own = newest.filter(|newest| Arc::ptr_eq(&newest.gathering, &self.gathering));
        let Some(newest) = own else { return };
        newest.parts -= 1;
        if newest.parts == 0 || newest.round.peek().is_some() {
            rounds.remove(&self.key);
        }
    }
}

fn gathered<R>(gathering: &Gathering<R>) -> MutexGuard<'_, Option<Vec<R>>> {
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
        assert!(server.rounds.newest().is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn who_goes_away_or_stops_does_not_hold_up_the_others() {
        let (server, permits) = (Server::default(), Arc::new(Semaphore::new(0)));
        let mut first = Box::pin(server.ask(1, 0, &permits));
        let mut second = Box::pin(server.ask(1, 1, &permits));
        let mut third = Box::pin(server.ask(1, 2, &permits));
        let mut fourth = Box::pin(server.ask(1, 3, &permits));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        assert!(futures::poll!(&mut third).is_pending());
        drop(first); // with its request in flight
        drop(second); // before its round
        permits.add_permits(2);
        // The third is never polled again.
        assert_eq!(futures::poll!(&mut fourth).map(Option::unwrap), std::task::Poll::Ready(3));
        assert_eq!(server.sent(), [vec![0], vec![1, 2, 3]]);
        assert_eq!(third.await.unwrap(), 2);
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
