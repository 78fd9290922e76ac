//! What other runs mean for the groups of this one, before anything is done, and what they are told of it at the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{Journal, JournalError, Note, SliceKind, State, Unwritten};
use crate::model::{Group, TimestampUs};
use crate::plan::Plan;
use crate::register::{
    Archive, Claim, Later, Lineage, Obstacle, Register, RunState, Step, WindowEnd,
};
use crate::storage::StorageError;

use super::{Barred, Busy, Known};

/// Groups that the register is asked about at once.
const GROUPS: usize = 10_000;

/// The groups of a run that is gone on with that other runs stand in the way of; `say` puts a verdict into words.
///
/// # Errors
/// The journal cannot be read.
pub fn barred(
    lineage: &Lineage,
    plan: &Plan,
    known: &Known,
    journal: &dyn Journal,
    say: impl Fn(&Obstacle) -> String,
) -> Result<Barred, JournalError> {
    let mut barred = Barred::default();
    if lineage.is_empty() {
        return Ok(barred);
    }
    for group in plan.groups() {
        let state = known.state(group.index);
        let t = match state {
            None => None,
            Some(_) => journal.group(group.index)?.and_then(|record| record.t),
        };
        match (state, t) {
            (Some(State::Undone | State::Erased), _) => {}
            // Nothing of it was ever intended.
            (None, _) | (_, None) => {
                let mut verdicts: Vec<Obstacle> =
                    lineage.verdicts(&group).into_iter().map(|(_, verdict)| verdict).collect();
                // What somebody is busy with comes first.
                verdicts.sort_by_key(|verdict| !matches!(verdict, Obstacle::Busy { .. }));
                let Some(verdict) = verdicts.first() else { continue };
                let why = say(verdict);
                match verdict {
                    Obstacle::Busy { run, is_lost: false, .. } => {
                        barred.busy.insert(group.index, Busy { run: run.clone(), why });
                    }
                    _ => drop(barred.rejected.insert(group.index, why)),
                }
            }
            (Some(state), Some(t)) => {
                let later = lineage.named_since(&group, t);
                let Some(last) = later.last() else { continue };
                let why = format!(
                    "run {} has worked on accounts of this group since: end or undo that one first",
                    last.run
                );
                let run = last.run.clone();
                match state {
                    State::Done => drop(barred.moved_on.insert(group.index, run)),
                    _ => drop(barred.busy.insert(group.index, Busy { run, why })),
                }
            }
        }
    }
    Ok(barred)
}

/// Notes the groups of a run that are not begun any more, because their accounts went elsewhere.
///
/// # Errors
/// The journal cannot be written.
pub(crate) fn note_rejected(
    barred: &Barred,
    plan: &Plan,
    journal: &dyn Journal,
) -> Result<(), JournalError> {
    barred.rejected.iter().try_for_each(|(index, why)| {
        let Group { survivor, pairs, .. } = plan.group(*index);
        journal.note(Note {
            group: *index,
            state: State::Rejected,
            reason: Some(why.clone()),
            known_as: Some((survivor, pairs)),
        })
    })
}

/// Whether the register has known every write of a run from its first one on, as its journal says it.
const REGISTERED: &str = "registered";

/// Notes whether the register knows what a command is about to write.
///
/// # Errors
/// The journal cannot be read or written.
pub fn keep_registered(journal: &dyn Journal, is_registered: bool) -> Result<(), JournalError> {
    match (journal.meta(REGISTERED)?.as_deref(), is_registered) {
        (None, true) if journal.states()?.is_empty() => journal.set_meta(REGISTERED, "yes"),
        (Some("yes"), false) => journal.set_meta(REGISTERED, "no"),
        _ => Ok(()),
    }
}

/// Whether a run was begun with the register.
///
/// # Errors
/// The journal cannot be read.
pub fn was_registered(journal: &dyn Journal) -> Result<bool, JournalError> {
    Ok(journal.meta(REGISTERED)?.is_some())
}

