//! What a reader beside the run feels: with `--max-latency`, one small read after the other, for the
//! [pace](crate::pace) to go by.
//!
//! It reads what the application reads, in the way in which it does: a row of an account of a merged table, through the
//! same statement, coordinator, replicas and consistency level as the run. A row of `system.local` would be answered by
//! one node from memory, and say nothing of the replicas that are busy. The account is the one that the run has asked for
//! last, so that all nodes have their turn, and what is read is there or is found to be missing as quickly as it can be;
//! how long a read has to queue is what it tells, not how cold the disks are.
//!
//! The read is outside the bound on requests in flight: it must not wait where the run's own requests do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{self, MissedTickBehavior};

use crate::model::{AccountId, Scope, TableIndex};
use crate::pace::Pace;
use crate::storage::{Reader, Width};

/// How often a read begins, at most; there is never more than one.
const EVERY: Duration = Duration::from_millis(10);
/// A read that takes so many times what it may is given up, and counts as that.
const GIVEN_UP_AFTER: u32 = 4;
/// But none is sooner.
const PATIENCE: Duration = Duration::from_millis(250);

/// Whose rows are read.
#[derive(Debug)]
pub(super) struct Probed {
    is_wanted: bool,
    last: Mutex<Option<(TableIndex, Scope, AccountId)>>,
}

impl Probed {
    pub(super) fn new(pace: &Pace) -> Self {
        Self { is_wanted: pace.max_latency().is_some(), last: Mutex::default() }
    }

    /// The run asks for this one's rows.
    pub(super) fn see(&self, table: TableIndex, scope: &Scope, account: &AccountId) {
        if self.is_wanted {
            let seen = (table, scope.clone(), account.clone());
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
    }

    fn last(&self) -> Option<(TableIndex, Scope, AccountId)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads without end, and tells the pace how long it takes.
pub(super) async fn probe<S: Reader>(storage: Arc<S>, pace: Arc<Pace>, probed: Arc<Probed>) {
    let Some(bound) = pace.max_latency() else { return };
    let patience = (bound * GIVEN_UP_AFTER).max(PATIENCE);
    let mut ticks = time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some((table, scope, account)) = probed.last() else { continue };
        let began = Instant::now();
        let read = storage.page(table, (&scope, &account), Width::Slim, 1, None);
        // What is refused is no quick answer. Why, the run's own requests will tell.
        let took = match time::timeout(patience, read).await {
            Ok(Ok(_)) => began.elapsed(),
            Ok(Err(_)) | Err(_) => patience.max(began.elapsed()),
        };
        pace.observe_read(took);
    }
}
