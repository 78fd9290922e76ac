//! `undo`: undo a run, or the groups of some of its pairs.

mod conflicts;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use tokio::sync::watch;

use super::engine::Engine;
use super::identity::{self, Identity, check_tables};
use super::latency_log::LatencyLog;
use super::ready::{Needs, Ready, Task};
use super::recorded::part_of;
use super::register::{Entering, WHOLE_UNDONE};
use super::replan::followed;
use super::{
    Console, Exit, Failure, ProgressDisplay, RunSettings, UndoSettings, again, facts, listen, live,
    register, runs,
};
use crate::advice::Advice;
use crate::journal::{Journal, JournalError, SqliteJournal, State};
use crate::live::Phase;
use crate::model::{EXPIRY, Pair, UndoTally};
use crate::moment::Moment;
use crate::pairs::{self, Followed, Format};
use crate::pipeline::{Reason, Walked};
use crate::register::RunState;
use crate::report::{FailureReasons, Undoing, UndoneGroups, UndoneTable};
use crate::run::{RunDir, RunRecord, files};
use crate::spec::{Spec, Table};
use crate::undo::{self, SelectError, Selected, Undone};

/// How many reasons for failures the report tells.
const REASONS: usize = 10;

/// Runs `undo` on a run that has been taken up.
pub(crate) async fn run(
    run_dir: RunDir,
    record: &RunRecord,
    settings: &UndoSettings,
    console: &Console,
) -> Result<Exit, Failure> {
    let work = carry_out(&run_dir, record, settings, console);
    live::over_run("undo", run_dir.path(), record, &settings.run, console, work).await
}

/// An undo that is about to walk over the groups.
struct Begun {
    engine: Engine,
    selected: Selected,
    /// Groups that later runs have worked on.
    refused: HashSet<usize>,
    /// What takes those runs back first.
    first: Vec<Advice>,
}

async fn begin(
    run_dir: &RunDir,
    record: &RunRecord,
    settings: &UndoSettings,
    console: &Console,
    stop: &mut watch::Receiver<bool>,
) -> Result<Begun, Failure> {
    let UndoSettings { run: RunSettings { cluster, spec, .. }, pairs, .. } = settings;
    let journal = SqliteJournal::open(&run_dir.file(files::JOURNAL))?;
    Identity::without_plan(record, &cluster.keyspace, spec).check(&journal)?;
    let mut selected = selected(run_dir, &journal, pairs.as_ref())?;
    let part = part_of(run_dir.path(), record)?;
    let (run, settings_of_run) = (&record.id, &settings.run);
    let (part, run_dir_of) = (part.as_ref(), Some(run_dir.path()));
    let needs =
        Needs { task: Task::Undo, run, part, run_dir: run_dir_of, settings: settings_of_run };
    let ready = Ready::start_unless(stop, needs, console).await?;
    let (run, checked) =
        ((record, run_dir.path(), Entering::Undoes), (ready.spec(), spec.sha256()));
    register::enter(&ready.past, run, checked, &journal, identity::groups(&journal)?).await?;
    let close = runs::close(&settings.run.cluster, record.id.as_str());
    check_tables(&journal, ready.spec(), close.as_ref())?;
    let (refused, first) = leave_to_others(&mut selected, &ready, record, &journal).await?;
    if settings.options.keep_changed {
        let begun = groups_in(&journal, &[State::Undoing, State::Disputed])?;
        selected.groups.retain(|group| begun.contains(group));
        selected.erased = 0;
    }
    let is_of_whole = pairs.is_none() && !settings.options.keep_changed;
    if is_of_whole && (refused.is_empty() || !selected.groups.is_empty()) {
        // A run that is undone as a whole does not go on merging, whatever becomes of the rest.
        journal.set_meta(WHOLE_UNDONE, "yes")?;
    }
    if !selected.groups.is_empty() {
        let state = if is_of_whole { RunState::Undoing } else { RunState::UndoingSome };
        register::begin(&ready.past, run_dir.path(), state).await?;
    }
    let engine = ready.with(Arc::new(journal))?;
    console.again.set(again::same());
    Ok(Begun { engine, selected, refused, first })
}

