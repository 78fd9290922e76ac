//! A cluster and a broker that are ready for what a command does: connected, checked, and nothing written yet.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::engine::Engine;
use super::register::{Past, closed, is_closed};
use super::{Console, Exit, Failure, Lease, RunSettings, runs};
use crate::cluster::{Cluster, ReadStore, Store};
use crate::events::EventSink;
use crate::journal::{Journal, JournalError};
use crate::latency::Recorder;
use crate::pace::Pace;
use crate::pipeline::{AsOf, Context, Operations, WorkSettings};
use crate::register::{OfPlan, Register};
use crate::report;
use crate::run::RunId;
use crate::spec::schema::Schema;
use crate::spec::{EventSpec, Spec};
use crate::storage::TombstoneLimits;

/// What a command does with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Begin,
    GoOn,
    Compare,
    Repair,
    Undo,
}

impl Task {
    /// Whether something is written, so that the lease on the keyspace is needed.
    fn writes(self) -> bool {
        self != Self::Compare
    }

    /// Whether the run has begun before: what its tables have lost since is no reason to refuse it.
    fn has_begun(self) -> bool {
        self != Self::Begin
    }
}

/// What it takes to be ready.
#[derive(Clone, Copy)]
pub(super) struct Needs<'a> {
    pub(super) task: Task,
    pub(super) run: &'a RunId,
    /// If the run is a part of a plan, which.
    pub(super) part: Option<&'a OfPlan>,
    /// Its directory, if it was begun before.
    pub(super) run_dir: Option<&'a Path>,
    pub(super) settings: &'a RunSettings,
}

impl Needs<'_> {
    /// Whether write times are read: a merge looks at them in its sweep only.
    fn write_times(&self) -> bool {
        match self.task {
            Task::Begin | Task::GoOn => self.settings.work.sweep,
            Task::Compare | Task::Repair | Task::Undo => true,
        }
    }

    /// The specification, checked against the cluster's schema. What came to a table since the run began keeps nobody from
    /// comparing what it left.
    fn checked(&self, schema: &Schema) -> Result<Spec, Failure> {
        let spec = &self.settings.spec;
        if !self.task.has_begun() {
            return spec.check(schema).map_err(Failure::failed);
        }
        let is_gone = |name: &String| !schema.tables.contains_key(name);
        if let Some(name) = spec.tables.iter().map(|table| &*table.name).find(|name| is_gone(name))
        {
            let close = runs::close(&self.settings.cluster, self.run.as_str());
            let end = close.map_or_else(String::new, |close| {
                format!(
                    ", and its accounts wait for it. If the table comes back as it was (with its id, from the snapshot that \
                     DROP may have made), this command goes on; else this ends the run: {close}"
                )
            });
            return Err(Failure::failed(anyhow::anyhow!(
                "table {}.{name} is gone since the run began, so nothing is compared or written. What the run has moved stays \
                 where it is{end}",
                schema.keyspace,
            )));
        }
        let held = |schema: &Schema| spec.without_lost_columns(schema).check(schema);
        let compared = held(&schema.to_compare());
        match (compared, self.task.writes()) {
            (Ok(_), true) => held(schema).map_err(|faults| {
                Failure::failed(anyhow::anyhow!(
                    "{faults}. It was merged before that came: verify still compares it, and whatever writes goes on once \
                     that is taken back (ALTER TABLE … DROP the column, or WITH default_time_to_live = 0). Nothing was \
                     written"
                ))
            }),
            (compared, _) => compared.map_err(Failure::failed),
        }
    }
}

/// A cluster and a broker that are ready.
pub(super) struct Ready {
    spec: Arc<Spec>,
    store: Store,
    event_sink: EventSink,
    recorder: Arc<Recorder>,
    pace: Arc<Pace>,
    as_of: AsOf,
    acknowledged: Arc<AtomicU64>,
    work: WorkSettings,
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
        let RunSettings { work, events, .. } = needs.settings;
        let writes = needs.task.writes();
        let cluster = Cluster::connect(needs.settings.cluster.clone()).await?;
        let spec = match needs.checked(cluster.schema()) {
            Ok(spec) => Arc::new(spec),
            // That its tables are gone is why it was closed: what they were is not waited for.
            Err(_) if needs.task.has_begun() && is_closed(&cluster, needs.run.as_str()).await => {
                return Err(closed(needs.run.as_str(), None));
            }
            Err(refused) => return Err(refused),
        };
        let gc_grace_s: Vec<u64> =
            spec.tables.iter().map(|table| cluster.gc_grace_s(&table.name)).collect();
        cluster.check_gc_grace(&spec, work.min_gc_grace)?;
        cluster.check_rights(&spec, writes).await?;
        if writes {
            let volatile = cluster.not_durable().await?;
            if !volatile.is_empty() {
                tracing::warn!("{}", report::volatile(&volatile));
            }
        }
        let store = cluster.store(Arc::clone(&spec)).await?;
        if needs.write_times() {
            // A cluster that cannot tell them is refused at the start, not when they are needed.
            store.as_ref().prepare_timed().await?;
        }
        let operations = Operations::new(&spec);
        let recorder = Arc::new(Recorder::new(operations.names().to_vec()));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let event_sink = match events {
            None => EventSink::Discard,
            Some(events) => {
                let (recorder, operation) = (Arc::clone(&recorder), operations.events());
                let acknowledged = Arc::clone(&acknowledged);
                let on_delivered = move |took| {
                    recorder.record(operation, took);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                };
                let least_bytes = spec.event.as_ref().map_or(0, EventSpec::least_bytes);
                EventSink::open(events, least_bytes, on_delivered).await?
            }
        };
        let past = {
            let run = (needs.run, needs.part, needs.run_dir);
            Past::of(&cluster, run, writes, lease).await?
        };
        // No time at which another run wrote, whatever the clock of the machine was on which that ran.
        let floor = past.held().map_or(0, |register| register.floor());
        let clocks = cluster.clocks().await?;
        let kept = Duration::from_secs(gc_grace_s.iter().copied().min().unwrap_or(u64::MAX));
        let as_of = AsOf::new(clocks.latest.max(floor), work.settle).beside(clocks);
        let as_of = as_of.kept_for(kept);
        let pace = Pace::of(work.pace);
        let tombstones = cluster.tombstone_limits().await.ok();
        let ready = Self {
            spec,
            store,
            event_sink,
            recorder,
            pace,
            as_of,
            acknowledged,
            work: *work,
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
        let Self { spec, store, event_sink, recorder, pace, as_of, .. } = self;
        let shared = Arc::clone(&journal);
        let mut context = Context::new(spec, store, event_sink, shared, recorder, pace, as_of)?;
        context.work = self.work;
        let register = self.past.held().cloned();
        context.register = register.clone().map(|held| held as Arc<dyn Register>);
        context.deletes.limits = self.tombstones.unwrap_or_default();
        Ok(Engine {
            context: Arc::new(context),
            journal,
            register,
            acknowledged: self.acknowledged,
            reports_tombstones: self.tombstones.is_some(),
            gc_grace_s: self.gc_grace_s,
            progress: Arc::default(),
        })
    }
}
