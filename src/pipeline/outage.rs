//! What the whole run meets, told from what one request meets: whether anything gets through at present.
//!
//! A node that is gone, a quorum that is missing, space that is used up: groups do not fail for these. They are waited for
//! until nothing has got through for the retry budget, and then the run stops. It is said when that begins, each minute,
//! and when it is over.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::latency::Lane;
use crate::storage::StorageError;

use super::Lanes;

/// What gets through sooner than this was never out.
const HICCUP: Duration = Duration::from_secs(3);
/// How often it is said that nothing gets through.
const REMINDER: Duration = Duration::from_secs(60);

/// When something got through last, and what is waited for.
#[derive(Debug)]
pub(super) struct Outage {
    began: Instant,
    lanes: Lanes,
    /// When the latest of the requests was sent that got through, in microseconds since then: by lane, and of them all.
    by_lane: Vec<AtomicU64>,
    last: AtomicU64,
    /// Requests that wait for others to get through, by lane.
    waiting: Vec<AtomicUsize>,
    is_told: AtomicBool,
    told: Mutex<Option<Told>>,
    /// How many there have been.
    waited: AtomicU64,
}

/// What has been said.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The requests that do not get through.
    lane: Lane,
    since: Instant,
    last: Instant,
}

impl Outage {
    /// Nothing has been asked yet in any of the lanes.
    pub(super) fn new(lanes: &Lanes) -> Self {
        Self {
            began: Instant::now(),
            lanes: lanes.clone(),
            by_lane: lanes.names().iter().map(|_| AtomicU64::new(0)).collect(),
            last: AtomicU64::new(0),
            waiting: lanes.names().iter().map(|_| AtomicUsize::new(0)).collect(),
            is_told: AtomicBool::new(false),
            told: Mutex::default(),
            waited: AtomicU64::new(0),
        }
    }

    /// A request got through that was sent then. What was under way when another one failed says nothing of what came
    /// since.
    pub(super) fn got_through(&self, lane: Lane, sent: Instant) {
        let sent = sent.saturating_duration_since(self.began).as_micros();
        let sent = u64::try_from(sent).unwrap_or(u64::MAX);
        self.last.fetch_max(sent, Ordering::Relaxed);
        if let Some(of_lane) = self.by_lane.get(lane.0) {
            of_lane.fetch_max(sent, Ordering::Relaxed);
        }
        if self.is_told.load(Ordering::Relaxed) {
            self.is_over(lane);
        }
    }

    fn is_over(&self, lane: Lane) {
        let mut told = self.told();
        if let Some(out) = told.filter(|out| out.lane == lane) {
            let took = out.since.elapsed().as_secs();
            tracing::warn!("requests get through again, after {took} s");
            *told = None;
            self.is_told.store(false, Ordering::Relaxed);
        }
    }

    /// When the latest was sent that got through, in a lane or in any; the beginning, if nothing did.
    fn last(&self, lane: Option<Lane>) -> Instant {
        let of_lane = lane.and_then(|lane| self.by_lane.get(lane.0));
        let last = of_lane.unwrap_or(&self.last).load(Ordering::Relaxed);
        self.began + Duration::from_micros(last)
    }

    /// How long nothing has got through, in a lane or in any, as far as a request can tell that was first sent then.
    pub(super) fn quiet(&self, lane: Option<Lane>, first: Instant) -> Duration {
        self.last(lane).max(first).elapsed()
    }

    /// Whether nothing has got through that was sent since then, in a lane or in any.
    pub(super) fn is_quiet_since(&self, lane: Option<Lane>, first: Instant) -> bool {
        self.last(lane) <= first
    }

    /// Whether requests of a lane write.
    pub(super) fn is_write(&self, lane: Lane) -> bool {
        self.lanes.is_write(lane)
    }

    /// A request waits for others to get through, until what is returned is dropped.
    pub(super) fn wait(&self, lane: Lane) -> impl Drop {
        self.waited.fetch_add(1, Ordering::Relaxed);
        Waiting::begin(self.waiting.get(lane.0))
    }

    /// How many of a lane wait so.
    pub(super) fn waiting(&self, lane: Lane) -> usize {
        self.waiting.get(lane.0).map_or(0, |waiting| waiting.load(Ordering::Relaxed))
    }

    /// Says that nothing gets through, if that has not been said yet, or not for long.
    pub(super) fn tell(&self, lane: Lane, first: Instant, error: &StorageError) {
        let quiet = self.quiet(Some(lane), first);
        if quiet < HICCUP {
            return;
        }
        let now = Instant::now();
        let mut told = self.told();
        match &mut *told {
            None => {
                tracing::warn!("nothing gets through, and is waited for: {}", error.class);
                *told = Some(Told { lane, since: first, last: now });
                self.is_told.store(true, Ordering::Relaxed);
            }
            Some(out) if out.last.elapsed() >= REMINDER => {
                let took = out.since.elapsed().as_secs();
                tracing::warn!("nothing gets through since {took} s: {}", error.class);
                out.last = now;
            }
            Some(_) => {}
        }
    }

    /// How many requests have waited for others to get through, so far.
    pub(super) fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    fn told(&self) -> MutexGuard<'_, Option<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits.
struct Waiting<'a>(Option<&'a AtomicUsize>);

impl<'a> Waiting<'a> {
    fn begin(of_lane: Option<&'a AtomicUsize>) -> Self {
        of_lane.iter().for_each(|waiting| _ = waiting.fetch_add(1, Ordering::Relaxed));
        Self(of_lane)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|waiting| _ = waiting.fetch_sub(1, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_through_in_one_lane_says_nothing_of_another() {
        let outage = Outage::new(&Lanes::default());
        let outage = Outage { by_lane: vec![AtomicU64::new(0), AtomicU64::new(0)], ..outage };
        let at = |ms| outage.began + Duration::from_millis(ms);
        let is_quiet = |lane: Option<usize>, ms| outage.is_quiet_since(lane.map(Lane), at(ms));
        assert!(is_quiet(None, 5) && is_quiet(Some(0), 5) && is_quiet(Some(1), 5));
        outage.got_through(Lane(0), at(7));
        outage.got_through(Lane(0), at(3));
        assert!(!is_quiet(None, 5) && !is_quiet(Some(0), 5) && is_quiet(Some(1), 5));
        assert!(is_quiet(None, 8) && is_quiet(Some(0), 8), "sent before, though answered later");
    }
}
