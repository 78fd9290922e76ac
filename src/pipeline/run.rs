//! All groups of a plan, a bounded number at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use crate::journal::{Note, State};
use crate::model::{Group, Outcome, Tally};
use crate::pace::Permit;
use crate::plan::Plan;
use crate::storage::Writer;

use super::{Context, GroupError, LargePermit, merge_group};

/// When a run ends before its plan does.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Only so many groups, the first of the plan.
    pub groups: usize,
    /// More failed groups than this stop the run.
    pub errors: ErrorLimit,
}

/// How many groups may fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ErrorLimit {
    /// So many.
    Groups(u64),
    /// This share of the groups to be run, in percent.
    Percent(f64),
}

impl ErrorLimit {
    fn is_exceeded(self, failed: u64, groups: u64) -> bool {
        match self {
            Self::Groups(limit) => failed > limit,
            Self::Percent(limit) => failed as f64 * 100.0 > limit * groups as f64,
        }
    }
}

/// Where the groups of a plan stand, as the journal of an earlier session says: one byte per group.
#[derive(Clone, Debug, Default)]
pub struct Known(Vec<Option<State>>);

impl Known {
    /// From the groups that the journal knows.
    pub fn new(states: impl IntoIterator<Item = (usize, State)>) -> Self {
        let mut known = Vec::new();
        for (group, state) in states {
            known.resize(known.len().max(group + 1), None);
            known[group] = Some(state);
        }
        Self(known)
    }

    /// Where a group stands; `None` if nothing was done for it.
    pub fn state(&self, group: usize) -> Option<State> {
        self.0.get(group).copied().flatten()
    }

    /// How many groups were taken back, or are being taken back.
    pub fn taken_back(&self) -> usize {
        use State::{Disputed, Undoing, Undone};
        let is_taken_back =
            |state: &&Option<State>| matches!(state, Some(Undoing | Undone | Disputed));
        self.0.iter().filter(is_taken_back).count()
    }

    /// Whether there is nothing left to be done for a group: it is done, or was taken back since.
    pub fn is_over(&self, group: usize) -> bool {
        use State::{Disputed, Done, Undoing, Undone};
        matches!(self.state(group), Some(Done | Undoing | Undone | Disputed))
    }
}

/// Counters that can be watched while a run goes on.
#[derive(Debug, Default)]
pub struct Progress {
    /// Groups that ended well.
    pub done: AtomicU64,
    /// Groups that were given up.
    pub failed: AtomicU64,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every group had its turn.
    Finished,
    /// It was asked to stop; the groups in flight were finished.
    Interrupted,
    /// Too many groups failed.
    TooManyErrors,
    /// Something failed that every other group needs as well.
    Hopeless,
}

/// What a run did.
#[derive(Debug)]
pub struct RunOutcome {
    /// Why it ended.
    pub ended: Ended,
    /// Groups that ended well.
    pub done: u64,
    /// Their pairs.
    pub pairs_merged: u64,
    /// Groups that were given up.
    pub failed: u64,
    /// Their pairs.
    pub pairs_failed: u64,
    /// What was done in the groups that ended well.
    pub tally: Tally,
}

/// Why a group was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// In full.
    pub reason: String,
    /// Without what differs from group to group, for counting.
    pub class: String,
}

