//! What a merge would do: every group, or a random sample of them, read as a merge reads it, and counted instead of
//! written.
//!
//! All of it is bound to a [`Reader`]: there is nothing here with which a table could be changed, and what a merge
//! would journal is measured and dropped.

mod figures;
mod look;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use crate::events::EventSink;
use crate::journal::JournalError;
use crate::journal::memory::MemoryJournal;
use crate::latency::Recorder;
use crate::model::{AccountId, Cell, ColumnIndex, Row, ScanTally, TableIndex, TimedRow};
use crate::pace::Pace;
use crate::plan::Plan;
use crate::spec::Spec;
use crate::storage::{Reader, Width};

pub use figures::Figures;

use super::drain::unless_stopped;
use super::scan::search;
use super::walk::{Walked, walk};
use super::{AsOf, Context, GroupCounts, GroupError, Window};
use look::{SampledGroup, Scales, look_at};

/// Accounts that are named of each kind, and groups' reasons.
const NAMED: usize = 10;
/// Conflicts that are shown per table, of those that change the survivor's row and of those that do not.
const CONFLICTS: usize = 2;
/// A group with so many times the sources of an average one is not left to chance.
const MANY_TIMES: f64 = 4.0;
/// More groups than this that cannot be read stop an inspection.
const MOST_UNREADABLE: u64 = 1_000;

/// Which groups are inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every group.
    All,
    /// So many: those with very many sources, for half of the number at most, and the rest drawn at random with this
    /// seed.
    Sample {
        groups: usize,
        /// The seed: the same one draws the same groups.
        seed: u64,
    },
}

/// What an inspection has found.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// Groups that were read.
    pub groups: u64,
    /// Their pairs.
    pub pairs: u64,
    /// What a merge of them does.
    pub figures: Figures,
    /// Sources without any row, those of the first lines.
    pub absent_sources: Vec<Absent>,
    /// Survivors without any row, those of the first lines.
    pub absent_survivors: Vec<Absent>,
    /// The accounts with the most rows.
    pub largest: Vec<LargeAccount>,
    /// Keys that two accounts hold, those of the first lines.
    pub conflicts: Vec<Conflict>,
    /// What the scan did, where clustered rows are found by one.
    pub scanned: Option<ScanTally>,
    /// The time that it took.
    pub scanning: Duration,
    /// Groups that could not be read.
    pub unreadable: u64,
    /// Why not, and how many.
    pub reasons: BTreeMap<String, u64>,
}

/// An account without any row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The first line that names it so.
    pub line: u64,
    pub account: AccountId,
}

/// An account with many rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LargeAccount {
    pub account: AccountId,
    /// The first line that names it so.
    pub line: u64,
    /// Whether it survives.
    pub(crate) is_survivor: bool,
    /// Its rows: of a source all that were found, of a survivor those that they are compared with.
    pub rows: u64,
}

/// A key that a survivor and one of its sources both hold.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// The line of the source's pair.
    pub line: u64,
    pub table: TableIndex,
    pub survivor: AccountId,
    pub source: AccountId,
    /// The primary key of the survivor's row, in column order.
    pub key: Vec<Bytes>,
    /// The survivor's row, slim.
    pub target: Row,
    /// The source's row.
    pub row: Row,
    /// What the merge writes to the survivor's row, by column; nothing where that stays as it is.
    pub written: Vec<(ColumnIndex, Cell)>,
    /// Both rows in full with their write times, the survivor's first, where the server could tell them.
    pub(crate) timed: Option<(TimedRow, TimedRow)>,
}

impl<S: Reader> Context<S> {
    /// A context that reads: it has no event sink, and its journal takes nothing.
    ///
    /// # Errors
    /// None, as that journal is in memory.
    pub fn reading(
        spec: Arc<Spec>,
        storage: S,
        recorder: Arc<Recorder>,
        pace: Arc<Pace>,
    ) -> Result<Self, JournalError> {
        let refusing = MemoryJournal::failing(|_| Some("an inspection writes nothing".to_owned()));
        let as_of = AsOf::new(0, Duration::ZERO);
        Self::new(spec, storage, EventSink::Discard, Arc::new(refusing), recorder, pace, as_of)
    }
}