/// Forgets the intents of a run that were never written: the register has no row of them, or another run has begun
/// something on their accounts since, which it would not have done had it found such a row. So the process died, or lost
/// the lease, before the first write. Their groups count as never begun, or as not swept again. Returns how many there are.
///
/// # Errors
/// The journal or the register cannot be read, or the journal not written.
pub async fn forget_unwritten(
    register: &dyn Archive,
    own: &str,
    journal: &dyn Journal,
    tables: &BTreeSet<String>,
) -> Result<usize, AskError> {
    // Of a lost run it is not known what it has written since others went on.
    let known = register.known_run(own).await?;
    let is_lost = known.is_none_or(|run| run.state == RunState::Lost);
    if is_lost || journal.meta(REGISTERED)?.as_deref() != Some("yes") {
        return Ok(0);
    }
    let mut open = Vec::new();
    for (group, state) in journal.states()? {
        let intent = intended(journal, group, state)?;
        let record = if intent.is_some() { journal.group(group)? } else { None };
        open.extend(
            intent.zip(record).map(|((t, intent), record)| (t, intent, record.into_group())),
        );
    }
    let mut unwritten = Vec::new();
    for some in open.chunks(GROUPS) {
        let accounts = some.iter().flat_map(|(.., group)| group.accounts());
        let accounts: Vec<String> = accounts.map(|account| account.text().into_owned()).collect();
        let mut ours = register.entries(&accounts).await?;
        ours.retain(|entry| entry.run == own && entry.step == Step::Merge);
        let lineage = Lineage::of(register, accounts, tables, Some(own)).await?;
        let is_unwritten = |(t, intent, group): &&(TimestampUs, Unwritten, Group)| {
            let survivor = group.survivor.text();
            let is_ours = |entry: &Claim| entry.account == survivor && entry.t >= *t;
            let is_missing = intent.sweep.is_none() && !ours.iter().any(is_ours);
            is_missing || lineage.is_begun_since(group, *t)
        };
        unwritten.extend(some.iter().filter(is_unwritten).map(|(_, intent, _)| *intent));
    }
    let count = unwritten.len();
    if count > 0 {
        journal.forget(unwritten).await?;
    }
    Ok(count)
}

/// The intent of a group that may not have been written, and its time.
fn intended(
    journal: &dyn Journal,
    group: usize,
    state: State,
) -> Result<Option<(TimestampUs, Unwritten)>, JournalError> {
    if !matches!(state, State::Intended | State::Sweeping | State::Failed) {
        return Ok(None);
    }
    let slices = journal.slices(group)?;
    let of_merge = slices.iter().rfind(|slice| slice.kind == SliceKind::Merge);
    let sweep = match slices.last() {
        // A process that stood still may have intended it after the other run came.
        Some(last) if matches!(last.kind, SliceKind::Sweep | SliceKind::Mention) => Some(last.id),
        _ if slices.iter().all(|slice| slice.kind == SliceKind::Merge) => None,
        _ => return Ok(None),
    };
    Ok(of_merge.map(|slice| (slice.t, Unwritten { group, sweep })))
}

/// Why the register or the journal could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Register(#[from] StorageError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The groups of a run that cannot be taken back yet, each with the runs that have to be taken back before: the last one
/// first.
///
/// # Errors
/// The journal or the register cannot be read.
pub async fn not_yet(
    register: &dyn Archive,
    own: &str,
    journal: &dyn Journal,
    groups: &[usize],
    tables: &BTreeSet<String>,
) -> Result<BTreeMap<usize, Vec<Later>>, AskError> {
    let mut not_yet = BTreeMap::new();
    for some in groups.chunks(GROUPS) {
        let mut known = Vec::with_capacity(some.len());
        for index in some {
            if let Some(record) = journal.group(*index)? {
                let t = record.t.unwrap_or_default();
                known.push((record.into_group(), t));
            }
        }
        let accounts = known.iter().flat_map(|(group, _)| group.accounts());
        let accounts = accounts.map(|account| account.text().into_owned());
        let lineage = Lineage::of(register, accounts, tables, Some(own)).await?;
        for (group, t) in &known {
            let later = lineage.later(group, *t);
            if !later.is_empty() {
                not_yet.insert(group.index, later);
            }
        }
    }
    Ok(not_yet)
}

/// Tells the register at the end of a command how the groups of its run stand: its windows are over, but for those that
/// are not.
///
/// # Errors
/// The journal cannot be read, or the register not written.
pub async fn settle<R: Register + ?Sized>(
    register: &R,
    archive: &dyn Archive,
    journal: &dyn Journal,
) -> Result<(), AskError> {
    let mut open = BTreeSet::new();
    for (group, state) in journal.states()? {
        if !matches!(state, State::Done | State::Undone | State::Rejected | State::Erased)
            && let Some(record) = journal.group(group)?
        {
            open.insert(record.survivor.text().into_owned());
        }
    }
    let windows = archive.windows(register.run()).await?;
    let stale = windows.into_iter().filter_map(|(t, end)| {
        let now = match &end {
            None => open.clone(),
            Some(end) => end.open.intersection(&open).cloned().collect(),
        };
        (end.is_none_or(|end| end.open != now)).then_some(WindowEnd { t, open: now })
    });
    let stale: Vec<WindowEnd> = stale.collect();
    Ok(register.end(&stale).await?)
}
