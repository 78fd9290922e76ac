//! How a run stands, as it tells the register at its beginning and at the end of each command, and as the register knows it
//! when a command begins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::super::recorded::anew;
use super::{Entering, Failure, Past, lost, tables};
use crate::advice::Advice;
use crate::cluster::{Cluster, ClusterRegister};
use crate::journal::{Journal, State};
use crate::model::{TimestampUs, now_us};
use crate::pipeline::{others, reached};
use crate::register::{Archive, Register, Run, RunState};
use crate::run::RunRecord;
use crate::spec::Spec;

/// That a run has been begun to be undone as a whole, as its journal says it.
pub(in crate::cli) const WHOLE_UNDONE: &str = "taken_back_as_a_whole";

/// What the register calls groups that have no state yet.
const PLANNED: &str = "planned";

/// Sees that the register knows the run that a command goes on with, by its directory and specification; one that was
/// begun without it is added. What is refused here is refused however often it is tried, so it counts as unusable: no
/// scheduler tries it again.
///
/// # Errors
/// It was pruned, closed, or lost and is not undone; its directory is an older copy; the journal or the register cannot
/// be read, or not written.
pub(in crate::cli) async fn enter(
    past: &Past,
    (record, run_dir, entering): (&RunRecord, &Path, Entering),
    spec: (&Spec, String),
    journal: &dyn Journal,
    total: u64,
) -> Result<(), Failure> {
    let Past::Held(register) = past else { return Ok(()) };
    let own = record.id.as_str();
    let merges = entering == Entering::Merges;
    let refused = |why: &str| lost::refused(why, register, (record, run_dir, merges), spec.0);
    if let Some(why) = lost::what(register, record, journal).await? {
        return Err(refused(&why));
    }
    let Some(run) = register.reader().known_run(own).await.map_err(Failure::failed)? else {
        match others::was_registered(journal)? {
            true if lost::is_half_merged(journal)? => {
                return Err(refused("it may have been brought back as it was before"));
            }
            true => return Err(forgotten(own, &anew(run_dir, record)?)),
            false => {}
        }
        let began = record.started_at.us();
        let run = Run { began, ..begun(record, run_dir, spec) };
        register.add_run(&run).await.map_err(Failure::failed)?;
        return lost::remember(register, journal).await;
    };
    match run.state {
        RunState::Lost if entering == Entering::Merges => Err(Failure::unusable(anyhow!(
            "run {own} was declared lost, and others may have gone on with its accounts since, so it is undone and nothing \
             else. Nothing was written. To give back what it left half merged: {}",
            Advice::undo(run_dir)
        ))),
        RunState::Closed => Err(closed(own, Some(anew(run_dir, record)?))),
        _ => check_newest(&run, journal, total, latest(register, own).await?),
    }
}

/// The time of the latest window of a run that the register has.
async fn latest(register: &ClusterRegister, run: &str) -> Result<Option<TimestampUs>, Failure> {
    let windows = register.reader().windows(run).await.map_err(Failure::failed)?;
    Ok(windows.into_iter().map(|(t, _)| t).max())
}

/// Of a run that was closed; what merges its pairs as a new one can be advised where its tables are there.
pub(in crate::cli) fn closed(run: &str, apply: Option<Advice>) -> Failure {
    let apply = apply.map(|apply| format!(" Its pairs are merged as a new run: {apply}"));
    Failure::unusable(anyhow!(
        "run {run} was closed: nothing that it did is there any more. Nothing was written.{}",
        apply.unwrap_or_default()
    ))
}

/// Whether the register has it that a run was closed, as far as it can be read.
pub(in crate::cli) async fn is_closed(cluster: &Cluster, run: &str) -> bool {
    let Some(keyspace) = cluster.register_keyspace() else { return false };
    let Ok(Some(reader)) = cluster.register_reader(keyspace).await else { return false };
    let known = reader.known_run(run).await;
    known.is_ok_and(|run| run.is_some_and(|run| run.state == RunState::Closed))
}