async fn carry_out(
    run_dir: &RunDir,
    record: &RunRecord,
    settings: &UndoSettings,
    console: &Console,
) -> Result<Exit, Failure> {
    let started_at = Moment::now();
    let mut stop = listen(console).map_err(Failure::failed)?;
    console.run_log.attach(run_dir.append(files::LOG)?).map_err(Failure::failed)?;
    tracing::info!("taking back run {} in {}", record.id, run_dir.path().display());
    let begun = begin(run_dir, record, settings, console, &mut stop).await?;
    let Begun { engine, selected, refused, first } = begun;

    let latency = run_dir.append(files::LATENCY)?;
    let log = LatencyLog::start(latency, run_dir.file(files::LATENCY), &engine.context);
    let mut reasons = FailureReasons::default();
    let (mut undone, flushed) =
        walk(&engine, &selected, settings, console, stop, &mut reasons).await;
    let timeline = log.finish().await;
    // From here on trouble is kept until the report is out: what was done has to be known, however
    // rough the end.
    let spec = Arc::clone(&engine.context.spec);
    let kept_changed = match settings.options.keep_changed {
        true => keep_changed(&engine, &selected, &mut undone).await,
        false => Ok(0),
    };
    let listed = conflicts::list(&engine, run_dir);
    let merged = groups_in(&*engine.journal, &[State::Done]);
    let merged = merged.map(|groups| groups.difference(&refused).count() as u64);
    let facts = engine.events(undone.ended != Walked::Finished);
    let (retries, latency) = (engine.context.retries(), engine.context.recorder.totals());
    let total = identity::groups(&*engine.journal)?;
    let mut trouble: Vec<Failure> = flushed.err().map(Failure::from).into_iter().collect();
    let kept = known(kept_changed, &mut trouble);
    let conflicts = known(listed, &mut trouble);
    let merged = known(merged.map_err(Failure::from), &mut trouble);
    trouble.extend(engine.end(total, undone.ended == Walked::Interrupted, console).await);
    let exit = match exit(&undone) {
        _ if !trouble.is_empty() => Exit::Failed,
        Exit::Done if !refused.is_empty() || selected.erased > 0 => Exit::Differences,
        exit => exit,
    };

    let refused = refused.len() as u64;
    let groups = UndoneGroups { refused, merged, ..groups(&selected, &undone, kept) };
    let is_left = groups.not_started + groups.failed > 0;
    let finished_at = Moment::now();
    let undoing = Undoing {
        version: Undoing::VERSION,
        command: "undo",
        run: record.id.clone(),
        run_dir: run_dir.path().to_path_buf(),
        started_at,
        finished_at,
        elapsed_s: finished_at.since(started_at).as_secs_f64(),
        exit_code: exit.code(),
        force: settings.options.force,
        keep_changed: settings.options.keep_changed,
        pairs_file: settings.pairs.as_ref().map(|(path, _)| path.clone()),
        stopped: stopped(&undone, console),
        again: if is_left { console.again.command().cloned() } else { None },
        groups,
        first,
        pairs: undone.pairs,
        tables: tables(&spec, &undone),
        conflicts: conflicts.disputed,
        conflicts_kept: conflicts.kept,
        events: facts,
        retries,
        failures: reasons.top(REASONS),
        examples: facts::examples(&run_dir.file(files::CONFLICTS), "table", None),
        timeline,
        latency,
        settings: settings.run.recorded.clone(),
    };
    console.conclude(&undoing, run_dir, trouble, exit)
}

