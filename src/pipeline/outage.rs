//! What the whole run meets, told from what one request meets: whether anything gets through at present.
//!
//! A node that is gone, a quorum that is missing, space that is used up: groups do not fail for these. They are waited for
//! until nothing has got through for the retry budget, and then the run stops. It is said when that begins, each minute,
//! and when it is over.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::latency::Operation;
use crate::storage::StorageError;

use super::Operations;

/// What gets through sooner than this was never out.
const HICCUP: Duration = Duration::from_secs(3);
/// How often it is said that nothing gets through.
const REMINDER: Duration = Duration::from_secs(60);

/// When something got through last, and what is waited for.
#[derive(Debug)]
pub(super) struct Outage {
    began: Instant,
    operations: Operations,
    /// When the latest of the requests was sent that got through.
    got_through: Moments,
    /// When a request was given up last because nothing had got through for so long.
    given_up: Moments,
    /// Requests that wait for others to get through, by operation.
    waiting: Vec<AtomicUsize>,
    is_reported: AtomicBool,
    reported: Mutex<Option<Reported>>,
    /// When a request was given up last that was late by itself, in microseconds since then; 0 if none was.
    alone: AtomicU64,
    /// How many there have been.
    waited: AtomicU64,
}

/// The latest of some moments, in microseconds since the beginning: by operation, and of all.
#[derive(Debug)]
struct Moments {
    by_operation: Vec<AtomicU64>,
    all: AtomicU64,
}

impl Moments {
    /// None yet, of so many operations.
    fn new(operations: usize) -> Self {
        let by_operation = (0..operations).map(|_| AtomicU64::new(0)).collect();
        Self { by_operation, all: AtomicU64::new(0) }
    }

    fn of(&self, operation: Option<Operation>) -> &AtomicU64 {
        operation.and_then(|operation| self.by_operation.get(operation.0)).unwrap_or(&self.all)
    }

    fn latest(&self, operation: Option<Operation>) -> u64 {
        self.of(operation).load(Ordering::Relaxed)
    }

    fn add(&self, operation: Option<Operation>, moment: u64) {
        self.of(operation).fetch_max(moment, Ordering::Relaxed);
    }
}

/// What has been said.
#[derive(Clone, Copy, Debug)]
struct Reported {
    /// The requests that do not get through.
    operation: Operation,
    since: Instant,
    last: Instant,
}

impl Outage {
    /// Nothing has been asked yet in any of the operations.
    pub(super) fn new(operations: &Operations) -> Self {
        let count = operations.names().len();
        Self {
            began: Instant::now(),
            operations: operations.clone(),
            got_through: Moments::new(count),
            given_up: Moments::new(count),
            waiting: operations.names().iter().map(|_| AtomicUsize::new(0)).collect(),
            is_reported: AtomicBool::new(false),
            reported: Mutex::default(),
            alone: AtomicU64::new(0),
            waited: AtomicU64::new(0),
        }
    }

    /// A request got through that was sent then. What was under way when another one failed says nothing of what came
    /// since.
    pub(super) fn got_through(&self, operation: Operation, sent: Instant) {
        let sent = self.since_began(sent);
        self.got_through.add(None, sent);
        self.got_through.add(Some(operation), sent);
        if self.is_reported.load(Ordering::Relaxed) {
            self.is_over(operation);
        }
    }

    fn since_began(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.began).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    fn is_over(&self, operation: Operation) {
        let mut reported = self.reported();
        if let Some(out) = reported.filter(|out| out.operation == operation) {
            let took = out.since.elapsed().as_secs();
            tracing::warn!("requests get through again, after {took} s");
            *reported = None;
            self.is_reported.store(false, Ordering::Relaxed);
        }
    }

    /// When the latest was sent that got through, of an operation or of any; the beginning, if nothing did.
    fn last(&self, operation: Option<Operation>) -> Instant {
        self.began + Duration::from_micros(self.got_through.latest(operation))
    }

    /// How long nothing has got through, of an operation or of any, as far as a request can tell that was first sent then.
    pub(super) fn quiet(&self, operation: Option<Operation>, first: Instant) -> Duration {
        self.last(operation).max(first).elapsed()
    }

    /// A request is given up because nothing has got through for too long, of an operation or of any. It gives for how long.
    pub(super) fn give_up(&self, operation: Option<Operation>, first: Instant) -> Duration {
        self.given_up.add(operation, self.since_began(Instant::now()).max(1));
        let quiet = self.quiet(None, first);
        self.reported().map_or(quiet, |out| quiet.max(out.since.elapsed()))
    }

