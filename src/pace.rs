//! How many requests are under way at once, how many groups begin per second, and whether any begin at all.
//!
//! [`steer`] moves the limit: the operator's number, or the one that is found by [climbing](climb), as far as the cluster
//! shows no overload and, with a bound, [reads are quick enough](read_latency).
//!
//! May use `setting`; may be used by `live`, `pipeline` and `cli`.

mod climb;
mod read_latency;
mod settings;
mod steer;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

pub(crate) use settings::{PACE, PaceSettings};
pub use steer::Held;
use steer::Steer;

/// A group that begins late by no more than this is made up for, so that a rate is kept by a clock that ticks.
const LATE: Duration = Duration::from_millis(50);

/// That reads are slow whatever the run does is said again after this long.
const COMPLAINT: Duration = Duration::from_secs(60);

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

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.read.as_secs_f64() * 1e3;
        let digits = usize::from(ms < 10.0);
        write!(f, "held back by --max-latency: a read takes {ms:.digits$} ms")
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
    steer: Steer,
    in_flight: usize,
    /// How many of those under way are more than the limit: they make no room.
    surplus: usize,
    /// Requests that wait for their turn.
    waiting: usize,
    /// When it was said last that reads take too long even with one request at a time.
    complained: Option<Instant>,
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

    /// Takes the limit over from what moves it.
    fn follow(&mut self, free: &Semaphore) {
        let limit = self.steer.limit();
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
    pub(crate) fn with_rate(in_flight: impl Into<InFlight>, rate: Option<f64>) -> Arc<Self> {
        Self::of(PaceSettings { in_flight: in_flight.into(), rate, ..PaceSettings::default() })
    }

    /// As the settings say: only as many requests at once as leave [reads](Self::observe_read) quicker than their bound.
    pub(crate) fn of(settings: PaceSettings) -> Arc<Self> {
        let PaceSettings { in_flight, rate, max_latency } = settings;
        let steer = Steer::new(in_flight, max_latency, Instant::now());
        let limit = steer.limit();
        let state = State {
            limit,
            steer,
            in_flight: 0,
            surplus: 0,
            waiting: 0,
            complained: None,
            rate,
            next_start: None,
            is_paused: false,
        };
        let free = Semaphore::new(limit);
        Arc::new(Self { state: Mutex::new(state), free, spare: Notify::new() })
    }

    /// From now on no group begins, until [`resume`](Self::resume); those under way go on to their end. Gives whether
    /// that is a change.
    pub(crate) fn pause(&self) -> bool {
        !std::mem::replace(&mut self.state().is_paused, true)
    }

    /// Groups begin again. Gives whether that is a change.
    pub fn resume(&self) -> bool {
        let was_paused = std::mem::replace(&mut self.state().is_paused, false);
        self.spare.notify_waiters();
        was_paused
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state().is_paused
    }

    /// From now on so many groups begin per second, at most; `None` for as many as the cluster can take.
    pub(crate) fn set_rate(&self, rate: Option<f64>) {
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
    pub(crate) async fn begin(&self, groups: usize) {
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
        state.steer.sent();
        Permit { pace: self }
    }

    /// Reports a sign of overload: a time-out, a refusal, a node or a connection gone.
    pub(crate) fn overloaded(&self) {
        let mut state = self.state();
        if state.steer.overloaded(Instant::now()) {
            state.follow(&self.free);
            let in_flight_limit = state.limit;
            tracing::info!(in_flight_limit, "the cluster is slow: fewer requests at once");
        }
    }

    /// How often it was overloaded so far.
    pub(crate) fn overloads(&self) -> u64 {
        self.state().steer.overloads()
    }

    /// Reports an answer to so much that was asked for.
    pub(crate) fn answered(&self, asked: usize) {
        let mut state = self.state();
        state.steer.answered(asked, Instant::now());
        state.follow(&self.free);
    }

    /// Reports how long a read has taken that was made to know it.
    pub(crate) fn observe_read(&self, took: Duration) {
        let (now, mut state) = (Instant::now(), self.state());
        state.steer.observe_read(took, now);
        state.follow(&self.free);
        let is_news = state.complained.is_none_or(|then| now.duration_since(then) > COMPLAINT);
        if let Some(held) = state.steer.held().filter(|held| held.is_least && is_news) {
            state.complained = Some(now);
            tracing::warn!("{held}, with one request at a time; what else is slow is not this run");
        }
    }

    /// How long such reads may take; `None` where that is not bounded, and none are to be made.
    pub(crate) fn max_latency(&self) -> Option<Duration> {
        self.state().steer.max_latency()
    }

    /// How long such reads take: all but one in a hundred of the last two seconds take less.
    pub(crate) fn read_takes(&self) -> Option<Duration> {
        self.state().steer.read()
    }

    /// Whether fewer requests are under way because such reads took too long.
    pub fn held(&self) -> Option<Held> {
        self.state().steer.held()
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
        state.steer.waited();
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