/// The groups that are inspected.
struct Selected {
    /// Their numbers, in the order of the plan.
    groups: Vec<usize>,
    /// Those of them that were not left to chance, in order.
    certain: Vec<usize>,
    /// How many groups of the plan each of those that were drawn stands for.
    weight: f64,
}

impl Selection {
    fn of(self, plan: &Plan) -> Selected {
        let all = plan.len();
        let (sample, seed) = match self {
            Self::Sample { groups, seed } if groups < all => (groups, seed),
            _ => return Selected { groups: (0..all).collect(), certain: Vec::new(), weight: 1.0 },
        };
        // Chance would miss a few groups that hold a large part of everything.
        let many = (MANY_TIMES * plan.stats().pairs as f64 / all as f64).ceil() as usize;
        let mut certain: Vec<usize> =
            (0..all).filter(|group| plan.sources_of(*group) >= many).collect();
        certain.sort_by_key(|group| Reverse(plan.sources_of(*group)));
        certain.truncate(sample / 2);
        certain.sort_unstable();
        let others = (0..all).filter(|group| certain.binary_search(group).is_err());
        let drawn = sample - certain.len();
        let mut groups = fastrand::Rng::with_seed(seed).choose_multiple(others, drawn);
        groups.extend(&certain);
        groups.sort_unstable();
        let weight = (all - certain.len()) as f64 / drawn as f64;
        Selected { groups, certain, weight }
    }
}

/// Inspects groups of a plan.
///
/// # Errors
/// The scan failed, or a group in a way in which every other one would; or more than a thousand groups cannot be
/// read.
pub async fn inspect<S: Reader>(
    context: &Arc<Context<S>>,
    plan: &Plan,
    selection: Selection,
    progress: &GroupCounts,
    stop: &watch::Receiver<bool>,
) -> Result<Inspected, GroupError> {
    let Selected { groups: selected, certain, weight } = selection.of(plan);
    let is_drawn = |group: usize| certain.binary_search(&group).is_err();
    let mut inspected = Inspected::nothing(context.spec.tables.len());
    if context.scans() && !selected.is_empty() {
        let is_wanted = |group: usize| selected.binary_search(&group).is_ok();
        let began = Instant::now();
        let scanned = search(context, plan, &is_wanted, stop).await?;
        inspected.scanning = began.elapsed();
        inspected.scanned = Some(scanned);
        if scanned.interrupted {
            inspected.interrupted = true;
            return Ok(inspected);
        }
    }
    let mut fatal = None;
    let scales = Arc::<Scales>::default();
    let work = |window: Arc<Window<S>>, number: usize| {
        let group = plan.group(number);
        let weight = if is_drawn(number) { weight } else { 1.0 };
        let scales = Arc::clone(&scales);
        async move { look_at(&window, &group, weight, &scales).await }
    };
    let ended = walk(context, Window::reading, selected, stop.clone(), work, |seen| match seen {
        Ok(seen) => {
            progress.done.fetch_add(1, Ordering::Relaxed);
            let is_drawn = is_drawn(seen.group);
            inspected.add(seen, is_drawn);
            ControlFlow::Continue(())
        }
        Err(error) => {
            progress.failed.fetch_add(1, Ordering::Relaxed);
            inspected.add_failed(error, &mut fatal)
        }
    });
    let ended = ended.await;
    if let Some(error) = fatal {
        return Err(error);
    }
    inspected.interrupted = ended == Walked::Interrupted;
    if !inspected.interrupted {
        let read = unless_stopped(stop, inspected.read_conflicts(context)).await;
        inspected.interrupted = read.is_none();
    }
    Ok(inspected)
}

