//! All groups of a plan, a bounded number at a time.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use tokio::sync::watch;

use crate::journal::{Note, State};
use crate::model::{Amount, Group, Tally};
use crate::plan::Plan;
use crate::storage::Writer;

use super::mentions::Survivors;
use super::walk::{Fate, Walked, in_windows};
use super::{Context, GroupError, LargePermit, Merged, Window, merge_group};

/// When a run ends before its plan does.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Only so many groups, the first of the plan.
    pub groups: usize,
    /// More failed groups than this stop the run.
    pub errors: ErrorLimit,
}

/// None.
impl Default for Limits {
    fn default() -> Self {
        Self { groups: usize::MAX, errors: ErrorLimit::Percent(100.0) }
    }
}

/// How many groups may fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ErrorLimit {
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
pub struct Known {
    states: Vec<Option<State>>,
    barred: Barred,
}

/// Groups that other runs stand in the way of.
#[derive(Clone, Debug, Default)]
pub struct Barred {
    /// Those that wait for a run, and why: it has not ended with their accounts, or has to be undone first.
    pub(crate) busy: HashMap<usize, Busy>,
    /// Those that were never begun and are not any more, and why: their accounts went elsewhere.
    pub(crate) rejected: HashMap<usize, String>,
    /// Those that are done, and whose accounts another run has worked on since: what their sources get late is not
    /// theirs to place. With that run.
    pub(crate) moved_on: HashMap<usize, String>,
}

/// What a group waits for.
#[derive(Clone, Debug)]
pub(crate) struct Busy {
    /// The run that has to be ended, or undone, first.
    pub(crate) run: String,
    pub(crate) why: String,
}

impl Barred {
    /// The groups that are neither merged nor resumed, and why; the first of the plan first.
    pub fn groups(&self) -> impl Iterator<Item = (usize, &str)> {
        let busy = self.busy.iter().map(|(group, busy)| (*group, &*busy.why));
        let rejected = self.rejected.iter().map(|(group, why)| (*group, &**why));
        let mut groups: Vec<(usize, &str)> = busy.chain(rejected).collect();
        groups.sort_unstable();
        groups.into_iter()
    }

    fn keeps_out(&self, group: usize) -> bool {
        self.busy.contains_key(&group) || self.rejected.contains_key(&group)
    }
}

impl Known {
    /// From the groups that the journal knows.
    pub fn new(states: impl IntoIterator<Item = (usize, State)>) -> Self {
        let mut known = Vec::new();
        for (group, state) in states {
            known.resize(known.len().max(group + 1), None);
            known[group] = Some(state);
        }
        Self { states: known, barred: Barred::default() }
    }

    /// The same, with the groups that other runs stand in the way of.
    pub fn with(self, barred: Barred) -> Self {
        Self { barred, ..self }
    }

    /// The groups that other runs stand in the way of.
    pub(crate) fn barred(&self) -> &Barred {
        &self.barred
    }

    /// Where a group stands; `None` if nothing was done for it.
    pub fn state(&self, group: usize) -> Option<State> {
        self.states.get(group).copied().flatten()
    }

    /// How many groups were undone, or are being undone.
    pub fn undone(&self) -> usize {
        use State::{Disputed, Undoing, Undone};
        let is_undone = |state: &&Option<State>| matches!(state, Some(Undoing | Undone | Disputed));
        self.states.iter().filter(is_undone).count()
    }

    /// Whether an undo of the run would find nothing to do, but for keys that somebody had changed.
    pub(crate) fn is_undone_whole(&self) -> bool {
        use State::{Disputed, Erased, Rejected, Undone};
        let is_over = |state: &State| matches!(state, Disputed | Rejected | Undone | Erased);
        self.states.iter().flatten().all(is_over)
    }

    /// Whether keys were left alone in a group that was undone.
    pub(crate) fn has_disputed(&self) -> bool {
        self.states.contains(&Some(State::Disputed))
    }

    /// Whether there is nothing left to be done for a group: it is done, or was undone since.
    pub fn is_over(&self, group: usize) -> bool {
        use State::{Disputed, Done, Erased, Undoing, Undone};
        matches!(self.state(group), Some(Done | Undoing | Undone | Disputed | Erased))
    }

    /// Whether a group is to be merged, or resumed.
    pub(crate) fn is_left(&self, group: usize) -> bool {
        !self.is_over(group) && !self.barred.keeps_out(group)
    }

    /// Where a group stands of which something may have been written.
    fn begun(&self, group: usize) -> Option<State> {
        self.state(group).filter(|state| *state != State::Rejected)
    }
}

/// Counters that can be watched while a run goes on.
#[derive(Debug, Default)]
pub struct GroupCounts {
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
    /// Something is wrong that every other group would meet as well.
    Fatal,
}

/// What a run did.
#[derive(Debug)]
pub struct RunOutcome {
    /// Why it ended.
    pub ended: Ended,
    /// What every other group would meet as well. Those that met it are not failed: they are left as they are.
    pub stopped_by: Option<String>,
    /// Groups that ended well.
    pub done: u64,
    /// Their pairs.
    pub pairs_merged: u64,
    /// Groups that were given up.
    pub failed: u64,
    pub(crate) pairs_failed: u64,
    /// What was done in the groups that ended well.
    pub tally: Tally,
}

/// Why a group was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// In full.
    pub reason: String,
    /// Without what differs from group to group, for counting.
    pub(crate) class: String,
}