/// What came of something; where it went wrong, that is kept until the report is out, and nothing is known.
fn known<T: Default>(result: Result<T, Failure>, trouble: &mut Vec<Failure>) -> T {
    result.unwrap_or_else(|failure| {
        trouble.push(failure);
        T::default()
    })
}

/// What is to be undone: the groups of these pairs, or all.
fn selected(
    run_dir: &RunDir,
    journal: &dyn Journal,
    pairs: Option<&(PathBuf, Format)>,
) -> Result<Selected, Failure> {
    let wanted = match pairs {
        None => None,
        Some((path, format)) => {
            // Its targets are those that the run went by.
            Some(wanted(path, format, &followed(run_dir.path(), format)?)?)
        }
    };
    undo::select(journal, wanted.as_deref()).map_err(|error| match error {
        SelectError::Journal(error) => Failure::from(error),
        wrong => Failure::unusable(wrong),
    })
}

/// Takes out what later runs have to undo first. Returns those groups, and what is to be undone before them.
async fn leave_to_others(
    selected: &mut Selected,
    ready: &Ready,
    record: &RunRecord,
    journal: &SqliteJournal,
) -> Result<(HashSet<usize>, Vec<Advice>), Failure> {
    let Some(past) = ready.past.archive() else { return Ok(<_>::default()) };
    let (own, spec) = (&record.id, ready.spec());
    if register::forget_unwritten(past, own, journal, spec).await? {
        let states = journal.states()?;
        let known: HashSet<usize> = states.into_iter().map(|(group, _)| group).collect();
        selected.groups.retain(|group| known.contains(group));
    }
    let not_yet = register::not_yet(past, own, journal, &selected.groups, spec).await?;
    let first = register::undos_before(past, &not_yet).await?;
    selected.groups.retain(|group| !not_yet.contains_key(group));
    Ok((not_yet.into_keys().collect(), first))
}

/// Why it ended before its end, if it did.
fn stopped(undone: &Undone, console: &Console) -> Option<String> {
    match undone.ended {
        Walked::Finished => None,
        Walked::Interrupted => Some(console.stopped_by()),
        Walked::BrokenOff => Some(match &undone.stopped_by {
            Some(why) => format!("every further group would meet this: {why}"),
            None => "too many groups failed".to_owned(),
        }),
    }
}

/// The groups of a journal that stand in one of these states.
fn groups_in(journal: &dyn Journal, states: &[State]) -> Result<HashSet<usize>, JournalError> {
    let all = journal.states()?.into_iter();
    Ok(all.filter(|(_, state)| states.contains(state)).map(|(group, _)| group).collect())
}

/// Ends the selected groups in which something was left alone, and says how many: that belongs to whoever changed it.
async fn keep_changed(
    engine: &Engine,
    selected: &Selected,
    undone: &mut Undone,
) -> Result<u64, Failure> {
    let disputed = groups_in(&*engine.journal, &[State::Disputed])?;
    let ended = selected.groups.iter().copied().filter(|group| disputed.contains(group));
    undo::keep(&*engine.journal, ended)?;
    engine.journal.flush().await?;
    undone.pairs.kept_changed = std::mem::take(&mut undone.pairs.disputed);
    Ok(std::mem::take(&mut undone.disputed))
}