/// Runs the groups of a plan that an earlier session has not finished. `on_failure` is told of each group that was given up, with the reason.
///
/// Beside what was done, it returns the first error of `on_failure`: a failure that cannot be written
/// down must not pass in silence. No group is started after it, and those in flight are finished.
pub async fn run<S: Writer, E>(
    context: &Arc<Context<S>>,
    plan: &Plan,
    known: &Known,
    limits: Limits,
    progress: &Progress,
    mut stop: watch::Receiver<bool>,
    mut on_failure: impl FnMut(&Group, &Reason) -> Result<(), E>,
) -> (RunOutcome, Result<(), E>) {
    let total = plan.len().min(limits.groups);
    let mut outcome = RunOutcome {
        tally: Tally::new(context.spec.tables.len()),
        ..RunOutcome::nothing(Ended::Finished)
    };
    let mut running = JoinSet::new();
    let mut ran = HashMap::new();
    let start = |index, large, permit, running: &mut JoinSet<_>, ran: &mut HashMap<_, _>| {
        let (context, group, earlier) =
            (Arc::clone(context), plan.group(index), known.state(index));
        let this = Ran { index, pairs: group.pairs.len() as u64 };
        let task = running.spawn(run_group(context, group, earlier, large, permit));
        ran.insert(task.id(), this);
    };
    let mut next = 0;
    // Groups that turned out to be large when there were enough of those.
    let mut put_off = VecDeque::new();
    let mut kept_down = Some(context.keep_large_groups_down().await);
    let mut unwritten = None;
    loop {
        while next < total && known.is_over(next) {
            next += 1;
        }
        if next >= total {
            drop(kept_down.take());
            if put_off.is_empty() && running.is_empty() {
                break;
            }
        }
        let is_on = outcome.ended == Ended::Finished;
        let (has_next, has_put_off) = (is_on && next < total, is_on && !put_off.is_empty());
        tokio::select! {
            biased;
            Some(joined) = running.join_next_with_id() => {
                let (ran, ended) = which(joined, &mut ran);
                let Some(ended) = ended else {
                    put_off.push_back(ran.index);
                    continue;
                };
                match ended {
                    Outcome::Done(tally) => outcome.add_done(ran, &tally, progress),
                    Outcome::Failed { reason, class, fatal } => {
                        outcome.add_failed(ran, progress);
                        if fatal {
                            outcome.ended = Ended::Hopeless;
                        }
                        let group = plan.group(ran.index);
                        note_failure(context, &group, &reason);
                        if let Err(error) = on_failure(&group, &Reason { reason, class }) {
                            outcome.ended = Ended::Hopeless;
                            unwritten.get_or_insert(error);
                        }
                    }
                }
                if outcome.ended == Ended::Finished
                    && limits.errors.is_exceeded(outcome.failed, total as u64)
                {
                    outcome.ended = Ended::TooManyErrors;
                }
            }
            _ = stop.wait_for(|stop| *stop), if has_next || has_put_off => {
                outcome.ended = Ended::Interrupted;
            }
            (large, permit) = admit_large(context), if has_put_off => {
                let Some(index) = put_off.pop_front() else { continue };
                start(index, Some(large), permit, &mut running, &mut ran);
            }
            permit = context.pace.admit(), if has_next => {
                start(next, None, permit, &mut running, &mut ran);
                next += 1;
            }
            else => break,
        }
    }
    (outcome, unwritten.map_or(Ok(()), Err))
}

/// Notes a group that was given up, or whose task panicked.
fn note_failure<S>(context: &Context<S>, group: &Group, reason: &str) {
    let noted = context.journal.note(Note {
        group: group.index,
        state: State::Failed,
        reason: Some(reason.to_owned()),
        known_as: Some((group.survivor.clone(), group.pairs.clone())),
    });
    // A journal that cannot note it has failed before, and that is told already; the group is taken up
    // again in any case.
    if let Err(error) = noted {
        tracing::debug!("a failed group is not noted: {error}");
    }
}

/// Waits until one more group may run, and be large.
async fn admit_large<S>(context: &Context<S>) -> (LargePermit, Permit) {
    (context.admit_large_group().await, context.pace.admit().await)
}

/// One group, measured; it holds its permit until it ends. `None` if it is put off.
async fn run_group<S: Writer>(
    context: Arc<Context<S>>,
    group: Group,
    earlier: Option<State>,
    large: Option<LargePermit>,
    permit: Permit,
) -> Option<Outcome> {
    let began = Instant::now();
    let result = merge_group(&context, &group, earlier, large).await;
    drop(permit);
    Some(match result {
        Ok(tally) => {
            context.recorder.record(context.lanes.group(), began.elapsed());
            context.pace.succeeded();
            Outcome::Done(tally)
        }
        Err(GroupError::PutOff) => return None,
        Err(error) => {
            let reason = error.to_string();
            Outcome::Failed { fatal: error.is_fatal(), class: error.class(), reason }
        }
    })
}

/// A group that was started.
#[derive(Clone, Copy, Debug, Default)]
struct Ran {
    index: usize,
    pairs: u64,
}

/// Which group a task ran, and how it ended; a task that panicked is a failed group.
fn which(
    joined: Result<(Id, Option<Outcome>), JoinError>,
    ran: &mut HashMap<Id, Ran>,
) -> (Ran, Option<Outcome>) {
    let (id, outcome) = joined.unwrap_or_else(|error| {
        let reason = format!("internal error, please report it: {error}");
        (error.id(), Some(Outcome::Failed { class: reason.clone(), reason, fatal: false }))
    });
    (ran.remove(&id).unwrap_or_default(), outcome)
}

impl RunOutcome {
    /// No group was begun.
    pub fn nothing(ended: Ended) -> Self {
        Self {
            ended,
            done: 0,
            pairs_merged: 0,
            failed: 0,
            pairs_failed: 0,
            tally: Tally::default(),
        }
    }

    fn add_done(&mut self, ran: Ran, tally: &Tally, progress: &Progress) {
        self.done += 1;
        self.pairs_merged += ran.pairs;
        self.tally.add(tally);
        progress.done.fetch_add(1, Ordering::Relaxed);
    }

    fn add_failed(&mut self, ran: Ran, progress: &Progress) {
        self.failed += 1;
        self.pairs_failed += ran.pairs;
        progress.failed.fetch_add(1, Ordering::Relaxed);
    }
}
