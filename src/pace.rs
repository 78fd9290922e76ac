//! How many groups run at once, and how many begin per second.
//!
//! A fixed limit halves when the cluster shows that it is overloaded, and grows back by a tenth whenever as many
//! groups as it allows have ended well: multiplicative decrease as in TCP's congestion avoidance (RFC 5681,
//! section 3.1), and a recovery that does not take the whole night. The limit that is found by itself reacts to
//! overload in the same way; else it [climbs](climb) to where more groups at once bring no more groups per second.

mod climb;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use climb::Climb;

/// Signs of overload that come within this time are taken for one: the groups that caused them were
/// admitted under the same limit.
const REACTION: Duration = Duration::from_secs(1);
/// The time over which groups per second are counted, at least, where the limit is found.
const WINDOW: Duration = Duration::from_millis(500);

/// How many groups may run at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InFlight {
    /// As many as are worth it.
    #[default]
    Auto,
    /// So many, at most.
    Fixed(usize),
}

impl From<usize> for InFlight {
    fn from(groups: usize) -> Self {
        Self::Fixed(groups)
    }
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(groups) => groups.fmt(f),
        }
    }
}

impl FromStr for InFlight {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.replace('_', "").parse().map(Self::Fixed).map_err(drop),
        }
    }
}

/// Admits groups.
#[derive(Debug)]
pub struct Pace {
    /// Between the starts of two groups, at least.
    interval: Duration,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    bound: Bound,
    in_flight: usize,
    reacted: Option<Instant>,
    next_start: Instant,
}

/// What moves the limit.
#[derive(Debug)]
enum Bound {
    /// Groups that ended well since the limit last changed.
    Fixed { most: usize, credit: usize },
    /// Groups that ended well since the window began; whether as many ran as were allowed.
    Found { climb: Climb, since: Instant, ended: usize, is_full: bool },
}

/// The right to run one group; dropping it makes room for the next.
#[derive(Debug)]
pub struct Permit {
    pace: Arc<Pace>,
}

impl Pace {
    /// So many groups at once (at least one), as fast as they come.
    pub fn new(in_flight: impl Into<InFlight>) -> Arc<Self> {
        Self::with_rate(in_flight, None)
    }

    /// As [`new`](Self::new), and at most `rate` groups per second.
    pub fn with_rate(in_flight: impl Into<InFlight>, rate: Option<f64>) -> Arc<Self> {
        let now = Instant::now();
        let bound = match in_flight.into() {
            InFlight::Fixed(most) => Bound::Fixed { most: most.max(1), credit: 0 },
            InFlight::Auto => {
                Bound::Found { climb: Climb::default(), since: now, ended: 0, is_full: true }
            }
        };
        let limit = match &bound {
            Bound::Fixed { most, .. } => *most,
            Bound::Found { climb, .. } => climb.limit(),
        };
        let state = State { limit, bound, in_flight: 0, reacted: None, next_start: now };
        let interval = rate.map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX)
        });
        Arc::new(Self { interval, state: Mutex::new(state), freed: Notify::new() })
    }

    /// Waits until one more group may run.
    pub async fn admit(self: &Arc<Self>) -> Permit {
        loop {
            let freed = self.freed.notified();
            let early = {
                let mut state = self.state();
                let now = Instant::now();
                let early = state.next_start.saturating_duration_since(now);
                if state.in_flight < state.limit && early.is_zero() {
                    state.in_flight += 1;
                    // What was missed is not made up for.
                    state.next_start = now + self.interval;
                    return Permit { pace: Arc::clone(self) };
                }
                if state.in_flight < state.limit { Some(early) } else { None }
            };
            match early {
                Some(early) => tokio::time::sleep(early).await,
                None => freed.await,
            }
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
        match &mut state.bound {
            Bound::Fixed { credit, .. } => *credit = 0,
            Bound::Found { climb, since, ended, .. } => {
                (*since, *ended) = (now, 0);
                climb.fall_back();
            }
        }
        tracing::info!(in_flight_limit = state.limit, "the cluster is slow: fewer groups at once");
    }

    /// Reports a group that ended well.
    pub fn succeeded(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        let before = state.limit;
        match &mut state.bound {
            Bound::Fixed { most, .. } if state.limit == *most => {}
            Bound::Fixed { most, credit } => {
                *credit += 1;
                if *credit >= state.limit {
                    *credit = 0;
                    state.limit = (state.limit + (state.limit / 10).max(1)).min(*most);
                }
            }
            Bound::Found { climb, since, ended, is_full } => {
                *ended += 1;
                // The group that has ended still has its permit.
                *is_full &= state.in_flight * 10 >= state.limit * 9;
                let passed = since.elapsed();
                if passed >= WINDOW && *ended >= state.limit {
                    if *is_full {
                        state.limit = climb.next(*ended as f64 / passed.as_secs_f64());
                    }
                    (*since, *ended, *is_full) = (Instant::now(), 0, true);
                }
            }
        }
        let more = state.limit.saturating_sub(before);
        drop(guard);
        if more > 0 {
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
    fn a_limit_that_is_found_halves_as_well() {
        let pace = Pace::new(InFlight::Auto);
        let before = pace.now().0;
        pace.overloaded();
        assert_eq!(pace.now().0, before / 2);
    }

    #[tokio::test]
    async fn groups_begin_no_faster_than_the_rate() {
        let pace = Pace::with_rate(1_000, Some(0.01));
        let first = pace.admit().now_or_never();
        assert!(first.is_some(), "the first may begin at once");
        assert!(pace.admit().now_or_never().is_none());
        drop(first);
        assert!(pace.admit().now_or_never().is_none(), "an end makes no room before its time");
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

    #[test]
    fn limits_are_auto_or_a_number() {
        let read = |text: &str| text.parse::<InFlight>();
        assert_eq!(read("auto"), Ok(InFlight::Auto));
        assert_eq!(read("1_024"), Ok(InFlight::Fixed(1024)));
        assert!(read("many").is_err());
        for shown in [InFlight::Auto, InFlight::Fixed(7)] {
            assert_eq!(read(&shown.to_string()), Ok(shown));
        }
    }
}