impl Inspected {
    fn nothing(tables: usize) -> Self {
        Self {
            interrupted: false,
            groups: 0,
            pairs: 0,
            figures: Figures::new(tables),
            absent_sources: Vec::new(),
            absent_survivors: Vec::new(),
            largest: Vec::new(),
            conflicts: Vec::new(),
            scanned: None,
            scanning: Duration::ZERO,
            unreadable: 0,
            reasons: BTreeMap::new(),
        }
    }

    fn add(&mut self, seen: SampledGroup, is_drawn: bool) {
        self.groups += 1;
        self.pairs += seen.pairs;
        self.figures.add(&seen, is_drawn);
        for absent in seen.absent_sources {
            keep_first(&mut self.absent_sources, absent, NAMED, |absent| absent.line);
        }
        if let Some(absent) = seen.absent_survivor {
            keep_first(&mut self.absent_survivors, absent, NAMED, |absent| absent.line);
        }
        for account in seen.largest {
            keep_largest(&mut self.largest, account);
        }
        for conflict in seen.conflicts {
            keep_conflict(&mut self.conflicts, conflict);
        }
    }

    fn add_failed(&mut self, error: GroupError, fatal: &mut Option<GroupError>) -> ControlFlow<()> {
        tracing::warn!("a group cannot be inspected: {error}");
        self.unreadable += 1;
        if self.reasons.len() < NAMED || self.reasons.contains_key(&error.class()) {
            *self.reasons.entry(error.class()).or_default() += 1;
        }
        if error.is_fatal() || self.unreadable > MOST_UNREADABLE {
            fatal.get_or_insert(error);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Reads both rows of each conflict that is shown in full. What cannot be read is shown as far as it is known:
    /// before version 5.0, Cassandra does not tell the write times of maps.
    async fn read_conflicts<S: Reader>(&mut self, context: &Context<S>) {
        let row = async |table, key: Vec<Bytes>| {
            let operation = context.operations.read(table, Width::Slim);
            context.carry_out(operation, || context.storage.timed_row(table, &key)).await
        };
        for conflict in &mut self.conflicts {
            let account = context.spec.tables[conflict.table].account;
            let mut key = conflict.key.clone();
            let target = row(conflict.table, key.clone()).await;
            key[account].clone_from(conflict.source.cell());
            let source = row(conflict.table, key).await;
            match (target, source) {
                (Ok(target), Ok(source)) => conflict.timed = target.zip(source),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::debug!("a conflict is shown without write times: {error}");
                }
            }
        }
    }
}

/// Keeps those of the lowest lines.
fn keep_first<T>(kept: &mut Vec<T>, item: T, most: usize, line: impl Fn(&T) -> u64) {
    let index = kept.partition_point(|known| line(known) <= line(&item));
    if index < most {
        kept.insert(index, item);
        kept.truncate(most);
    }
}

/// Keeps those with the most rows; of equal ones those of the lower lines.
fn keep_largest(kept: &mut Vec<LargeAccount>, account: LargeAccount) {
    if account.rows == 0 {
        return;
    }
    let order = |account: &LargeAccount| (Reverse(account.rows), account.line);
    let index = kept.partition_point(|known| order(known) <= order(&account));
    if index < NAMED {
        kept.insert(index, account);
        kept.truncate(NAMED);
    }
}

/// Keeps a few per table and outcome, those of the lowest lines.
fn keep_conflict(kept: &mut Vec<Conflict>, conflict: Conflict) {
    let kind = |conflict: &Conflict| (conflict.table, conflict.written.is_empty());
    let order = |conflict: &Conflict| (kind(conflict), conflict.line);
    let index = kept.partition_point(|known| order(known) <= order(&conflict));
    let first = kept.partition_point(|known| kind(known) < kind(&conflict));
    if index - first < CONFLICTS {
        let own = kind(&conflict);
        kept.insert(index, conflict);
        let end = kept.partition_point(|known| kind(known) <= own);
        if end - first > CONFLICTS {
            kept.remove(end - 1);
        }
    }
}