/// Takes the selected groups back, with progress.
async fn walk(
    engine: &Engine,
    selected: &Selected,
    settings: &UndoSettings,
    console: &Console,
    mut stop: watch::Receiver<bool>,
    reasons: &mut FailureReasons,
) -> (Undone, Result<(), JournalError>) {
    let groups_total = selected.groups.len() as u64;
    console.status.enter(Phase::Undoing);
    engine.show(groups_total, console);
    if !selected.groups.is_empty() {
        engine.await_first_read(&mut stop).await;
    }
    let shown = ProgressDisplay::start(console, engine.snapshot(groups_total));
    let on_failure = |pairs: &[Pair], Reason { reason, class }: &Reason| {
        tracing::error!("a group of {} pairs failed: {reason}", pairs.len());
        console.status.failed(pairs, reason);
        reasons.add(pairs, class);
    };
    let groups = &selected.groups;
    let undone = undo::undo(
        &engine.context,
        groups,
        settings.options,
        stop.clone(),
        &engine.progress,
        on_failure,
    )
    .await;
    shown.finish();
    if undone.0.is_expiring {
        // Who looks at the tables after the command has ended finds them as they were.
        tokio::select! {
            () = tokio::time::sleep(EXPIRY) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
    undone
}

/// The pairs whose groups are to be undone.
fn wanted(path: &Path, format: &Format, followed: &[Followed]) -> Result<Vec<Pair>, Failure> {
    let list = pairs::open(path).and_then(|text| pairs::read_followed(text, format, followed));
    let list = list.map_err(|error| named(Failure::from(error), path))?;
    if let Some(reject) = list.rejects().get(0) {
        let (line, all) = (reject.line, list.rejects().len());
        let wrong = anyhow!("line {line} is not a pair ({all} such lines); nothing was taken back");
        return Err(named(Failure::unusable(wrong), path));
    }
    let account = |number: u32| list.accounts.id(number);
    let pairs = list.edges.iter().zip(&list.lines);
    let pair = |(edge, line): (&pairs::Edge, &u64)| Pair {
        from: account(edge.from),
        into: account(edge.to),
        line: *line,
    };
    Ok(pairs.map(pair).collect())
}

fn named(failure: Failure, path: &Path) -> Failure {
    let Failure { exit, error } = failure;
    Failure { exit, error: error.context(path.display().to_string()) }
}

fn exit(undone: &Undone) -> Exit {
    match undone.ended {
        Walked::Interrupted => Exit::Interrupted,
        Walked::BrokenOff => Exit::Failed,
        Walked::Finished if undone.failed > 0 => Exit::Failed,
        Walked::Finished if undone.disputed > 0 => Exit::Differences,
        Walked::Finished => Exit::Done,
    }
}

fn groups(selected: &Selected, undone: &Undone, kept_changed: u64) -> UndoneGroups {
    let all = selected.groups.len() as u64;
    let had_turn = undone.undone + undone.disputed + undone.failed + kept_changed;
    UndoneGroups {
        selected: all,
        undone: undone.undone,
        disputed: undone.disputed,
        kept_changed,
        failed: undone.failed,
        not_started: match undone.ended {
            // Then every group has had its turn, or the report says that it does not add up.
            Walked::Finished => 0,
            Walked::Interrupted | Walked::BrokenOff => all.saturating_sub(had_turn),
        },
        refused: 0,
        merged: 0,
        undone_before: selected.undone_before,
        untouched: selected.untouched,
        erased: selected.erased,
    }
}

fn tables(spec: &Spec, undone: &Undone) -> Vec<UndoneTable> {
    let tables = spec.tables.iter().zip(&undone.rows);
    let table = |(table, rows): (&Table, &UndoTally)| UndoneTable {
        table: table.label().into_owned(),
        rows: *rows,
    };
    tables.map(table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, AccountType};

    #[test]
    fn pairs_are_named_in_any_spelling_of_the_run_s_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.csv");
        std::fs::write(&path, "from,to\n007,8\n-0,07\n").unwrap();
        let of = |accounts| wanted(&path, &Format { accounts, ..Format::default() }, &[]);
        let id = |id| AccountId::parse(AccountType::Int, id).unwrap();
        let pair = |from, into, line| Pair { from: id(from), into: id(into), line };
        assert_eq!(of(AccountType::Int).unwrap(), [pair("7", "8", 2), pair("0", "7", 3)]);
        let Failure { exit, error } = of(AccountType::Uuid).unwrap_err();
        assert_eq!(exit, Exit::Unusable);
        assert!(format!("{error:#}").contains("line 2 is not a pair"), "{error:#}");
    }
}
