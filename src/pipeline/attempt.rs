//! One request, tried until it succeeds, is refused, or its retry budget is spent.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::latency::{Operation, Recorder};
use crate::pace::Pace;
use crate::storage::{Fault, StorageError};

use super::outage::Outage;
use super::request_limits::RequestLimits;

/// How long a request is tried as a whole.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long is waited for a write of few groups at which replicas fail: it may be theirs alone.
const ALONE: Duration = Duration::from_secs(30);
/// So many that fail at once have it in common.
const COMMON: usize = 3;

/// How long a request is tried, and how the pauses grow.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// No new attempt starts when this has passed since the first; where whoever asks meets the same, since anything got
    /// through.
    pub budget: Duration,
    /// The first pause; it doubles each time, and each pause is shortened at random by up to a half.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// How often a request is tried at which a replica fails, although others get through.
    pub replica_tries: u32,
}

impl Default for Retry {
    /// Two minutes: longer than a node takes to restart, short enough for a group to be given up.
    fn default() -> Self {
        Self {
            budget: Duration::from_secs(120),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(5),
            replica_tries: 5,
        }
    }
}

/// What was tried again: how often, and why the last time.
#[derive(Debug, Default)]
pub(super) struct Retries {
    count: AtomicU64,
    last: Mutex<Option<String>>,
}

impl Retries {
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, error: &StorageError) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

/// What becomes of a request that fails.
#[derive(Clone, Copy, Debug)]
pub(super) enum Otherwise {
    Fails,
    /// It is asked for in parts: soon, if it may have been too much.
    IsLess {
        /// How often it is tried if it is not answered in time.
        late_tries: u32,
    },
}

/// Tries requests, records their latencies and tells the pace of overload.
#[derive(Clone, Debug)]
pub(super) struct Attempts {
    /// Where latencies go, one per attempt.
    pub(super) recorder: Arc<Recorder>,
    /// What slows down.
    pub(super) pace: Arc<Pace>,
    /// The limits.
    pub(super) retry: Retry,
    /// What becomes of a request that fails.
    pub(super) otherwise: Otherwise,
    /// Whether anything gets through.
    pub(super) outage: Arc<Outage>,
    /// Whether another part of what this is a part of got through.
    pub(super) is_apart: bool,
    /// Counts attempts after the first.
    pub(super) retries: Arc<Retries>,
    /// What is asked for at once, in accounts or batches.
    pub(super) asked: usize,
    /// The bytes of the answer, as far as can be told.
    pub(super) bytes: usize,
    /// Where there has to be room for them.
    pub(super) request_limits: Arc<RequestLimits>,
}

