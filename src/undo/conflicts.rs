//! What undo left alone, read back from the journal: cell by cell, group by group.

use bytes::Bytes;

use crate::journal::body::json;
use crate::journal::{GroupRecord, Journal, JournalError, Kind, State};
use crate::model::{AccountId, Cell, ColumnIndex, Pair, TableIndex, TimestampUs};
use crate::spec::{Spec, Table};

use super::record::{Disputed, LeftAlone, Record};

/// A cell that someone changed since the run; its key was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The table.
    pub table: TableIndex,
    /// Whose row it is.
    pub account: AccountId,
    /// The primary key of the row, in column order.
    pub key: Vec<Bytes>,
    /// The column.
    pub column: ColumnIndex,
    /// What the run left there.
    pub expected: Cell,
    /// What is there.
    pub found: Cell,
    /// The latest write time of that.
    pub found_written_at: Option<TimestampUs>,
    /// The pair by which the key came to be merged.
    pub pair: Pair,
}

/// What is told of the groups that are disputed.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// A cell.
    Conflict(&'a Conflict),
    /// The group of the last cells is over; these are its pairs, in merge order.
    Over(&'a [Pair]),
}

/// Tells every conflict of the groups that are disputed at present, by group. One slice is held at a time.
///
/// # Errors
/// The journal cannot be read, or `on_told` failed.
pub fn conflicts<E: From<JournalError>>(
    journal: &dyn Journal,
    spec: &Spec,
    mut on_told: impl FnMut(Told<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut states = journal.states()?;
    states.retain(|(_, state)| *state == State::Disputed);
    states.sort_unstable_by_key(|(group, _)| *group);
    for (number, _) in states {
        let Some(group) = journal.group(number)? else { continue };
        let damaged = |what| JournalError::Damaged { path: format!("group {number}"), what };
        let mut slices = journal.slices(number)?;
        slices.retain(|slice| slice.kind == Kind::Undo);
        // The last pass has all that is left.
        let last = slices.last().map(|slice| slice.t);
        for slice in slices.iter().filter(|slice| Some(slice.t) == last) {
            let record = Record::read(&journal.body(slice.id)?).map_err(damaged)?;
            for left in &record.left_alone {
                for cell in &left.conflicts {
                    let conflict = conflict(spec, &group, left, cell).map_err(damaged)?;
                    on_told(Told::Conflict(&conflict))?;
                }
            }
        }
        on_told(Told::Over(&group.pairs))?;
    }
    Ok(())
}

fn conflict(
    spec: &Spec,
    group: &GroupRecord,
    left: &LeftAlone,
    cell: &Disputed,
) -> Result<Conflict, String> {
    let (index, table) = json::table(spec, &left.table)?;
    let column = table.position(&cell.column);
    let column = column.ok_or_else(|| format!("there is no column {}", cell.column))?;
    let place = cell.source.unwrap_or(left.pair);
    let pair = group.pairs.get(place).ok_or_else(|| format!("it has no source {place}"))?;
    let account = if cell.source.is_some() { &pair.from } else { &group.survivor };
    let cells = json::read_cells(table, table.key_len, &left.row)?;
    let mut key: Vec<Bytes> = cells.into_iter().map(|(_, value)| value).collect();
    if let Some(own) = key.get_mut(table.account) {
        own.clone_from(account.cell());
    }
    Ok(Conflict {
        table: index,
        account: account.clone(),
        key,
        column,
        expected: read(table, column, &cell.expected)?,
        found: read(table, column, &cell.found)?,
        found_written_at: cell.found_written_at,
        pair: pair.clone(),
    })
}

fn read(table: &Table, column: ColumnIndex, value: &serde_json::Value) -> Result<Cell, String> {
    match value.is_null() {
        true => Ok(None),
        false => json::read_value(&table.columns[column].cql_type, value).map(Some),
    }
}
