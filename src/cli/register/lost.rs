//! A register that is not what it was when a run began: dropped, emptied, or brought back as it was before. What it does
//! not know of the run it would else take for never written.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;

use super::super::again;
use super::Failure;
use crate::advice::Advice;
use crate::cluster::ClusterRegister;
use crate::journal::{Journal, State};
use crate::moment::Moment;
use crate::pipeline::begin_to_reach;
use crate::run::RunRecord;
use crate::spec::Spec;

/// The tables of the register as a run has found them, with their ids, as its journal says it.
const TABLES: &str = "register_tables";

/// Notes which tables the register is made of, in the journal of a run that begins to be in it.
///
/// # Errors
/// The schema cannot be read, or the journal not be written.
pub(in crate::cli) async fn remember(
    register: &ClusterRegister,
    journal: &dyn Journal,
) -> Result<(), Failure> {
    let tables = register.reader().tables().await?;
    let tables: Vec<String> = tables.iter().map(|(name, id)| format!("{name}={id}")).collect();
    begin_to_reach(journal)?;
    Ok(journal.set_meta(TABLES, &tables.join(" "))?)
}

/// What happened to the register since the run began, if it has lost anything.
///
/// # Errors
/// The schema or the journal cannot be read.
pub(super) async fn what(
    register: &ClusterRegister,
    record: &RunRecord,
    journal: &dyn Journal,
) -> Result<Option<String>, Failure> {
    let now = register.reader().tables().await?;
    let began = journal.meta(TABLES)?.unwrap_or_default();
    let began: BTreeMap<&str, &str> =
        began.split(' ').filter_map(|table| table.split_once('=')).collect();
    let is_other = |name: &&str| now.get(*name).map(String::as_str) != began.get(name).copied();
    let others: Vec<&str> = began.keys().copied().filter(is_other).collect();
    if !others.is_empty() {
        return Ok(Some(format!("{} were dropped since the run began", others.join(", "))));
    }
    let truncated = register.reader().truncated_since(&now, record.started_at.us()).await;
    let emptied: Vec<String> =
        truncated.iter().map(|(name, at)| format!("{name} at {}", Moment::from_us(*at))).collect();
    Ok((!emptied.is_empty())
        .then(|| format!("truncated since the run began: {}", emptied.join(", "))))
}

/// Refuses a run of which the register has lost what it knew, and says how it goes on without: by what the journal and the
/// rows say. What is added up cannot be merged so, but taken back.
pub(super) fn refused(
    why: &str,
    register: &ClusterRegister,
    (record, run_dir, merges): (&RunRecord, &Path, bool),
    spec: &Spec,
) -> Failure {
    let keyspace = register.reader().keyspace();
    let adds_up = spec.tables.iter().any(|table| table.sums().next().is_some());
    let (what, command) = match merges {
        true if adds_up => (
            "What is added up cannot be merged without it, but the run can be taken back",
            Advice::undo(run_dir),
        ),
        _ => ("This goes on without it", again::same()),
    };
    Failure::unusable(anyhow!(
        "the register ({keyspace}) has lost what it knew of run {} ({why}), so nobody can tell which other runs came \
         since. Nothing was written, and verify without --repair still compares the run. {what}, by what the rows say; what \
         somebody else has changed is left where it is, and listed: {}",
        record.id,
        command.without_register(),
    ))
}

/// Whether groups of a run are neither over nor untouched.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn is_half_merged(journal: &dyn Journal) -> Result<bool, Failure> {
    use State::{Disputed, Failed, Intended, Sweeping, Undoing, Written};
    let is_half = |state: &State| {
        matches!(state, Intended | Written | Sweeping | Failed | Undoing | Disputed)
    };
    Ok(journal.states()?.iter().any(|(_, state)| is_half(state)))
}