impl Attempts {
    /// Carries out a request; `request` is called once per attempt.
    ///
    /// # Errors
    /// The last attempt's, once it is permanent or the budget is spent.
    pub(super) async fn carry_out<T, F>(
        &self,
        operation: Operation,
        mut request: impl FnMut() -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let (first, mut failed, mut waiting) = (Instant::now(), None, None);
        let mut pause = self.retry.first_pause;
        let mut tries = 1_u32;
        loop {
            let room = self.request_limits.room(self.bytes).await;
            let permit = self.pace.admit().await;
            let began = Instant::now();
            // Thousands wait for their turn: they need no room for what the driver holds of a request until then.
            let result = Box::pin(request()).await;
            self.recorder.record(operation, began.elapsed());
            drop((permit, room));
            let error = match result {
                Ok(value) => {
                    self.outage.got_through(operation, began);
                    self.pace.answered(self.asked);
                    return Ok(value);
                }
                Err(error) => error,
            };
            if matches!(error.kind, Fault::Transient | Fault::TimedOut | Fault::Late) {
                self.pace.overloaded();
            }
            let failed = *failed.get_or_insert_with(Instant::now);
            match self.next(operation, error.kind, (first, failed, tries, pause)) {
                Next::Again => {}
                Next::Waits => {
                    if matches!(self.otherwise, Otherwise::Fails) {
                        waiting.get_or_insert_with(|| self.outage.wait(operation));
                    }
                    self.outage.tell(operation, first, &error);
                }
                Next::GivesUp => return Err(given_up(error, tries, first)),
                Next::Stops(of) => {
                    let quiet = self.outage.give_up(of, first).as_secs();
                    let message = format!("nothing has got through for {quiet} s: {error}");
                    let class = format!("nothing gets through: {}", error.class);
                    return Err(StorageError { message, class, kind: Fault::Fatal });
                }
            }
            tracing::debug!("attempt {tries} failed and is repeated: {error}");
            self.retries.add(&error);
            // Jitter keeps dozens of requests from coming back at the same instant.
            tokio::time::sleep(pause.mul_f64(1.0 - fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(self.retry.longest_pause);
            tries += 1;
        }
    }

    /// What comes after an attempt that failed so, when it has been tried so long and so often, and would be tried again
    /// after such a pause.
    fn next(
        &self,
        operation: Operation,
        why: Fault,
        (first, failed, tries, pause): (Instant, Instant, u32, Duration),
    ) -> Next {
        let budget = self.retry.budget;
        let waited = first.elapsed() + pause;
        let waits = |operation| match self.outage.quiet(operation, first) {
            quiet if quiet + pause > budget => Next::Stops(operation),
            _ if self.outage.is_given_up(operation) => Next::Stops(operation),
            _ if self.outage.is_quiet_since(operation, first) => Next::Waits,
            _ => Next::Again,
        };
        match (why, self.otherwise) {
            (Fault::Permanent | Fault::Fatal, _) => Next::GivesUp,
            (Fault::Forgotten, _) if waited > budget => Next::GivesUp,
            (Fault::Forgotten, _) => Next::Again,
            // Others may wait for what is learnt from it.
            (Fault::Transient, Otherwise::IsLess { .. }) if waited > PATIENCE.min(budget) => {
                Next::GivesUp
            }
            (Fault::Transient, _) => waits(None),
            (Fault::TimedOut | Fault::Late, Otherwise::IsLess { late_tries })
                if tries >= late_tries =>
            {
                Next::GivesUp
            }
            // Others are answered: it is this request that takes too long.
            (Fault::TimedOut | Fault::Late, _)
                if waited > budget && self.outage.quiet(None, first) < waited / 2 =>
            {
                Next::GivesUp
            }
            // There are no others, but a server that says so: the run goes on without what this one is for.
            (Fault::Late, _) if waited > budget && self.outage.is_met_alone(COMMON) => {
                Next::GivesUp
            }
            (Fault::TimedOut | Fault::Late, _) => waits(None),
            (Fault::Replica, Otherwise::IsLess { .. }) => Next::GivesUp,
            (Fault::Replica, Otherwise::Fails) if tries < self.retry.replica_tries => Next::Again,
            // No write to the table gets through: there is no space left for them, perhaps.
            (Fault::Replica, Otherwise::Fails)
                if !self.is_apart
                    && self.outage.is_write(operation)
                    && self.outage.is_quiet_since(Some(operation), failed) =>
            {
                match waited > ALONE.min(budget) && self.outage.waiting(Some(operation)) < COMMON {
                    true => Next::GivesUp,
                    false => waits(Some(operation)),
                }
            }
            (Fault::Replica, Otherwise::Fails) => Next::GivesUp,
        }
    }
}

/// What was tried again says how often, and for how long.
fn given_up(mut error: StorageError, tries: u32, first: Instant) -> StorageError {
    if !matches!(error.kind, Fault::Permanent | Fault::Fatal) {
        let spent = first.elapsed().as_secs_f64();
        error.message = format!("{} (tried {tries} times in {spent:.1} s)", error.message);
    }
    error
}

/// What comes after an attempt that failed.
enum Next {
    /// It is tried again.
    Again,
    /// The same; nobody else gets through either.
    Waits,
    /// The request has failed.
    GivesUp,
    /// Nothing has got through for so long, of an operation or of any, that the run stops.
    Stops(Option<Operation>),
}
