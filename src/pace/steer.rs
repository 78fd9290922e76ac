//! How many requests may be under way: as many as are wanted, as far as the cluster bears them.
//!
//! What is wanted is the operator's number, or the one that the [climb](super::climb) finds. What the cluster bears is
//! a ceiling over it: it falls by a half with each sign of overload (a time-out, a refusal), and in proportion when
//! reads take longer than the operator allows; it rises by a tenth. That is multiplicative decrease as in TCP's
//! congestion avoidance (RFC 5681, section 3.1), and a recovery that does not take the whole night. Where latency is
//! bounded, every rise is earned by reads that were quick enough; else, and where none are made, by as many answers as the
//! ceiling allows at once.
//!
//! The climb learns nothing while the ceiling is below what it wants to try, and never tries what is above it.

use std::time::{Duration, Instant};

use super::InFlight;
use super::climb::{self, Climb};
use super::read_latency::ReadLatency;

/// Signs of overload that come within this time are taken for one: the requests that caused them were
/// admitted under the same limit.
const REACTION: Duration = Duration::from_secs(1);
/// The time over which answers per second are counted, at least, where the limit is found: windows of groups read
/// and write in turn, and a few of them should be seen as a whole.
const PERIOD: Duration = Duration::from_secs(1);
/// The ceiling falls to no less than this part at once for latency alone, and to no more than the second.
const FALL: (f64, f64) = (0.5, 0.9);
/// By which part the ceiling rises while reads take no more than a part of the bound: the nearer, the more carefully,
/// and the last of these by one request. Nearer still, the number is right.
const RISES: [(f64, f64); 3] = [(0.5, 0.25), (0.8, 0.1), (0.93, 0.0)];

/// How many requests may be under way, and why.
#[derive(Debug)]
pub(super) struct Steer {
    wanted: Wanted,
    /// What the cluster bears.
    ceiling: usize,
    /// Answers since the ceiling last changed.
    credit: usize,
    overloads: u64,
    reacted: Option<Instant>,
    /// What reads take; without a bound nothing is known of it.
    read_latency: Option<ReadLatency>,
}

#[derive(Debug)]
enum Wanted {
    Fixed(usize),
    Found(Box<Climb>, Period),
}

/// What was asked for and answered since some moment.
#[derive(Debug)]
struct Period {
    since: Instant,
    answered: u64,
    requests: u64,
    /// How many of the requests had to wait.
    waited: u64,
    /// The ceiling was below what was wanted.
    is_held: bool,
}

/// A run that is slower than it could be, because reads take longer than the operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// What a read takes: all but one in a hundred take less.
    pub read: Duration,
    /// Whether there is nothing left to take back: one request at a time.
    pub(crate) is_least: bool,
}

impl Period {
    fn begin(now: Instant) -> Self {
        Self { since: now, answered: 0, requests: 0, waited: 0, is_held: false }
    }
}

impl Wanted {
    fn limit(&self) -> usize {
        match self {
            Self::Fixed(most) => *most,
            Self::Found(climb, _) => climb.limit(),
        }
    }

    fn most(&self) -> usize {
        match self {
            Self::Fixed(most) => *most,
            Self::Found(..) => climb::MOST,
        }
    }
}