/// Notes what a command that begins now does with its run: if it dies, that is what has to be ended. A lost run stays one:
/// what it left half merged may have been written at any time.
///
/// # Errors
/// The register cannot be read or written.
pub(in crate::cli) async fn begin(
    past: &Past,
    run_dir: &Path,
    state: RunState,
) -> Result<(), Failure> {
    let Past::Held(register) = past else { return Ok(()) };
    let state = if is_lost(register).await? { RunState::Lost } else { state };
    register.begin_state(&location(run_dir), state).await.map_err(Failure::failed)
}

/// Whether somebody has declared the run lost.
///
/// # Errors
/// The register cannot be read.
pub(in crate::cli) async fn is_lost(register: &ClusterRegister) -> Result<bool, Failure> {
    let known = register.reader().known_run(register.run()).await.map_err(Failure::failed)?;
    Ok(known.is_some_and(|run| run.state == RunState::Lost))
}

/// The machine on which a run was worked on last, and its directory there, as far as the register knows the run.
pub(in crate::cli) fn whereabouts(run: Option<&Run>) -> (Option<String>, Option<PathBuf>) {
    let at = run.map(Run::host_and_dir);
    at.map(|(host, dir)| (host.to_owned(), PathBuf::from(dir))).unzip()
}

/// What ends a run that is not over, by what the register knows of it.
pub(in crate::cli) fn end_of(run: &Run) -> Option<Advice> {
    let run_dir = Path::new(run.host_and_dir().1);
    match run.state {
        RunState::Undoing => Some(Advice::undo(run_dir)),
        RunState::Partial | RunState::UndoingSome if is_half_undone(run) => {
            Some(Advice::Undo { run: run_dir.to_path_buf(), keep_changed: true })
        }
        RunState::Running => Some(Advice::resume(run_dir)),
        RunState::Partial => {
            let (run, all) = (run_dir.to_path_buf(), run.groups.contains_key(PLANNED));
            Some(Advice::Resume { run, all, secrets: Vec::new() })
        }
        RunState::UndoingSome
        | RunState::Done
        | RunState::Undone
        | RunState::Lost
        | RunState::Closed => None,
    }
}

/// Whether an undo has begun with groups of a run that it has not ended.
pub(in crate::cli) fn is_half_undone(run: &Run) -> bool {
    let of = [State::Undoing, State::Disputed].map(|state| state.to_string());
    run.state == RunState::UndoingSome || of.iter().any(|state| run.groups.contains_key(state))
}

/// Of a run that the register does not know any more.
fn forgotten(run: &str, apply: &Advice) -> Failure {
    Failure::unusable(anyhow!(
        "the register has forgotten run {run} (it was pruned, or is not the register that the run began with), so nobody \
         can tell which later runs come first, and it is neither resumed, repaired nor undone. Nothing was written. verify \
         without --repair still compares it; what its sources got since is merged by its pairs as a new run: {apply}"
    ))
}

/// Sees that a run directory is not an older copy of one that has gone further: what it does not know, its commands
/// would take for not done.
fn check_newest(
    run: &Run,
    journal: &dyn Journal,
    total: u64,
    latest: Option<TimestampUs>,
) -> Result<(), Failure> {
    let older = |what: &str| {
        let (host, dir) = run.host_and_dir();
        Err(Failure::unusable(anyhow!(
            "this run directory is an older copy: {what}. Nothing was written. Go on in the directory that was used last \
             ({dir} on {host})"
        )))
    };
    // Where the last command has crashed, this alone tells it.
    if let (Some(latest), Some(reached)) = (latest, reached(journal)?)
        && latest > reached
    {
        return older(
            "the register has windows of the run that began after all that this one knows of",
        );
    }
    // As it was when the last command ended.
    if run.groups.is_empty() {
        return Ok(());
    }
    let here = by_state(&journal.states()?, total);
    let of = |groups: &BTreeMap<String, i64>, state: &str| groups.get(state).copied().unwrap_or(0);
    let undone = State::Undone.to_string();
    let [began_here, began] = [&here, &run.groups]
        .map(|groups| i64::try_from(total).unwrap_or(i64::MAX) - of(groups, PLANNED));
    // What is erased was over.
    let erased = of(&here, &State::Erased.to_string());
    let [undone_here, undone] = [&here, &run.groups].map(|groups| of(groups, &undone));
    if began_here >= began && undone_here + erased >= undone {
        return Ok(());
    }
    older(&format!(
        "the register has {began} groups of the run as begun and {undone} as taken back, this one knows of {began_here} and \
         {undone_here}"
    ))
}

