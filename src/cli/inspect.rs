//! `plan --inspect`: what a merge would do, read from the cluster.
//!
//! What is connected here is a [`ReadStore`], which holds no statement that could write; there is no broker and no
//! journal.

mod shown;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::watch;

use super::engine::under_way;
use super::progress::{Rates, Stage};
use super::{
    Console, Exit, Failure, InspectSettings, PlanSettings, ProgressDisplay, ScanSnapshot, Snapshot,
};
use crate::cluster::{Cluster, ReadStore, RegisterReader};
use crate::latency::Recorder;
use crate::model::{AccountType, Surroundings};
use crate::pace::Pace;
use crate::pipeline::{self, Context, HotPartition, Inspected, Operations, Selection};
use crate::plan::Plan;
use crate::register::{Archive, RunTimes};
use crate::report::{Inspection, Met};
use crate::spec::Spec;
use crate::storage::Fault;

/// Partitions that are named in the report.
const HOTTEST: usize = 10;
/// Of those, the ones that are read for what is there already.
const TRACED: usize = 5;

/// A cluster that can be read.
pub(super) struct Reading {
    store: ReadStore,
    context: Arc<Context<ReadStore>>,
    /// Whether the server has told its thresholds.
    is_reported: bool,
    /// What stands around the tables.
    surroundings: Surroundings,
    /// Tables that are not merged, with columns that are named like those of accounts.
    left_out: Vec<(String, Vec<String>)>,
    /// What other runs did; none where no run keeps that, or it is not to be asked.
    register_reader: Option<RegisterReader>,
}

struct Measured {
    inspected: Inspected,
    hottest: Vec<(HotPartition, Option<Met>)>,
    /// The time in which groups were read.
    took: Duration,
}

/// Inspects a plan.
pub(super) async fn run(
    reading: &Reading,
    inspect: &InspectSettings,
    plan: &Plan,
    console: &Console,
    stop: &mut watch::Receiver<bool>,
) -> Result<Inspection, Failure> {
    let selection = match inspect.sample {
        None => Selection::All,
        Some(groups) => Selection::Sample { groups, seed: fastrand::u64(..1 << 32) },
    };
    let began = Instant::now();
    let total = inspect.sample.unwrap_or(usize::MAX).min(plan.len());
    let progress = Arc::new(pipeline::GroupCounts::default());
    let shown = reading.progress(total as u64, &progress, console);
    let inspected = pipeline::inspect(&reading.context, plan, selection, &progress, stop).await;
    shown.finish();
    let inspected = inspected.map_err(|error| {
        Failure::failed(
            anyhow::Error::new(error).context("the inspection failed; nothing was changed"),
        )
    })?;
    if inspected.interrupted {
        return Err(interrupted());
    }
    let took = began.elapsed().saturating_sub(inspected.scanning);
    let hottest = reading.trace(stop).await;
    if *stop.borrow() {
        return Err(interrupted());
    }
    let measured = Measured { inspected, hottest, took };
    Ok(reading.shown(inspect, plan, selection, &measured))
}

fn interrupted() -> Failure {
    let error = anyhow!("interrupted while looking at the cluster; nothing was changed");
    Failure { exit: Exit::Interrupted, error }
}

impl Reading {
    /// Connects and checks, unless the operator stops it.
    pub(super) async fn start_unless(
        stop: &mut watch::Receiver<bool>,
        settings: &PlanSettings,
        inspect: &InspectSettings,
    ) -> Result<Self, Failure> {
        tokio::select! {
            reading = Self::start(settings, inspect) => reading,
            _ = stop.wait_for(|stop| *stop) => Err(interrupted()),
        }
    }

    /// The type of accounts in the cluster's tables.
    pub(super) fn accounts(&self) -> AccountType {
        self.context.spec.accounts
    }

    /// The specification, checked against the cluster's schema.
    pub(super) fn spec(&self) -> &Spec {
        &self.context.spec
    }

    /// What other runs did, as far as it is known and to be asked.
    pub(super) fn archive(&self) -> Option<&dyn Archive> {
        self.register_reader.as_ref().map(|reader| reader as &dyn Archive)
    }

    /// Notes when runs have written to the accounts that are looked at.
    pub(super) fn know_run_times(&self, times: RunTimes) {
        self.context.know_run_times(times);
    }

