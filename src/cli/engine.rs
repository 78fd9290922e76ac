//! What groups run in: a cluster, a broker and a journal that are ready.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::register::Past;
use super::settings::PaceSettings;
use super::{Console, Exit, Failure, Lease, MergeSettings, Progress, Snapshot, register};
use crate::cluster::{Cluster, ClusterRegister, ClusterSettings, ReadStore, Store};
use crate::events::{EventError, EventSettings, Outlet, Producer};
use crate::journal::{Journal, JournalError};
use crate::latency::Recorder;
use crate::live::{Counters, Nodes, Phase, ReadFigures, ScanCounters, UnderWay};
use crate::model::Group;
use crate::pace::Pace;
use crate::pipeline::{
    self, AsOf, Context, Discover, Ended, Known, Lanes, Load, Reason, RunOutcome,
};
use crate::plan::Plan;
use crate::readable;
use crate::register::Register;
use crate::report::{Deletes, EventFacts, FailureReasons, HotPartition};
use crate::run::{Failures, RunError, RunId};
use crate::spec::{RawSpec, Spec};
use crate::storage::TombstoneLimits;

/// Batches that the report names.
const HOTTEST: usize = 10;

/// What it takes to be ready.
#[derive(Clone, Copy)]
pub(super) struct Needs<'a> {
    pub(super) cluster: &'a ClusterSettings,
    pub(super) spec: &'a RawSpec,
    pub(super) events: Option<&'a EventSettings>,
    /// How many groups at once, and how fast.
    pub(super) pace: PaceSettings,
    /// How far before its first read a group is dated.
    pub(super) settle: Duration,
    /// Whether write times are read.
    pub(super) write_times: bool,
    /// How enrolments are found.
    pub(super) discover: Discover,
    /// The run.
    pub(super) run: &'a RunId,
    /// Whether the lease on the keyspace is needed, because something is written.
    pub(super) writes: bool,
    /// Whether the run has begun before: what its tables have lost since is no reason to refuse it.
    pub(super) has_begun: bool,
    /// So long tombstones must be kept at least; none where something that was begun is ended.
    pub(super) min_gc_grace: Option<Duration>,
}

impl<'a> Needs<'a> {
    /// What a merge needs.
    pub(super) fn of(settings: &'a MergeSettings, run: &'a RunId, has_begun: bool) -> Self {
        let MergeSettings { cluster, events, spec, work, .. } = settings;
        Self {
            cluster,
            spec,
            events: events.as_ref(),
            pace: work.pace,
            settle: work.settle,
            write_times: work.sweep,
            discover: work.discover,
            run,
            writes: true,
            has_begun,
            min_gc_grace: Some(work.min_gc_grace),
        }
    }
}

/// A cluster and a broker that are ready.
pub(super) struct Ready {
    spec: Arc<Spec>,
    store: Store,
    outlet: Outlet,
    recorder: Arc<Recorder>,
    pace: Arc<Pace>,
    as_of: AsOf,
    acknowledged: Arc<AtomicU64>,
    discover: Discover,
    /// None where the server does not tell them.
    tombstones: Option<TombstoneLimits>,
    /// How long each table keeps its tombstones, in seconds.
    gc_grace_s: Vec<u64>,
    /// What became of accounts over all runs.
    pub(super) past: Past,
}

