//! `apply`: merge the accounts and announce what changed.
//!
//! Everything that can be wrong is found before the first write: the input, the run directory, the
//! cluster and its schema, the clocks, the broker and its topic. Only then does the run directory
//! appear, and the merge begins.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::input::{self, Begun, Planned};
use super::{ApplySettings, Console, Exit, Failure, InputSource, Progress, Snapshot, again};
use crate::account::Group;
use crate::cluster::{Cluster, Store};
use crate::events::{Outlet, Producer};
use crate::journal::{Journal, SqliteJournal};
use crate::latency::{IntervalLog, Recorder};
use crate::moment::Moment;
use crate::pace::Pace;
use crate::pipeline::{self, AsOf, Context, Ended, Known, Lanes, Reason, Retry, RunOutcome};
use crate::plan::Plan;
use crate::report::{self, Applied, EventFacts, FailureReasons, Fates, Summary};
use crate::run::{Failures, RunDir, RunError, RunRecord, files};
use crate::spec::Spec;

/// How many reasons for failures the report tells.
const REASONS: usize = 10;

/// Runs `apply`.
pub async fn run(settings: &ApplySettings, console: &Console) -> Result<Exit, Failure> {
    let Begun { mut stop, started, id, pairs, prepared } =
        input::begin(&settings.input, &settings.output, console)?;
    let Planned { plan, record } =
        input::plan(pairs, &settings.input, &prepared, &mut stop).await?;
    let record = RunRecord::new(id, "apply", started, record, settings.redacted());
    let ready = tokio::select! {
        ready = Ready::start(settings) => ready?,
        _ = stop.wait_for(|stop| *stop) => {
            let error = anyhow::anyhow!("interrupted before the first write; nothing was changed");
            return Err(Failure { exit: Exit::Interrupted, error });
        }
    };
    prepared.write_json(files::RUN, &record)?;
    SqliteJournal::create(&prepared.file(files::JOURNAL))?;
    let failures = prepared.failures()?;
    let latency_log = prepared.create(files::LATENCY)?;
    let run_dir = prepared.commit()?;
    tracing::info!("run {} in {}", record.id, run_dir.path().display());
    let engine = ready.with(Arc::new(SqliteJournal::open(&run_dir.file(files::JOURNAL))?));

    let recorder = Arc::clone(&engine.context.recorder);
    let log = LatencyLog::start(latency_log, recorder, run_dir.file(files::LATENCY));
    let merged = engine.merge(&plan, settings, console, failures, stop).await;
    log.finish().await;
    let mut applied = applied(&engine, &plan, settings, &merged);
    applied.again = applied.stopped.is_some().then(|| {
        let args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
        again(args, copy_of_stdin(settings, &run_dir).as_deref())
    });
    let closed = engine.close().await;
    // The report comes first: what was done has to be known, however rough the end.
    let trouble = merged.unwritten.is_err() || closed.is_err();
    let exit = if trouble { Exit::Failed } else { exit_of(&merged.outcome, &plan) };
    let stats = plan.stats().clone();
    let summary =
        Summary::new(&record, run_dir.path(), Moment::now(), stats, Some(applied), exit.code());
    let json = report::json(&summary).map_err(Failure::failed)?;
    run_dir.replace(files::REPORT, json.as_bytes())?;
    console.report(&summary, settings.output.json)?;
    merged.unwritten?;
    closed?;
    Ok(Exit::from_code(summary.exit_code))
}

/// What came of merging.
struct Merged {
    outcome: RunOutcome,
    reasons: FailureReasons,
    /// Whether every failed group could be written down.
    unwritten: Result<(), RunError>,
    /// The time in which groups were merged.
    took: Duration,
}

/// Standard input cannot be read again; the copy of it can.
fn copy_of_stdin(settings: &ApplySettings, run_dir: &RunDir) -> Option<PathBuf> {
    (settings.input.source == InputSource::Stdin)
        .then(|| [files::PAIRS, files::PAIRS_GZIP].map(|name| run_dir.file(name)))
        .and_then(|copies| copies.into_iter().find(|copy| copy.exists()))
}

/// A cluster and a broker that are ready.
struct Ready {
    spec: Arc<Spec>,
    store: Store,
    outlet: Outlet,
    recorder: Arc<Recorder>,
    pace: Arc<Pace>,
    as_of: AsOf,
    acknowledged: Arc<AtomicU64>,
}

/// The context that groups run in.
struct Engine {
    spec: Arc<Spec>,
    context: Arc<Context<Store>>,
    /// Events that the broker acknowledged.
    acknowledged: Arc<AtomicU64>,
}

