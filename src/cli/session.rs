//! One session of a run: merge what is left to be done, then say where the run as a whole stands.
//!
//! `apply` has the first session, each `resume` a further one. What the report says of groups, pairs and
//! rows is read from the journal, so that it covers all sessions; speed, latencies and events are
//! those of this one.

use std::fs::File;
use std::time::Duration;

use tokio::sync::watch;

use super::engine::{Engine, Merged, ToMerge};
use super::latency_log::LatencyLog;
use super::{Console, Exit, Failure, RunSettings, facts, live, register, runs, scan, sweep};
use crate::advice::Advice;
use crate::journal::{JournalError, State};
use crate::latency::LatencySummary;
use crate::live::{Frame, Phase};
use crate::model::{Amount, ScanTally, Tally, Timed};
use crate::moment::Moment;
use crate::pipeline::{Ended, Known, RunOutcome};
use crate::plan::Plan;
use crate::report::{Aftercare, Applied, Fates, Resumed, Summary};
use crate::run::{Failures, RunDir, RunError, RunRecord, files};

/// How many reasons for failures the report tells.
const REASONS: usize = 10;

/// Groups that are merged; of the second, something that came late is still on its way, and the next session ends that.
const MERGED: [State; 2] = [State::Done, State::Sweeping];

/// A run that is about to be worked on.
pub(super) struct Session<'a> {
    pub(super) run_dir: RunDir,
    /// The run as the report shows it, with the settings of this session.
    pub(super) record: RunRecord,
    /// When the run began, if that was in an earlier session.
    pub(super) resumed: Option<Moment>,
    pub(super) plan: Plan,
    /// Where the groups stand at the start.
    pub(super) known: Known,
    pub(super) settings: &'a RunSettings,
    pub(super) stop: watch::Receiver<bool>,
}

/// The files that are written while groups are merged.
pub(super) struct Traces {
    pub(super) failures: Failures,
    pub(super) latency: File,
}

