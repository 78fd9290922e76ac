//! What groups run in: a cluster, a sink of events and a journal.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::{Console, Failure, ProgressDisplay, RunSettings, Snapshot, register};
use crate::cluster::{ClusterRegister, Store};
use crate::events::Scope;
use crate::journal::Journal;
use crate::live::{Counters, Nodes, Phase, ReadFigures, ScanCounters, UnderWay};
use crate::model::Group;
use crate::moment::Moment;
use crate::pipeline::{self, Context, Ended, Known, Load, Reason, RunOutcome};
use crate::plan::Plan;
use crate::readable;
use crate::report::{Deletes, EventFacts, FailureReasons, HotPartition};
use crate::run::{Failures, RunError};

/// Partitions that the report names.
const HOTTEST: usize = 10;
/// A wait before the first read that is longer is reported.
const REPORTED: Duration = Duration::from_secs(5);

/// The context that groups run in.
pub(super) struct Engine {
    pub(super) context: Arc<Context<Store>>,
    pub(super) journal: Arc<dyn Journal>,
    /// The register, where the command may write.
    pub(super) register: Option<Arc<ClusterRegister>>,
    /// Events that were acknowledged.
    pub(super) acknowledged: Arc<AtomicU64>,
    /// How many groups have ended.
    pub(super) progress: Arc<pipeline::GroupCounts>,
    /// Whether the server has told how many tombstones a read may meet.
    pub(super) reports_tombstones: bool,
    /// How long each table keeps its tombstones, in seconds.
    pub(super) gc_grace_s: Vec<u64>,
}

pub(super) struct ToMerge<'a> {
    pub(super) plan: &'a Plan,
    pub(super) known: &'a Known,
    pub(super) settings: &'a RunSettings,
    pub(super) stop: watch::Receiver<bool>,
}

/// What came of merging.
pub(super) struct Merged {
    pub(super) outcome: RunOutcome,
    pub(super) reasons: FailureReasons,
    /// The groups that failed, by number.
    pub(super) failed: HashSet<usize>,
    /// Whether every failed group could be written down.
    pub(super) unwritten: Result<(), RunError>,
    /// The time in which groups were merged.
    pub(super) took: Duration,
}

impl ToMerge<'_> {
    /// How many groups are left to be done.
    pub(super) fn left(&self) -> usize {
        let total = self.plan.len().min(self.settings.work.limits.groups);
        (0..total).filter(|group| self.known.is_left(*group)).count()
    }
}

impl Merged {
    /// No group was begun.
    pub(super) fn nothing(ended: Ended) -> Self {
        Self {
            outcome: RunOutcome::nothing(ended),
            reasons: FailureReasons::default(),
            failed: HashSet::new(),
            unwritten: Ok(()),
            took: Duration::ZERO,
        }
    }
}