impl Ready {
    /// Connects and checks; nothing is written.
    async fn start(needs: Needs<'_>, lease: &Lease) -> Result<Self, Failure> {
        let cluster = Cluster::connect(needs.cluster.clone()).await?;
        let spec = match needs.has_begun {
            true => needs.spec.without_lost_columns(cluster.schema()).check(cluster.schema()),
            false => needs.spec.check(cluster.schema()),
        };
        let spec = Arc::new(spec.map_err(Failure::failed)?);
        let gc_grace_s = spec.tables.iter().map(|table| cluster.gc_grace_s(&table.name)).collect();
        cluster.check_gc_grace(&spec, needs.min_gc_grace)?;
        let store = cluster.store(Arc::clone(&spec)).await?;
        if needs.write_times {
            // A cluster that cannot tell them is refused at the start, not when they are needed.
            store.as_ref().prepare_timed().await?;
        }
        let lanes = Lanes::new(&spec);
        let recorder = Arc::new(Recorder::new(lanes.names().to_vec()));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let outlet = match needs.events {
            None => Outlet::Discard,
            Some(events) => {
                let (recorder, lane) = (Arc::clone(&recorder), lanes.events());
                let acknowledged = Arc::clone(&acknowledged);
                let on_delivered = move |took| {
                    recorder.record(lane, took);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                };
                Outlet::Kafka(Producer::connect(events, on_delivered).await?)
            }
        };
        let past = Past::of(&cluster, (needs.run, needs.writes), lease).await?;
        // No time at which another run wrote, whatever the clock of the machine was on which that ran.
        let floor = past.held().map_or(0, |register| register.floor());
        let clocks = cluster.clocks().await?;
        let as_of = AsOf::new(clocks.latest.max(floor), needs.settle).behind(clocks.behind);
        let PaceSettings { in_flight, rate, max_latency } = needs.pace;
        let pace = Pace::bounded(in_flight, rate, max_latency);
        let discover = needs.discover;
        let tombstones = cluster.tombstone_limits().await.ok();
        let ready = Self {
            spec,
            store,
            outlet,
            recorder,
            pace,
            as_of,
            acknowledged,
            discover,
            tombstones,
            gc_grace_s,
            past,
        };
        Ok(ready)
    }

    /// As [`start`](Self::start), unless the operator stops it.
    pub(super) async fn start_unless(
        stop: &mut watch::Receiver<bool>,
        needs: Needs<'_>,
        console: &Console,
    ) -> Result<Self, Failure> {
        tokio::select! {
            ready = Self::start(needs, &console.lease) => ready,
            _ = stop.wait_for(|stop| *stop) => {
                let error = anyhow::anyhow!("interrupted before the first write; nothing was changed");
                Err(Failure { exit: Exit::Interrupted, error })
            }
        }
    }

    /// The specification, checked against the cluster's schema.
    pub(super) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What can be read.
    pub(super) fn store(&self) -> &ReadStore {
        self.store.as_ref()
    }

    /// With a journal, groups can run.
    pub(super) fn with(self, journal: Arc<dyn Journal>) -> Result<Engine, JournalError> {
        let Self { spec, store, outlet, recorder, pace, as_of, .. } = self;
        let shared = Arc::clone(&journal);
        let mut context = Context::new(spec, store, outlet, shared, recorder, pace, as_of)?;
        context.discover = self.discover;
        let register = self.past.held().cloned();
        context.register = register.clone().map(|held| held as Arc<dyn Register>);
        context.deletes.limits = self.tombstones.unwrap_or_default();
        Ok(Engine {
            context: Arc::new(context),
            journal,
            register,
            acknowledged: self.acknowledged,
            tells_tombstones: self.tombstones.is_some(),
            gc_grace_s: self.gc_grace_s,
            progress: Arc::default(),
        })
    }
}

/// The context that groups run in.
pub(super) struct Engine {
    pub(super) context: Arc<Context<Store>>,
    pub(super) journal: Arc<dyn Journal>,
    /// The register, where the command may write.
    register: Option<Arc<ClusterRegister>>,
    /// Events that the broker acknowledged.
    acknowledged: Arc<AtomicU64>,
    /// How many groups have ended.
    pub(super) progress: Arc<pipeline::Progress>,
    /// Whether the server has told how many tombstones a read may meet.
    tells_tombstones: bool,
    /// How long each table keeps its tombstones, in seconds.
    pub(super) gc_grace_s: Vec<u64>,
}

