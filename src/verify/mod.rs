//! Verify: what the tables hold, compared with what a run should have left there.
//!
//! Each group that is done is read once, with write times: the survivor's rows of every key that a source had,
//! and whatever the sources own again. [`judge`] says of each row what is different and what has merely
//! changed since; a difference is read again before it is believed. With `--repair`, what is missing
//! or worse is journaled, written again and looked at once more.
//!
//! Deliberately absent: printing, exit codes, and any write without [`Options::repair`].
//!
//! May use `model`, `failpoint`, `setting`, `spec`, `readable`, `merge`, `storage`, `register`, `events`, `journal`, `history` and
//! `pipeline`; may be used by `report` and `cli`.

mod announce;
mod case;
mod counts;
mod diff;
mod expected;
mod group;
mod judge;
mod lines;
mod progress;
mod repair;
mod settings;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::watch;

use crate::events::EventError;
use crate::failpoint;
use crate::journal::{Journal, JournalError, State};
use crate::pipeline::{self, Context, IntendError, MOST_FAILURES, Walked, Window, walk};
use crate::storage::{Fault, StorageError, Writer};

pub(crate) use counts::{Counts, TableCounts};
pub(crate) use diff::{CELL_COLUMNS, DiffError};
pub(crate) use judge::Verdict;
pub use settings::Options;
pub(crate) use settings::VERIFY;

use diff::Diff;
use lines::Shared;
use progress::Checkpoint;

/// How often progress is kept.
const KEPT_EVERY: Duration = Duration::from_secs(1);

/// What came of it.
#[derive(Debug)]
pub struct Verified {
    pub ended: Walked,
    /// The groups of the journal, by state. Those that are done are compared, the others are not.
    pub states: BTreeMap<String, u64>,
    /// Groups that are done.
    pub done: u64,
    /// Groups that an earlier verify had compared; what it counted is part of `counts`.
    pub before: u64,
    pub counts: Counts,
    /// Groups that could not be compared.
    pub failed: u64,
    /// Why the first of them could not.
    pub error: Option<VerifyError>,
    /// What every other group would meet as well; those that met it are left, and not failed.
    pub stopped_by: Option<VerifyError>,
}

