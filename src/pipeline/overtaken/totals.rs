//! Totals ([`sum`](crate::spec)) that a write of the application hides. They cannot be computed anew from what is there: whether
//! that counts on from the total, or from what was there before, nobody can tell. So such a row is reported with both numbers.
//!
//! One case is known. What the application had written between T and the read is dated after T, so it hides the very total
//! that was made of it. That one is written again, just above.

use crate::history::History;
use crate::journal::State;
use crate::merge::SweptCell;
use crate::model::{Cell, ColumnIndex, TimedRow, TimestampUs};
use crate::readable;
use crate::spec::{Column, Table};

use super::Acknowledged;

/// The total that the run has written to a column, with its time.
fn total(table: &Table, history: &History, column: ColumnIndex) -> Option<(Cell, TimestampUs)> {
    let left = history.left(table).into_iter().find(|left| left.column == column)?;
    Some((left.value, left.t))
}

/// A total that is hidden by the number that it was made with. An earlier session may have read that long ago: since then
/// somebody may have set it to what it was.
pub(super) fn hidden(
    table: &Table,
    history: &History,
    found: &TimedRow,
    column: ColumnIndex,
    writes: Acknowledged,
) -> Option<SweptCell> {
    let (value, t) = total(table, history, column)?;
    let found_t = found.times[column].latest().filter(|found| *found > t && *found <= writes.at)?;
    let read = history.survivor_before().cell(column);
    let is_read = read.is_some() && read == found.row.cells[column].as_ref();
    let moved_at = Some(found_t + 1);
    // Of a total nobody can say when it expires: such a column is in no table whose TTLs are carried.
    let expires = None;
    let again =
        SweptCell { column, element: None, value, t: history.t, moved_at, expires, names: None };
    (writes.is_fresh && is_read).then_some(again)
}

/// Why a row is reported: of each total that is not as the merge has written it.
pub(super) fn differing(
    table: &Table,
    history: &History,
    found: &TimedRow,
    writes: Acknowledged,
) -> Vec<String> {
    // After a merge is over, numbers are the application's again.
    if writes.state != State::Intended {
        return Vec::new();
    }
    let differs = |column: ColumnIndex| {
        let (value, t) = total(table, history, column)?;
        let cell = &found.row.cells[column];
        let is_as_written = *cell == value && found.times[column].latest() == Some(t);
        if is_as_written || hidden(table, history, found, column, writes).is_some() {
            return None;
        }
        let Column { name, cql_type } = &table.columns[column];
        let shown = |cell: &Cell| match cell {
            Some(value) => readable::cell(cql_type, value),
            None => "null".to_owned(),
        };
        Some(format!(
            "{name} was written while the group was merged: it is {}, and the sum of all accounts was {}",
            shown(cell),
            shown(&value)
        ))
    };
    table.sums().filter_map(differs).collect()
}
