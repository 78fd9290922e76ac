//! Composes the stages: groups in, outcomes out, a window of them after the other.
//!
//! Each group is one async function ([`merge_group`](group::merge_group)) that reads like the steps of a merge, and so
//! is each turn of the other walks. [`walk`] cuts the groups into windows, bounds them and stops them: it alone spawns.
//! A [`window`] lets its groups go on step by step and sends what they ask for together, as large as [`request_limits`];
//! [`attempt`] retries, measures and slows down each request, and [`outage`] tells what they all meet. A failed group never stops the others. What an application
//! writes meanwhile is looked for twice: in the survivor's computed cells behind each group ([`overtaken`]), and on the
//! sources at the end ([`sweep`]). Rows of others that name sources come last ([`mentions`]).
//!
//! May use `model`, `failpoint`, `estimate`, `ranking`, `setting`, `spec`, `readable`, `plan`, `merge`, `storage`,
//! `register`, `events`, `journal`, `history`, `latency` and `pace`; may be used by `verify`, `undo` and `cli`.

mod access;
mod announced;
mod as_of;
mod attempt;
mod deletes;
mod discovered;
mod drain;
mod finish;
mod group;
mod inspect;
pub(crate) mod keys;
mod leftover;
mod mentions;
mod operations;
pub mod others;
mod outage;
mod overtaken;
mod pages;
mod probe;
mod request_limits;
mod rounds;
mod run;
mod scan;
mod settings;
mod sweep;
mod under_way;
mod walk;
mod window;
mod work;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use as_of::AsOf;
pub use attempt::Retry;
pub(crate) use deletes::{Deletes, HotPartition};
pub use group::{GroupError, Merged, merge_group};
pub(crate) use inspect::Absent;
pub use inspect::{Conflict, Figures, Inspected, Selection, inspect};
pub use leftover::{Leftover, kept, reported};
pub use mentions::mentions;
pub use operations::Operations;
pub(crate) use run::{Barred, Busy};
pub use run::{Ended, ErrorLimit, GroupCounts, Known, Limits, Reason, RunOutcome, run};
pub(crate) use scan::ScanProgress;
pub use scan::{Discover, scan};
pub use settings::WorkSettings;
pub(crate) use settings::{DISCOVER, WORK};
pub use sweep::sweep;
pub use under_way::Load;
pub(crate) use walk::MOST_FAILURES;
pub use walk::{Walked, walk};
pub use window::Window;
pub(crate) use window::{IntendError, NextPage, begin_to_reach, reached};

use crate::events::{EventError, EventSink};
use crate::journal::{Codec, Intent, Journal, JournalError, SliceKind, State};
use crate::latency::{Operation, Recorder};
use crate::model::{Event, Group, Row, Scope, TableIndex, Tally, TimestampUs};
use crate::pace::Pace;
use crate::register::{Register, RunTimes};
use crate::spec::Spec;
use crate::storage::StorageError;

use attempt::{Attempts, Otherwise, Retries};
use discovered::Discovered;
use mentions::Survivors;
use outage::Outage;
use probe::Probed;
use request_limits::RequestLimits;
use under_way::Windows;
use window::{ListAttempts, Reached};

/// How many groups that need more than a page per account run at once; each holds a few megabytes.
const LARGE_GROUPS: usize = 8;

/// How many of them run while small ones are left: each asks for as much as hundreds of those.
const LARGE_BESIDE_SMALL: usize = 2;

/// Reads of one kind that one group has under way at once.
pub(crate) const READS: usize = 16;

/// Lets one group hold more than the first page of each partition.
pub(crate) type LargePermit = OwnedSemaphorePermit;

/// Large enough for most groups to be one slice, small enough to be held by every group in flight.
const SLICE_BYTES: usize = 512 * 1024;

/// What all groups of a run share.
#[derive(Debug)]
pub struct Context<S> {
    /// The specification.
    pub spec: Arc<Spec>,
    /// The database.
    pub storage: Arc<S>,
    /// Where events go.
    pub event_sink: EventSink,
    /// Where what is about to be done is made durable first.
    pub journal: Arc<dyn Journal>,
    /// How its bodies are written.
    pub codec: Codec,
    /// Where latencies go; it has the operations of [`Operations`].
    pub recorder: Arc<Recorder>,
    /// The operations of `recorder`.
    pub(crate) operations: Operations,
    /// How many groups run at once.
    pub pace: Arc<Pace>,
    /// What groups are dated.
    pub as_of: AsOf,
    /// How long requests are tried.
    pub retry: Retry,
    /// A slice is journaled and written when its rows hold this many bytes.
    pub slice_bytes: usize,
    /// How groups are worked on.
    pub work: WorkSettings,
    /// What became of accounts over all runs; none where nobody asks it.
    pub register: Option<Arc<dyn Register>>,
    /// At most so many groups per window, where that is not left to what they take.
    pub window: Option<usize>,
    /// The deletes by partition, so far.
    pub deletes: Deletes,
    /// How far a scan is.
    pub scanning: ScanProgress,
    discovered: OnceLock<Discovered>,
    survivors: OnceLock<Survivors>,
    run_times: OnceLock<RunTimes>,
    retries: Arc<Retries>,
    outage: Arc<Outage>,
    produced: AtomicU64,
    probed: Arc<Probed>,
    under_way: Arc<Windows>,
    request_limits: Arc<RequestLimits>,
    large_groups: Arc<Semaphore>,
    list_attempts: ListAttempts,
    reached: Reached,
}

