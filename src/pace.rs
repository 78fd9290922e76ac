//! How many groups run at once.
//!
//! The limit starts at what the operator allows, halves when the cluster shows that it is overloaded, and
//! grows back by one for every few groups that end well: additive increase, multiplicative decrease,
//! as in TCP's congestion avoidance (RFC 5681, section 3.1).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Signs of overload that come within this time are taken for one: the groups that caused them were
/// admitted under the same limit.
const REACTION: Duration = Duration::from_secs(1);

/// Admits groups, at most so many at once.
#[derive(Debug)]
pub struct Pace {
    max: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    in_flight: usize,
    /// Groups that ended well since the limit last changed.
    credit: usize,
    reacted: Option<Instant>,
}

/// The right to run one group; dropping it makes room for the next.
#[derive(Debug)]
pub struct Permit {
    pace: Arc<Pace>,
}

impl Pace {
    /// At most `max` groups at once (at least one).
    pub fn new(max: usize) -> Arc<Self> {
        let max = max.max(1);
        let state = State { limit: max, in_flight: 0, credit: 0, reacted: None };
        Arc::new(Self { max, state: Mutex::new(state), freed: Notify::new() })
    }

    /// Waits until one more group may run.
    pub async fn admit(self: &Arc<Self>) -> Permit {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.in_flight < state.limit {
                    state.in_flight += 1;
                    return Permit { pace: Arc::clone(self) };
                }
            }
            freed.await;
        }
    }

    /// Reports a sign of overload: a time-out, a refusal, a node or a connection gone.
    pub fn overloaded(&self) {
        let mut state = self.state();
        let now = Instant::now();
        if state.reacted.is_some_and(|then| now.duration_since(then) < REACTION) {
            return;
        }
        state.reacted = Some(now);
        state.limit = (state.limit / 2).max(1);
        state.credit = 0;
        tracing::info!(in_flight_limit = state.limit, "the cluster is slow: fewer groups at once");
    }

    /// Reports a group that ended well.
    pub fn succeeded(&self) {
        let mut state = self.state();
        if state.limit == self.max {
            return;
        }
        state.credit += 1;
        if state.credit >= state.limit {
            state.credit = 0;
            // A tenth at once: at a limit of hundreds, one by one would take the whole night.
            state.limit = (state.limit + (state.limit / 10).max(1)).min(self.max);
            drop(state);
            self.freed.notify_one();
        }
    }

    /// The present limit and how many groups run.
    pub fn now(&self) -> (usize, usize) {
        let state = self.state();
        (state.limit, state.in_flight)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pace.state().in_flight -= 1;
        self.pace.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn no_more_than_the_limit_is_admitted() {
        let pace = Pace::new(2);
        let first = pace.admit().now_or_never();
        let second = pace.admit().now_or_never();
        assert!(first.is_some() && second.is_some());
        assert!(pace.admit().now_or_never().is_none());
        drop(first);
        assert!(pace.admit().now_or_never().is_some());
    }

    #[test]
    fn overload_halves_and_success_restores() {
        let pace = Pace::new(64);
        pace.overloaded();
        assert_eq!(pace.now().0, 32);
        pace.overloaded();
        assert_eq!(pace.now().0, 32, "one reaction for one overload");
        let mut successes = 0;
        while pace.now().0 < 64 {
            pace.succeeded();
            successes += 1;
            assert!(successes < 1_000, "the limit never recovers");
        }
        assert!(successes >= 32, "the limit recovers only after groups ended well");
    }

    #[test]
    fn a_waiting_group_is_woken() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let pace = Pace::new(1);
            let permit = pace.admit().await;
            let waiting = tokio::spawn({
                let pace = Arc::clone(&pace);
                async move { drop(pace.admit().await) }
            });
            tokio::task::yield_now().await;
            drop(permit);
            waiting.await.expect("the waiting group is admitted");
            assert_eq!(pace.now().1, 0);
        });
    }
}