/// So often a group is read and dated again at most.
const MOST_READ_AGAIN: u32 = 8;
const UNSTEADY: &str = "numbers that are added up are written to, or the clock is set, again and again while the group is read: \
                        nothing of it was written";

/// Runs the groups of a plan that an earlier session has not finished. `on_failure` is told of each group that was given up, with the reason.
///
/// Beside what was done, it returns the first error of `on_failure`: a failure that cannot be written
/// down must not pass in silence. No group is started after it, and those in flight are finished.
pub async fn run<S: Writer, E>(
    context: &Arc<Context<S>>,
    plan: &Plan,
    known: &Known,
    limits: Limits,
    progress: &GroupCounts,
    stop: watch::Receiver<bool>,
    mut on_failure: impl FnMut(&Group, &Reason) -> Result<(), E>,
) -> (RunOutcome, Result<(), E>) {
    let total = plan.len().min(limits.groups);
    context.survivors.get_or_init(|| Survivors::of(&context.spec, plan, known));
    let mut outcome = RunOutcome {
        tally: Tally::new(context.spec.tables.len()),
        ..RunOutcome::nothing(Ended::Finished)
    };
    let mut unwritten = None;
    let mut outdated: HashMap<usize, u32> = HashMap::new();
    let left = (0..total).filter(|group| known.is_left(*group));
    let work = |window, index: usize, large| {
        run_group(window, plan.group(index), known.begun(index), large)
    };
    let on_end = |index: usize, end: thread::Result<Result<Outcome, Fate>>| {
        let end = match end.unwrap_or_else(|panic| Ok(panicked(&*panic))) {
            Ok(end) => end,
            Err(Fate::Again) => {
                let times = outdated.entry(index).or_default();
                *times += 1;
                if *times <= MOST_READ_AGAIN {
                    return Fate::Again;
                }
                Outcome::Failed(Reason { class: UNSTEADY.to_owned(), reason: UNSTEADY.to_owned() })
            }
            Err(turn) => return turn,
        };
        let pairs = plan.sources_of(index) as u64;
        match end {
            Outcome::Done(merged) => outcome.add_done(pairs, &merged, progress),
            Outcome::Left(why) => {
                outcome.ended = Ended::Fatal;
                if outcome.stopped_by.is_none() {
                    tracing::error!("no further group is begun: {why}");
                    outcome.stopped_by = Some(why);
                }
            }
            Outcome::Failed(reason) => {
                outcome.add_failed(pairs, progress);
                let group = plan.group(index);
                note_failure(context, &group, &reason.reason);
                if let Err(error) = on_failure(&group, &reason) {
                    outcome.ended = Ended::Fatal;
                    unwritten.get_or_insert(error);
                }
            }
        }
        if outcome.ended == Ended::Finished
            && limits.errors.is_exceeded(outcome.failed, total as u64)
        {
            outcome.ended = Ended::TooManyErrors;
        }
        if outcome.ended == Ended::Finished { Fate::Over } else { Fate::Last }
    };
    let walked = in_windows(context, Window::writing, left, stop, work, on_end).await;
    if walked == Walked::Interrupted && outcome.ended == Ended::Finished {
        outcome.ended = Ended::Interrupted;
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

/// How a group ended.
enum Outcome {
    /// Every write and every event was acknowledged.
    Done(Merged),
    /// It was given up; nothing of it was deleted before its copy was acknowledged.
    Failed(Reason),
    /// It is left as it is, because every other group would meet the same: going on is pointless.
    Left(String),
}

/// One group, measured; or when it comes again.
async fn run_group<S: Writer>(
    window: Arc<Window<S>>,
    group: Group,
    earlier: Option<State>,
    large: Option<LargePermit>,
) -> Result<Outcome, Fate> {
    let began = Instant::now();
    Ok(match merge_group(&window, &group, earlier, large).await {
        Ok(merged) => {
            window.recorder.record(window.operations.group(), began.elapsed());
            Outcome::Done(merged)
        }
        Err(GroupError::Deferred) => return Err(Fate::Later),
        Err(GroupError::Outdated) => return Err(Fate::Again),
        Err(error) if error.is_fatal() => Outcome::Left(error.to_string()),
        Err(error) => Outcome::Failed(Reason { class: error.class(), reason: error.to_string() }),
    })
}

/// A group that panicked is a failed group.
fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let why = panic.downcast_ref::<&str>().map(|why| (*why).to_owned());
    let why = why.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let reason = format!("internal error, please report it: {why}");
    Outcome::Failed(Reason { class: reason.clone(), reason })
}

impl RunOutcome {
    /// No group was begun.
    pub fn nothing(ended: Ended) -> Self {
        Self {
            ended,
            stopped_by: None,
            done: 0,
            pairs_merged: 0,
            failed: 0,
            pairs_failed: 0,
            tally: Tally::default(),
        }
    }

    fn add_done(&mut self, pairs: u64, merged: &Merged, progress: &GroupCounts) {
        self.done += 1;
        self.pairs_merged += pairs;
        self.tally.add(&merged.tally);
        progress.done.fetch_add(1, Ordering::Relaxed);
    }

    fn add_failed(&mut self, pairs: u64, progress: &GroupCounts) {
        self.failed += 1;
        self.pairs_failed += pairs;
        progress.failed.fetch_add(1, Ordering::Relaxed);
    }
}