impl Engine {
    /// What this server does not tell, and what the register was not asked, where that matters to the specification.
    pub(super) fn untold(&self) -> Option<String> {
        let all: Vec<String> =
            self.context.storage.untold().into_iter().chain(self.unasked()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// What only the register tells, of a run without it.
    pub(super) fn unasked(&self) -> Option<String> {
        let by_time = self.context.spec.tables.iter().flat_map(|table| {
            table.by_time().map(|column| format!("{}.{}", table.name, table.columns[column].name))
        });
        let columns: Vec<String> = by_time.collect();
        (self.register.is_none() && !columns.is_empty()).then(|| {
            format!(
                "without the register nobody tells what earlier runs have written (--no-register): where the later write \
                 survives ({}), what one has moved or given back counts as written when it did that",
                columns.join(", ")
            )
        })
    }

    /// Waits until the first group may be read, unless it is stopped.
    pub(super) async fn await_first_read(&self, stop: &mut watch::Receiver<bool>) {
        let as_of = &self.context.as_of;
        let wait = as_of.time_to_settle();
        if wait > REPORTED {
            let until = Moment::from(SystemTime::now() + wait);
            tracing::warn!(
                "nothing is read before {until}: a group is dated --settle ({:?}) before its first read, and not before \
                 this command began, nor before what earlier runs have written",
                as_of.settle()
            );
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Waits until the first group may be read, then runs all that are left to be done.
    pub(super) async fn merge(
        &self,
        work: ToMerge<'_>,
        failures: &mut Failures,
        console: &Console,
    ) -> Merged {
        let left = work.left();
        let ToMerge { plan, known, settings, mut stop } = work;
        let limits = settings.work.limits;
        if left > 0 {
            self.await_first_read(&mut stop).await;
        }
        let began = Instant::now();
        console.status.enter(Phase::Merging);
        let shown = ProgressDisplay::start(console, self.snapshot(left as u64));
        let mut reasons = FailureReasons::default();
        let mut failed = HashSet::new();
        let on_failure = |group: &Group, Reason { reason, class }: &Reason| {
            tracing::error!("a group of {} pairs failed: {reason}", group.pairs.len());
            console.status.failed(&group.pairs, reason);
            reasons.add(&group.pairs, class);
            failed.insert(group.index);
            failures.append(&group.pairs, reason)
        };
        let (outcome, unwritten) =
            pipeline::run(&self.context, plan, known, limits, &self.progress, stop, on_failure)
                .await;
        shown.finish();
        Merged { outcome, reasons, failed, unwritten, took: began.elapsed() }
    }

    /// Reads where the groups stand, for the progress line.
    pub(super) fn snapshot(&self, groups_total: u64) -> impl Fn() -> Snapshot + Send + 'static {
        let (context, progress) = (Arc::clone(&self.context), Arc::clone(&self.progress));
        move || Snapshot {
            groups_total,
            done: progress.done.load(Ordering::Relaxed),
            failed: progress.failed.load(Ordering::Relaxed),
            under_way: under_way(&context),
            retries: context.retries(),
            is_paused: context.pace.is_paused(),
            held: context.pace.held(),
        }
    }

    /// Lets those who look at the run see what it counts, and those who may control it its pace, until the status is
    /// frozen.
    pub(super) fn show(&self, groups_total: u64, console: &Console) {
        let (context, acknowledged) = (Arc::clone(&self.context), Arc::clone(&self.acknowledged));
        let snapshot = self.snapshot(groups_total);
        let destination = context.event_sink.destination();
        console.control.paces(&context.pace);
        console.status.watch(Arc::clone(&context.recorder), move || {
            let Snapshot { groups_total, done, failed, retries, is_paused, under_way, .. } =
                snapshot();
            let (limit, _) = context.pace.now();
            let (known, connected) = context.storage.nodes();
            let scanning = &context.scanning;
            let scan = ScanCounters {
                ranges_total: scanning.total.load(Ordering::Relaxed),
                ranges: scanning.ranges.load(Ordering::Relaxed),
                rows: scanning.rows.load(Ordering::Relaxed),
                clustered_rows: scanning.clustered_rows.load(Ordering::Relaxed),
            };
            Counters {
                groups_total,
                done,
                failed,
                under_way,
                in_flight_limit: limit as u64,
                reads: context.pace.max_latency().map(|max| ReadFigures {
                    max_us: us(max),
                    p99_us: context.pace.read_takes().map(us),
                    held_back: context.pace.held().is_some(),
                }),
                rate_limit: context.pace.rate(),
                is_paused,
                retries,
                last_error: context.last_retry(),
                nodes: Nodes { known: known as u64, connected: connected as u64 },
                destination: destination.clone(),
                produced: context.produced(),
                acknowledged: acknowledged.load(Ordering::Relaxed),
                scan: (scan.ranges_total > 0).then_some(scan),
            }
        });
    }

    /// Tells the register how the groups of the run stand, of which the plan has `total`.
    async fn settle(&self, total: u64) -> Result<(), Failure> {
        match &self.register {
            Some(register) => register::settle(register, &*self.journal, total).await,
            None => Ok(()),
        }
    }

    /// Ends the work: the register is told, those who look at the run from elsewhere let go of it, and the sink is closed.
    /// Returns what went wrong in that, for what was done has to be reported however rough the end.
    pub(super) async fn end(
        self,
        total: u64,
        is_interrupted: bool,
        console: &Console,
    ) -> impl Iterator<Item = Failure> + use<> {
        let settled = self.settle(total).await;
        // Those who look at the run hold what it counts with, and with it the producer.
        console.status.freeze();
        let closed = self.close(is_interrupted).await;
        [settled.err(), closed.err()].into_iter().flatten()
    }

    /// The partitions in which this session has deleted the most rows.
    pub(super) fn deletes(&self) -> Deletes {
        let Context { deletes, spec, .. } = &*self.context;
        let hottest = deletes.hottest(HOTTEST).into_iter().map(|hot| {
            let (table, scope) = hot.key;
            let table = &spec.tables[table];
            HotPartition {
                table: table.name.clone(),
                partition: readable::scope(table, &scope),
                deletes: hot.at_least,
                there: None,
            }
        });
        Deletes {
            warn: deletes.limits.warn,
            fail: deletes.limits.fail,
            is_reported: self.reports_tombstones,
            over_warn: deletes.reached(deletes.limits.warn),
            over_fail: deletes.reached(deletes.limits.fail),
            hottest: hottest.collect(),
        }
    }

    /// What became of the events; of a session that was stopped, what is not acknowledged is left to the next.
    pub(super) fn events(&self, is_stopped: bool) -> EventFacts {
        let (produced, acknowledged) = (self.context.produced(), self.acknowledged());
        let left = if is_stopped { produced.saturating_sub(acknowledged) } else { 0 };
        let destination = self.context.event_sink.destination();
        EventFacts { destination, produced, acknowledged, left }
    }

    /// Events that were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Closes the sink. Of a run that was stopped, events may be on their way that nobody waits for: those groups
    /// are not done, and go on with `resume`.
    async fn close(self, is_interrupted: bool) -> Result<(), Failure> {
        // All groups have ended, so nobody else holds the context.
        let Some(context) = Arc::into_inner(self.context) else { return Ok(()) };
        match context.event_sink.close().await {
            Err(error) if is_interrupted && error.scope() == Scope::OnTheirWay => {
                tracing::warn!("{error}; their groups are left to be gone on with");
                Ok(())
            }
            closed => Ok(closed?),
        }
    }
}

fn us(long: Duration) -> u64 {
    u64::try_from(long.as_micros()).unwrap_or(u64::MAX)
}

/// What is under way at the moment.
pub(super) fn under_way<S>(context: &Context<S>) -> UnderWay {
    let Load { windows, groups, oldest, bytes } = context.load();
    UnderWay {
        requests: context.pace.now().1 as u64,
        groups,
        windows,
        groups_per_s: None,
        oldest_s: oldest.map(|oldest| oldest.as_secs_f64()),
        bytes,
    }
}