impl Ready {
    /// Connects and checks; nothing is written.
    async fn start(settings: &ApplySettings) -> Result<Self, Failure> {
        let cluster = Cluster::connect(settings.cluster.clone()).await?;
        let spec = Arc::new(settings.spec.check(cluster.schema()).map_err(Failure::failed)?);
        let store = cluster.store(Arc::clone(&spec)).await?;
        let lanes = Lanes::new(&spec);
        let recorder = Arc::new(Recorder::new(lanes.names().to_vec()));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let outlet = match &settings.events {
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
        let as_of = AsOf::new(cluster.latest_clock().await?, settings.work.settle);
        let pace = Pace::new(settings.work.in_flight);
        Ok(Self { spec, store, outlet, recorder, pace, as_of, acknowledged })
    }

    fn with(self, journal: Arc<dyn Journal>) -> Engine {
        let Self { spec, store, outlet, recorder, pace, as_of, acknowledged } = self;
        let shared = Arc::clone(&spec);
        let retry = Retry::default();
        let context = Context::new(shared, store, outlet, journal, recorder, pace, as_of, retry);
        Engine { spec, context: Arc::new(context), acknowledged }
    }
}

impl Engine {
    /// Waits until the first group may be read, then runs all of them.
    async fn merge(
        &self,
        plan: &Plan,
        settings: &ApplySettings,
        console: &Console,
        mut failures: Failures,
        mut stop: watch::Receiver<bool>,
    ) -> Merged {
        let limits = settings.work.limits;
        let progress = Arc::new(pipeline::Progress::default());
        if !plan.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(self.context.as_of.time_to_settle()) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
        let began = Instant::now();
        let shown = {
            let (context, progress) = (Arc::clone(&self.context), Arc::clone(&progress));
            let groups_total = plan.len().min(limits.groups) as u64;
            Progress::start(&console.terminal, settings.output.quiet, move || Snapshot {
                groups_total,
                done: progress.done.load(Ordering::Relaxed),
                failed: progress.failed.load(Ordering::Relaxed),
                in_flight: context.pace.now().1 as u64,
                retries: context.retries(),
            })
        };
        let mut reasons = FailureReasons::default();
        let on_failure = |group: &Group, Reason { reason, class }: &Reason| {
            tracing::error!("a group of {} pairs failed: {reason}", group.pairs.len());
            reasons.add(group, class);
            failures.append(&group.pairs, reason)
        };
        let (outcome, unwritten) = pipeline::run(
            &self.context,
            plan,
            &Known::default(),
            limits,
            &progress,
            stop,
            on_failure,
        )
        .await;
        shown.finish();
        Merged { outcome, reasons, unwritten, took: began.elapsed() }
    }

    async fn close(self) -> Result<(), Failure> {
        // All groups have ended, so nobody else holds the context.
        match Arc::into_inner(self.context) {
            Some(context) => Ok(context.outlet.close().await?),
            None => Ok(()),
        }
    }
}

/// What the report says of a run.
fn applied(engine: &Engine, plan: &Plan, settings: &ApplySettings, merged: &Merged) -> Applied {
    let Merged { outcome, reasons, took, .. } = merged;
    let stats = plan.stats();
    let to_run = plan.len().min(settings.work.limits.groups);
    let limited: u64 = (to_run..plan.len()).map(|index| plan.sources_of(index) as u64).sum();
    let stopped = match outcome.ended {
        Ended::Finished => None,
        Ended::Interrupted => Some("interrupted".to_owned()),
        Ended::TooManyErrors => Some("stopped by --max-errors".to_owned()),
        Ended::Hopeless => Some("stopped, because every further group would fail".to_owned()),
    };
    let mut applied = Applied {
        stopped,
        groups: Fates {
            planned: stats.groups,
            done: outcome.done,
            failed: outcome.failed,
            not_started: (to_run as u64).saturating_sub(outcome.done + outcome.failed),
            limited: (plan.len() - to_run) as u64,
        },
        pairs: Fates {
            planned: stats.pairs,
            done: outcome.pairs_merged,
            failed: outcome.pairs_failed,
            not_started: stats
                .pairs
                .saturating_sub(limited + outcome.pairs_merged + outcome.pairs_failed),
            limited,
        },
        retries: engine.context.retries(),
        latency: engine.context.recorder.totals(),
        failures: reasons.top(REASONS),
        ..Applied::default()
    };
    applied.set_tally(&outcome.tally, engine.spec.tables.iter().map(|table| table.name.as_str()));
    applied.events = EventFacts {
        topic: settings.events.as_ref().map(|events| events.topic.clone()),
        produced: engine.context.produced(),
        acknowledged: engine.acknowledged.load(Ordering::Relaxed),
    };
    applied.set_throughput(*took);
    applied
}

fn exit_of(outcome: &RunOutcome, plan: &Plan) -> Exit {
    match outcome.ended {
        Ended::Interrupted => Exit::Interrupted,
        Ended::TooManyErrors | Ended::Hopeless => Exit::Failed,
        Ended::Finished if outcome.failed > 0 || plan.stats().rejected_lines() > 0 => Exit::Partial,
        Ended::Finished => Exit::Done,
    }
}

/// latency.hlog, written once a second.
struct LatencyLog {
    writing: tokio::task::JoinHandle<()>,
    done: watch::Sender<bool>,
}

impl LatencyLog {
    fn start(file: std::fs::File, recorder: Arc<Recorder>, path: PathBuf) -> Self {
        let (done, mut over) = watch::channel(false);
        let writing = tokio::spawn(async move {
            let written = async {
                let mut log = IntervalLog::begin(file, &recorder, SystemTime::now())?;
                let mut ticks = interval(Duration::from_secs(1));
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                ticks.tick().await;
                loop {
                    let last = tokio::select! {
                        _ = ticks.tick() => false,
                        _ = over.wait_for(|over| *over) => true,
                    };
                    log.append(&recorder.take_interval(), SystemTime::now())?;
                    if last {
                        return Ok::<(), std::io::Error>(());
                    }
                }
            };
            // The histograms are a by-product; merging goes on without them.
            if let Err(error) = written.await {
                tracing::warn!("cannot write {}: {error}", path.display());
            }
        });
        Self { writing, done }
    }

    async fn finish(self) {
        self.done.send_replace(true);
        // It ended by itself, or with a warning of its own.
        let _ = self.writing.await;
    }
}
