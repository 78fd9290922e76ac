//! `verify`: compare the cluster with what a run should have left there, and repair it if asked to.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use anyhow::anyhow;

use super::identity::{self, Identity, check_tables};
use super::latency_log::LatencyLog;
use super::ready::{Needs, Ready, Task};
use super::recorded::part_of;
use super::register::Entering;
use super::{
    Console, Exit, Failure, ProgressDisplay, RunSettings, VerifySettings, again, facts, listen,
    live, register, runs,
};
use crate::journal::{Journal, SqliteJournal, State};
use crate::live::Phase;
use crate::moment::Moment;
use crate::pipeline::Walked;
use crate::register::RunState;
use crate::report::{TruncatedTable, Verification, VerifiedGroups, VerifiedTable};
use crate::run::{RunDir, RunRecord, files};
use crate::verify::{self, Verified};

/// Runs `verify` on a run that has been taken up.
pub(crate) async fn run(
    run_dir: RunDir,
    record: &RunRecord,
    settings: &VerifySettings,
    console: &Console,
) -> Result<Exit, Failure> {
    let work = carry_out(&run_dir, record, settings, console);
    live::over_run("verify", run_dir.path(), record, &settings.run, console, work).await
}

async fn carry_out(
    run_dir: &RunDir,
    record: &RunRecord,
    settings: &VerifySettings,
    console: &Console,
) -> Result<Exit, Failure> {
    let VerifySettings { run: settings, options } = settings;
    let RunSettings { cluster, spec, .. } = settings;
    let started_at = Moment::now();
    let mut stop = listen(console).map_err(Failure::failed)?;
    console.run_log.attach(run_dir.append(files::LOG)?).map_err(Failure::failed)?;
    tracing::info!("verifying run {} in {}", record.id, run_dir.path().display());

    let journal = SqliteJournal::open(&run_dir.file(files::JOURNAL))?;
    Identity::without_plan(record, &cluster.keyspace, spec).check(&journal)?;
    let total = identity::groups(&journal)?;
    let task = if options.repair { Task::Repair } else { Task::Compare };
    let part = part_of(run_dir.path(), record)?;
    let needs = Needs {
        task,
        run: &record.id,
        part: part.as_ref(),
        run_dir: Some(run_dir.path()),
        settings,
    };
    let ready = Ready::start_unless(&mut stop, needs, console).await?;
    let (run, checked) =
        ((record, run_dir.path(), Entering::Merges), (ready.spec(), spec.sha256()));
    register::enter(&ready.past, run, checked, &journal, total).await?;
    let close = runs::close(&settings.cluster, record.id.as_str());
    check_tables(&journal, ready.spec(), close.as_ref())?;
    let truncated = facts::truncated(ready.store(), record.started_at).await;
    if let (Some(TruncatedTable { table, at }), true) = (truncated.first(), options.repair) {
        return Err(Failure::failed(anyhow!(
            "table {table} was truncated at {at}, since the run began: a repair would write again what somebody meant to \
             be gone. Nothing was written; without --repair the rest is compared"
        )));
    }
    let done = done(&journal)?;
    let merged_on = later_merged(&ready, record, &journal, &done).await?;
    let is_forgotten = match ready.past.archive() {
        Some(past) => past.known_run(record.id.as_str()).await.map_err(Failure::failed)?.is_none(),
        None => false,
    };
    if !done.is_empty() {
        // A repair that dies leaves its accounts busy until the run is resumed.
        register::begin(&ready.past, run_dir.path(), RunState::Running).await?;
    }
    let engine = ready.with(Arc::new(journal))?;
    let command = again::same();
    console.again.set(command.clone());

    let groups_total = done.len().saturating_sub(merged_on.len()) as u64;
    console.status.enter(Phase::Verifying);
    engine.show(groups_total, console);
    let shown = ProgressDisplay::start(console, engine.snapshot(groups_total));
    // Its latencies are of no run: they are told in the report and not kept.
    let log = LatencyLog::start(io::sink(), run_dir.file(files::LATENCY), &engine.context);
    let diff = run_dir.file(files::DIFF);
    let (context, progress) = (&engine.context, &engine.progress);
    let verified = verify::verify(context, *options, &merged_on, &diff, progress, stop).await;
    shown.finish();
    let timeline = log.finish().await;
    let verified = verified.map_err(Failure::failed)?;

    let spec = Arc::clone(&engine.context.spec);
    let unsupported = engine.context.storage.untold();
    let latency = engine.context.recorder.totals();
    let (acknowledged, retries) = (engine.acknowledged(), engine.context.retries());
    let is_interrupted = verified.ended == Walked::Interrupted;
    let trouble: Vec<Failure> = engine.end(total, is_interrupted, console).await.collect();
    let exit = if trouble.is_empty() { exit(&verified, total) } else { Exit::Failed };
    let finished_at = Moment::now();
    let is_over = verified.ended == Walked::Finished && verified.failed == 0;
    let names = spec.tables.iter().map(|table| table.label().into_owned());
    let counts = verified.counts.tables.iter().copied();
    let verification = Verification {
        version: Verification::VERSION,
        command: "verify",
        run: record.id.clone(),
        run_dir: run_dir.path().to_path_buf(),
        started_at,
        finished_at,
        elapsed_s: finished_at.since(started_at).as_secs_f64(),
        exit_code: exit.code(),
        repair: options.repair,
        truncated,
        is_forgotten,
        stopped: stopped(&verified, console),
        again: (!is_over).then_some(command),
        differences: verified.counts.differences(),
        tables: names.zip(counts).map(|(table, counts)| VerifiedTable { table, counts }).collect(),
        groups: groups(verified, total),
        events: acknowledged,
        unsupported,
        retries,
        examples: facts::examples(&diff, "verdict", None),
        timeline,
        latency,
        settings: settings.recorded.clone(),
    };
    console.conclude(&verification, run_dir, trouble, exit)
}