    /// Whether one was given up so, and nothing has got through since: no other has to find out once more.
    pub(super) fn is_given_up(&self, operation: Option<Operation>) -> bool {
        self.given_up.latest(operation) > self.got_through.latest(operation)
    }

    /// Whether nothing has got through that was sent since then, of an operation or of any.
    pub(super) fn is_quiet_since(&self, operation: Option<Operation>, first: Instant) -> bool {
        self.last(operation) <= first
    }

    /// Whether requests of an operation write.
    pub(super) fn is_write(&self, operation: Operation) -> bool {
        self.operations.is_write(operation)
    }

    /// A request waits for others to get through, until what is returned is dropped.
    pub(super) fn wait(&self, operation: Operation) -> impl Drop {
        self.waited.fetch_add(1, Ordering::Relaxed);
        Waiting::begin(self.waiting.get(operation.0))
    }

    /// How many wait so, of an operation or of any.
    pub(super) fn waiting(&self, operation: Option<Operation>) -> usize {
        let of = |waiting: &AtomicUsize| waiting.load(Ordering::Relaxed);
        match operation {
            Some(operation) => self.waiting.get(operation.0).map_or(0, of),
            None => self.waiting.iter().map(of).sum(),
        }
    }

    /// Whether what a late request meets may be its own, although nothing else gets through: fewer than these wait, and it
    /// is the first since anything got through. The next one has it in common with this one.
    pub(super) fn is_met_alone(&self, common: usize) -> bool {
        let is_alone = self.waiting(None) < common;
        let last = self.got_through.latest(None);
        is_alone
            && self.alone.swap(self.since_began(Instant::now()).max(1), Ordering::Relaxed) <= last
    }

    /// Says that nothing gets through, if that has not been said yet, or not for long.
    pub(super) fn tell(&self, operation: Operation, first: Instant, error: &StorageError) {
        let quiet = self.quiet(Some(operation), first);
        if quiet < HICCUP {
            return;
        }
        let now = Instant::now();
        let mut reported = self.reported();
        match &mut *reported {
            None => {
                tracing::warn!("nothing gets through, and is waited for: {}", error.class);
                *reported = Some(Reported { operation, since: first, last: now });
                self.is_reported.store(true, Ordering::Relaxed);
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

    fn reported(&self) -> MutexGuard<'_, Option<Reported>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits.
struct Waiting<'a>(Option<&'a AtomicUsize>);

impl<'a> Waiting<'a> {
    fn begin(of_operation: Option<&'a AtomicUsize>) -> Self {
        of_operation.iter().for_each(|waiting| _ = waiting.fetch_add(1, Ordering::Relaxed));
        Self(of_operation)
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

    /// Of two operations.
    fn of_two() -> Outage {
        let outage = Outage::new(&Operations::default());
        Outage { got_through: Moments::new(2), given_up: Moments::new(2), ..outage }
    }

    #[test]
    fn what_gets_through_of_one_operation_says_nothing_of_another() {
        let outage = of_two();
        let at = |ms| outage.began + Duration::from_millis(ms);
        let is_quiet =
            |operation: Option<usize>, ms| outage.is_quiet_since(operation.map(Operation), at(ms));
        assert!(is_quiet(None, 5) && is_quiet(Some(0), 5) && is_quiet(Some(1), 5));
        outage.got_through(Operation(0), at(7));
        outage.got_through(Operation(0), at(3));
        assert!(!is_quiet(None, 5) && !is_quiet(Some(0), 5) && is_quiet(Some(1), 5));
        assert!(is_quiet(None, 8) && is_quiet(Some(0), 8), "sent before, though answered later");
    }

    #[test]
    fn what_one_request_found_out_holds_for_all_until_something_gets_through() {
        let outage = of_two();
        let (zero, one) = (Some(Operation(0)), Some(Operation(1)));
        let given_up = || [None, zero, one].map(|of| outage.is_given_up(of));
        outage.got_through(Operation(0), outage.began);
        assert_eq!(given_up(), [false; 3]);
        outage.give_up(one, outage.began);
        assert_eq!(given_up(), [false, false, true], "others may get through");
        outage.give_up(None, outage.began);
        assert_eq!(given_up(), [true, false, true]);
        outage.got_through(Operation(0), Instant::now() + Duration::from_secs(1));
        assert_eq!(given_up(), [false, false, true]);
    }
}
