//! What undo left alone, read back from the journal: cell by cell, group by group.

use bytes::Bytes;

use crate::journal::body::{Disputed, LeftAlone};
use crate::journal::{Codec, GroupRecord, Journal, JournalError, Note, SliceKind, State};
use crate::model::{AccountId, Cell, ColumnIndex, Pair, TableIndex, TimestampUs};

/// A cell that someone changed since the run; its key was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub table: TableIndex,
    /// Whose row it is: the survivor.
    pub account: AccountId,
    /// The primary key of the row, in column order.
    pub key: Vec<Bytes>,
    pub column: ColumnIndex,
    /// What the run left there.
    pub expected: Cell,
    pub found: Cell,
    /// The latest write time of that.
    pub found_written_at: Option<TimestampUs>,
    /// The pair by which the key came to be merged.
    pub pair: Pair,
}

/// What is told of the groups in which something was left alone.
#[derive(Clone, Copy, Debug)]
pub enum Reported<'a> {
    /// A cell, and how its group stands: disputed, or undone since what was left alone is kept.
    Conflict(&'a Conflict, State),
    /// The group of the last cells is over; these are its pairs, in merge order.
    Over(&'a [Pair]),
}

/// What the journal says of a group that was ended though something was left alone in it.
const KEPT: &str = "what was changed since stays where it is";

/// That there are such groups, as the journal says it: most undone groups need not be looked at.
const ANY_KEPT: &str = "changes_kept";

/// Ends groups of a run in which something was left alone, and leaves it where it is.
///
/// # Errors
/// The journal cannot be written.
pub(crate) fn keep(
    journal: &dyn Journal,
    groups: impl IntoIterator<Item = usize>,
) -> Result<(), JournalError> {
    journal.set_meta(ANY_KEPT, "yes")?;
    groups.into_iter().try_for_each(|group| {
        let reason = Some(KEPT.to_owned());
        journal.note(Note { group, state: State::Undone, reason, known_as: None })
    })
}

/// Tells every conflict of the groups that are disputed at present, and of those in which what was changed is
/// [kept](KEPT), by group. One slice is held at a time.
///
/// # Errors
/// The journal cannot be read, or `on_reported` failed.
pub fn conflicts<E: From<JournalError>>(
    journal: &dyn Journal,
    codec: &Codec,
    mut on_reported: impl FnMut(Reported<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut states = journal.states()?;
    let any_kept = journal.meta(ANY_KEPT)?.is_some();
    states.retain(|(_, state)| match state {
        State::Disputed => true,
        State::Undone => any_kept,
        _ => false,
    });
    states.sort_unstable_by_key(|(group, _)| *group);
    for (number, state) in states {
        let Some(group) = journal.group(number)? else { continue };
        if state == State::Undone && group.reason.as_deref() != Some(KEPT) {
            continue;
        }
        let damaged = |what| JournalError::of_group(number, what);
        let mut slices = journal.slices(number)?;
        slices.retain(|slice| slice.kind == SliceKind::Undo);
        // The last pass has all that is left.
        let last = slices.last().map(|slice| slice.t);
        for slice in slices.iter().filter(|slice| Some(slice.t) == last) {
            let record = codec.decode_undo(&journal.body(slice.id)?).map_err(damaged)?;
            for left in &record.left_alone {
                for cell in &left.conflicts {
                    let conflict = conflict(&group, left, cell).map_err(damaged)?;
                    on_reported(Reported::Conflict(&conflict, state))?;
                }
            }
        }
        on_reported(Reported::Over(&group.pairs))?;
    }
    Ok(())
}

fn conflict(group: &GroupRecord, left: &LeftAlone, cell: &Disputed) -> Result<Conflict, String> {
    let pair = group.pairs.get(left.pair);
    let pair = pair.ok_or_else(|| format!("it has no source {}", left.pair))?;
    let Disputed { column, expected, found, found_written_at } = cell.clone();
    Ok(Conflict {
        table: left.table,
        account: group.survivor.clone(),
        key: left.row.clone(),
        column,
        expected,
        found,
        found_written_at,
        pair: pair.clone(),
    })
}
