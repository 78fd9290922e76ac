//! One request, tried until it succeeds, is refused, or its retry budget is spent.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::latency::{Lane, Recorder};
use crate::pace::Pace;
use crate::storage::{Fault, StorageError};

use super::fits::Fits;

/// How long a request is tried, and how the pauses grow.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// No new attempt starts when this has passed since the first.
    pub budget: Duration,
    /// The first pause; it doubles each time, and each pause is shortened at random by up to a half.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How often a request is tried at which a replica fails.
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

/// Tries requests, records their latencies and tells the pace of overload.
#[derive(Clone, Debug)]
pub(super) struct Attempts {
    /// Where latencies go, one per attempt.
    pub(super) recorder: Arc<Recorder>,
    /// What slows down.
    pub(super) pace: Arc<Pace>,
    /// The limits.
    pub(super) retry: Retry,
    /// How often a request is tried that is not answered in time: one that asks for much is soon asked for in halves.
    pub(super) late_tries: u32,
    /// Counts attempts after the first.
    pub(super) retries: Arc<Retries>,
    /// What is asked for at once, in accounts or batches.
    pub(super) asked: usize,
    /// The bytes of the answer, as far as can be told.
    pub(super) bytes: usize,
    /// Where there has to be room for them.
    pub(super) fits: Arc<Fits>,
}

impl Attempts {
    /// Carries out a request; `request` is called once per attempt.
    ///
    /// # Errors
    /// The last attempt's, once it is permanent or the budget is spent.
    pub(super) async fn carry_out<T, F>(
        &self,
        lane: Lane,
        mut request: impl FnMut() -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let first = Instant::now();
        let mut pause = self.retry.first_pause;
        let mut tries = 1_u32;
        loop {
            let room = self.fits.room(self.bytes).await;
            let permit = self.pace.admit().await;
            let began = Instant::now();
            // Thousands wait for their turn: they need no room for what the driver holds of a request until then.
            let result = Box::pin(request()).await;
            self.recorder.record(lane, began.elapsed());
            drop((permit, room));
            let mut error = match result {
                Ok(value) => {
                    self.pace.answered(self.asked);
                    return Ok(value);
                }
                Err(error) => error,
            };
            let is_spent = match error.kind {
                Fault::Permanent | Fault::Fatal => return Err(error),
                Fault::Replica => tries >= self.retry.replica_tries,
                Fault::Transient | Fault::TimedOut => {
                    self.pace.overloaded();
                    let is_late = error.kind == Fault::TimedOut && tries >= self.late_tries;
                    is_late || first.elapsed() + pause > self.retry.budget
                }
            };
            if is_spent {
                let spent = first.elapsed().as_secs_f64();
                error.message = format!("{} (tried {tries} times in {spent:.1} s)", error.message);
                return Err(error);
            }
            tracing::debug!("attempt {tries} failed and is repeated: {error}");
            self.retries.add(&error);
            // Jitter keeps dozens of requests from coming back at the same instant.
            tokio::time::sleep(pause.mul_f64(1.0 - fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(self.retry.longest_pause);
            tries += 1;
        }
    }
}
