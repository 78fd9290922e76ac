//! How many groups run at once, how many begin per second, and whether any begin at all.
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

/// Admits groups. Rate and pause can be changed at any time; both are about groups that have not begun.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    bound: Bound,
    in_flight: usize,
    reacted: Option<Instant>,
    /// Groups per second, at most.
    rate: Option<f64>,
    last_start: Option<Instant>,
    is_paused: bool,
}

impl State {
    /// How long it takes until one more group may begin by the rate.
    fn early(&self, now: Instant) -> Duration {
        let (Some(rate), Some(last)) = (self.rate, self.last_start) else { return Duration::ZERO };
        // What was missed is not made up for.
        let interval = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
        interval.saturating_sub(now.saturating_duration_since(last))
    }
}

/// What moves the limit.
#[derive(Debug)]
enum Bound {
    /// Groups that ended well since the limit last changed.
    Fixed { most: usize, credit: usize },
    /// What was done since the window began; whether as many groups ran as were allowed.
    Found { climb: Box<Climb>, since: Instant, done: Done, is_full: bool },
}

/// What was done in a window. Groups differ by how much they are, so rows count: where a few large groups keep the
/// cluster busy, more small ones at once bring nothing, and would only wait.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    groups: usize,
    rows: u64,
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
            InFlight::Auto => Bound::Found {
                climb: Box::default(),
                since: now,
                done: Done::default(),
                is_full: true,
            },
        };
        let limit = match &bound {
            Bound::Fixed { most, .. } => *most,
            Bound::Found { climb, .. } => climb.limit(),
        };
        let state = State {
            limit,
            bound,
            in_flight: 0,
            reacted: None,
            rate,
            last_start: None,
            is_paused: false,
        };
        Arc::new(Self { state: Mutex::new(state), freed: Notify::new() })
    }

    /// From now on no group begins, until [`resume`](Self::resume); those in flight go on to their end. Gives whether
    /// that is a change.
    pub fn pause(&self) -> bool {
        !std::mem::replace(&mut self.state().is_paused, true)
    }

    /// Groups begin again. Gives whether that is a change.
    pub fn resume(&self) -> bool {
        let was_paused = std::mem::replace(&mut self.state().is_paused, false);
        self.freed.notify_waiters();
        was_paused
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.state().is_paused
    }

    /// From now on so many groups begin per second, at most; `None` for as many as the cluster can take.
    pub fn set_rate(&self, rate: Option<f64>) {
        self.state().rate = rate;
        self.freed.notify_waiters();
    }

    /// Groups per second, at most; `None` where there is no such limit.
    pub fn rate(&self) -> Option<f64> {
        self.state().rate
    }

    /// Waits until one more group may run.
    pub async fn admit(self: &Arc<Self>) -> Permit {
        self.admitted(true).await
    }

    /// Waits until there is room for a read that is no group's: it takes the place of one, but the rate is of groups
    /// and does not hold for it.
    pub async fn admit_read(self: &Arc<Self>) -> Permit {
        self.admitted(false).await
    }

    async fn admitted(self: &Arc<Self>, is_group: bool) -> Permit {
        loop {
            let freed = self.freed.notified();
            let early = {
                let mut state = self.state();
                let now = Instant::now();
                let early = if is_group { state.early(now) } else { Duration::ZERO };
                let is_free = state.in_flight < state.limit && !state.is_paused;
                if is_free && early.is_zero() {
                    state.in_flight += 1;
                    if is_group {
                        state.last_start = Some(now);
                    }
                    return Permit { pace: Arc::clone(self) };
                }
                is_free.then_some(early)
            };
            match early {
                // A rate that is changed meanwhile counts at once.
                Some(early) => _ = tokio::time::timeout(early, freed).await,
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
            Bound::Found { climb, since, done, .. } => {
                (*since, *done) = (now, Done::default());
                climb.fall_back();
            }
        }
        tracing::info!(in_flight_limit = state.limit, "the cluster is slow: fewer groups at once");
    }

    /// Reports rows of a group that were merged.
    pub fn progressed(&self, rows: u64) {
        if let Bound::Found { done, .. } = &mut self.state().bound {
            done.rows += rows;
        }
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
            Bound::Found { climb, since, done, is_full } => {
                done.groups += 1;
                // The group that has ended still has its permit.
                *is_full &= state.in_flight * 10 >= state.limit * 9;
                let passed = since.elapsed();
                if passed >= WINDOW && done.groups >= state.limit {
                    if *is_full {
                        // A group without rows is work as well.
                        let work = done.rows + done.groups as u64;
                        state.limit = climb.next(work as f64 / passed.as_secs_f64());
                    }
                    (*since, *done, *is_full) = (Instant::now(), Done::default(), true);
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
mod tests;