impl<S> Context<S> {
    /// A context with fresh counters and the usual limits.
    ///
    /// # Errors
    /// The journal cannot say how its bodies are written, or not keep how they will be.
    pub fn new(
        spec: Arc<Spec>,
        storage: S,
        event_sink: EventSink,
        journal: Arc<dyn Journal>,
        recorder: Arc<Recorder>,
        pace: Arc<Pace>,
        as_of: AsOf,
    ) -> Result<Self, JournalError> {
        Ok(Self {
            outage: Arc::new(Outage::new(&Operations::new(&spec))),
            operations: Operations::new(&spec),
            codec: Codec::open(&spec, &*journal)?,
            recorder,
            under_way: Arc::default(),
            probed: Arc::new(Probed::new(&pace)),
            request_limits: Arc::new(RequestLimits::new(&spec)),
            large_groups: Arc::new(Semaphore::new(LARGE_GROUPS)),
            retries: Arc::default(),
            produced: AtomicU64::new(0),
            spec,
            storage: Arc::new(storage),
            event_sink,
            journal,
            pace,
            as_of,
            retry: Retry::default(),
            slice_bytes: SLICE_BYTES,
            work: WorkSettings::default(),
            register: None,
            window: window_of_tests(),
            deletes: Deletes::default(),
            scanning: ScanProgress::default(),
            discovered: OnceLock::new(),
            survivors: OnceLock::new(),
            run_times: OnceLock::new(),
            list_attempts: ListAttempts::default(),
            reached: Reached::default(),
        })
    }

    /// Notes when runs have written to the accounts that are merged; whoever does not know that takes all times for the
    /// application's.
    pub fn know_run_times(&self, times: RunTimes) {
        // It is asked once, before the first group.
        let _ = self.run_times.set(times);
    }

    /// Has what a run wrote of a row that is merged be older than what the application did.
    fn mark_runs(&self, row: &mut Row) {
        self.run_times.get().into_iter().for_each(|times| times.mark(row));
    }

    /// Carries out a request: retried, measured, and counted by the pace.
    ///
    /// # Errors
    /// The last attempt's, once it is permanent or the retry budget is spent.
    pub(crate) async fn carry_out<T, F>(
        &self,
        operation: Operation,
        request: impl FnMut() -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        self.attempts(1).carry_out(operation, request).await
    }

    /// Attempts at a request of so much at once.
    fn attempts(&self, asked: usize) -> Attempts {
        Attempts {
            recorder: Arc::clone(&self.recorder),
            pace: Arc::clone(&self.pace),
            retry: self.retry,
            retries: Arc::clone(&self.retries),
            otherwise: Otherwise::Fails,
            outage: Arc::clone(&self.outage),
            is_apart: false,
            request_limits: Arc::clone(&self.request_limits),
            bytes: 0,
            asked,
        }
    }

    /// What is to be recorded of a group: part of no merge's counts, and leading nowhere, unless that is added.
    pub(crate) fn intent(
        &self,
        group: &Group,
        (kind, state): (SliceKind, State),
        t: TimestampUs,
        body: Vec<u8>,
    ) -> Intent {
        Intent {
            group: group.index,
            state,
            survivor: group.survivor.clone(),
            pairs: group.pairs.clone(),
            t,
            kind,
            completes: false,
            tally: Tally::new(self.spec.tables.len()),
            scopes: Vec::new(),
            body,
        }
    }

    /// The scopes of a table in which a scan has found rows of a group's sources.
    fn discovered(&self, table: TableIndex, group: usize) -> impl Iterator<Item = Scope> {
        let found = self.discovered.get().into_iter();
        found.flat_map(move |found| found.scopes(table, group))
    }

    /// The database; `None` while anything still runs.
    pub fn into_storage(self) -> Option<S> {
        Arc::into_inner(self.storage)
    }

    /// What is under way.
    pub fn load(&self) -> Load {
        self.under_way.load()
    }

    /// Attempts after the first, so far.
    pub fn retries(&self) -> u64 {
        self.retries.count()
    }

    /// Why a request was tried again last, if one was.
    pub(crate) fn last_retry(&self) -> Option<String> {
        self.retries.last()
    }

    /// Events that were handed to the event sink, so far.
    pub(crate) fn produced(&self) -> u64 {
        self.produced.load(Ordering::Relaxed)
    }

    /// Delivers the events of a group; returns when all are acknowledged.
    ///
    /// # Errors
    /// The first event that could not be delivered.
    pub(crate) async fn deliver(&self, events: Vec<Event>) -> Result<(), EventError> {
        self.produced.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.event_sink.deliver(events).await.map(drop)
    }

    /// Waits until one more group may hold more than the first page of each partition.
    pub async fn admit_large_group(&self) -> LargePermit {
        loop {
            // The semaphore is never closed.
            if let Ok(permit) = Arc::clone(&self.large_groups).acquire_owned().await {
                return permit;
            }
        }
    }

    /// Keeps large groups down while small ones are left; `None` if too many are under way at the moment.
    fn keep_large_groups_down(&self) -> Option<LargePermit> {
        let groups = LARGE_GROUPS - LARGE_BESIDE_SMALL;
        Arc::clone(&self.large_groups).try_acquire_many_owned(groups as u32).ok()
    }
}

/// The groups of a window where a test says it: debug builds ask `TRIBUTARY_WINDOW`.
fn window_of_tests() -> Option<usize> {
    if !cfg!(debug_assertions) {
        return None;
    }
    std::env::var("TRIBUTARY_WINDOW").ok()?.parse().ok()
}