/// What is to be merged.
pub(super) struct Work<'a> {
    pub(super) plan: &'a Plan,
    pub(super) known: &'a Known,
    pub(super) settings: &'a MergeSettings,
    pub(super) quiet: bool,
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

impl Work<'_> {
    /// How many groups are left to be done.
    pub(super) fn left(&self) -> usize {
        let total = self.plan.len().min(self.settings.work.limits.groups);
        (0..total).filter(|group| !self.known.is_over(*group)).count()
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
    /// Waits until the first group may be read, then runs all that are left to be done.
    pub(super) async fn merge(
        &self,
        work: Work<'_>,
        failures: &mut Failures,
        console: &Console,
    ) -> Merged {
        let left = work.left();
        let Work { plan, known, settings, quiet, mut stop } = work;
        let limits = settings.work.limits;
        if left > 0 {
            tokio::select! {
                () = tokio::time::sleep(self.context.as_of.time_to_settle()) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
        let began = Instant::now();
        console.board.enter(Phase::Merging);
        let shown = Progress::start(console, quiet, self.snapshot(left as u64));
        let mut reasons = FailureReasons::default();
        let mut failed = HashSet::new();
        let on_failure = |group: &Group, Reason { reason, class }: &Reason| {
            tracing::error!("a group of {} pairs failed: {reason}", group.pairs.len());
            console.board.failed(&group.pairs, reason);
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

    /// Lets those who look at the run see what it counts, and those who may control it its pace, until the board is
    /// frozen.
    pub(super) fn show(&self, groups_total: u64, topic: Option<String>, console: &Console) {
        let (context, acknowledged) = (Arc::clone(&self.context), Arc::clone(&self.acknowledged));
        let snapshot = self.snapshot(groups_total);
        console.control.paces(&context.pace);
        console.board.watch(Arc::clone(&context.recorder), move || {
            let Snapshot { groups_total, done, failed, retries, is_paused, under_way, .. } =
                snapshot();
            let (limit, _) = context.pace.now();
            let (known, connected) = context.storage.nodes();
            let scanning = &context.scanning;
            let scan = ScanCounters {
                ranges_total: scanning.total.load(Ordering::Relaxed),
                ranges: scanning.ranges.load(Ordering::Relaxed),
                rows: scanning.rows.load(Ordering::Relaxed),
                enrolments: scanning.enrolments.load(Ordering::Relaxed),
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
                topic: topic.clone(),
                produced: context.produced(),
                acknowledged: acknowledged.load(Ordering::Relaxed),
                scan: (scan.ranges_total > 0).then_some(scan),
            }
        });
    }

    /// Tells the register how the groups of the run stand, of which the plan has `total`.
    pub(super) async fn settle(&self, total: u64) -> Result<(), Failure> {
        match &self.register {
            Some(register) => register::settle(register, &*self.journal, total).await,
            None => Ok(()),
        }
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
            is_told: self.tells_tombstones,
            over_warn: deletes.reached(deletes.limits.warn),
            over_fail: deletes.reached(deletes.limits.fail),
            hottest: hottest.collect(),
        }
    }

    /// What became of the events; of a session that was stopped, what is not acknowledged is left to the next.
    pub(super) fn events(&self, topic: Option<String>, is_stopped: bool) -> EventFacts {
        let (produced, acknowledged) = (self.context.produced(), self.acknowledged());
        let left = if is_stopped { produced.saturating_sub(acknowledged) } else { 0 };
        EventFacts { topic, produced, acknowledged, left }
    }

    /// Events that the broker acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Closes the producer. Of a run that was stopped, events may be on their way that nobody waits for: those groups
    /// are not done, and go on with `resume`.
    pub(super) async fn close(self, is_interrupted: bool) -> Result<(), Failure> {
        // All groups have ended, so nobody else holds the context.
        let Some(context) = Arc::into_inner(self.context) else { return Ok(()) };
        match context.outlet.close().await {
            Err(error @ EventError::Unacknowledged { .. }) if is_interrupted => {
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