    async fn start(settings: &PlanSettings, inspect: &InspectSettings) -> Result<Self, Failure> {
        let cluster = Cluster::connect(inspect.cluster.clone()).await?;
        let spec = settings.spec.check(cluster.schema()).map_err(Failure::failed)?;
        let spec = Arc::new(spec.counting_ttls());
        cluster.check_rights(&spec, false).await?;
        let store = cluster.reader(Arc::clone(&spec)).await?;
        let register_reader = match &inspect.cluster.register {
            Some(keyspace) => cluster.sole_register_reader(keyspace).await?,
            None => None,
        };
        let recorder = Arc::new(Recorder::new(Operations::new(&spec).names().to_vec()));
        let pace = Pace::of(inspect.work.pace);
        let mut context = Context::reading(Arc::clone(&spec), store.clone(), recorder, pace)?;
        context.work = inspect.work;
        let limits = cluster.tombstone_limits().await;
        if let Err(why) = &limits {
            tracing::info!("the server does not tell its tombstone thresholds: {why}");
        }
        let is_reported = limits.is_ok();
        // Those whose rows are merged come first: they are shown beside what is written to them.
        let (merged, mention): (Vec<_>, Vec<_>) =
            spec.tables.iter().partition(|table| !table.is_mention());
        let mut tables: Vec<_> =
            merged.iter().chain(&mention).map(|table| table.name.as_str()).collect();
        let mut seen = BTreeSet::new();
        tables.retain(|name| seen.insert(*name));
        let surroundings = cluster.surroundings(&tables).await;
        let left_out = spec.left_out(cluster.schema());
        context.deletes.limits = limits.unwrap_or_default();
        let context = Arc::new(context);
        Ok(Self { store, context, is_reported, surroundings, left_out, register_reader })
    }

    fn progress(
        &self,
        groups_total: u64,
        progress: &Arc<pipeline::GroupCounts>,
        console: &Console,
    ) -> ProgressDisplay {
        let (context, progress) = (Arc::clone(&self.context), Arc::clone(progress));
        ProgressDisplay::start(console, move || {
            let (scanning, retries) = (&context.scanning, context.retries());
            let scan = ScanSnapshot {
                ranges_total: scanning.total.load(Ordering::Relaxed),
                ranges: scanning.ranges.load(Ordering::Relaxed),
                rows: scanning.rows.load(Ordering::Relaxed),
                clustered_rows: scanning.clustered_rows.load(Ordering::Relaxed),
                retries,
                ..ScanSnapshot::default()
            };
            if scan.ranges < scan.ranges_total {
                return Looking::Scan(scan);
            }
            Looking::Groups(Snapshot {
                groups_total,
                done: progress.done.load(Ordering::Relaxed),
                failed: progress.failed.load(Ordering::Relaxed),
                under_way: under_way(&context),
                retries,
                held: context.pace.held(),
                ..Snapshot::default()
            })
        })
    }

    /// The partitions with the most deletes, and what is in the hottest of them already.
    async fn trace(&self, stop: &mut watch::Receiver<bool>) -> Vec<(HotPartition, Option<Met>)> {
        let mut hottest = Vec::new();
        let mut is_traced = true;
        for hot in self.context.deletes.hottest(HOTTEST) {
            let (table, scope) = &hot.key;
            if !is_traced || hottest.len() >= TRACED {
                hottest.push((hot, None));
                continue;
            }
            let met = tokio::select! {
                met = self.store.tombstones_in(*table, scope.values()) => met,
                _ = stop.wait_for(|stop| *stop) => return hottest,
            };
            let met = match met {
                Ok(met) => Some(Met {
                    rows: met.rows,
                    tombstones: Some(met.tombstones),
                    is_whole: met.is_whole,
                }),
                Err(error) if error.kind == Fault::Replica => {
                    tracing::warn!("{error}");
                    Some(Met { rows: 0, tombstones: None, is_whole: false })
                }
                Err(error) => {
                    tracing::info!(
                        "what is in the hottest partitions already is not known: {error}"
                    );
                    is_traced = false;
                    None
                }
            };
            hottest.push((hot, met));
        }
        hottest
    }
}

/// How far an inspection is.
enum Looking {
    Scan(ScanSnapshot),
    Groups(Snapshot),
}

impl Looking {
    fn stage(&self) -> &dyn Stage {
        match self {
            Self::Scan(scan) => scan,
            Self::Groups(groups) => groups,
        }
    }
}

impl Stage for Looking {
    fn total(&self) -> u64 {
        self.stage().total()
    }

    fn finished(&self) -> u64 {
        self.stage().finished()
    }

    fn counted(&self) -> u64 {
        self.stage().counted()
    }

    fn text(&self, rates: Rates) -> String {
        self.stage().text(rates)
    }
}
