//! How many requests are under way at once, how many groups begin per second, and whether any begin at all.
//!
//! A fixed limit halves when the cluster shows that it is overloaded, and grows back by a tenth whenever as many
//! requests as it allows have been answered: multiplicative decrease as in TCP's congestion avoidance (RFC 5681,
//! section 3.1), and a recovery that does not take the whole night. The limit that is found by itself reacts to
//! overload in the same way; else it [climbs](climb) to where more requests at once bring no more answers per second.

mod climb;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

use climb::Climb;

/// Signs of overload that come within this time are taken for one: the requests that caused them were
/// admitted under the same limit.
const REACTION: Duration = Duration::from_secs(1);
/// The time over which answers per second are counted, at least, where the limit is found: windows of groups read
/// and write in turn, and a few of them should be seen as a whole.
const PERIOD: Duration = Duration::from_secs(1);
/// A group that begins late by no more than this is made up for, so that a rate is kept by a clock that ticks.
const LATE: Duration = Duration::from_millis(50);

/// How many requests may be under way at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InFlight {
    /// As many as are worth it.
    #[default]
    Auto,
    /// So many, at most.
    Fixed(usize),
}

impl From<usize> for InFlight {
    fn from(requests: usize) -> Self {
        Self::Fixed(requests)
    }
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(requests) => requests.fmt(f),
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

/// Admits requests and groups. Rate and pause can be changed at any time; both are about groups that have not begun.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
    /// What of the limit is free, for requests, in the order in which they come.
    free: Semaphore,
    /// Wakes groups that wait.
    spare: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    bound: Bound,
    in_flight: usize,
    /// How many of those under way are more than the limit: they make no room.
    surplus: usize,
    /// Requests that wait for their turn.
    waiting: usize,
    overloads: u64,
    reacted: Option<Instant>,
    /// Groups per second, at most.
    rate: Option<f64>,
    /// When the next group may begin by the rate.
    next_start: Option<Instant>,
    is_paused: bool,
}

impl State {
    /// Whether more requests would be sent at once.
    fn has_room(&self) -> bool {
        self.in_flight < self.limit && self.waiting == 0
    }

    fn set_limit(&mut self, limit: usize, free: &Semaphore) {
        let (more, fewer) = (limit.saturating_sub(self.limit), self.limit.saturating_sub(limit));
        let kept = more.min(self.surplus);
        free.add_permits(more - kept);
        self.surplus += fewer - free.forget_permits(fewer);
        self.surplus -= kept;
        self.limit = limit;
    }

    /// How long it takes until more groups may begin by the rate.
    fn early(&self, now: Instant) -> Duration {
        let next = self.rate.and(self.next_start);
        next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    /// So many groups begin.
    fn began(&mut self, groups: usize, now: Instant) {
        let Some(rate) = self.rate else { return };
        let took = Duration::try_from_secs_f64(groups as f64 / rate).unwrap_or(Duration::MAX);
        // What was missed is not made up for, but for the little by which a timer is late.
        let on_time =
            self.next_start.map_or(now, |next| next.max(now.checked_sub(LATE).unwrap_or(now)));
        self.next_start = on_time.checked_add(took);
    }
}

/// What moves the limit.
#[derive(Debug)]
enum Bound {
    /// Requests that were answered since the limit last changed.
    Fixed { most: usize, credit: usize },
    /// What was asked for and answered since the period began, and how many of its requests had to wait.
    Found { climb: Box<Climb>, since: Instant, answered: u64, requests: u64, waited: u64 },
}

impl Bound {
    fn begin(climb: Box<Climb>) -> Self {
        Self::Found { climb, since: Instant::now(), answered: 0, requests: 0, waited: 0 }
    }
}

/// The right to have one request under way; dropping it makes room for the next.
#[derive(Debug)]
pub struct Permit<'a> {
    pace: &'a Pace,
}

/// One that waits.
struct Queued<'a>(&'a Pace);

impl Pace {
    /// So many requests at once (at least one), as fast as they come.
    pub fn new(in_flight: impl Into<InFlight>) -> Arc<Self> {
        Self::with_rate(in_flight, None)
    }

    /// As [`new`](Self::new), and at most `rate` groups per second.
    pub fn with_rate(in_flight: impl Into<InFlight>, rate: Option<f64>) -> Arc<Self> {
        let (limit, bound) = match in_flight.into() {
            InFlight::Fixed(most) => (most.max(1), Bound::Fixed { most: most.max(1), credit: 0 }),
            InFlight::Auto => {
                let climb = Box::<Climb>::default();
                (climb.limit(), Bound::begin(climb))
            }
        };
        let state = State {
            limit,
            bound,
            in_flight: 0,
            surplus: 0,
            waiting: 0,
            overloads: 0,
            reacted: None,
            rate,
            next_start: None,
            is_paused: false,
        };
        let free = Semaphore::new(limit);
        Arc::new(Self { state: Mutex::new(state), free, spare: Notify::new() })
    }

