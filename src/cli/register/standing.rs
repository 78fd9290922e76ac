//! How a run stands, as it tells the register at its beginning and at the end of each command, and as the register knows it
//! when a command begins.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;

use super::{Failure, Past, tables};
use crate::cluster::ClusterRegister;
use crate::journal::{Journal, State};
use crate::model::now_us;
use crate::pipeline::others;
use crate::register::{Archive, Register, Run, RunState};
use crate::run::{RunId, RunRecord};
use crate::spec::Spec;

/// What the register calls groups that have no state yet.
const PLANNED: &str = "planned";

/// Sees that a run directory is not an older copy of one that has gone further: what it does not know, its commands
/// would take for not done.
///
/// # Errors
/// It is one, or the journal or the register cannot be read.
pub(in crate::cli) async fn check_newest(
    past: &Past,
    own: &RunId,
    journal: &dyn Journal,
    total: u64,
) -> Result<(), Failure> {
    let Past::Held(register) = past else { return Ok(()) };
    let known = register.reader().known_run(own.as_str()).await.map_err(Failure::failed)?;
    // As it was when the last command ended; one that crashed has told nothing.
    let Some(run) = known.filter(|run| !run.groups.is_empty()) else { return Ok(()) };
    let here = by_state(&journal.states()?, total);
    let of = |groups: &BTreeMap<String, i64>, state: &str| groups.get(state).copied().unwrap_or(0);
    let undone = State::Undone.to_string();
    let [began_here, began] = [&here, &run.groups]
        .map(|groups| i64::try_from(total).unwrap_or(i64::MAX) - of(groups, PLANNED));
    let [undone_here, undone] = [&here, &run.groups].map(|groups| of(groups, &undone));
    if began_here >= began && undone_here >= undone {
        return Ok(());
    }
    let (host, dir) = run.host_and_dir();
    Err(Failure::failed(anyhow!(
        "this run directory is an older copy: the register has {began} groups of the run as begun and {undone} as taken \
         back, this one knows of {began_here} and {undone_here}. Nothing was written. Go on in the directory that was \
         used last (the run began in {dir} on {host})"
    )))
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
    let location = std::path::absolute(run_dir).unwrap_or_else(|_| run_dir.to_owned());
    Run {
        id: record.id.to_string(),
        location: location.display().to_string(),
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
    let groups = by_state(&journal.states()?, total);
    let settled = others::settle(register, register.reader(), journal).await;
    settled.map_err(Failure::failed)?;
    let are_all = |state: State| groups.keys().all(|known| *known == state.to_string());
    let state = match () {
        () if are_all(State::Done) => RunState::Done,
        () if are_all(State::Undone) => RunState::Undone,
        () => RunState::Partial,
    };
    register.set_state(register.run(), state, &groups).await.map_err(Failure::failed)
}