impl Session<'_> {
    /// Merges what is left to be done and reports.
    pub(super) async fn run(
        self,
        engine: Engine,
        traces: Traces,
        console: &Console,
    ) -> Result<Exit, Failure> {
        let Traces { mut failures, latency } = traces;
        let log = LatencyLog::start(latency, self.run_dir.file(files::LATENCY), &engine.context);
        let work = ToMerge {
            plan: &self.plan,
            known: &self.known,
            settings: self.settings,
            stop: self.stop.clone(),
        };
        if let Some(untold) = engine.unasked() {
            tracing::warn!("{untold}");
        }
        engine.show(work.left() as u64, console);
        let scanned = scan::run(&engine, &work, console).await;
        let mut merged = match &scanned {
            Ok(Some(scanned)) if scanned.tally.interrupted => Merged::nothing(Ended::Interrupted),
            Ok(_) => engine.merge(work, &mut failures, console).await,
            Err(_) => Merged::nothing(Ended::Fatal),
        };
        let swept = self.sweep(&engine, &merged.outcome, console).await;
        let timeline = log.finish().await;
        // From here on trouble is kept until the report is out: what was done has to be known, however
        // rough the end.
        let mut trouble =
            vec![std::mem::replace(&mut merged.unwritten, Ok(())).err().map(Failure::from)];
        let (mut applied, journaled) = self.applied(&engine, &mut merged, console).await;
        trouble.push(journaled.err().map(Failure::from));
        trouble.extend(add_looks(&mut applied, scanned, swept, &console.stopped_by()));
        applied.timeline = timeline;
        self.add_facts(&engine, &mut applied);
        let since = self.resumed.unwrap_or(self.record.started_at);
        let gone = (*engine.context.storage).as_ref().gone().await;
        applied.truncated = facts::truncated((*engine.context.storage).as_ref(), since).await;
        if self.resumed.is_some() {
            trouble.push(self.list_failures(&engine).err());
        }
        let is_lost = match &engine.register {
            Some(register) if merged.outcome.ended == Ended::Fatal => {
                register::is_lost(register).await.unwrap_or(false)
            }
            _ => false,
        };
        let is_interrupted = *self.stop.borrow();
        let mut trouble: Vec<Failure> = trouble.into_iter().flatten().collect();
        trouble.extend(engine.end(self.plan.len() as u64, is_interrupted, console).await);
        let exit = match trouble.is_empty() {
            true => self.exit(merged.outcome.ended, &applied),
            false => Exit::Failed,
        };
        let path = self.run_dir.path();
        applied.again = match gone.is_empty() {
            true if is_lost => Some(Advice::undo(path)),
            true => self.again(&applied, console),
            false => runs::close(&self.settings.cluster, self.record.id.as_str()),
        };
        applied.gone = gone;
        let stats = self.plan.stats().clone();
        let kinds = stats.rejected.values().filter(|lines| **lines > 0).count();
        let rejects = facts::examples(&self.run_dir.file(files::REJECTS), "reason", Some(kinds));
        let mut summary =
            Summary::new(&self.record, path, Moment::now(), stats, Some(applied), exit.code());
        summary.reject_examples = rejects;
        trouble.extend(self.end(&summary, console).err().map(Failure::from));
        let exit = Exit::from_code(summary.exit_code);
        console.conclude(&summary, &self.run_dir, trouble, exit)
    }

    /// Tells those who look at the run that it has ended, and keeps the last figures for Prometheus.
    fn end(&self, summary: &Summary, console: &Console) -> Result<(), RunError> {
        let applied = summary.applied.as_ref();
        let stopped = applied.and_then(|applied| applied.stopped.as_deref());
        let again = applied.and_then(|applied| applied.again.as_ref());
        console.status.end(live::ended(Exit::from_code(summary.exit_code), stopped, again));
        let last = Frame::of(&console.status, &console.control);
        self.run_dir.replace(files::METRICS, last.metrics.as_bytes())
    }

    /// Sweeps, and looks for mentions, once every group had its turn.
    async fn sweep(
        &self,
        engine: &Engine,
        merged: &RunOutcome,
        console: &Console,
    ) -> Result<sweep::Ended, Failure> {
        let aftermath = sweep::Aftermath {
            engine,
            plan: &self.plan,
            known: &self.known,
            stop: &self.stop,
            sweeps: self.settings.work.sweep,
            mentions: engine.context.spec.mentions().next().is_some(),
        };
        if merged.ended != Ended::Finished || !(aftermath.sweeps || aftermath.mentions) {
            // What was interrupted is gone on with, and told then.
            if merged.ended == Ended::Finished {
                aftermath.without_sweep()?;
            }
            return Ok((None, None));
        }
        console.status.enter(Phase::Sweeping);
        // A scan may take as long as the first.
        let scans = aftermath.mentions || engine.context.scans();
        let shown = scans.then(|| scan::progress(engine, console));
        let ended = aftermath.run(&self.run_dir).await;
        drop(shown);
        ended
    }

    /// What the report says.
    async fn applied(
        &self,
        engine: &Engine,
        merged: &mut Merged,
        console: &Console,
    ) -> (Applied, Result<(), JournalError>) {
        let outcome = &merged.outcome;
        let before = self.fates(&self.known, &[State::Done]);
        let whole = self.whole_run(engine).await;
        let ((groups, pairs), tally, journaled) = match &whole {
            Ok((now, tally)) => (self.fates(now, &MERGED), tally, Ok(now)),
            // What the journal cannot tell any more is what was counted here.
            Err(error) => (counted(before, outcome), &outcome.tally, Err(error.clone())),
        };
        let stopped = match outcome.ended {
            Ended::Finished => None,
            Ended::Interrupted => Some(console.stopped_by()),
            Ended::TooManyErrors => Some("stopped by --max-errors".to_owned()),
            Ended::Fatal => Some(match &outcome.stopped_by {
                Some(why) => format!("stopped, because every further group would meet this: {why}"),
                None => "stopped, because no group could be told as failed".to_owned(),
            }),
        };
        let mut applied = Applied {
            stopped,
            resumed: self.resumed.map(|run_started_at| Resumed {
                run_started_at,
                groups_done_before: before.0.done,
                pairs_done_before: before.1.done,
            }),
            groups,
            pairs,
            groups_done_now: outcome.done,
            unsupported: engine.untold(),
            retries: engine.context.retries(),
            latency: taken(engine.context.recorder.totals()),
            ..Applied::default()
        };
        let tables = engine.context.spec.tables.iter();
        let tables = tables.map(|table| (!table.is_mention()).then_some(table.name.as_str()));
        applied.set_tally(tally, tables);
        applied.deletes = engine.deletes();
        applied.aftercare = self.aftercare(engine, tally);
        let is_stopped = *self.stop.borrow() || outcome.ended != Ended::Finished;
        applied.events = engine.events(is_stopped);
        let rows = outcome.tally.tables.iter().map(|table| table.source_rows).sum();
        applied.set_throughput(merged.took, outcome.pairs_merged, rows);
        let journaled = journaled.and_then(|now| self.add_reasons(engine, now, merged));
        applied.failures = merged.reasons.top(REASONS);
        applied.busy = register::busy(&self.known, engine.register.as_deref()).await;
        (applied, journaled)
    }

    /// What whoever runs the servers has to know of what was deleted.
    fn aftercare(&self, engine: &Engine, tally: &Tally) -> Option<Aftercare> {
        let tables = engine.context.spec.tables.iter().zip(&tally.tables).zip(&engine.gc_grace_s);
        let deleted: Vec<_> = tables.filter(|((_, rows), _)| rows.deleted > 0).collect();
        let gc_grace_s = deleted.iter().map(|(_, s)| **s).min()?;
        let began = self.resumed.unwrap_or(self.record.started_at);
        Some(Aftercare {
            keyspace: self.settings.cluster.keyspace.clone(),
            tables: deleted.iter().map(|((table, _), _)| table.name.clone()).collect(),
            gc_grace_s,
            repair_before: Moment::from(began.time() + Duration::from_secs(gc_grace_s)),
        })
    }

    /// Adds what makes a report easier to understand; it does without.
    fn add_facts(&self, engine: &Engine, applied: &mut Applied) {
        let context = &engine.context;
        match facts::hottest(&*engine.journal, &context.codec, &context.spec, self.plan.len()) {
            Ok(hottest) => applied.hottest = hottest,
            Err(failure) => {
                tracing::warn!("the hottest partitions are not known: {}", failure.error);
            }
        }
        if applied.has_left() {
            let path = self.run_dir.file(files::SWEEP);
            applied.sweep_examples = facts::examples(&path, "reason", None);
        }
    }

    /// Where all groups stand and what was done in those that are done, over all sessions.
    async fn whole_run(&self, engine: &Engine) -> Result<(Known, Tally), JournalError> {
        engine.journal.flush().await?;
        let mut tally = Tally::new(engine.context.spec.tables.len());
        tally.add(&engine.journal.tally(&MERGED)?);
        Ok((Known::new(engine.journal.states()?), tally))
    }

    /// What became of the groups, and of their pairs, where these states are done.
    fn fates(&self, known: &Known, done: &[State]) -> (Fates, Fates) {
        let stats = self.plan.stats();
        let busy = &self.known.barred().busy;
        let mut groups = Fates { planned: stats.groups, ..Fates::default() };
        let mut pairs = Fates { planned: stats.pairs, ..Fates::default() };
        for group in 0..self.plan.len() {
            let fate: fn(&mut Fates) -> &mut u64 = match known.state(group) {
                Some(state) if done.contains(&state) => |fates| &mut fates.done,
                Some(State::Undoing | State::Undone | State::Disputed | State::Erased) => {
                    |fates| &mut fates.undone
                }
                _ if busy.contains_key(&group) => |fates| &mut fates.busy,
                Some(State::Failed) => |fates| &mut fates.failed,
                Some(State::Rejected) => |fates| &mut fates.rejected,
                Some(State::Intended | State::Written) => |fates| &mut fates.half_merged,
                _ if group >= self.settings.work.limits.groups => |fates| &mut fates.limited,
                _ => |fates| &mut fates.not_started,
            };
            *fate(&mut groups) += 1;
            *fate(&mut pairs) += self.plan.sources_of(group) as u64;
        }
        (groups, pairs)
    }

    /// Adds the groups that failed in an earlier session and had no turn in this one.
    fn add_reasons(
        &self,
        engine: &Engine,
        now: &Known,
        merged: &mut Merged,
    ) -> Result<(), JournalError> {
        for group in failed_groups(&self.plan, now).filter(|group| !merged.failed.contains(group)) {
            if let Some(record) = engine.journal.group(group)? {
                merged.reasons.add(&record.pairs, &record.reason.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Writes failures.csv anew, with what failed in any session and is still not done.
    fn list_failures(&self, engine: &Engine) -> Result<(), Failure> {
        let now = Known::new(engine.journal.states()?);
        let mut failures = self.run_dir.failures()?;
        for group in failed_groups(&self.plan, &now) {
            if let Some(record) = engine.journal.group(group)? {
                failures.append(&record.pairs, &record.reason.unwrap_or_default())?;
            }
        }
        for (group, why) in self.known.barred().groups() {
            failures.append(&self.plan.group(group).pairs, why)?;
        }
        Ok(())
    }

    fn exit(&self, ended: Ended, applied: &Applied) -> Exit {
        match ended {
            Ended::Interrupted => Exit::Interrupted,
            Ended::Finished if applied.stopped.is_some() => Exit::Interrupted,
            Ended::Finished if applied.has_left() => Exit::Partial,
            Ended::TooManyErrors | Ended::Fatal => Exit::Failed,
            Ended::Finished
                if applied.groups.are_kept_out() || self.plan.stats().rejected_lines() > 0 =>
            {
                Exit::Partial
            }
            Ended::Finished => Exit::Done,
        }
    }

    /// The command that does what is left to be done, if anything is.
    fn again(&self, applied: &Applied, console: &Console) -> Option<Advice> {
        if applied.stopped.is_some() || applied.groups.failed > 0 {
            return console.again.command().cloned();
        }
        let run = self.run_dir.path().to_path_buf();
        let secrets = self.settings.secret_flags.to_vec();
        (applied.groups.limited > 0).then_some(Advice::Resume { run, all: true, secrets })
    }
}

/// Adds what came of the scan and of the sweep; gives back what went wrong in them.
fn add_looks(
    applied: &mut Applied,
    scanned: Result<Option<Timed<ScanTally>>, Failure>,
    ended: Result<sweep::Ended, Failure>,
    by: &str,
) -> [Option<Failure>; 2] {
    let mut stopped = |why: &str| applied.stopped = Some(why.to_owned());
    match (&scanned, &ended) {
        (Err(_), _) => stopped("stopped, because the scan failed"),
        (Ok(Some(scanned)), _) if scanned.tally.interrupted => {
            stopped(&format!("{by} during the scan; this session began no group"));
        }
        (_, Err(_)) => stopped("stopped during the sweep; all groups had their turn"),
        (_, Ok((Some(swept), _))) if swept.tally.interrupted => {
            stopped(&format!("{by} during the sweep; all groups had their turn"));
        }
        (_, Ok((_, Some(mentions)))) if mentions.tally.interrupted => {
            stopped(&format!("{by} during the scan for mentions; all groups had their turn"));
        }
        _ => {}
    }
    let mut failed = [None, None];
    match scanned {
        Ok(facts) => applied.scanned = facts,
        Err(failure) => failed[0] = Some(failure),
    }
    match ended {
        Ok((swept, mentions)) => (applied.swept, applied.mentions) = (swept, mentions),
        Err(failure) => failed[1] = Some(failure),
    }
    failed
}

fn failed_groups(plan: &Plan, known: &Known) -> impl Iterator<Item = usize> {
    (0..plan.len()).filter(|group| known.state(*group) == Some(State::Failed))
}

/// The operations that something went through.
fn taken(operations: Vec<LatencySummary>) -> Vec<LatencySummary> {
    operations.into_iter().filter(|operation| operation.count > 0).collect()
}

/// What became of groups and pairs, by the counters of this session.
fn counted(before: (Fates, Fates), outcome: &RunOutcome) -> (Fates, Fates) {
    let count = |before: Fates, done: u64, failed: u64| {
        let Fates { planned, half_merged, limited, undone, busy, rejected, .. } = before;
        let done = before.done + done;
        let others = half_merged + limited + undone + busy + rejected;
        let not_started = planned.saturating_sub(done + failed + others);
        Fates { planned, done, failed, not_started, half_merged, limited, undone, busy, rejected }
    };
    (
        count(before.0, outcome.done, outcome.failed),
        count(before.1, outcome.pairs_merged, outcome.pairs_failed),
    )
}