/// How a run stands as a whole, by its journal.
///
/// # Errors
/// The journal cannot be read.
pub(in crate::cli) fn state_of(
    journal: &dyn Journal,
    states: &[(usize, State)],
    total: u64,
) -> Result<RunState, Failure> {
    use State::{Disputed, Done, Erased, Failed, Rejected, Undone};
    let are_all = |of: &[State]| states.iter().all(|(_, state)| of.contains(state));
    let has_any = |of: State| states.iter().any(|(_, state)| *state == of);
    if journal.meta(WHOLE_UNDONE)?.is_some() {
        // What was not begun by then is not begun any more.
        let mut is_left = false;
        for (group, state) in states {
            is_left |= match state {
                Undone | Rejected | Disputed | Erased => false,
                Failed => journal.group(*group)?.is_some_and(|record| record.t.is_some()),
                _ => true,
            };
        }
        return Ok(match is_left {
            true => RunState::Undoing,
            false if has_any(Disputed) => RunState::Partial,
            false => RunState::Undone,
        });
    }
    let is_begun = states.len() as u64 >= total;
    Ok(match () {
        () if !is_begun || !are_all(&[Done, Undone, Rejected, Erased]) => RunState::Partial,
        () if has_any(Undone) && !has_any(Done) => RunState::Undone,
        () => RunState::Done,
    })
}

/// Groups by state, those that have none included.
fn by_state(states: &[(usize, State)], total: u64) -> BTreeMap<String, i64> {
    let planned = total.saturating_sub(states.len() as u64);
    let mut groups = BTreeMap::new();
    if planned > 0 {
        groups.insert(PLANNED.to_owned(), i64::try_from(planned).unwrap_or(i64::MAX));
    }
    for (_, state) in states {
        *groups.entry(state.to_string()).or_default() += 1;
    }
    groups
}

/// A run that is about to begin, as the register keeps it.
pub(in crate::cli) fn begun(record: &RunRecord, run_dir: &Path, spec: (&Spec, String)) -> Run {
    let (spec, spec_sha256) = spec;
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    Run {
        id: record.id.to_string(),
        location: location(run_dir),
        user: user.unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        began: now_us(),
        ended: None,
        hashes: [record.input.sha256.clone(), spec_sha256],
        tables: tables(spec),
        state: RunState::Running,
        groups: BTreeMap::new(),
    }
}

fn location(run_dir: &Path) -> String {
    std::path::absolute(run_dir).unwrap_or_else(|_| run_dir.to_owned()).display().to_string()
}

/// Tells the register how the groups of a run stand, at the end of a command: its windows are over, but for those that
/// are not; and how the run stands as a whole.
///
/// # Errors
/// The journal cannot be read, or the register not written.
pub(in crate::cli) async fn settle(
    register: &ClusterRegister,
    journal: &dyn Journal,
    total: u64,
) -> Result<(), Failure> {
    journal.flush().await?;
    let states = journal.states()?;
    let groups = by_state(&states, total);
    let settled = others::settle(register, register.reader(), journal).await;
    settled.map_err(Failure::failed)?;
    let state = match state_of(journal, &states, total)? {
        RunState::Undone => RunState::Undone,
        _ if is_lost(register).await? => RunState::Lost,
        state => state,
    };
    register.set_state(register.run(), state, &groups).await.map_err(Failure::failed)
}