/// Why a group could not be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A read or write failed for good.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the journal holds of the group cannot be understood.
    #[error("the journal's record of the group cannot be read: {0}")]
    Record(String),
    /// The event of a repair was refused.
    #[error("rows are repaired, but an event could not be delivered: {0}")]
    Events(#[from] EventError),
    /// What was found cannot be written down.
    #[error(transparent)]
    Diff(#[from] DiffError),
}

impl From<IntendError> for VerifyError {
    fn from(error: IntendError) -> Self {
        match error {
            IntendError::Altered(error) => Self::Storage(error),
            IntendError::Journal(error) => Self::Journal(error),
        }
    }
}

impl VerifyError {
    /// Whether every other group would fail as well.
    pub(crate) fn is_fatal(&self) -> bool {
        match self {
            Self::Storage(error) => error.kind == Fault::Fatal,
            Self::Events(error) => error.is_fatal(),
            Self::Journal(error) => error.is_fatal(),
            Self::Diff(_) => true,
            Self::Record(_) => false,
        }
    }
}

/// What groups are called whose accounts a later run has merged on.
pub(crate) const MERGED_ON: &str = "merged-on";

/// Compares every group that is done, but for those that a later run has `merged_on`: what this one left there is that
/// one's by now. `diff` is where diff.csv is kept, `progress` can be watched meanwhile.
///
/// # Errors
/// The journal or diff.csv failed. The error of a single group is part of what is returned instead.
pub async fn verify<S: Writer>(
    context: &Arc<Context<S>>,
    options: Options,
    merged_on: &BTreeSet<usize>,
    diff: &Path,
    progress: &pipeline::GroupCounts,
    stop: watch::Receiver<bool>,
) -> Result<Verified, VerifyError> {
    let journal = Arc::clone(&context.journal);
    journal.flush().await?;
    let states = journal.states()?;
    let mut done: Vec<usize> = Vec::new();
    let mut by_state = BTreeMap::new();
    for (group, state) in states {
        let is_on = state == State::Done && merged_on.contains(&group);
        let name = if is_on { MERGED_ON.to_owned() } else { state.to_string() };
        *by_state.entry(name).or_insert(0) += 1;
        if state == State::Done && !is_on {
            done.push(group);
        }
    }
    done.sort_unstable();
    let fresh = Checkpoint::new(options, done.len(), context.spec.tables.len());
    let (kept, diff) = begin(fresh, options, &*journal, diff)?;
    let (before, groups_done) = (kept.counts.groups, done.len() as u64);
    progress.done.fetch_add(before, Ordering::Relaxed);
    done.retain(|group| kept.is_left(*group));

    let shared = Arc::new(Shared::new(diff));
    let kept = Arc::new(Mutex::new(kept));
    let (mut failed, mut error, mut stopped_by, mut broken) = (0, None, None, None);
    let mut last_kept = Instant::now();
    let work = |window: Arc<Window<S>>, group: usize| {
        lock(&kept).begin(group);
        let shared = Arc::clone(&shared);
        async move {
            let began = Instant::now();
            let checked = group::check(&window, &shared, group, options.repair).await;
            if checked.is_ok() {
                window.recorder.record(window.operations.group(), began.elapsed());
            }
            (group, checked)
        }
    };
    let on_end = |(group, checked): (usize, Result<group::Checked, VerifyError>)| {
        let ended = checked.and_then(|checked| {
            shared.end(&checked.lines)?;
            lock(&kept).end(group, &checked.counts);
            progress.done.fetch_add(1, Ordering::Relaxed);
            failpoint::hit("compared");
            if last_kept.elapsed() >= KEPT_EVERY {
                last_kept = Instant::now();
                shared.keep(&mut lock(&kept), &*journal)?;
            }
            Ok(())
        });
        let Err(why) = ended else { return ControlFlow::Continue(()) };
        if why.is_fatal() && matches!(why, VerifyError::Journal(_) | VerifyError::Diff(_)) {
            broken.get_or_insert(why);
            return ControlFlow::Break(());
        }
        if why.is_fatal() {
            stopped_by.get_or_insert(why);
            return ControlFlow::Break(());
        }
        tracing::error!("a group could not be verified: {why}");
        progress.failed.fetch_add(1, Ordering::Relaxed);
        failed += 1;
        error.get_or_insert(why);
        if failed > MOST_FAILURES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let ended = walk(context, Window::writing, done, stop, work, on_end).await;
    if let Some(broken) = broken {
        return Err(broken);
    }
    let mut kept = lock(&kept);
    if ended == Walked::Finished {
        kept.finish();
    }
    shared.keep(&mut kept, &*journal)?;
    Ok(Verified {
        ended,
        states: by_state,
        done: groups_done,
        before,
        counts: kept.counts.clone(),
        failed,
        error,
        stopped_by,
    })
}

/// Takes up what an earlier verify left to do, or begins anew.
fn begin(
    fresh: Checkpoint,
    options: Options,
    journal: &dyn Journal,
    path: &Path,
) -> Result<(Checkpoint, Diff), VerifyError> {
    let earlier = if options.restart { None } else { fresh.of_earlier(journal)? };
    if let Some(earlier) = earlier.filter(|earlier| earlier.diff_bytes > 0)
        && let Some(diff) = Diff::resume(path, earlier.diff_bytes)?
    {
        return Ok((earlier, diff));
    }
    let mut fresh = fresh;
    // Before the file is begun, for what an earlier verify kept does not belong to the new one.
    fresh.keep(journal)?;
    let mut diff = Diff::begin(path)?;
    fresh.diff_bytes = diff.sync()?;
    Ok((fresh, diff))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