/// The groups of these that a later run has merged on.
async fn later_merged(
    ready: &Ready,
    record: &RunRecord,
    journal: &SqliteJournal,
    done: &[usize],
) -> Result<BTreeSet<usize>, Failure> {
    let Some(past) = ready.past.archive() else { return Ok(BTreeSet::new()) };
    let later = register::not_yet(past, &record.id, journal, done, ready.spec());
    Ok(later.await?.into_keys().collect())
}

/// Why it ended before its end, if it did.
fn stopped(verified: &Verified, console: &Console) -> Option<String> {
    match verified.ended {
        Walked::Finished => None,
        Walked::Interrupted => Some(console.stopped_by()),
        Walked::BrokenOff => Some(match &verified.stopped_by {
            Some(why) => format!("because every further group would meet this: {why}"),
            None => "because too many groups could not be read".to_owned(),
        }),
    }
}

/// The groups that are done.
fn done(journal: &dyn Journal) -> Result<Vec<usize>, Failure> {
    let states = journal.states()?.into_iter();
    let done = states.filter(|(_, state)| *state == State::Done);
    Ok(done.map(|(group, _)| group).collect())
}

fn exit(verified: &Verified, total: u64) -> Exit {
    match verified.ended {
        Walked::Interrupted => Exit::Interrupted,
        Walked::BrokenOff => Exit::Failed,
        Walked::Finished if verified.failed > 0 => Exit::Failed,
        Walked::Finished if verified.counts.differences() > 0 => Exit::Differences,
        Walked::Finished if verified.done + over(verified) < total => Exit::Partial,
        Walked::Finished => Exit::Done,
    }
}

/// Groups of which nothing is to be compared any more: a later run has merged them on, or they were taken back.
fn over(verified: &Verified) -> u64 {
    let states = [verify::MERGED_ON.to_owned(), State::Undone.to_string()];
    states.iter().filter_map(|state| verified.states.get(state)).sum()
}

/// What became of the run's groups.
fn groups(verified: Verified, total: u64) -> VerifiedGroups {
    let Verified { mut states, done, before, counts, failed, error, .. } = verified;
    let known: u64 = states.values().sum();
    states.retain(|state, _| *state != State::Done.to_string());
    if total > known {
        states.insert("planned".to_owned(), total - known);
    }
    VerifiedGroups {
        total,
        compared: counts.groups,
        compared_before: before,
        failed,
        reason: error.map(|error| error.to_string()),
        left: done.saturating_sub(counts.groups + failed),
        not_done: states,
    }
}