    /// From now on no group begins, until [`resume`](Self::resume); those under way go on to their end. Gives whether
    /// that is a change.
    pub fn pause(&self) -> bool {
        !std::mem::replace(&mut self.state().is_paused, true)
    }

    /// Groups begin again. Gives whether that is a change.
    pub fn resume(&self) -> bool {
        let was_paused = std::mem::replace(&mut self.state().is_paused, false);
        self.spare.notify_waiters();
        was_paused
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.state().is_paused
    }

    /// From now on so many groups begin per second, at most; `None` for as many as the cluster can take.
    pub fn set_rate(&self, rate: Option<f64>) {
        let mut state = self.state();
        // What was owed at the old rate is not waited for.
        state.next_start = None;
        state.rate = rate;
        drop(state);
        self.spare.notify_waiters();
    }

    /// Groups per second, at most; `None` where there is no such limit.
    pub fn rate(&self) -> Option<f64> {
        self.state().rate
    }

    /// Waits until so many more groups may begin: no pause, the rate allows it, and nobody waits for a request.
    pub async fn begin(&self, groups: usize) {
        loop {
            let spare = self.spare.notified();
            let early = {
                let mut state = self.state();
                let now = Instant::now();
                let early = state.early(now);
                let is_free = state.has_room() && !state.is_paused;
                if is_free && early.is_zero() {
                    state.began(groups, now);
                    return;
                }
                is_free.then_some(early)
            };
            match early {
                // A rate that is changed meanwhile counts at once.
                Some(early) => _ = tokio::time::timeout(early, spare).await,
                None => spare.await,
            }
        }
    }

    /// Waits until one more request may be sent. They are sent in the order in which they come.
    pub async fn admit(&self) -> Permit<'_> {
        let free = match self.free.try_acquire() {
            Ok(free) => free,
            Err(_) => {
                let _queued = Queued::new(self);
                loop {
                    // It is never closed.
                    if let Ok(free) = self.free.acquire().await {
                        break free;
                    }
                }
            }
        };
        free.forget();
        let mut state = self.state();
        state.in_flight += 1;
        if let Bound::Found { requests, .. } = &mut state.bound {
            *requests += 1;
        }
        Permit { pace: self }
    }

    /// Reports a sign of overload: a time-out, a refusal, a node or a connection gone.
    pub fn overloaded(&self) {
        let mut state = self.state();
        let now = Instant::now();
        if state.reacted.is_some_and(|then| now.duration_since(then) < REACTION) {
            return;
        }
        state.reacted = Some(now);
        state.overloads += 1;
        let half = (state.limit / 2).max(1);
        state.set_limit(half, &self.free);
        match &mut state.bound {
            Bound::Fixed { credit, .. } => *credit = 0,
            Bound::Found { climb, .. } => {
                climb.fall_back();
                let climb = std::mem::take(climb);
                state.bound = Bound::begin(climb);
            }
        }
        tracing::info!(
            in_flight_limit = state.limit,
            "the cluster is slow: fewer requests at once"
        );
    }

    /// How often it was overloaded so far.
    pub fn overloads(&self) -> u64 {
        self.state().overloads
    }

    /// Reports an answer to so much that was asked for.
    pub fn answered(&self, asked: usize) {
        let mut guard = self.state();
        let state = &mut *guard;
        let mut limit = state.limit;
        match &mut state.bound {
            Bound::Fixed { most, .. } if limit == *most => {}
            Bound::Fixed { most, credit } => {
                *credit += 1;
                if *credit >= limit {
                    *credit = 0;
                    limit = (limit + (limit / 10).max(1)).min(*most);
                }
            }
            Bound::Found { climb, since, answered, requests, waited } => {
                *answered += asked as u64;
                let passed = since.elapsed();
                if passed >= PERIOD {
                    // Where requests hardly ever wait, the limit says nothing.
                    if *waited * 2 >= *requests {
                        limit = climb.next(*answered as f64 / passed.as_secs_f64());
                    }
                    (*since, *answered, *requests, *waited) = (Instant::now(), 0, 0, 0);
                }
            }
        }
        state.set_limit(limit, &self.free);
    }

    /// The present limit and how many requests are under way.
    pub fn now(&self) -> (usize, usize) {
        let state = self.state();
        (state.limit, state.in_flight)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        state.in_flight -= 1;
        match state.surplus {
            0 => self.pace.free.add_permits(1),
            _ => state.surplus -= 1,
        }
        if state.has_room() {
            self.pace.spare.notify_one();
        }
    }
}

impl<'a> Queued<'a> {
    fn new(pace: &'a Pace) -> Self {
        let mut state = pace.state();
        state.waiting += 1;
        if let Bound::Found { waited, .. } = &mut state.bound {
            *waited += 1;
        }
        drop(state);
        Self(pace)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

#[cfg(test)]
mod tests;