impl Steer {
    pub(super) fn new(in_flight: InFlight, max_latency: Option<Duration>, now: Instant) -> Self {
        let wanted = match in_flight {
            InFlight::Fixed(most) => Wanted::Fixed(most.max(1)),
            InFlight::Auto => Wanted::Found(Box::default(), Period::begin(now)),
        };
        Self {
            ceiling: wanted.most(),
            wanted,
            credit: 0,
            overloads: 0,
            reacted: None,
            read_latency: max_latency.map(|bound| ReadLatency::new(bound, now)),
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.wanted.limit().min(self.ceiling)
    }

    pub(super) fn overloads(&self) -> u64 {
        self.overloads
    }

    /// What reads may take.
    pub(super) fn max_latency(&self) -> Option<Duration> {
        self.read_latency.as_ref().map(ReadLatency::bound)
    }

    /// What reads take, if that is bounded, and known.
    pub(super) fn read(&self) -> Option<Duration> {
        self.read_latency.as_ref().and_then(ReadLatency::last)
    }

    /// Whether, and by how much, latency holds the run back.
    pub(super) fn held(&self) -> Option<Held> {
        let read_latency =
            self.read_latency.as_ref().filter(|read_latency| read_latency.has_cut())?;
        let read = read_latency.last().filter(|_| self.is_held())?;
        Some(Held { read, is_least: self.ceiling == 1 && read > read_latency.bound() })
    }

    fn is_held(&self) -> bool {
        self.ceiling < self.wanted.limit()
    }

    /// A request is sent.
    pub(super) fn sent(&mut self) {
        if let Wanted::Found(_, period) = &mut self.wanted {
            period.requests += 1;
        }
    }

    /// A request has to wait.
    pub(super) fn waited(&mut self) {
        if let Wanted::Found(_, period) = &mut self.wanted {
            period.waited += 1;
        }
    }

    /// A sign of overload; gives whether it counts.
    pub(super) fn overloaded(&mut self, now: Instant) -> bool {
        if self.reacted.is_some_and(|then| now.duration_since(then) < REACTION) {
            return false;
        }
        // While signs follow each other, or the ceiling is on its way back, it is the same overload.
        let is_near = self.reacted.is_some_and(|then| now.duration_since(then) < REACTION * 3);
        let is_first = !is_near && !self.is_held();
        self.reacted = Some(now);
        self.overloads += 1;
        self.set_ceiling((self.limit() / 2).max(1), now);
        if let Wanted::Found(climb, period) = &mut self.wanted {
            if is_first {
                climb.overloaded();
            }
            *period = Period::begin(now);
        }
        true
    }

    /// An answer to so much that was asked for.
    pub(super) fn answered(&mut self, asked: usize, now: Instant) {
        // What is answered right after a sign of overload was admitted before it.
        let is_calm = self.reacted.is_none_or(|then| now.duration_since(then) >= REACTION);
        let is_silent =
            self.read_latency.as_ref().is_none_or(|read_latency| read_latency.is_silent(now));
        if is_silent && is_calm && self.ceiling < self.wanted.most() {
            self.credit += 1;
            if self.credit >= self.limit() {
                self.rise(0.1, now);
            }
        }
        let (ceiling, is_held) = (self.ceiling, self.is_held());
        let Wanted::Found(climb, period) = &mut self.wanted else { return };
        period.answered += asked as u64;
        period.is_held |= is_held;
        let passed = now.duration_since(period.since);
        if passed >= PERIOD {
            // Where requests hardly ever wait, the limit says nothing; nor does one that was not tried.
            if period.waited * 2 >= period.requests && !period.is_held {
                climb.next(period.answered as f64 / passed.as_secs_f64(), ceiling);
            }
            *period = Period::begin(now);
        }
    }

    /// A read has taken so long, or has taken so long and goes on.
    pub(super) fn observe_read(&mut self, took: Duration, now: Instant) {
        let limit = self.limit();
        let Some(read_latency) = &mut self.read_latency else { return };
        let Some(read) = read_latency.add(took, now) else { return };
        let part = read.as_secs_f64() / read_latency.bound().as_secs_f64();
        if part > 1.0 && limit > 1 {
            let fall = (1.0 / part).clamp(FALL.0, FALL.1);
            read_latency.cut();
            self.set_ceiling(((limit as f64 * fall) as usize).clamp(1, limit - 1), now);
        } else if let Some((_, more)) = RISES.iter().find(|(quick, _)| part <= *quick) {
            self.rise(*more, now);
        }
    }

    /// The ceiling rises by a part of what it is, at least by one; not farther than anybody could want to try next.
    fn rise(&mut self, part: f64, now: Instant) {
        let more = ((self.ceiling as f64 * part) as usize).max(1);
        let most = self.wanted.most().min(self.wanted.limit() * 2);
        if self.ceiling < most {
            self.set_ceiling((self.ceiling + more).min(most), now);
        }
        self.credit = 0;
    }

    fn set_ceiling(&mut self, ceiling: usize, now: Instant) {
        self.ceiling = ceiling;
        self.credit = 0;
        if let Some(read_latency) = &mut self.read_latency {
            read_latency.forget(now);
        }
    }
}

#[cfg(test)]
mod tests;
